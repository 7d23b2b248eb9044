// One song: its verdict, a player, its timeline, and on demand what spoke for it and other models.

import { compare, explain } from "./api.js";
import { showComparison } from "./compare.js";
import { byId, clock, make, named, percent, sentence, tell } from "./dom.js";
import { showExplanation } from "./spectrogram.js";
import { Timeline, legend } from "./timeline.js";

const SHOWN = 3;

/** The section of one song. */
export class Song {
  constructor() {
    this.player = byId("player");
    const control = { play: () => this.play(), toggle: () => (this.player.paused ? this.play() : this.player.pause()) };
    this.timeline = new Timeline(byId("timeline"), (s) => this.seek(s), control);
    const { player } = this;
    player.addEventListener("timeupdate", () => this.moved());
    player.addEventListener("seeking", () => this.moved());
    player.addEventListener("play", () => this.follow());
    player.addEventListener("error", () => this.cannotPlay());
    player.addEventListener("loadedmetadata", () => this.findEnd());
    this.onDemand("explain", (signal) => this.explain(signal));
    this.onDemand("compare", (signal) => this.compare(signal));
  }

  /**
   * Show the verdict on a file.
   * @param {File} file
   * @param {object} verdict With its timeline.
   * @param {string} model
   */
  show(file, verdict, model) {
    this.hide();
    Object.assign(this, { file, verdict, model, canPlay: true, controller: new AbortController() });
    const genre = named(verdict);
    byId("song-name").textContent = file.name;
    byId("verdict").textContent = genre === null ? "I don’t know" : sentence(genre);
    const sure = genre === null ? "" : ` ${percent(verdict.probability)}`;
    byId("verdict").append(genre === null ? "" : make("span", { class: "sure" }, sure));
    const { guess: maybe } = verdict;
    const guess = maybe ? ` Perhaps ${maybe.genre}, ${percent(maybe.probability)}.` : "";
    tell(byId("why"), genre === null ? `${sentence(verdict.abstained)}.${guess}` : "");
    byId("ranked").replaceChildren(...verdict.ranked.slice(0, SHOWN).map(bar));
    byId("facts").replaceChildren(...facts(verdict).map((fact) => make("li", {}, fact)));
    document.title = `${genre === null ? "I don’t know" : sentence(genre)}${sure} · ${file.name} · Ostinato`;
    byId("song").hidden = false;
    const said = genre === null ? `I don’t know, ${verdict.abstained}.${guess}` : `${genre},${sure}.`;
    byId("status").textContent = `${file.name}: ${said}`;
    this.url = URL.createObjectURL(file);
    this.player.src = this.url;
    this.player.hidden = false;
    byId("no-player").hidden = true;
    this.timeline.show(verdict);
    byId("legend").replaceChildren(...legend(verdict));
    this.moved(0);
  }

  /** Hide the section, and forget its song. */
  hide() {
    this.controller?.abort();
    this.player.pause();
    this.player.removeAttribute("src");
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = this.moveCursor = undefined;
    for (const id of ["song", "explained", "compared", "explain-error", "compare-error"]) byId(id).hidden = true;
    document.title = "Ostinato";
  }

  seek(seconds) {
    if (this.canPlay) this.player.currentTime = seconds;
    this.moved(seconds);
  }

  play() {
    if (this.canPlay) this.player.play().catch((error) => error.name === "AbortError" || this.cannotPlay());
  }

  moved(seconds = this.player.currentTime) {
    if (!this.url) return;
    this.timeline.setTime(seconds);
    this.moveCursor?.(seconds);
    const { stretch } = this.timeline;
    byId("explain").disabled = !stretch;
    const where = stretch ? `from ${clock(stretch.start_s)} to ${clock(stretch.end_s)}, where the cursor is` : "";
    byId("explain-words").textContent = stretch
      ? `Parts of the sound ${where}, are hidden from the model in turn, to see what each of them did.`
      : "It is silent where the cursor is.";
  }

  /** Move the cursor with the sound, as smoothly as the screen does. */
  follow() {
    const step = () => {
      if (this.player.paused) return;
      this.moved();
      requestAnimationFrame(step);
    };
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) requestAnimationFrame(step);
  }

  /** A recording states no length, and cannot be sought in before its end was looked for. */
  findEnd() {
    if (this.player.duration !== Infinity) return;
    this.player.addEventListener("durationchange", () => (this.player.currentTime = 0), { once: true });
    this.player.currentTime = 1e9;
  }

  cannotPlay() {
    if (!this.url) return;
    this.canPlay = false;
    this.player.hidden = true;
    byId("no-player").hidden = false;
  }

  /** Have a button do something that takes time, and tell what goes wrong beside it. */
  onDemand(id, act) {
    byId(id).addEventListener("click", async () => {
      if (byId(id).hasAttribute("aria-disabled")) return;
      const { signal } = this.controller;
      const words = byId(id).textContent;
      tell(byId(`${id}-error`), "");
      byId(id).setAttribute("aria-disabled", "true");
      byId(id).textContent = "Listening …";
      try {
        await act(signal);
      } catch (error) {
        if (!signal.aborted) tell(byId(`${id}-error`), error.message);
      } finally {
        byId(id).removeAttribute("aria-disabled");
        byId(id).textContent = words;
      }
    });
  }

  async explain(signal) {
    const { start_s } = this.timeline.stretch;
    const heard = await explain(this.file, { model: this.model, start_s }, signal);
    if (signal.aborted) return;
    this.moveCursor = showExplanation(byId("explained"), heard, (seconds) => {
      this.seek(seconds);
      this.play();
    });
    this.moveCursor(this.timeline.seconds);
    byId("status").textContent = byId("explained").querySelector("figcaption").textContent;
  }

  async compare(signal) {
    const results = await compare(this.file, { timeline: true }, signal);
    if (signal.aborted) return;
    showComparison(byId("compared"), results);
    byId("status").textContent = byId("compared").firstChild.textContent;
  }
}

function bar({ genre, probability }) {
  const fill = make("i");
  fill.style.width = `${100 * probability}%`;
  return make(
    "li", {},
    make("span", { class: "genre" }, genre),
    make("span", { class: "meter", "aria-hidden": "true" }, fill),
    make("span", { class: "number" }, percent(probability)),
  );
}

function facts({ model, model_version: version, seconds, heard_channel: channel }) {
  const told = [clock(seconds), `heard by ${model}${version ? ` ${version}` : ""}`];
  if (channel !== null) told.push(`only channel ${channel} was heard: together the channels cancel each other out`);
  return told;
}
