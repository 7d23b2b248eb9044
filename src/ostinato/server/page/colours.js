// Colours of genres, which are those of `ostinato classify --plot`, and what is read from a timeline.

import { COLOURS } from "./given.js";

const MOST_SHOWN = 9; // genres that have a colour
const LEAST_SHARE = 0.03; // of a genre that never leads

export const OTHERS = "other genres";

/** Stretches that do not overlap: where two do, the later one begins where the earlier one ends. */
export function steps(verdict) {
  let end = 0;
  return verdict.timeline.map((stretch) => {
    const start = Math.max(stretch.start_s, end);
    end = stretch.end_s;
    return { ...stretch, shown_from_s: start };
  });
}

/** The stretch at a time, or undefined in silence. */
export const stretchAt = (verdict, seconds) =>
  steps(verdict).find(({ shown_from_s, end_s }) => shown_from_s <= seconds && seconds < end_s);

/** Mean probabilities over time, by genre. */
export function means(verdict) {
  const all = steps(verdict);
  const length = all.reduce((sum, s) => sum + s.end_s - s.shown_from_s, 0) || 1;
  const mean = new Map();
  for (const { shown_from_s, end_s, probabilities } of all) {
    for (const [genre, p] of Object.entries(probabilities)) {
      mean.set(genre, (mean.get(genre) ?? 0) + (p * (end_s - shown_from_s)) / length);
    }
  }
  return mean;
}

/** The genres that are shown, the likeliest first, and their colours. @returns {Map<string, string>} */
export function genreColours(verdict) {
  if (!verdict.timeline.length) return new Map();
  const mean = means(verdict);
  const leads = new Set(verdict.timeline.map(({ probabilities }) => likeliest(probabilities)));
  const genres = Object.keys(verdict.timeline[0].probabilities);
  const worthy = [...genres]
    .sort((a, b) => mean.get(b) - mean.get(a))
    .filter((genre) => leads.has(genre) || mean.get(genre) >= LEAST_SHARE);
  const first = [...worthy].sort((a, b) => leads.has(b) - leads.has(a)).slice(0, MOST_SHOWN);
  const isFixed = genres.length <= COLOURS.length;
  return new Map(
    worthy
      .filter((genre) => first.includes(genre))
      .map((genre, rank) => [genre, COLOURS[isFixed ? genres.indexOf(genre) : rank % COLOURS.length]]),
  );
}

function likeliest(probabilities) {
  return Object.entries(probabilities).reduce((best, each) => (each[1] > best[1] ? each : best))[0];
}

/** Whether the genres share one sum, so that they can be stacked: not so where several may be named. */
export function isShared(verdict) {
  const sum = Object.values(verdict.timeline[0].probabilities).reduce((a, b) => a + b, 0);
  return Math.abs(sum - 1) < 0.01;
}

/** Dark or white, whichever is legible on this colour (WCAG's contrast). */
export function inkOn(colour) {
  const parts = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255);
  const [r, g, b] = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#16181c" : "#ffffff";
}
