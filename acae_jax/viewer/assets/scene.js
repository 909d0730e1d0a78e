// The drawing of one frame: ground, shadows, then bones and joints from far to near.

const GRID_MM = 500;
const LINES_AT_MOST = 60;
const BONE_MM = 22; // half the width of a bone; joints are a little larger
const IN_THE_WAY_MM = 1800; // a taking camera nearer to the eye than this is not drawn
const FOG = 8; // shades from near to far

const hex = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
const mixed = (a, b, share) => a.map((x, i) => Math.round(x + share * (b[i] - x)));
const css = (rgb, alpha = 1) => `rgba(${rgb.join(",")},${alpha})`;

// Colours that the colour-blind tell apart, then hues as far apart as can be.
const PALETTE = ["#2b8fd6", "#e69f00", "#12a77d", "#d678ac", "#e06a2b", "#7a78d8"];
function trackColour(number) {
  if (number < PALETTE.length) return hex(PALETTE[number]);
  const [hue, light] = [(number * 137.5) % 360, 0.58];
  const channel = (n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (light - 0.26 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

// What a page in light or dark looks like, read from its style.
function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => hex(style.getPropertyValue(name).trim());
  return { page: colour("--scene"), text: colour("--text"), quiet: colour("--quiet") };
}

// Colours of a person's left, right and central parts, each from near to far.
const shadesKept = new Map();
function shades(number, look) {
  const key = `${number} ${look.page}`;
  if (!shadesKept.has(key)) {
    const own = trackColour(number);
    const sides = { l: mixed(own, [255, 255, 255], 0.36), r: mixed(own, [0, 0, 0], 0.32), "": own };
    const levels = Array.from({ length: FOG }, (_, level) => (0.3 * level) / FOG);
    const faded = (rgb) => levels.map((share) => mixed(rgb, look.page, share));
    shadesKept.set(key, Object.fromEntries(
      Object.entries(sides).map(([side, rgb]) => [side, faded(rgb)])));
  }
  return shadesKept.get(key);
}

// A shaded ball for each colour, drawn once.
const ballsKept = new Map();
function ball(rgb, look) {
  const key = `${rgb} ${look.page}`;
  if (!ballsKept.has(key)) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 48;
    const context = canvas.getContext("2d");
    const gradient = context.createRadialGradient(18, 16, 2, 24, 24, 23);
    gradient.addColorStop(0, css(mixed(rgb, [255, 255, 255], 0.6)));
    gradient.addColorStop(0.45, css(rgb));
    gradient.addColorStop(1, css(mixed(rgb, [0, 0, 0], 0.35)));
    context.fillStyle = gradient;
    context.beginPath();
    context.arc(24, 24, 22.5, 0, 2 * Math.PI);
    context.fill();
    ballsKept.set(key, canvas);
  }
  return ballsKept.get(key);
}

function line(context, ends) {
  context.beginPath();
  context.moveTo(ends[0][0], ends[0][1]);
  context.lineTo(ends[1][0], ends[1][1]);
  context.stroke();
}

// The name and sign of the world axis that an axis of the stage runs along, or null if none does.
function worldAxis(axis) {
  const at = axis.findIndex((x) => Math.abs(x) > 0.9999);
  return at < 0 ? null : { name: "xyz"[at], sign: Math.sign(axis[at]) };
}

// Ground lines every half metre, those of whole metres stronger, with metres written at two sides.
function drawGround(context, view, stage, look) {
  const [low, high] = [stage.low_mm, stage.high_mm];
  const grow = Math.max(1, ...[0, 2].map((a) => (high[a] - low[a]) / GRID_MM / LINES_AT_MOST));
  const step = GRID_MM * 2 ** Math.ceil(Math.log2(grow));
  const reach = (axis) => [
    Math.floor(low[axis] / step) * step, Math.ceil(high[axis] / step) * step];
  const [[left, right], [near, far]] = [reach(0), reach(2)];
  const at = (across, along) => onStage(stage, across, low[1], along);
  const rule = (value, start, end) => {
    const ends = projectLine(view, start, end);
    const whole = Math.abs(value / 1000 - Math.round(value / 1000)) < 1e-6;
    context.strokeStyle = css(look.quiet, whole ? 0.42 : 0.18);
    if (ends) line(context, ends);
  };
  context.lineWidth = 1;
  for (let x = left; x <= right; x += step) rule(x, at(x, near), at(x, far));
  for (let z = near; z <= far; z += step) rule(z, at(left, z), at(right, z));
  drawMetres(context, view, stage, look, { left, right, near, far, at });
}

function drawMetres(context, view, stage, look, ground) {
  const { left, right, near, far, at } = ground;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = css(look.quiet);
  const margin = 160;
  // On the sides that are nearer to the eye.
  const eye = [0, 2].map((axis) => dot(view.eye, stage.axes[axis]));
  const edge = eye[1] < (near + far) / 2 ? near - margin : far + margin;
  const side = eye[0] > (left + right) / 2 ? right + margin : left - margin;
  const write = (axis, value, place) => {
    const world = worldAxis(stage.axes[axis]);
    const [x, y, depth] = project(view, place);
    if (!world || depth < NEAREST_MM || view.focal / depth < 0.035) return;
    const metres = (world.sign * value) / 1000 || 0;
    context.fillText(`${world.name} ${metres} m`.replace("-", "−"), x, y);
  };
  for (let x = Math.ceil(left / 1000) * 1000; x <= right; x += 1000) write(0, x, at(x, edge));
  for (let z = Math.ceil(near / 1000) * 1000; z <= far; z += 1000) write(2, z, at(side, z));
}

// The taking camera as a small pyramid.
function drawCamera(context, view, camera, look) {
  const [x0, y0, depth] = project(view, camera.position_mm);
  if (depth < IN_THE_WAY_MM) return;
  const [right, down, forward] = camera.rotation;
  const reach = 220;
  const corners = [[0, 0], [1, 0], [1, 1], [0, 1]].map((corner) => {
    const [x, y] = corner.map((end, axis) =>
      (reach * (end * camera.size_px[axis] - camera.principal_px[axis])) / camera.focal_px);
    return plus(plus(plus(camera.position_mm, forward, reach), right, x), down, y);
  });
  context.strokeStyle = css(look.quiet, 0.8);
  context.lineWidth = 1.2;
  corners.forEach((corner, i) => {
    for (const other of [camera.position_mm, corners[(i + 1) % 4]]) {
      const ends = projectLine(view, corner, other);
      if (ends) line(context, ends);
    }
  });
  context.fillStyle = css(look.quiet);
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText("camera", x0, y0 + 16);
}

// Small world axes in the lower left corner.
function drawAxes(context, view, height) {
  const [x, y, reach] = [44, height - 44, 26];
  const colours = ["#d8453a", "#3f9c46", "#3b7ddd"];
  const axes = [0, 1, 2].map((axis) => ({
    axis, across: view.right[axis], down: view.down[axis], depth: view.forward[axis] }));
  context.lineWidth = 2.5;
  context.lineCap = "round";
  context.font = "bold 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const { axis, across, down } of axes.sort((a, b) => b.depth - a.depth)) {
    context.strokeStyle = context.fillStyle = colours[axis];
    line(context, [[x, y], [x + reach * across, y + reach * down]]);
    const length = Math.hypot(across, down);
    if (length > 0.25) {
      const further = (reach * length + 9) / length;
      context.fillText("xyz"[axis], x + further * across, y + further * down);
    }
  }
}

