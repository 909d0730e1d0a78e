// Mouse, touch and keys: what they do to the view and the time of page.js.

const fingers = new Map();
const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, place(event));
  state.pointer = place(event);
  redraw();
});

canvas.addEventListener("pointermove", (event) => {
  const now = place(event);
  const before = fingers.get(event.pointerId);
  if (!before) {
    state.pointer = now;
    if (!state.playing) redraw();
    return;
  }
  const [x, y] = [now[0] - before[0], now[1] - before[1]];
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
    move(x / 2, y / 2);
    approach(apart(before) / Math.max(apart(now), 1));
  } else if (event.shiftKey || event.buttons & 6) move(x, y);
  else turn(x * 0.008, y * 0.008);
  fingers.set(event.pointerId, now);
  state.pointer = null;
});

const lift = (event) => fingers.delete(event.pointerId);
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);
canvas.addEventListener("pointerleave", (event) => {
  if (event.pointerType !== "mouse") return; // what a finger tapped stays
  state.pointer = null;
  redraw();
});
canvas.addEventListener("contextmenu", (event) => event.preventDefault());
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 20 : 1;
  approach(Math.exp(clamp(event.deltaY * lines, -200, 200) * 0.0015));
}, { passive: false });

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  " ": () => play(!state.playing),
  ",": () => { play(false); goTo(state.frame - 1); },
  ".": () => { play(false); goTo(state.frame + 1); },
  1: () => choose("front"),
  2: () => choose("side"),
  3: () => choose("top"),
  4: () => choose("camera"),
  s: () => switchTo((state.skeleton + 1) % skeletons.length),
  u: () => byId("uncertainty").disabled || byId("uncertainty").click(),
  "+": () => approach(1 / 1.12), "=": () => approach(1 / 1.12), "-": () => approach(1.12),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const used = event.target.closest("select, summary, button, input[type=checkbox]");
  if (used && (event.key === " " || used.tagName === "SELECT")) return; // the control's own keys
  const arrow = document.activeElement === canvas && ARROWS[event.key];
  if (arrow && event.shiftKey) move(-30 * arrow[0], -30 * arrow[1]);
  else if (arrow) turn(0.08 * arrow[0], 0.08 * arrow[1]);
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
});
