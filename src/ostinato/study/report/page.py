"""The page of a study: one HTML file that needs nothing else, from results and figures.

The template ``report.html.j2`` and its style ``report.css`` lie beside this module. All text is
escaped, figures are embedded, and nothing is fetched or run when the page is read.
"""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostinato.errors import UsageError, require
from ostinato.evaluation.significance import Interval
from ostinato.plotting import DPI
from ostinato.storage import write_text
from ostinato.study.report.captions import CAPTIONS, alternatives
from ostinato.study.report.caveats import LEAKING, NO_TEST
from ostinato.study.report.claim import CLAIM
from ostinato.study.report.findings import findings, headline
from ostinato.study.report.reading import (
    ALPHA,
    SMALL_PART,
    Results,
    accuracy,
    check_schema,
    colours,
    confidences,
    difference,
    examined,
    gap,
    gap_difference,
    genre_f1,
    genre_interval,
    label,
    n_recordings,
    n_seeds,
    parts,
    support,
    winner,
)
from ostinato.study.report.words import (
    NOUNS,
    Finding,
    count,
    over_seeds,
    p_value,
    percent,
    percent_span,
    points,
    points_span,
)

#: Width in CSS pixels of an inch of a figure, so that its text is about the size of the page's.
PIXELS_PER_INCH = 110
#: Recordings that every model gets wrong, as many as the page lists; results.json has them all.
LISTED = 60
#: Caveats that stand above everything else.
WARNINGS = (LEAKING, NO_TEST)
BADGES = {
    "answer": {"yes": "yes", "no": "no", "undecided": "undecided"},
    "claim": {"yes": "holds here", "no": "does not hold here", "undecided": "undecided"},
}


@dataclass(frozen=True)
class Score:
    """An accuracy with its interval, as text and as places on a line from 0 to 100."""

    text: str
    span: str
    at: float
    low: float
    width: float

    @classmethod
    def of(cls, found: Interval) -> Score:
        """Put an interval into words."""
        low, high = 100 * found.low, 100 * found.high
        return cls(percent(found.mean), percent_span(found), 100 * found.mean, low, high - low)


@dataclass(frozen=True)
class Picture:
    """An embedded figure."""

    name: str
    heading: str
    caption: str
    alternative: str
    source: str
    width: int
    height: int


def write_page(results: Results, figures: dict[str, Path], out: Path) -> Path:
    """Write the report of a study.

    Parameters
    ----------
    results : dict
        ``results.json``, schema 1.
    figures : dict of str to Path
        What :func:`ostinato.study.report.figures.draw_all` returned.
    out : Path
        The file to write, for example ``report.html``; it is written whole or not at all.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    DataError
        If the results are of another schema.
    UsageError
        If a figure is missing.
    MissingExtraError
        If jinja2 is not installed.
    WriteError
        If the file cannot be written.
    """
    check_schema(results)
    template = environment().get_template("report.html.j2")
    missing = [n for n in CAPTIONS if n not in figures or not figures[n].is_file()]
    if missing:
        raise UsageError(
            f"Expected the figures {', '.join(CAPTIONS)}; {', '.join(missing)} not among them."
        )
    page = template.render(**_context(results), pictures=_pictures(results, figures))
    write_text(out, page)
    return out


