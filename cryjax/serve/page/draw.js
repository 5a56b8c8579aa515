"use strict";
// What both halves of the page draw with: colours, axes, waveform, log-mel, curves.
const COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22"];
const LEFT = 44, BOTTOM = 20;
const at = id => document.getElementById(id);
const ink = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

async function ask(path, options) {
  const answer = await fetch(path, options);
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(json.error || `status ${answer.status}`);
  return json;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function steps(span, most) {
  const raw = span / most, power = 10 ** Math.floor(Math.log10(raw || 1));
  return power * [1, 2, 5, 10].find(f => f * power >= raw);
}

function timeAxis(draw, width, top, seconds) {
  draw.fillStyle = ink("--dim");
  draw.font = "11px system-ui";
  draw.textAlign = "center";
  const step = steps(seconds, 8);
  for (let t = 0; t <= seconds + 1e-9; t += step) {
    const x = LEFT + (width - LEFT) * t / seconds;
    draw.fillRect(x, top, 1, 4);
    draw.fillText(`${+t.toFixed(3)} s`, Math.min(Math.max(x, LEFT + 8), width - 14), top + 15);
  }
}

function waveform(canvas, envelope) {
  const draw = canvas.getContext("2d"), {width, height} = canvas, n = envelope.length;
  draw.clearRect(0, 0, width, height);
  draw.fillStyle = ink("--mark");
  const peak = Math.max(1e-6, ...envelope.map(([a, b]) => Math.max(-a, b)));
  envelope.forEach(([low, high], i) => {
    const x = LEFT + (width - LEFT) * i / n, y = v => height / 2 * (1 - v / peak);
    draw.fillRect(x, y(high), Math.max(1, (width - LEFT) / n), Math.max(1, y(low) - y(high)));
  });
  draw.fillStyle = ink("--dim");
  draw.font = "11px system-ui";
  draw.textAlign = "right";
  draw.fillText(peak.toPrecision(2), LEFT - 4, 10);
  draw.fillText((-peak).toPrecision(2), LEFT - 4, height - 2);
}

function heat(v) { // dark blue to yellow, even in lightness
  return [255 * Math.min(1, Math.max(0, 1.6 * v - .35)), 235 * v ** 1.15, 70 + 110 * Math.sin(Math.PI * Math.min(1, v + .12))];
}

function logmel(canvas, mel, hz, seconds) {
  const draw = canvas.getContext("2d"), {width, height} = canvas;
  const inner = document.createElement("canvas"), levels = Uint8Array.from(atob(mel.levels), c => c.charCodeAt(0));
  inner.width = mel.frames;
  inner.height = mel.mels;
  const image = new ImageData(mel.frames, mel.mels);
  for (let t = 0; t < mel.frames; t++) for (let m = 0; m < mel.mels; m++) {
    const [r, g, b] = heat(levels[t * mel.mels + m] / 255);
    image.data.set([r, g, b, 255], 4 * ((mel.mels - 1 - m) * mel.frames + t));
  }
  inner.getContext("2d").putImageData(image, 0, 0);
  draw.clearRect(0, 0, width, height);
  draw.imageSmoothingEnabled = false;
  draw.drawImage(inner, LEFT, 0, width - LEFT, height - BOTTOM);
  draw.fillStyle = ink("--dim");
  draw.font = "11px system-ui";
  draw.textAlign = "right";
  let before = Infinity;
  for (const f of [125, 250, 500, 1000, 2000, 4000, 8000, 16000]) {
    const band = hz.findIndex(h => h >= f);
    if (band < 1) continue;
    const y = (height - BOTTOM) * (1 - (band + .5) / hz.length);
    if (before - y < 13) continue;
    before = y;
    draw.fillText(f >= 1000 ? `${f / 1000} kHz` : `${f} Hz`, LEFT - 3, Math.max(10, y + 4));
  }
  timeAxis(draw, width, height - BOTTOM, seconds);
}

function curves(canvas, answer, classes, thresholds) {
  const draw = canvas.getContext("2d"), {width, height} = canvas, bottom = height - BOTTOM;
  const x = t => LEFT + (width - LEFT) * t / answer.seconds, y = p => 4 + (bottom - 4) * (1 - p);
  draw.clearRect(0, 0, width, height);
  draw.strokeStyle = ink("--line");
  draw.fillStyle = ink("--dim");
  draw.font = "11px system-ui";
  draw.textAlign = "right";
  for (const p of [0, .5, 1]) {
    draw.strokeRect(LEFT, y(p), width - LEFT, 0);
    draw.fillText(`${100 * p} %`, LEFT - 3, Math.max(10, y(p) + 4));
  }
  classes.forEach((name, k) => {
    draw.strokeStyle = COLOURS[k % COLOURS.length];
    draw.lineWidth = 2;
    draw.beginPath();
    const last = answer.scores.length - 1; // a window's score stands at its centre
    answer.scores.forEach((row, i) => {
      const begin = i ? (answer.start_s[i] + answer.end_s[i]) / 2 : answer.start_s[0];
      draw.lineTo(x(begin), y(row[k]));
      if (i === last) draw.lineTo(x(answer.end_s[i]), y(row[k]));
    });
    draw.stroke();
    draw.setLineDash([5, 4]);
    draw.lineWidth = 1;
    if (thresholds[name] !== null && k === classes.length - 1) draw.strokeRect(LEFT, y(thresholds[name]), width - LEFT, 0);
    draw.setLineDash([]);
  });
  timeAxis(draw, width, bottom, answer.seconds);
}
