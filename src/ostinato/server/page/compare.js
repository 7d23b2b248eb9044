// One song as several models hear it, a row each.

import { genreColours } from "./colours.js";
import { make, named, percent, second } from "./dom.js";
import { ribbon } from "./timeline.js";

const RIBBON = { width: 160, height: 16 };

/** Show what /v1/compare answers in an element. */
export function showComparison(host, results) {
  const head = ["Model", "Genre", "Sure", "Then", "Over time"].map((name) =>
    make("th", { scope: "col", class: name === "Sure" ? "number" : false }, name),
  );
  const table = make(
    "table", { class: "compared" },
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...results.map(row)),
  );
  host.replaceChildren(
    make("p", {}, agreement(results)),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Models and their verdicts" }, table),
  );
  host.hidden = false;
}

function agreement(results) {
  const said = results.filter(({ verdict }) => verdict);
  const counts = new Map();
  for (const { verdict } of said) {
    const genre = named(verdict);
    if (genre !== null) counts.set(genre, (counts.get(genre) ?? 0) + 1);
  }
  const [genre, n] = [...counts].reduce((best, each) => (each[1] > best[1] ? each : best), [null, 0]);
  if (!n) return "No model is sure.";
  if (n === 1 && counts.size > 1) return "The models say different genres.";
  return `${n} of ${said.length} ${said.length === 1 ? "model" : "models"} ${n === 1 ? "says" : "say"} ${genre}.`;
}

function row({ model, verdict, problem }) {
  const name = make("th", { scope: "row" }, model);
  if (!verdict) return make("tr", {}, name, make("td", { colspan: 4, class: "wrap problem" }, problem.detail));
  const genre = named(verdict);
  const view = { viewBox: `0 0 ${RIBBON.width} ${RIBBON.height}`, preserveAspectRatio: "none" };
  const over = make("svg:svg", { ...view, role: "img", "aria-label": inWords(verdict) });
  over.append(
    make("svg:rect", { ...RIBBON, class: "empty" }),
    ...ribbon(verdict, genreColours(verdict), RIBBON.width, RIBBON.height, false),
  );
  return make(
    "tr", {}, name,
    make("td", { class: genre === null ? "soft" : "genre" }, genre ?? "don’t know"),
    make("td", { class: "number" }, genre === null ? "" : percent(verdict.probability)),
    make("td", { class: "then" }, second(verdict)),
    make("td", {}, over),
  );
}

function inWords(verdict) {
  const parts = verdict.segments.map((segment) => segment.named.join(" + ") || "no verdict");
  const told = parts.slice(0, 12).join(", ");
  return parts.length ? `Over time: ${told}${parts.length > 12 ? " and so on" : ""}` : "Nothing was heard";
}
