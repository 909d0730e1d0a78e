// The page: its controls, its state, and when it draws.

const byId = (id) => document.getElementById(id);
const [canvas, frameSlider] = [byId("scene"), byId("frame")];
const FOLLOWED_FROM_MM = 4500;
const DENSE_SECONDS = 0.2; // from picture to picture, at most, to pass for a film

const content = JSON.parse(byId("data").textContent);
const { skeletons, fps } = content;
const timed = fps > 0; // otherwise frames are images that do not follow each other
const unit = timed ? "frame" : "image";
let recording;
try {
  recording = await Recording.open(content);
} catch (error) {
  byId("message").textContent = `This browser cannot unpack the recording (${error.message}).`;
  throw error;
}
const dense = content.pictures.length * DENSE_SECONDS * fps >= content.frame_count;
const numbers = [...recording.tracks.keys()].sort((a, b) => a - b);
const state = {
  frame: 0, playing: false, clock: 0, skeleton: 0, hidden: new Set(), followed: null,
  mode: "start", orbit: null, uncertain: false, shadows: true, pointer: null, drawn: [], view: null,
};
let look = theme();
let [queued, stale] = [false, true];
let lastTime = null;
const photo = new Photo(byId("photo"), redraw);

// ----------------------------------------------------------------------------------- what is shown

const visiblePeople = (frame) => (recording.byFrame[frame] ?? [])
  .filter((entry) => !state.hidden.has(recording.track[entry]));

const peopleAt = (frame) =>
  new Set((recording.byFrame[frame] ?? []).map((entry) => recording.track[entry]));

const person = (track) => `Person ${track}`;

function redraw() {
  stale = true;
  queue();
}

function queue() {
  if (!queued) requestAnimationFrame(tick);
  queued = true;
}

function tick(now) {
  queued = false;
  if (state.playing) {
    advance(now);
    queue();
  }
  if (stale) draw();
  stale = false;
}

function draw() {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const sharp = Math.min(devicePixelRatio, 2);
  if (canvas.width !== Math.round(width * sharp) || canvas.height !== Math.round(height * sharp)) {
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
  }
  const context = canvas.getContext("2d");
  context.setTransform(sharp, 0, 0, sharp, 0, 0);
  context.fillStyle = css(look.page);
  context.fillRect(0, 0, width, height);
  const entries = visiblePeople(state.frame);
  follow(entries);
  const [camera, stage] = [recording.camera(state.frame), recording.stage(state.frame)];
  const view = state.view = state.mode === "camera"
    ? cameraView(camera, width, height) : orbitView(state.orbit, stage, width, height);
  if (view.image) drawBackdrop(context, view, camera);
  else {
    drawGround(context, view, stage, look);
    drawCamera(context, view, camera, look);
  }
  const skeleton = skeletons[state.skeleton];
  const people = state.drawn = entries.map((entry) => ({
    ...projectPerson(recording, view, entry, skeleton), colour: recording.track[entry] }));
  if (state.shadows && !view.image) drawShadows(context, view, stage, people, skeleton, look);
  drawPeople(context, view, recording, people, skeleton, look, state.uncertain);
  if (!view.image) drawAxes(context, view, height);
  drawPhoto(skeleton);
  showTip(context, skeleton);
}

function advance(now) {
  const passed = lastTime === null ? 0 : (now - lastTime) / 1000;
  lastTime = now;
  state.clock += passed * fps * Number(byId("speed").value);
  if (state.clock >= content.frame_count) state.clock = 0;
  if (Math.floor(state.clock) !== state.frame) showFrame(Math.floor(state.clock));
}

function follow(entries) {
  const entry = entries.find((each) => recording.track[each] === state.followed);
  if (entry === undefined || state.mode === "camera") return;
  state.orbit.target = recording.middleOf(entry);
}

// The frame of the taking camera, with its picture behind the people where there is one. A picture
// of an earlier frame is fainter, for people have moved since.
function drawBackdrop(context, view, camera) {
  const [x, y, width, height] = [...view.image.corner, ...view.image.size];
  const picture = recording.picture(state.frame);
  if (picture && photo.image && !camera.distorted) {
    const own = dense || (picture.frame === state.frame && !state.playing);
    context.globalAlpha = own ? 0.75 : 0.3;
    context.drawImage(photo.image, x, y, width, height);
    context.globalAlpha = 1;
  }
  context.strokeStyle = css(look.quiet, 0.6);
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
}

function drawPhoto(skeleton) {
  const picture = recording.picture(state.frame);
  byId("picture").hidden = !picture;
  if (!picture) return;
  const shown = visiblePeople(picture.frame)
    .map((entry) => ({ entry, colour: recording.track[entry] }));
  photo.show(picture);
  photo.draw(recording, shown, skeleton, look);
  byId("caption").textContent = picture.name || `Input, ${unit} ${picture.frame}`;
}

// -------------------------------------------------------------------------------------------- time

function clockText(frame) {
  const counted = `${frame} / ${content.frame_count - 1}`;
  return timed ? `${(frame / fps).toFixed(2)} s · ${unit} ${counted}` : `${unit} ${counted}`;
}

function showFrame(frame) {
  const before = state.frame;
  state.frame = clamp(frame, 0, Math.max(content.frame_count - 1, 0));
  if (!timed && state.frame !== before) {
    Object.assign(state.orbit, overview(recording.stage(state.frame)));
  }
  frameSlider.value = state.frame;
  byId("clock").textContent = clockText(state.frame);
  frameSlider.setAttribute("aria-valuetext", clockText(state.frame));
  const present = peopleAt(state.frame);
  for (const item of byId("people").children) {
    item.classList.toggle("away", !present.has(Number(item.dataset.track)));
  }
  byId("message").textContent = recording.count === 0 ? "Nobody was found."
    : present.size === 0 && !state.playing ? "Nobody is here." : "";
  fillTable();
  redraw();
}

