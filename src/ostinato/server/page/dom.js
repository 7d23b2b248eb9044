// Elements and words. Text of files and of the server is data: it is only ever set as text.

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 * @param {string} tag With the prefix "svg:" one of SVG.
 * @param {Object<string, unknown>} attributes Undefined and false ones are left out.
 * @param {...(Node|string)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = tag.startsWith("svg:")
    ? document.createElementNS(SVG, tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Show a sentence in an element, or hide it without one. */
export function tell(element, sentence) {
  element.textContent = sentence ?? "";
  element.hidden = !sentence;
}

/** A time: 3:05, 1:03:05. */
export function clock(seconds) {
  const whole = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** A probability in per cent; one that is not certain is never 0 % or 100 %. */
export function percent(share) {
  const whole = Math.round(100 * share);
  if (whole === 0 && share > 0) return "<1\u00a0%";
  if (whole === 100 && share < 1) return ">99\u00a0%";
  return `${whole}\u00a0%`;
}

/** The genres of a verdict in words, or null if the model abstains. */
export const named = (verdict) => (verdict.genre === null ? null : verdict.named.join(" + "));

/** The next likely genre in words; of a model that abstains, the likeliest, unless it is what is none of its genres. */
export function second(verdict) {
  const { guess, named: all, ranked } = verdict;
  const isUnknown = verdict.genre === null;
  const next = isUnknown ? guess : ranked.find(({ genre }) => !all.includes(genre));
  return next ? `${isUnknown ? "perhaps " : ""}${next.genre} ${percent(next.probability)}` : "";
}

/** A frequency: 440 Hz, 2.1 kHz. */
export function pitch(hz) {
  if (hz < 1000) return `${Math.round(hz / 10) * 10}\u00a0Hz`;
  return `${(hz / 1000).toFixed(1).replace(".0", "")}\u00a0kHz`;
}

/** The first letter as a capital. */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
