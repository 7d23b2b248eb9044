// The mel spectrogram of an excerpt, and over it what its parts did for the verdict.

import { clock, make, percent, pitch } from "./dom.js";

const MARKS_HZ = [100, 500, 1000, 2000, 4000, 8000];
const TOLD = 3; // parts in words
const LEAST = 0.005; // of a probability: what falls less did nothing

/**
 * Show an explanation in a figure.
 * @param {HTMLElement} figure
 * @param {object} heard What /v1/explain answers.
 * @param {(seconds: number) => void} seek
 * @returns {(seconds: number) => void} Moves the cursor.
 */
export function showExplanation(figure, heard, seek) {
  const { genre, probability, start_s, end_s } = heard;
  const words = inWords(heard);
  const span = `rom ${clock(start_s)} to ${clock(end_s)}`;
  const size = ({ rows, columns }) => ({ width: columns, height: rows });
  const told = { role: "img", "aria-label": `Mel spectrogram f${span}. ${words}` };
  const image = make("canvas", { ...size(heard.mel), ...told });
  const cover = make("canvas", { ...size(heard.influence), class: "cover", "aria-hidden": "true" });
  const cursor = make("div", { class: "at", hidden: true });
  const plot = make("div", { class: "plot" }, image, cover, cursor);
  const readout = make("span", { class: "soft", "aria-hidden": "true" });
  const shown = make("input", { type: "checkbox", checked: true });
  shown.addEventListener("change", () => (cover.hidden = !shown.checked));
  figure.replaceChildren(
    make("div", { class: "spectrogram" }, frequencies(heard), plot, times(heard)),
    make(
      "p", { class: "legend" },
      make("label", {}, shown, " show"),
      make("span", {}, make("i", { class: "for", "aria-hidden": "true" }), `spoke for ${genre}`),
      make("span", {}, make("i", { class: "against", "aria-hidden": "true" }), "spoke against it"),
      readout,
    ),
    make("figcaption", {}, `F${span} the likeliest genre is ${genre} (${percent(probability)}). ${words}`),
  );
  figure.hidden = false;
  const paint = () => {
    paintImage(image, heard.mel);
    paintCover(cover, heard.influence);
  };
  paint();
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const again = () => (figure.contains(image) ? paint() : scheme.removeEventListener("change", again));
  scheme.addEventListener("change", again);
  plot.addEventListener("click", (event) => seek(start_s + share(event, plot).x * (end_s - start_s)));
  plot.addEventListener("pointermove", (event) => {
    const { x, y } = share(event, plot);
    const row = Math.min(heard.influence.rows - 1, Math.floor((1 - y) * heard.influence.rows));
    const column = Math.min(heard.influence.columns - 1, Math.floor(x * heard.influence.columns));
    readout.textContent = inPoints(heard, row, column);
  });
  plot.addEventListener("pointerleave", () => (readout.textContent = ""));
  return (seconds) => {
    cursor.hidden = seconds < start_s || seconds > end_s;
    cursor.style.left = `${(100 * (seconds - start_s)) / (end_s - start_s)}%`;
  };
}

function share(event, plot) {
  const box = plot.getBoundingClientRect();
  const within = (value) => Math.min(1, Math.max(0, value));
  return { x: within((event.clientX - box.left) / box.width), y: within((event.clientY - box.top) / box.height) };
}

/** Say which parts did most, for those who do not see the picture, and those who do. */
function inWords({ genre, influence: { rows, columns, values }, ...heard }) {
  const parts = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) parts.push({ row, column, fall: values[row][column] });
  }
  parts.sort((a, b) => b.fall - a.fall);
  const spoke = parts.slice(0, TOLD).filter(({ fall }) => fall >= LEAST);
  const where = ({ row, column }) => place({ ...heard, influence: { rows, columns } }, row, column);
  const most = spoke.map((part) => `${where(part)} (without it ${genre} is ${points(part.fall)} less likely)`);
  const against = parts.at(-1);
  const sentences = [
    most.length ? `Most for it: ${most.join("; ")}.` : "No part alone did much: the verdict rests on all of them.",
  ];
  if (against.fall <= -LEAST) {
    sentences.push(`Most against it: ${where(against)} (without it ${points(-against.fall)} more likely).`);
  }
  return sentences.join(" ");
}

const points = (fall) => `${(100 * fall).toFixed(1)} points`;

function inPoints(heard, row, column) {
  const fall = heard.influence.values[row][column];
  return `${place(heard, row, column)}: ${fall < 0 ? "+" : "−"}${points(Math.abs(fall))} without it`;
}

/** Where a patch lies: 0:03–0:05, 210 Hz–1 kHz. */
function place({ start_s, end_s, mel, influence: { rows, columns } }, row, column) {
  const edge = (i, n, length) => Math.round((i * length) / n);
  const low = mel.hz[edge(row, rows, mel.rows)];
  const high = mel.hz[edge(row + 1, rows, mel.rows) - 1];
  const at = (i) => start_s + ((end_s - start_s) * edge(i, columns, mel.columns)) / mel.columns;
  return `${clock(at(column))}–${clock(at(column + 1))}, ${range(low, high)}`;
}

/** A range of frequencies: 440–830 Hz. */
function range(low, high) {
  const [from, to] = [pitch(low), pitch(high)];
  return from.slice(-3) === to.slice(-3) ? `${from.split("\u00a0")[0]}–${to}` : `${from}–${to}`;
}

/** Colours of the page, as they are in its scheme now: [red, green, blue]. */
function colour(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function paintImage(canvas, { rows, columns, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const ink = colour("--ink");
  fill(canvas, (x, y) => [...ink, bytes[(rows - 1 - y) * columns + x] ** 2 / 255]);
}

function paintCover(canvas, { rows, values }) {
  const [plus, minus] = [colour("--for"), colour("--against")];
  const largest = Math.max(LEAST, ...values.flat().map(Math.abs));
  fill(canvas, (x, y) => {
    const fall = values[rows - 1 - y][x];
    return [...(fall > 0 ? plus : minus), (220 * Math.abs(fall)) / largest];
  });
}

function fill(canvas, pixel) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let y = 0, at = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++, at += 4) image.data.set(pixel(x, y), at);
  }
  context.putImageData(image, 0, 0);
}

function frequencies({ mel: { hz, rows } }) {
  const axis = make("div", { class: "y-axis", "aria-hidden": "true" });
  for (const mark of MARKS_HZ) {
    const band = hz.findIndex((each) => each >= mark);
    if (band < 1) continue;
    const label = make("span", {}, pitch(mark));
    label.style.bottom = `${(100 * (band + 0.5)) / rows}%`;
    axis.append(label);
  }
  return axis;
}

function times({ start_s, end_s }) {
  const axis = make("div", { class: "x-axis", "aria-hidden": "true" });
  const step = end_s - start_s > 12 ? 10 : 2;
  for (let at = Math.ceil(start_s / step) * step; at <= end_s; at += step) {
    const left = (at - start_s) / (end_s - start_s);
    const label = make("span", { class: left > 0.97 ? "last" : false }, clock(at));
    label.style.left = `${100 * left}%`;
    axis.append(label);
  }
  return axis;
}
