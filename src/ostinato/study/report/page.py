"""The page of a study: one HTML file that needs nothing else, from results and figures.

The template ``report.html.j2`` lies beside this module, its style beside
:func:`ostinato.plotting.templates`. All text is escaped, figures are embedded, and nothing is
fetched or run when the page is read.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ostinato.errors import UsageError
from ostinato.plotting import DPI, not_drawn, templates
from ostinato.storage import write_text
from ostinato.study.report.captions import CAPTIONS, alternatives
from ostinato.study.report.caveats import LEAKING, NO_TEST
from ostinato.study.report.claim import claim_sentence
from ostinato.study.report.findings import findings, headline
from ostinato.study.report.reading import (
    ALPHA,
    FEW_ARTISTS,
    SMALL_PART,
    colours,
    confidences,
    difference,
    gap_difference,
    genre_f1,
    kind,
    support,
    winner,
)
from ostinato.study.report.words import (
    NOUNS,
    bare_p,
    count,
    over_seeds,
    percent,
    percent_span,
    points,
    points_span,
)
from ostinato.study.results.schema import StudyResults

#: Width in CSS pixels of an inch of a figure, so that its text is about the size of the page's.
PIXELS_PER_INCH = 110
#: How many of the recordings that every model gets wrong the page lists.
LISTED = 60
#: Caveats that stand above everything else.
WARNINGS = (LEAKING, NO_TEST)
#: What a verdict on a part of the claim is called; an answer's is called by its name.
BADGES = {"yes": "shown", "no": "refuted", "undecided": "not decided"}


def write_page(results: StudyResults, figures: dict[str, Path], out: Path) -> Path:
    """Write the report of a study, whole or not at all, with the figures of ``draw_all``.

    UsageError if a figure is missing; MissingExtraError if jinja2 is not installed.
    """
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
    """Jinja with the templates beside this module; every value is escaped."""
    made = templates(Path(__file__).parent, needed_for="The report")
    made.filters |= {
        "minus": _minus,
        "percent": percent,
        "span": percent_span,
        "tenths": lambda share: percent(share).removesuffix("%"),
        "points": points,
    }
    return made


def not_drawn_note(names: Iterable[str]) -> list[str]:
    """A sentence if no installed font has all characters of these names, which figures show."""
    if not (missing := not_drawn(names)):
        return []
    return [
        f"No installed font has the characters {missing}: in the figures boxes stand for them. "
        "With a font that has them, such as Noto Sans CJK, run the same study again; nothing is "
        "trained anew."
    ]


def _minus(text: str) -> str:
    """Set the hyphen before a figure as a minus sign."""
    return re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", text)


def _context(results: StudyResults) -> dict[str, Any]:
    found = findings(results)
    part = results.examined
    return {
        "results": results,
        "facts": _facts(results),
        "headline": headline(results),
        "part": NOUNS[part],
        "parts": {name: NOUNS[name] for name in results.parts},
        "examined": part,
        "seeds": over_seeds(results.n_seeds),
        "majority": results.split.majority[part],
        "colours": colours(results.models),
        "best": winner(results),
        "answers": [f for f in found if f.topic == "answer"],
        "claim": claim_sentence(results),
        "claims": [f for f in found if f.topic == "claim"],
        "badges": BADGES,
        "warnings": [f for f in found if f.question in WARNINGS],
        "caveats": [f for f in found if f.topic == "caveat" and f.question not in WARNINGS],
        "pairs": _pairs(results),
        "alpha": ALPHA,
        "small_part": SMALL_PART,
        "kind": kind(results),
        "few_artists": FEW_ARTISTS,
        "not_drawn": not_drawn_note(results.data.genres),
        "drawn": "artist" if results.data.artists_known else "recording",
        "genres": list(reversed(genre_f1(results))),
        "support": support(results, part),
        "confidences": confidences(results),
        "missed": results.missed.recordings[:LISTED],
        "census": _census(results),
        "settings": flat({k: v for k, v in results.config.items() if k != "title"}),
        "spec": flat(results.data.spec),
    }


def _facts(results: StudyResults) -> list[str]:
    """The line below the title."""
    data = results.data
    sizes = ", ".join(f"{results.n_recordings(p):,} {NOUNS[p]}" for p in results.parts)
    folds = len(results.split.folds)
    finished = max(run.finished for model in results.models.values() for run in model.runs)
    return [
        f"{data.name}: {count(data.n_recordings, 'recording')}, {count(len(data.genres), 'genre')}",
        f"split {results.split.name}: "
        + (sizes if folds == 1 else f"{folds} folds, {sizes} recordings in all folds together"),
        over_seeds(results.n_seeds),
        f"finished {finished[:10]}",
        f"Ostinato {results.ostinato}",
    ]


def _pairs(results: StudyResults) -> list[dict[str, Any]]:
    """Every pair of models: the difference of accuracies, and of gaps."""
    figures = (
        (f"{NOUNS[results.examined]} accuracy", results.comparisons, difference),
        ("over-fitting gap", results.gap_comparisons, gap_difference),
    )
    return [
        {
            "kind": kind,
            "a": results.models[pair.a].label,
            "b": results.models[pair.b].label,
            "difference": found,
            "span": points_span(found),
            "p": "no test" if found.p_holm is None else bare_p(found.p_holm),
        }
        for kind, pairs, read in figures
        for pair in pairs
        for found in [read(results, pair.a, pair.b)]
    ]


def _census(results: StudyResults) -> list[dict[str, Any]]:
    """Recordings and artists of each genre in each part; ranges where folds differ."""
    parts = [[fold.parts[part] for fold in results.split.folds] for part in results.parts]
    rows = [
        {
            "genre": genre,
            "cells": [
                {
                    "n": _span([fold.per_genre.get(genre, 0) for fold in folds]),
                    "artists": _span([fold.artists_per_genre.get(genre, 0) for fold in folds]),
                }
                for folds in parts
            ],
        }
        for genre in results.data.genres
    ]
    total = [
        {
            "n": _span([fold.n for fold in folds]),
            "artists": _span([sum(fold.artists_per_genre.values()) for fold in folds]),
        }
        for folds in parts
    ]
    return [*rows, {"genre": "all", "cells": total}]


def _span(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, value as TOML would have it)."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            rows.append((f"{prefix}{key}", ", ".join(map(str, value))))
        else:
            text = str(value).lower() if isinstance(value, bool | None) else str(value)
            rows.append((f"{prefix}{key}", text))
    return rows


def _pictures(results: StudyResults, figures: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Every figure with its heading and texts, embedded."""
    alternative = alternatives(results)
    pictures = {}
    for name, (heading, caption) in CAPTIONS.items():
        size = struct.unpack(">II", figures[name].read_bytes()[16:24])  # of the PNG's first chunk
        width, height = (round(pixels * PIXELS_PER_INCH / DPI) for pixels in size)
        pictures[name] = {
            "name": name, "heading": heading, "caption": caption, "alternative": alternative[name],
            "source": embedded(figures[name]), "width": width, "height": height,
        }  # fmt: skip
    return pictures


def embedded(png: Path) -> str:
    """A PNG as a URL that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode('ascii')}"
