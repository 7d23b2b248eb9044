// Many songs: a table that fills, two at a time, in order of their paths, and as CSV.

import { Refused, classify } from "./api.js";
import { byId, clock, make, named, percent, second, tell } from "./dom.js";
import { MOST_BYTES } from "./given.js";
import { csv } from "./csv.js";

const AT_A_TIME = 2;
const COLUMNS = [
  { name: "Song", key: (row) => row.path },
  { name: "Genre", key: (row) => (row.verdict && named(row.verdict)) ?? "\uffff" },
  { name: "Sure", key: (row) => -(row.verdict?.probability ?? -1), class: "number" },
  { name: "Then", key: (row) => (row.verdict && second(row.verdict)) || "\uffff" },
  { name: "Length", key: (row) => row.verdict?.seconds ?? Infinity, class: "number length" },
];

/** Hears the songs of a folder, one folder at a time. */
export class Folder {
  constructor() {
    this.heads = COLUMNS.map((column) => {
      const button = make("button", { type: "button" }, column.name);
      button.addEventListener("click", () => this.sort(column));
      return make("th", { scope: "col", class: column.class ?? false }, button);
    });
    byId("many-head").append(...this.heads);
    byId("many-stop").addEventListener("click", () => this.controller.abort());
    byId("many-csv").addEventListener("click", () => this.download());
  }

  /**
   * Hear files, and fill the table.
   * @param {import("./files.js").Given[]} files
   * @param {string} model
   */
  async hear(files, model) {
    this.controller?.abort();
    const controller = (this.controller = new AbortController());
    this.rows = [];
    this.n = files.length;
    const folder = files[0]?.path.split("/", 1)[0];
    this.root = files.every(({ path }) => path.startsWith(`${folder}/`)) ? `${folder}/` : "";
    byId("many-title").textContent = this.root ? `Songs of ${folder}` : "Songs";
    byId("many-rows").replaceChildren();
    byId("many").hidden = false;
    byId("many-stop").disabled = false;
    byId("many-csv").disabled = true;
    this.mark(COLUMNS[0], 1);
    this.count();
    const waiting = files.values();
    const take = async () => {
      for (const given of waiting) {
        if (controller.signal.aborted) return;
        await this.one(given, model, controller.signal);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, take));
    if (this.controller !== controller) return;
    byId("many-stop").disabled = true;
    this.count(controller.signal.aborted ? "Stopped" : "Done");
  }

  async one({ file, path }, model, signal) {
    const name = make("th", { scope: "row", class: "path" }, path.slice(this.root.length));
    const row = { path, name, element: make("tr", {}, name, make("td", { colspan: 4, class: "soft" }, "…")) };
    byId("many-rows").append(row.element);
    try {
      if (file.size > MOST_BYTES) throw new Refused(413, tooLarge(file));
      row.verdict = await classify(file, { model, top: 3 }, signal);
    } catch (error) {
      if (signal.aborted) {
        row.element.remove();
        return;
      }
      row.problem = error.message;
    }
    if (signal.aborted) return row.element.remove();
    row.element.replaceChildren(...cells(row));
    this.rows.push(row);
    byId("many-csv").disabled = false;
    this.count();
  }

  count(end = "") {
    const [n, done] = [this.n, this.rows.length];
    const failed = this.rows.filter((row) => row.problem).length;
    byId("many-progress").max = Math.max(n, 1);
    byId("many-progress").value = done;
    byId("many-progress").hidden = Boolean(end);
    const errors = failed ? `, ${failed} could not be heard` : "";
    const what = n ? `${done} of ${n} ${n === 1 ? "song" : "songs"}${errors}` : "no file of sound is in it";
    tell(byId("many-words"), `${end ? `${end}: ` : ""}${what}.`);
    if (end) byId("status").textContent = `${end}: ${what}.`; // to be read aloud once, not for each song
  }

  sort(column) {
    const way = this.sorted === column ? -this.way : 1;
    this.mark(column, way);
    byId("many-rows").prepend(...sorted(this.rows, column, way).map((row) => row.element));
  }

  mark(column, way) {
    [this.sorted, this.way] = [column, way];
    this.heads.forEach((head, i) => {
      if (COLUMNS[i] === column) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  }

  download() {
    const url = URL.createObjectURL(new Blob([csv(sorted(this.rows, COLUMNS[0]))], { type: "text/csv" }));
    make("a", { href: url, download: "genres.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}

function sorted(rows, column, way = 1) {
  const order = new Intl.Collator(undefined, { numeric: true });
  const compare = (a, b) => (typeof a === "number" ? (a > b) - (a < b) : order.compare(a, b));
  return [...rows].sort((a, b) => way * compare(column.key(a), column.key(b)));
}

/** Why a file is not even sent. */
export function tooLarge(file) {
  const mb = (bytes) => (bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 1 : 0);
  const what = `Expected a file of at most ${mb(MOST_BYTES)} MB, got ${mb(file.size)} MB in '${file.name}'`;
  return `${what}: cut it, or have the server started with more --max-mb.`;
}

function cells({ name, verdict, problem }) {
  if (problem) return [name, make("td", { colspan: 4, class: "wrap problem" }, problem)];
  const genre = named(verdict);
  const why = make("span", { class: "span" }, verdict.abstained ?? "");
  return [
    name,
    genre === null ? make("td", { class: "wrap soft" }, "don’t know", why) : make("td", { class: "genre" }, genre),
    make("td", { class: "number" }, genre === null ? "" : percent(verdict.probability)),
    make("td", { class: "then" }, second(verdict)),
    make("td", { class: "number length" }, clock(verdict.seconds)),
  ];
}
