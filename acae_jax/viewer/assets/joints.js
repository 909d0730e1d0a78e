// What is told of single joints: by the tip at the pointer, and in a table.

const HOVER_PX = 14;
const millimetres = (value) => value.toFixed(0).replace(/^-0$/, "0").replace("-", "−");

// The nearest joint within reach of the pointer; of several, the one before the others.
function pointedAt() {
  if (!state.pointer) return null;
  let best = null;
  for (const shown of state.drawn) {
    shown.points.forEach((point, number) => {
      if (!point) return;
      const apart = Math.hypot(point[0] - state.pointer[0], point[1] - state.pointer[1]);
      const rank = apart + point[2] / 1000;
      if (apart < HOVER_PX && (!best || rank < best.rank)) best = { shown, number, point, rank };
    });
  }
  return best;
}

function showTip(context, skeleton) {
  const found = pointedAt();
  const tip = byId("tip");
  tip.hidden = !found;
  if (!found) return;
  const { shown, number, point } = found;
  context.strokeStyle = css(look.text);
  context.lineWidth = 2;
  context.beginPath();
  context.arc(point[0], point[1], 8, 0, 2 * Math.PI);
  context.stroke();
  const [x, y, z] = shown.places[number].map(millimetres);
  const error = recording.uncertainty(shown.entry, skeleton.indices[number]);
  tip.textContent = [
    `${skeleton.joint_names[number]} · ${person(recording.track[shown.entry])}`,
    `x ${x}, y ${y}, z ${z} mm`,
    ...(error === null ? [] : [`± ${millimetres(error)} mm`]),
  ].join("\n");
  tip.style.left = `${clamp(point[0] + 14, 0, canvas.clientWidth - tip.offsetWidth - 4)}px`;
  tip.style.top = `${clamp(point[1] + 14, 0, canvas.clientHeight - tip.offsetHeight - 4)}px`;
}

// The table of the person followed, or else of the first in the frame; at rest only, and if open.
function fillTable() {
  if (!byId("joints").open || state.playing) return;
  const entries = visiblePeople(state.frame);
  const skeleton = skeletons[state.skeleton];
  const entry = entries.find((each) => recording.track[each] === state.followed) ?? entries[0];
  byId("whose").textContent = entry === undefined ? "Nobody is here."
    : `${person(recording.track[entry])}, ${unit} ${state.frame}, in mm`;
  const shown = entry === undefined ? [] : skeleton.indices;
  byId("rows").replaceChildren(...shown.map((joint, number) =>
    tableRow(skeleton.joint_names[number], entry, joint)));
}

function tableRow(name, entry, joint) {
  const place = recording.joint(entry, joint)?.map(millimetres) ?? ["–", "–", "–"];
  const error = recording.uncertainty(entry, joint);
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head, ...[...place, error === null ? "–" : millimetres(error)].map((text) => {
    const cell = document.createElement("td");
    cell.textContent = text;
    return cell;
  }));
  return row;
}
