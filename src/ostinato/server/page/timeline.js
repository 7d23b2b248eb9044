// Genres over time: a ribbon of verdicts above the probabilities, and a cursor that moves the player.

import { OTHERS, genreColours, inkOn, isShared, means, steps, stretchAt } from "./colours.js";
import { clock, make, percent } from "./dom.js";

const RIBBON = 36;
const STACK = { top: 44, height: 104 };
const HEIGHT = 172;
const LETTER = 8.2; // pixels, of a bold one in the ribbon
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const TICK_APART = 64;

let number = 0; // of hatchings, which need ids

/** The timeline under the player: a slider for keyboard, pointer and screen reader. */
export class Timeline {
  /**
   * @param {HTMLElement} host
   * @param {(seconds: number) => void} seek
   * @param {{toggle: () => void, play: () => void}} player
   */
  constructor(host, seek, player) {
    this.host = host;
    this.seek = seek;
    this.slider = make("div", { role: "slider", tabindex: "0", "aria-label": "Position in the song" });
    host.replaceChildren(this.slider);
    this.slider.addEventListener("keydown", (event) => this.onKey(event, player));
    this.slider.addEventListener("pointerdown", (event) => {
      this.slider.setPointerCapture(event.pointerId);
      this.seekTo(event);
    });
    this.slider.addEventListener("pointermove", (event) => {
      if (this.slider.hasPointerCapture(event.pointerId)) this.seekTo(event);
    });
    this.slider.addEventListener("click", player.play);
    new ResizeObserver(() => this.verdict && this.draw()).observe(host);
  }

  /** Show the timeline of a verdict, from its beginning. */
  show(verdict) {
    this.verdict = verdict;
    this.colours = genreColours(verdict);
    this.slider.setAttribute("aria-valuemin", "0");
    this.slider.setAttribute("aria-valuemax", String(Math.round(verdict.seconds)));
    this.draw();
    this.setTime(0);
  }

  /** Move the cursor. */
  setTime(seconds) {
    this.seconds = Math.min(Math.max(seconds, 0), this.verdict.seconds);
    this.cursor?.setAttribute("transform", `translate(${this.x(this.seconds).toFixed(1)} 0)`);
    const { verdict } = this;
    const segment = verdict.segments.find((s) => s.start_s <= this.seconds && this.seconds < s.end_s);
    const here = segment ? (segment.named.join(" + ") || "no verdict") : "silence";
    this.slider.setAttribute("aria-valuenow", String(Math.round(this.seconds)));
    this.slider.setAttribute("aria-valuetext", `${clock(this.seconds)} of ${clock(verdict.seconds)}, ${here}`);
  }

  /** The stretch under the cursor; undefined in silence. */
  get stretch() {
    return stretchAt(this.verdict, Math.min(this.seconds, this.verdict.seconds - 1e-3));
  }

  x(seconds) {
    return (seconds / this.verdict.seconds) * this.width;
  }

  seekTo(event) {
    const box = this.slider.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    this.seek(share * this.verdict.seconds);
  }

