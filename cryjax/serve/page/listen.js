"use strict";
// Recordings dropped, chosen or recorded: sent one after another, drawn, played, saved.
let about = {classes: [], thresholds: {}, band_hz: []};

async function start() {
  about = await ask("api/about");
  at("model").textContent = `${about.encoder}, trained by ${about.trained_by} · ${about.fingerprint}`;
  at("warning").textContent = about.warning;
  at("caps").textContent = `at most ${about.max_mb} MB and ${about.max_minutes} minutes each; nothing leaves this server, and files are deleted when they were heard`;
  at("files").setAttribute("accept", about.suffixes.join(","));
  if (about.explore) at("tab-explore").hidden = false;
  document.body.dataset.ready = "yes";
}

function show(name) {
  for (const other of ["listen", "explore"]) {
    at(other).hidden = other !== name;
    at(`tab-${other}`).setAttribute("aria-selected", other === name);
  }
}
at("tab-listen").onclick = () => show("listen");

let line = Promise.resolve();
function hear(files) {
  for (const file of files) line = line.then(() => hearOne(file));
  return line;
}

async function hearOne(file) {
  at("said").textContent = `${file.name} is being heard …`;
  at("said").className = "";
  try {
    if (file.size > about.max_mb * 2 ** 20) throw new Error(`larger than ${about.max_mb} MB`);
    const answer = await ask("api/listen", {
      method: "POST",
      headers: {"Content-Type": "application/octet-stream", "X-Name": encodeURIComponent(file.name)},
      body: file,
    });
    at("heard").prepend(article(file, answer));
    at("said").textContent = `${file.name}: ${answer.seconds.toFixed(2)} s at ${answer.rate_hz} Hz`;
  } catch (error) {
    at("said").textContent = `${file.name}: ${error.message}`;
    at("said").className = "bad";
  }
}

function article(file, answer) {
  const made = element("article"), audio = element("audio", undefined, {controls: "", "aria-label": `sound of ${file.name}`});
  made.append(element("h2", `${file.name} · ${answer.seconds.toFixed(2)} s · ${answer.rate_hz} Hz`));
  audio.src = URL.createObjectURL(file);
  audio.onerror = () => audio.replaceWith(element("p", "this browser does not play this format", {class: "note"}));
  const canvases = [canvas(70, "Waveform"), canvas(200, "Log-mel spectrogram, Hz over seconds")];
  waveform(canvases[0], answer.envelope);
  logmel(canvases[1], answer.mel, about.band_hz, answer.seconds);
  if (answer.scores) {
    canvases.push(canvas(130, `Probability of ${about.classes.join(", ")} over time`));
    curves(canvases[2], answer, about.classes, about.thresholds);
  }
  made.append(audio, ...canvases.map(c => withCursor(c, audio, answer.seconds)));
  made.append(answer.scores ? verdict(file, answer) : element("p", "An encoder without a classifier: no scores.", {class: "note"}));
  return made;
}

function canvas(height, label) {
  return element("canvas", undefined, {width: 1000, height, role: "img", "aria-label": label});
}

function withCursor(drawn, audio, seconds) {
  const around = element("div"), cursor = element("canvas", undefined, {width: 1000, height: drawn.height, "aria-hidden": "true"});
  around.style.position = "relative";
  Object.assign(cursor.style, {position: "absolute", inset: "0", background: "none"});
  around.append(drawn, cursor);
  const move = () => {
    const draw = cursor.getContext("2d"), x = LEFT + (cursor.width - LEFT) * audio.currentTime / seconds;
    draw.clearRect(0, 0, cursor.width, cursor.height);
    draw.fillStyle = "#e5484d";
    draw.fillRect(x, 0, 2, cursor.height);
    if (!audio.paused) requestAnimationFrame(move);
  };
  audio.addEventListener("play", move);
  audio.addEventListener("seeked", move);
  cursor.onclick = event => {
    const box = cursor.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * cursor.width;
    audio.currentTime = Math.max(0, (x - LEFT) / (cursor.width - LEFT)) * seconds;
    audio.play();
  };
  return around;
}

function verdict(file, answer) {
  const box = element("div"), wide = element("div", undefined, {class: "wide"}), table = element("table");
  table.append(element("caption", `The recording as a whole; thresholds kept a specificity of ${about.specificity} on validation`, {class: "note"}));
  const head = element("tr");
  for (const name of ["class", "probability", "threshold", "decision", "events"]) head.append(element("th", name, {scope: "col"}));
  table.append(head);
  about.classes.forEach((name, k) => {
    const p = answer.recording[name], cut = about.thresholds[name], row = element("tr");
    const decision = cut === null ? "no threshold stored" : p >= cut ? "yes" : "no";
    const events = answer.events[name].map(e => `${e.start_s.toFixed(1)} to ${e.end_s.toFixed(1)} s`);
    const first = element("td", name);
    first.style.borderLeft = `6px solid ${COLOURS[k % COLOURS.length]}`;
    first.style.paddingLeft = "6px";
    row.append(first);
    for (const text of [`${(100 * p).toFixed(1)} %`, cut === null ? "" : `${(100 * cut).toFixed(1)} %`, decision, events.join(", ")]) row.append(element("td", text));
    table.append(row);
  });
  wide.append(table);
  const row = element("p", undefined, {class: "row"});
  row.append(saving("scores.csv", file, () => csvOf(answer)), saving("labels.txt", file, () => audacityOf(answer)));
  box.append(wide, row, element("p", about.warning, {class: "note"}));
  return box;
}

function saving(ending, file, text) {
  const link = element("a", ending === "scores.csv" ? "scores as CSV" : "events as Audacity labels", {class: "button", download: `${file.name}.${ending}`});
  link.href = URL.createObjectURL(new Blob([text()], {type: "text/plain"}));
  return link;
}

function csvOf(answer) {
  const rows = answer.scores.map((row, i) => [answer.start_s[i], answer.end_s[i], ...row].join(","));
  return [["start_s", "end_s", ...about.classes.map(c => `"${c.replaceAll('"', '""')}"`)].join(","), ...rows].join("\n") + "\n";
}

function audacityOf(answer) {
  return about.classes.flatMap(name => answer.events[name].map(e => `${e.start_s.toFixed(6)}\t${e.end_s.toFixed(6)}\t${name} ${e.score.toFixed(2)}\n`)).join("");
}

at("files").onchange = event => hear([...event.target.files]);
for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, event => {
  event.preventDefault();
  at("drop").classList.toggle("over", kind === "dragover");
  if (kind === "drop") hear([...event.dataTransfer.files]);
});

let recorder = null;
at("record").onclick = async () => {
  if (recorder) return recorder.stop();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({audio: true}), parts = [];
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = event => parts.push(event.data);
    recorder.onstop = () => {
      stream.getTracks().forEach(track => track.stop());
      recorder = null;
      at("record").textContent = "record";
      hear([new File(parts, `recorded ${new Date().toLocaleTimeString()}.webm`)]);
    };
    recorder.start();
    at("record").textContent = "stop";
  } catch (error) {
    at("said").textContent = `no microphone: ${error.message}`;
    at("said").className = "bad";
  }
};
start().catch(error => { at("said").textContent = error.message; at("said").className = "bad"; });
