"use strict";
// Windows on a map and in a list: heard, seen, labelled by keys, ranked by the probe.
const LISTED = 200;
const state = {map: null, chosen: -1, list: [], labels: new Map(), names: [], done: []};

at("tab-explore").onclick = async () => {
  show("explore");
  if (state.map) return;
  state.map = await ask("api/map");
  for (const [row, label] of Object.entries(state.map.labels)) state.labels.set(+row, label);
  state.names = [...new Set(state.labels.values())].sort();
  const every = Math.ceil(state.map.x.length / LISTED); // from all files, not the first
  setList(state.map.x.map((_, i) => i).filter(i => i % every === 0));
  redraw();
};

function place(i) { // of a window, in pixels of the map
  const {width, height} = at("map"), {x, y} = state.map;
  return [10 + x[i] * (width - 20), height - 10 - y[i] * (height - 20)];
}

const kinds = { // what a colour stands for
  label: i => state.names.indexOf(state.labels.get(i)),
  file: i => state.map.file[i],
  folder: i => state.map.folder[state.map.file[i]],
};

function redraw() {
  const {map} = state, canvas = at("map"), draw = canvas.getContext("2d"), {width, height} = canvas;
  draw.clearRect(0, 0, width, height);
  map.x.forEach((_, i) => {
    const kind = kinds[at("colour").value](i);
    draw.globalAlpha = kind < 0 ? .35 : .9;
    draw.fillStyle = kind < 0 ? ink("--dim") : COLOURS[kind % COLOURS.length];
    draw.beginPath();
    draw.arc(...place(i), kind < 0 ? 2.5 : 4, 0, 7);
    draw.fill();
  });
  draw.globalAlpha = 1;
  if (state.chosen >= 0) {
    draw.strokeStyle = ink("--ink");
    draw.lineWidth = 2;
    draw.beginPath();
    draw.arc(...place(state.chosen), 8, 0, 7);
    draw.stroke();
  }
  const shown = map.x.length < map.total ? `${map.x.length} of ${map.total} windows, drawn by chance` : `${map.total} windows`;
  at("count").textContent = `${shown}, ${state.labels.size} labelled`;
  at("labels").replaceChildren(...state.names.map((name, k) => {
    const button = element("button", `${k + 1} ${name}`, {"aria-pressed": state.labels.get(state.chosen) === name});
    button.style.borderLeft = `6px solid ${COLOURS[k % COLOURS.length]}`;
    button.onclick = () => label(name);
    return button;
  }));
  const target = at("target").value;
  at("target").replaceChildren(...state.names.map(name => element("option", name)));
  if (state.names.includes(target)) at("target").value = target;
}

function setList(rows, values) {
  state.list = rows;
  at("list").replaceChildren(...rows.map((row, i) => {
    const {map} = state, score = values ? ` · ${values[i].toFixed(3)}` : "";
    const item = element("li", `${map.files[map.file[row]]} ${map.start_s[row]} s${score}`);
    item.onclick = () => choose(row, true);
    return item;
  }));
}

async function choose(row, play) {
  const {map} = state;
  state.chosen = row;
  at("window").textContent = `${map.files[map.file[row]]} · ${map.start_s[row]} to ${map.end_s[row]} s`;
  at("player").src = `api/clip?row=${row}`;
  [...at("list").children].forEach((item, i) => item.setAttribute("aria-current", state.list[i] === row));
  at("list").querySelector("[aria-current=true]")?.scrollIntoView({block: "nearest"});
  redraw();
  if (play) at("player").play().catch(() => {});
  try {
    const picture = await ask(`api/picture?row=${row}`);
    if (state.chosen === row) logmel(at("picture"), picture, about.band_hz, map.end_s[row] - map.start_s[row]);
  } catch (error) { tell(error.message); }
}

function tell(text) { at("told").textContent = text; }

async function label(name, undoing = false) {
  const row = state.chosen;
  if (row < 0) return tell("choose a window first");
  try {
    const answer = await ask("api/label", {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({row, label: name}),
    });
    if (!undoing) state.done.push([row, answer.before]);
    if (name) state.labels.set(row, name); else state.labels.delete(row);
    tell(`${answer.labels} labels, saved`);
    redraw();
    if (!undoing) step(1);
  } catch (error) { tell(error.message); }
}

async function undo() {
  const last = state.done.pop();
  if (!last) return tell("nothing to undo");
  await choose(last[0], false);
  await label(last[1], true);
}

function step(by) {
  const place = state.list.indexOf(state.chosen) + by;
  if (place >= 0 && place < state.list.length) choose(state.list[place], true);
}

async function rank() {
  const asked = new URLSearchParams({target: at("target").value, by: at("by").value, count: 200});
  try {
    let found = await ask(`api/ranking?${asked}`);
    for (let i = 0; found.waiting && i < 40; i++) {
      tell("the probe is learning …");
      await new Promise(done => setTimeout(done, 250));
      found = await ask(`api/ranking?${asked}`);
    }
    setList(found.rows, found.values);
    tell(found.classes.length > 1 ? `by the probe of ${state.labels.size} labels` : "by likeness, until there are two classes");
    if (found.rows.length) choose(found.rows[0], false);
  } catch (error) { tell(error.message); }
}

at("rank").onclick = rank;
at("undo").onclick = undo;
at("colour").onchange = redraw;
at("like").onclick = async () => {
  if (state.chosen < 0) return tell("choose a window first");
  const found = await ask(`api/like?row=${state.chosen}&count=100`);
  setList(found.rows, found.values);
  tell("the most alike first, by cosine");
};
at("new-label").onsubmit = event => {
  event.preventDefault();
  const name = at("label-name").value.trim();
  if (name && !state.names.includes(name)) state.names.push(name);
  at("label-name").value = "";
  redraw();
};
at("map").onclick = event => {
  const canvas = at("map"), box = canvas.getBoundingClientRect(), {map} = state;
  const x = (event.clientX - box.left) / box.width * canvas.width, y = (event.clientY - box.top) / box.height * canvas.height;
  let best = -1, least = 400;
  map.x.forEach((_, i) => {
    const [u, v] = place(i), d = (u - x) ** 2 + (v - y) ** 2;
    if (d < least) [best, least] = [i, d];
  });
  if (best >= 0) choose(best, true);
};
addEventListener("keydown", event => {
  if (at("explore").hidden || !state.map || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey) return;
  const key = event.key, onMap = event.target === at("map");
  if (key === "j" || onMap && (key === "ArrowRight" || key === "ArrowDown")) step(1);
  else if (key === "k" || onMap && (key === "ArrowLeft" || key === "ArrowUp")) step(-1);
  else if (key === "u") undo();
  else if (key === "0") label("");
  else if (/^[1-9]$/.test(key) && state.names[key - 1]) label(state.names[key - 1]);
  else if ((key === " " || onMap && key === "Enter") && event.target.tagName !== "BUTTON") at("player").paused ? at("player").play() : at("player").pause();
  else return;
  event.preventDefault();
});