// The projected joints of one person, or null for one that is behind the eye.
function projectPerson(recording, view, entry, skeleton) {
  const places = skeleton.indices.map((joint) => recording.joint(entry, joint));
  const points = places.map((place) => {
    const point = place && project(view, place);
    return point && point[2] > NEAREST_MM ? point : null;
  });
  return { entry, places, points };
}

function drawShadows(context, view, stage, people, skeleton, look) {
  const [, up] = stage.axes;
  const flat = (place) => place && plus(place, up, stage.low_mm[1] - dot(place, up));
  context.lineCap = "round";
  const dark = (look.page[0] + look.page[1] + look.page[2]) / 3 < 128;
  context.strokeStyle = css([0, 0, 0], dark ? 0.5 : 0.13);
  for (const { places } of people) {
    const ground = places.map(flat);
    context.beginPath();
    let width = 0;
    for (const [a, b] of skeleton.edges) {
      const ends = ground[a] && ground[b] && projectLine(view, ground[a], ground[b]);
      if (!ends) continue;
      context.moveTo(ends[0][0], ends[0][1]);
      context.lineTo(ends[1][0], ends[1][1]);
      width = Math.max(width, (2.6 * BONE_MM * view.focal) / ends[0][2]);
    }
    context.lineWidth = clamp(width, 2, 40);
    context.stroke();
  }
}