  onKey(event, player) {
    const by = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 }[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (by !== undefined) this.seek(Math.min(Math.max(this.seconds + by, 0), this.verdict.seconds));
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.verdict.seconds);
    else if (event.key === " " || event.key === "Enter") player.toggle();
    else return;
    event.preventDefault();
  }

  draw() {
    this.width = Math.max(this.host.clientWidth, 1);
    const svg = make("svg:svg", { width: this.width, height: HEIGHT, "aria-hidden": "true" });
    const whole = { x: 0, width: this.width, class: "empty" };
    svg.append(
      make("svg:rect", { ...whole, y: 0, height: RIBBON }),
      make("svg:rect", { ...whole, y: STACK.top, height: STACK.height }),
      ...ribbon(this.verdict, this.colours, this.width, RIBBON, true),
      ...(this.verdict.timeline.length ? this.probabilities() : []),
      ...this.ticks(),
    );
    this.cursor = make(
      "svg:g", { class: "cursor" },
      make("svg:line", { y1: 0, y2: STACK.top + STACK.height, class: "halo" }),
      make("svg:line", { y1: 0, y2: STACK.top + STACK.height }),
      make("svg:path", { d: "M-6 0 H6 L0 8 Z" }),
    );
    svg.append(this.cursor);
    this.slider.replaceChildren(svg);
    if (this.seconds !== undefined) this.setTime(this.seconds);
  }

  probabilities() {
    const y = (share) => STACK.top + STACK.height * (1 - share);
    if (!isShared(this.verdict)) return this.lines(y);
    const drawn = [];
    for (const { shown_from_s, end_s, probabilities } of steps(this.verdict)) {
      const place = { x: this.x(shown_from_s), width: this.x(end_s) - this.x(shown_from_s) };
      let below = 0;
      for (const [genre, colour] of [...this.colours, [null, null]]) {
        const above = genre === null ? 1 : below + probabilities[genre];
        const size = { ...place, y: y(above), height: Math.max(0, y(below) - y(above)) };
        const look = colour ? { fill: colour, class: "share" } : { class: "share others" };
        drawn.push(make("svg:rect", { ...size, ...look }));
        below = above;
      }
    }
    return drawn;
  }

  lines(y) {
    return [...this.colours].map(([genre, colour]) => {
      const path = steps(this.verdict).map(
        ({ shown_from_s, end_s, probabilities }) =>
          `M${this.x(shown_from_s)} ${y(probabilities[genre])}H${this.x(end_s)}`,
      );
      return make("svg:path", { d: path.join(""), stroke: colour, class: "share-line" });
    });
  }

  ticks() {
    const { seconds } = this.verdict;
    const most = Math.max(2, this.width / TICK_APART);
    const step = STEPS_S.find((s) => seconds / s <= most) ?? 3600 * Math.ceil(seconds / 3600 / most);
    const drawn = [];
    for (let at = 0; at <= seconds; at += step) {
      const x = this.x(at);
      if (x > this.width - 18 && at > 0) break; // its text would be cut off
      const place = { x, y: HEIGHT - 4, "text-anchor": at ? "middle" : "start" };
      const below = STACK.top + STACK.height;
      drawn.push(make("svg:line", { x1: x, x2: x, y1: below, y2: below + 5 }), make("svg:text", place, clock(at)));
    }
    return drawn;
  }
}

/** The parts of a ribbon: each verdict with its colour, and its name where there is room. */
export function ribbon(verdict, colours, width, height, hasNames) {
  const id = `hatch-${number++}`;
  const pattern = make(
    "svg:pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    make("svg:rect", { width: 2.5, height: 6, class: "hatch" }),
  );
  const drawn = [make("svg:defs", {}, pattern)];
  for (const { start_s, end_s, genre, named } of verdict.segments) {
    const x = (start_s / verdict.seconds) * width;
    const wide = Math.max(1, ((end_s - start_s) / verdict.seconds) * width - 1);
    const colour = colours.get(genre);
    const rect = { x, y: 0, width: wide, height, class: colour || genre === null ? "part" : "part others" };
    drawn.push(make("svg:rect", { ...rect, fill: genre === null ? `url(#${id})` : colour }));
    const name = genre === null ? "?" : named.join(" + ");
    if (!hasNames || name.length * LETTER + 10 > wide) continue;
    const text = make("svg:text", { x: x + wide / 2, y: height / 2 + 5, "text-anchor": "middle", class: "name" }, name);
    if (colour) text.style.fill = inkOn(colour);
    drawn.push(text);
  }
  return drawn;
}

/** Rows of the legend: each genre with its colour and its mean over time. */
export function legend(verdict) {
  if (!verdict.timeline.length) return [];
  const [colours, mean] = [genreColours(verdict), means(verdict)];
  const rows = [...colours].map(([genre, colour]) => [genre, colour, mean.get(genre)]);
  const rest = 1 - rows.reduce((sum, row) => sum + row[2], 0);
  if (colours.size < mean.size && isShared(verdict)) rows.push([OTHERS, null, rest]);
  const items = rows.map(([genre, colour, share]) => {
    const swatch = make("i", { "aria-hidden": "true", class: colour ? false : "others" });
    if (colour) swatch.style.background = colour;
    return make("li", {}, swatch, `${genre} `, make("span", { class: "soft" }, percent(share)));
  });
  if (verdict.segments.some(({ genre }) => genre === null)) {
    items.push(make("li", {}, make("i", { "aria-hidden": "true", class: "unknown" }), "? no verdict"));
  }
  return items;
}