def environment() -> Any:
    """Jinja with the templates beside this module; every value is escaped.

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="plot", needed_for="The report")
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("ostinato.study.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["minus"] = _minus
    return made


def _minus(text: str) -> str:
    """Set the hyphen before a figure as a minus sign."""
    return re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", text)


def _context(results: Results) -> dict[str, Any]:
    found = findings(results)
    part = examined(results)
    return {
        "results": results,
        "title": results["title"],
        "facts": _facts(results),
        "headline": headline(results),
        "part": NOUNS[part],
        "parts": {name: NOUNS[name] for name in parts(results)},
        "examined": part,
        "seeds": over_seeds(n_seeds(results)),
        "majority": Score.of(_point(results["split"]["majority"][part])),
        "models": [_model(results, name) for name in results["models"]],
        "answers": [_answered(f) for f in found if f.topic == "answer"],
        "claim": CLAIM,
        "claims": [_answered(f) for f in found if f.topic == "claim"],
        "warnings": [f for f in found if f.question in WARNINGS],
        "caveats": [f for f in found if f.topic == "caveat" and f.question not in WARNINGS],
        "pairs": _pairs(results),
        "alpha": ALPHA,
        "small_part": SMALL_PART,
        "drawn": "artist" if results["data"]["artists_known"] else "recording",
        "one_seed": n_seeds(results) == 1,
        "genres": list(reversed(genre_f1(results))),
        "support": support(results, part),
        "confidences": [_sure(results, name) for name in confidences(results)],
        "missed": results["missed"]["recordings"][:LISTED],
        "n_missed": len(results["missed"]["recordings"]),
        "census": _census(results),
        "settings": _flat({k: v for k, v in results["config"].items() if k != "title"}),
        "spec": _flat(results["data"]["spec"]),
    }


def _point(value: float) -> Interval:
    return Interval(value, value, value)


def _facts(results: Results) -> list[str]:
    """The line below the title."""
    data, split = results["data"], results["split"]
    sizes = ", ".join(f"{n_recordings(results, p):,} {NOUNS[p]}" for p in parts(results))
    folds = len(split["folds"])
    finished = max(run["finished"] for m in results["models"].values() for run in m["runs"])
    return [
        f"{data['name']}: {count(data['n_recordings'], 'recording')}, "
        f"{count(len(data['genres']), 'genre')}",
        f"split {split['name']}: "
        + (sizes if folds == 1 else f"{folds} folds, {sizes} recordings in all folds together"),
        over_seeds(n_seeds(results)),
        f"finished {str(finished)[:10]}",
        f"Ostinato {results['ostinato']}",
    ]


def _model(results: Results, name: str) -> dict[str, Any]:
    """What the tables say of a model."""
    model, part = results["models"][name], examined(results)
    return {
        "name": name,
        "label": label(results, name),
        "colour": colours(results)[name],
        "best": name == winner(results),
        "parameters": f"{model['parameters']:,}",
        "scores": {p: Score.of(accuracy(results, name, p)) for p in parts(results)},
        "macro_f1": f"{model[f'{part}_macro_f1']['mean']:.3f}",
        "gap": points(model["gap"]["mean"]),
        "gap_span": percent_span(gap(results, name)),
        "gap_last": points(model["gap_last_epoch"]["mean"]),
        "seconds": f"{model['seconds']:,.1f}",
        "by_seed": {p: [percent(v).removesuffix("%") for v in model[f"{p}_accuracy"]["seeds"]]
                    for p in parts(results)},
        "gap_by_seed": [points(value) for value in model["gap"]["seeds"]],
        "wilson": percent_span(_bounds(model[f"{part}_accuracy"]["wilson"])),
        "ensemble": _ensemble(model["ensemble"][part]),
        "per_genre": model["per_genre"][part],
        "f1_spans": {genre: f"{span.low:.2f} to {span.high:.2f}" for genre in genre_f1(results)
                     for span in [genre_interval(results, name, genre, "f1")]},
    }  # fmt: skip


def _bounds(found: dict[str, float]) -> Interval:
    return Interval(0.0, found["low"], found["high"])


def _sure(results: Results, name: str) -> dict[str, Any]:
    """What the table of probabilities says of a model."""
    own = results["models"][name]["confidence"]
    answers = []
    for entry in own["abstaining"]:
        if entry["threshold"] is None or entry["precision"] is None:
            answers.append(("none", "no threshold"))
        else:
            answers.append((percent(entry["coverage"]), f"{percent(entry['precision'])} right"))
    after, before = own["after"], own["before"]
    return {
        "label": label(results, name),
        "colour": colours(results)[name],
        "temperature": f"{own['temperature']:.2f}",
        "scores": [(f"{before[key]:.3f}", f"{after[key]:.3f}") for key in ("nll", "brier", "ece")],
        "range": f"{after['ece_low']:.3f} to {after['ece_high']:.3f}",
        "wished": [f"{100 * entry['wished']:.0f}%" for entry in own["abstaining"]],
        "answers": answers,
    }


def _ensemble(found: dict[str, float]) -> Score:
    return Score.of(Interval(found["accuracy"], found["low"], found["high"]))


def _answered(finding: Finding) -> dict[str, Any]:
    badge = BADGES[finding.topic][finding.verdict] if finding.verdict else ""
    return {"finding": finding, "badge": badge}


def _pairs(results: Results) -> list[dict[str, Any]]:
    """Every pair of models: the difference of accuracies, and of gaps."""
    part = examined(results)
    rows = []
    for kind, entries, between in (
        (f"{NOUNS[part]} accuracy", results["comparisons"], difference),
        ("over-fitting gap", results["gap_comparisons"], gap_difference),
    ):
        for a, b in [(e["a"], e["b"]) for e in entries if e.get("part", part) == part]:
            found = between(results, a, b)
            p = "no test" if found.p_holm is None else p_value(found.p_holm)
            rows.append({
                "kind": kind,
                "a": label(results, a),
                "b": label(results, b),
                "points": points(found.mean),
                "span": points_span(found),
                "p": p.removeprefix("p ").removeprefix("= "),
                "apart": found.apart,
            })  # fmt: skip
    return rows


def _census(results: Results) -> list[dict[str, Any]]:
    """Recordings and artists of each genre in each part; ranges where folds differ."""
    folds = [fold["parts"] for fold in results["split"]["folds"]]

    def cell(part: str, genre: str) -> dict[str, str]:
        n = [fold[part]["per_genre"].get(genre, 0) for fold in folds]
        artists = [fold[part]["artists_per_genre"].get(genre, 0) for fold in folds]
        return {"n": _span(n), "artists": _span(artists)}

    def total(part: str) -> dict[str, str]:
        n = [fold[part]["n"] for fold in folds]
        artists = [sum(fold[part]["artists_per_genre"].values()) for fold in folds]
        return {"n": _span(n), "artists": _span(artists)}

    shown = parts(results)
    rows = [
        {"genre": genre, "cells": [cell(part, genre) for part in shown]}
        for genre in results["data"]["genres"]
    ]
    return [*rows, {"genre": "all", "cells": [total(part) for part in shown]}]


def _span(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, value as TOML would have it)."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            rows.append((f"{prefix}{key}", ", ".join(str(item) for item in value)))
        else:
            text = str(value).lower() if isinstance(value, bool | None) else str(value)
            rows.append((f"{prefix}{key}", text))
    return rows


def _pictures(results: Results, figures: dict[str, Path]) -> dict[str, Picture]:
    alternative = alternatives(results)
    pictures = {}
    for name, (heading, caption) in CAPTIONS.items():
        png = figures[name].read_bytes()
        size = struct.unpack(">II", png[16:24])  # of the PNG's first chunk
        width, height = (round(pixels * PIXELS_PER_INCH / DPI) for pixels in size)
        source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
        pictures[name] = Picture(name, heading, caption, alternative[name], source, width, height)
    return pictures
