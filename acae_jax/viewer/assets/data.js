// The recording, decoded. Arrays come as whole numbers: changes from entry to entry, column by
// column, lowest bytes first, then deflate and base64 (viewer.py, _packed).

async function unpacked(packed, width) {
  const text = atob(packed.base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = planes.length / width;
  const values = width === 2 ? new Int16Array(count) : new Int32Array(count);
  for (let i = 0; i < count; i++) {
    let change = 0;
    for (let byte = 0; byte < width; byte++) change |= planes[byte * count + i] << (8 * byte);
    // Sums wrap around as the differences did.
    values[i] = change + (i % packed.rows ? values[i - 1] : 0);
  }
  return values;
}

const MISSING = -32768;

class Recording {
  static async open(content) {
    const made = new Recording();
    made.content = content;
    made.count = content.frame.rows;
    made.jointCount = content.joint_names.length;
    [made.frame, made.track, made.middle] = await Promise.all(
      [content.frame, content.track, content.middle].map((each) => unpacked(each, 4)));
    made.offset = await unpacked(content.offset, 2);
    made.spread = content.uncertainty ? await unpacked(content.uncertainty, 2) : null;
    made.pointsPx = content.points_px ? await unpacked(content.points_px, 2) : null;
    made.index();
    return made;
  }

  // Entries by frame, the tracks, and the rows of 2D poses, which only pictured frames have.
  index() {
    this.byFrame = Array.from({ length: this.content.frame_count }, () => []);
    this.tracks = new Map();
    this.rowPx = new Map();
    const pictured = new Set(this.content.pictures.map((picture) => picture.frame));
    for (let entry = 0; entry < this.count; entry++) {
      this.byFrame[this.frame[entry]].push(entry);
      this.tracks.set(this.track[entry], (this.tracks.get(this.track[entry]) ?? 0) + 1);
      if (pictured.has(this.frame[entry])) this.rowPx.set(entry, this.rowPx.size);
    }
  }

  // World coordinates in mm of a joint, or null where it is missing.
  joint(entry, joint) {
    const step = this.content.step_mm;
    const place = [0, 0, 0];
    for (let axis = 0; axis < 3; axis++) {
      const offset = this.offset[(joint * 3 + axis) * this.count + entry];
      if (offset === MISSING) return null;
      place[axis] = (this.middle[axis * this.count + entry] + offset) * step;
    }
    return place;
  }

  middleOf(entry) {
    const step = this.content.step_mm;
    return [0, 1, 2].map((axis) => this.middle[axis * this.count + entry] * step);
  }

  // Expected error of a joint in mm, or null where none is known.
  uncertainty(entry, joint) {
    const steps = this.spread ? this.spread[joint * this.count + entry] : MISSING;
    return steps === MISSING ? null : steps * this.content.step_error_mm;
  }

  // Pixels of a joint in its image, or null where it is missing.
  pixel(entry, joint) {
    const [row, rows] = [this.rowPx.get(entry), this.content.points_px.rows];
    const x = this.pointsPx[joint * 2 * rows + row];
    const y = this.pointsPx[(joint * 2 + 1) * rows + row];
    const step = this.content.step_px;
    return x === MISSING || y === MISSING ? null : [x * step, y * step];
  }

  // The newest picture that is no later than the frame; of stills only a frame's own one.
  picture(frame) {
    const newest = this.content.pictures.findLast((picture) => picture.frame <= frame);
    return newest && (this.content.fps > 0 || newest.frame === frame) ? newest : null;
  }

  // The camera that took a frame.
  camera(frame) {
    return this.picture(frame)?.camera ?? this.content.camera;
  }

  // The level axes, and the box around people: in time the same, of stills each has its own.
  stage(frame) {
    const { axes, boxes } = this.content.stage;
    const [low_mm, high_mm] = boxes[Math.min(frame, boxes.length - 1)];
    return { axes, low_mm, high_mm };
  }
}