// Bones and joints of all people as one list, from far to near.
function parts(people, skeleton, sides) {
  const found = [];
  for (const person of people) {
    for (const [a, b] of skeleton.edges) {
      const [start, end] = [person.points[a], person.points[b]];
      if (!start || !end) continue;
      const side = sides[skeleton.indices[a]] || sides[skeleton.indices[b]];
      found.push({ person, start, end, side, depth: (start[2] + end[2]) / 2 });
    }
    person.points.forEach((point, number) => {
      const side = sides[skeleton.indices[number]];
      const depth = point && point[2] - 1.5 * BONE_MM; // before the bones that meet there
      if (point) found.push({ person, start: point, number, side, depth });
    });
  }
  return found.sort((one, other) => other.depth - one.depth);
}

function drawPeople(context, view, recording, people, skeleton, look, uncertain) {
  const list = parts(people, skeleton, recording.content.sides);
  if (!list.length) return;
  const [far, near] = [list[0].depth, list[list.length - 1].depth];
  const range = Math.max(far - near, 1500);
  const fog = (depth) => clamp(Math.floor((FOG * (depth - near)) / range), 0, FOG - 1);
  // Skeletons of very many joints are drawn finer.
  const half = BONE_MM * clamp(Math.sqrt(40 / skeleton.indices.length), 0.45, 1);
  for (const part of list) {
    const rgb = shades(part.person.colour, look)[part.side][fog(part.depth)];
    const radius = Math.max((half * view.focal) / part.depth, 0.9);
    if (part.end) drawBone(context, part, radius, rgb, look);
    else {
      if (uncertain) drawHalo(context, view, recording, part, skeleton, rgb);
      const size = Math.max(1.25 * radius, 1.6);
      const [x, y] = part.start;
      context.drawImage(ball(rgb, look), x - size, y - size, 2 * size, 2 * size);
    }
  }
}

function drawBone(context, { start, end }, radius, rgb, look) {
  context.lineCap = "round";
  context.strokeStyle = css(look.page, 0.85);
  context.lineWidth = 1.7 * radius + 2.5;
  line(context, [start, end]);
  context.strokeStyle = css(rgb);
  context.lineWidth = 1.7 * radius;
  line(context, [start, end]);
  if (radius < 2.5) return;
  context.strokeStyle = css(mixed(rgb, [255, 255, 255], 0.35), 0.7);
  context.lineWidth = 0.5 * radius;
  line(context, [start, end]);
}

function drawHalo(context, view, recording, { person, start, number }, skeleton, rgb) {
  const error = recording.uncertainty(person.entry, skeleton.indices[number]);
  if (error === null) return;
  context.fillStyle = css(rgb, 0.1);
  context.strokeStyle = css(rgb, 0.4);
  context.lineWidth = 1;
  context.beginPath();
  context.arc(start[0], start[1], (error * view.focal) / start[2], 0, 2 * Math.PI);
  context.fill();
  context.stroke();
}