function goTo(frame) {
  showFrame(frame);
  state.clock = state.frame;
}

function play(on) {
  state.playing = on && timed && content.frame_count > 1;
  lastTime = null;
  byId("play").textContent = state.playing ? "⏸" : "▶";
  byId("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  showFrame(state.frame);
}

// ------------------------------------------------------------------------------------------- views

function choose(mode) {
  state.mode = mode;
  for (const button of byId("views").children) {
    button.setAttribute("aria-pressed", button.dataset.view === mode);
  }
  if (PRESETS[mode]) {
    const [yaw, pitch] = PRESETS[mode];
    const kept = state.followed === null ? overview(recording.stage(state.frame)) : state.orbit;
    state.orbit = { ...kept, yaw, pitch };
  }
  redraw();
}

// Turning or moving the camera's view goes on from where it stands, around the people.
function free() {
  if (state.mode === "camera") {
    const stage = recording.stage(state.frame);
    const ahead = minus(overview(stage).target, state.view.eye);
    state.orbit = orbitFrom(state.view, stage, Math.max(dot(ahead, state.view.forward), 500));
  }
  if (state.mode !== "free") choose("free");
}

function turn(across, down) {
  free();
  state.orbit.yaw -= across;
  state.orbit.pitch = clamp(state.orbit.pitch + down, -STEEPEST, STEEPEST);
  redraw();
}

function move(across, down) {
  free();
  watch(null);
  const scale = state.orbit.distance / state.view.focal;
  state.orbit.target = plus(
    plus(state.orbit.target, state.view.right, -across * scale), state.view.down, -down * scale);
  redraw();
}

function approach(factor) {
  free();
  state.orbit.distance = clamp(state.orbit.distance * factor, 200, 200000);
  redraw();
}

function watch(track) {
  if (track !== null && state.mode === "camera") free();
  if (track !== null && state.followed === null) {
    state.orbit.distance = Math.min(state.orbit.distance, FOLLOWED_FROM_MM);
  }
  state.followed = track;
  // Entries are in order of track and frame: the first one is where the person comes in.
  if (track !== null && !peopleAt(state.frame).has(track)) {
    goTo(recording.frame[recording.track.indexOf(track)]);
  }
  for (const item of byId("people").children) {
    item.querySelector("button").setAttribute("aria-pressed", Number(item.dataset.track) === track);
  }
  fillTable();
  redraw();
}

// ---------------------------------------------------------------------------------------- controls

function switchTo(number) {
  state.skeleton = number;
  byId("skeleton").value = number;
  fillTable();
  redraw();
}

function personItem(track) {
  const item = document.createElement("li");
  item.dataset.track = track;
  const [label, box, spot, button] = ["label", "input", "i", "button"].map((tag) =>
    document.createElement(tag));
  box.type = "checkbox";
  box.checked = true;
  box.addEventListener("change", () => {
    state.hidden[box.checked ? "delete" : "add"](track);
    fillTable();
    redraw();
  });
  spot.style.background = css(trackColour(track));
  label.append(box, " ", spot, person(track));
  button.type = "button";
  button.textContent = "Follow";
  button.setAttribute("aria-label", `Follow ${person(track)}`);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => watch(state.followed === track ? null : track));
  item.title = `in ${recording.tracks.get(track)} of ${content.frame_count} frames`;
  item.append(label, button);
  return item;
}

const counted = (number, one, more) => `${number} ${number === 1 ? one : more}`;

function factsText() {
  const people = counted(timed ? numbers.length : recording.count, "person", "people");
  const frames = counted(content.frame_count, unit, `${unit}s`);
  if (!timed) return `${people} in ${frames}`;
  const seconds = (content.frame_count / fps).toFixed(1);
  return `${people}, ${frames}, ${seconds} s at ${+fps.toFixed(2)} frames per second`;
}

byId("facts").textContent = factsText();
byId("people").append(...numbers.map(personItem));
byId("skeleton").append(...skeletons.map((skeleton, number) =>
  new Option(`${skeleton.name} (${skeleton.indices.length} joints)`, number)));
byId("switch").hidden = skeletons.length < 2;
byId("time").hidden = content.frame_count < 2;
byId("play").hidden = byId("speed").hidden = !timed;
byId("uncertainty").disabled = !recording.spread;
if (!recording.spread) byId("uncertainty").parentElement.title = "This recording does not say it.";
frameSlider.max = Math.max(content.frame_count - 1, 0);
frameSlider.addEventListener("input", () => goTo(Number(frameSlider.value)));
byId("play").addEventListener("click", () => play(!state.playing));
byId("skeleton").addEventListener("change", (event) => switchTo(Number(event.target.value)));
byId("uncertainty").addEventListener("change", (event) => {
  state.uncertain = event.target.checked;
  redraw();
});
byId("shadows").addEventListener("change", (event) => {
  state.shadows = event.target.checked;
  redraw();
});
byId("joints").addEventListener("toggle", fillTable);
for (const button of byId("views").children) {
  button.addEventListener("click", () => choose(button.dataset.view));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  look = theme();
  redraw();
});
new ResizeObserver(redraw).observe(canvas);

choose("start");
goTo(0);
document.documentElement.dataset.ready = "";
