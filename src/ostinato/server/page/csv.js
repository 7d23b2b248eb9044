// Rows as CSV: the columns of `ostinato classify --format csv`, and why a file could not be heard.

const COLUMNS = ["path", "genre", "probability", "ranked", "abstained", "seconds", "model", "model_version", "problem"];

/** Rows as text, with the mark that has spreadsheets read it as UTF-8. */
export function csv(rows) {
  const lines = rows.map(({ path, verdict, problem }) =>
    verdict
      ? [
          path,
          verdict.named.join(";"),
          verdict.probability.toFixed(4),
          verdict.ranked.map(({ genre, probability }) => `${genre}=${probability.toFixed(4)}`).join(";"),
          verdict.abstained ?? "",
          verdict.seconds.toFixed(2),
          verdict.model,
          verdict.model_version ?? "",
          "",
        ]
      : [path, "", "", "", "", "", "", "", problem],
  );
  return "\ufeff" + [COLUMNS, ...lines].map((line) => line.map(cell).join(",") + "\r\n").join("");
}

/** A cell: never a formula, for spreadsheets would run it. */
function cell(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
