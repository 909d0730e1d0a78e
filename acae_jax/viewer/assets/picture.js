// The input's picture with the 2D poses over it.

const TALLEST = 0.45; // of the window's height

class Photo {
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, shown: null, image: null });
  }

  // Loads the picture unless it is the one shown; decoding ends later and calls `changed`.
  show(picture) {
    if (this.shown === picture) return;
    this.shown = picture;
    const image = new Image();
    image.src = `data:image/jpeg;base64,${picture.base64}`;
    const arrived = (decoded) => {
      if (this.shown !== picture) return;
      this.image = decoded ? image : null;
      this.changed();
    };
    image.decode().then(() => arrived(true), () => arrived(false));
  }

  draw(recording, people, skeleton, look) {
    const [width, height] = this.shown.size_px;
    const { canvas } = this;
    // As wide as its column; an upright picture leaves room for what stands below it.
    const room = Math.min(canvas.parentElement.clientWidth, (TALLEST * innerHeight * width) / height);
    const scale = (room * devicePixelRatio) / width;
    canvas.width = Math.round(scale * width);
    canvas.height = Math.round(scale * height);
    canvas.style.width = `${room}px`;
    const context = canvas.getContext("2d");
    if (this.image) context.drawImage(this.image, 0, 0, canvas.width, canvas.height);
    context.lineCap = "round";
    for (const { entry, colour } of people) {
      const points = skeleton.indices.map((joint) => recording.pixel(entry, joint));
      const all = shades(colour, look);
      for (const [a, b] of skeleton.edges) {
        if (!points[a] || !points[b]) continue;
        // Pixel centres lie at integers, canvases begin at the edge of a pixel.
        const ends = [points[a], points[b]].map((point) => point.map((px) => (px + 0.5) * scale));
        const sides = recording.content.sides;
        const side = sides[skeleton.indices[a]] || sides[skeleton.indices[b]];
        for (const [colour, size] of [["rgba(0,0,0,.45)", 3.2], [css(all[side][0]), 1.8]]) {
          context.strokeStyle = colour;
          context.lineWidth = size * devicePixelRatio;
          line(context, ends);
        }
      }
    }
  }
}
