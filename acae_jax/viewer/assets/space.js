// Views of the stage. The stage has three unit axes in the world, right, up and front, which make
// the picture of a level camera; points stay in world coordinates. A view looks from `eye` along
// `forward`, with `right` and `down` in the image, and maps 1 at depth 1 to `focal` pixels.

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const plus = (a, b, scale = 1) => [a[0] + scale * b[0], a[1] + scale * b[1], a[2] + scale * b[2]];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const NEAREST_MM = 60; // to the eye; what is nearer is not drawn
const FIELD_OF_VIEW = 0.62; // radians
const STEEPEST = Math.PI / 2 - 1e-3;
// Yaw and pitch, in radians.
const PRESETS = {
  start: [-0.5, 0.28], front: [0, 0.1], side: [-Math.PI / 2, 0.1], top: [0, STEEPEST] };

// Where an orbit of the given yaw, pitch, distance and target looks from.
function orbitView(orbit, stage, width, height) {
  const [right, up, front] = stage.axes;
  const level = plus(front.map((x) => x * Math.cos(orbit.yaw)), right, Math.sin(orbit.yaw));
  const forward = plus(level.map((x) => x * Math.cos(orbit.pitch)), up, -Math.sin(orbit.pitch));
  const down = plus(level.map((x) => -x * Math.sin(orbit.pitch)), up, -Math.cos(orbit.pitch));
  return {
    eye: plus(orbit.target, forward, -orbit.distance),
    right: cross(down, forward), down, forward,
    focal: Math.min(width, height * 1.2) / 2 / Math.tan(FIELD_OF_VIEW / 2),
    centre: [width / 2, height / 2],
  };
}

// The taking camera's own view, its image as large as fits; `image` is its corner and scale.
function cameraView(camera, width, height) {
  const [widthPx, heightPx] = camera.size_px;
  const scale = Math.min(width / widthPx, height / heightPx);
  const corner = [(width - scale * widthPx) / 2, (height - scale * heightPx) / 2];
  const [right, down, forward] = camera.rotation;
  return {
    eye: camera.position_mm, right, down, forward,
    focal: camera.focal_px * scale,
    // Pixel centres lie at integers, canvases begin at the edge of a pixel.
    centre: camera.principal_px.map((px, axis) => corner[axis] + (px + 0.5) * scale),
    image: { corner, size: [widthPx * scale, heightPx * scale] },
  };
}

// The orbit that continues from a view, around the point `depth` before it.
function orbitFrom(view, stage, depth) {
  const [right, up, front] = stage.axes;
  return {
    yaw: Math.atan2(dot(view.forward, right), dot(view.forward, front)),
    pitch: clamp(-Math.asin(clamp(dot(view.forward, up), -1, 1)), -STEEPEST, STEEPEST),
    distance: depth,
    target: plus(view.eye, view.forward, depth),
  };
}

// Pixels and depth of a world point: [x, y, depth in mm].
function project(view, point) {
  const apart = minus(point, view.eye);
  const depth = dot(apart, view.forward);
  const scale = view.focal / depth;
  return [
    view.centre[0] + scale * dot(apart, view.right),
    view.centre[1] + scale * dot(apart, view.down), depth];
}

// Both ends of a line in pixels, cut off where it comes too near to the eye; null if all of it is.
function projectLine(view, start, end) {
  const [a, b] = [start, end].map((point) => dot(minus(point, view.eye), view.forward));
  if (a < NEAREST_MM && b < NEAREST_MM) return null;
  const cut = (from, to, near, far) =>
    plus(from, minus(to, from), (NEAREST_MM - near) / (far - near));
  if (a < NEAREST_MM) start = cut(start, end, a, b);
  if (b < NEAREST_MM) end = cut(end, start, b, a);
  return [project(view, start), project(view, end)];
}

// World point of stage coordinates.
const onStage = (stage, right, up, front) => {
  const point = stage.axes[0].map((x) => x * right);
  return plus(plus(point, stage.axes[1], up), stage.axes[2], front);
};

// Target and distance from which the whole stage is seen.
function overview(stage) {
  const [low, high] = [stage.low_mm, stage.high_mm];
  const middle = low.map((value, axis) => (value + high[axis]) / 2);
  const extent = Math.hypot(...low.map((value, axis) => high[axis] - value));
  return {
    target: onStage(stage, ...middle),
    distance: (0.8 * extent) / 2 / Math.sin(FIELD_OF_VIEW / 2),
  };
}
