"""Views of result files: what stands in a block of figures of the documentation.

A view takes a record, as :mod:`fill_figures` keeps it, and the arguments of the block, and returns
the block's text.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

REPOSITORY = Path(__file__).parents[1]
RECORDS = Path("studies/results")
#: Figures of a genre that pages show.
SHOWN = ("recall", "precision")


class FiguresError(Exception):
    """A block, or a result file, that cannot be used."""


def read_record(name: str, root: Path = REPOSITORY) -> dict[str, Any]:
    """A result file by its name, or any JSON or CSV file (``rows``) by its path."""
    path = root / (name if Path(name).suffix in (".json", ".csv") else RECORDS / f"{name}.json")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            return {"rows": list(csv.DictReader(io.StringIO(text)))}
        found: dict[str, Any] = json.loads(text)
    except (OSError, ValueError) as error:
        raise FiguresError(f"figures: {name}: {path} cannot be read: {error}") from error
    return found


# The views.


def terminal(record: dict[str, Any]) -> str:
    """What ``ostinato study`` prints, by the code that prints it."""
    from ostinato.study.report.table import print_sweep
    from ostinato.study.report.terminal import print_summary

    console = Console(file=io.StringIO(), width=90, color_system=None, highlight=False)
    if "results" in record:
        print_summary(_study(record), console, times=False)  # they are a machine's
    else:
        print_sweep(_sweep(record), console)
    return _fenced(console.file.getvalue())  # type: ignore[attr-defined]


def sweep(record: dict[str, Any]) -> str:
    """The table of a study with variants, and its notes."""
    from ostinato.study.report.table import sweep_markdown

    table, _, notes = sweep_markdown(_sweep(record)).partition("\n\n")[2].partition("\n\n")
    wrapped = [textwrap.fill(note, 120, break_on_hyphens=False) for note in notes.splitlines()]
    return "\n\n".join([table, *filter(None, wrapped)])


def models(record: dict[str, Any]) -> str:
    """A row a model of a study: accuracies with their intervals, macro F1, gap."""
    results = _study(record)
    part = results.examined
    judged = results.parts[1:]
    heads = ["model", "parameters", *(f"{p} accuracy" for p in judged), f"{part} macro F1", "gap"]
    if free := next(iter(results.models.values())).test_accuracy_artist_free:
        heads.append(f"{free.n} tracks by other artists")
    rows = [
        [
            model.label,
            f"{model.parameters:,}",
            *(_percent(model.accuracy(p)) for p in judged),
            f"{model.macro_f1(part).mean:.3f}",
            _points(model.gap),
            *([_percent(free)] if (free := model.test_accuracy_artist_free) else []),
        ]
        for model in results.models.values()
    ]
    return _table(heads, rows)


def pairs(record: dict[str, Any]) -> str:
    """A row a pair of models of a study: difference, interval, and p by Holm."""
    from ostinato.study.report.words import bare_p

    results = _study(record)
    label = {name: model.label for name, model in results.models.items()}
    rows = [
        [f"{label[p.a]} against {label[p.b]}", _points(p.difference), bare_p(p.p_holm)]
        for p in results.comparisons
    ]
    return _table([f"{results.examined} accuracy", "difference", "p (Holm)"], rows)


def genres(record: dict[str, Any], model: str) -> str:
    """Recall and precision of every genre by one model of a study, with warnings beside them."""
    results = _study(record)
    census = [fold.parts[results.examined] for fold in results.split.folds]
    rows = []
    for genre, own in results.models[model].per_genre[results.examined].items():
        rows.append(
            [
                genre,
                str(sum(part.per_genre[genre] for part in census)),
                f"{own.artists}{_few(own.artists)}",
                *(_of_genre(getattr(own, key), own.intervals[key], own.artists) for key in SHOWN),
            ]
        )
    return _table(["genre", "tracks", "artists", *SHOWN], rows)


def parts(record: dict[str, Any]) -> str:
    """Tracks and artists of every part of a study without folds."""
    from ostinato.study.report.reading import FEW_ARTISTS

    (fold,) = _study(record).split.folds
    rows = [
        [
            name,
            f"{own.n:,}",
            f"{sum(own.artists_per_genre.values()):,} and {own.unknown_artists} unknown",
            ", ".join(
                f"{genre} {n}" for genre, n in own.artists_per_genre.items() if n < FEW_ARTISTS
            ),
        ]
        for name, own in fold.parts.items()
    ]
    return _table(
        ["part", "tracks", "artists", f"genres of fewer than {FEW_ARTISTS} artists"], rows
    )


def artists(record: dict[str, Any], part: str) -> str:
    """By how many artists a part is, a track of unknown artist counted as one of its own."""
    (fold,) = _study(record).split.folds
    own = fold.parts[part]
    return str(sum(own.artists_per_genre.values()) + own.unknown_artists)


def weights(record: dict[str, Any]) -> str:
    """Genres in the figures of the weights that ship: the test part, and recall on the folds."""
    own = record["splits"]["fault-filtered"]["per_genre"]["test"]
    folds = record["splits"]["artist-folds"]["per_genre"]["valid"]
    rows = [
        [
            genre,
            str(scores["support"]),
            f"{scores['artists']}{_few(scores['artists'])}",
            *(_of_genre(scores[key], scores["intervals"][key], scores["artists"]) for key in SHOWN),
            _of_genre(
                folds[genre]["recall"],
                folds[genre]["intervals"]["recall"],
                folds[genre]["artists"],
            ),
        ]
        for genre, scores in own.items()
    ]
    heads = ["genre", "tracks", "artists", *SHOWN, "recall on the folds"]
    return _table(heads, rows)


def looks(record: dict[str, Any]) -> str:
    """A row a look of a ledger of test parts: its recipe, and what it found, in per cent."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in record["rows"]:
        key = tuple(row[name] for name in ("when", "commit", "split", "study", "model", "seeds"))
        found.setdefault(key, {})[row["system"]] = row["accuracy"]
    rows = [
        [
            when[:10],
            commit,
            *rest,
            *(
                f"{100 * float(systems[name]):.1f}" if systems.get(name) else ""
                for name in ("single", "ensemble")
            ),
        ]
        for (when, commit, *rest), systems in found.items()
    ]
    heads = ["day", "commit", "split", "study", "model", "seeds", "one training", "their mean"]
    return _table(heads, rows)


def output(record: dict[str, Any]) -> str:
    """What a command printed."""
    return _fenced(record["output"])


def value(record: dict[str, Any], path: str, form: str = "") -> str:
    """One value at a path of keys with dots between: as ``percent``, ``points`` or a ``number``."""
    found: Any = record
    for key in path.split("."):
        try:
            found = found[int(key) if isinstance(found, list) else key]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise FiguresError(f"there is no '{key}' of '{path}'") from error
    if isinstance(found, dict):
        from ostinato.evaluation.significance import Interval

        bounds = Interval(*(float(found[key]) for key in ("mean", "low", "high")))
        return _points(bounds) if form == "points" else _percent(bounds)
    if isinstance(found, float):
        return {"percent": f"{100 * found:.1f} %", "points": f"{100 * found:+.1f}"}.get(
            form, f"{found:.3f}"
        )
    return f"{found:,}" if isinstance(found, int) else str(found)


def parameters(_: None, model: str, study: str = "", times: str = "1") -> str:
    """How many numbers a model has, with the settings of a study's TOML: counted from the model."""
    from ostinato.datasets.gtzan import GENRES
    from ostinato.models import count_parameters
    from ostinato.models.registry import build
    from ostinato.study.config import StudyConfig, load_config

    config = load_config(REPOSITORY / study) if study else StudyConfig(models=(model,))
    settings = config.model_settings(model)
    built = build(model, spec=config.spec, n_genres=len(GENRES), settings=settings)
    return f"{int(times) * count_parameters(built):,}"


VIEWS: dict[str, Callable[..., str]] = {
    view.__name__: view
    for view in (
        terminal,
        sweep,
        models,
        pairs,
        genres,
        parts,
        artists,
        weights,
        looks,
        output,
        value,
        parameters,
    )
}


def render(what: str, root: Path = REPOSITORY) -> str:
    """The text of a block from what its first comment says: a name, a view, arguments."""
    name, view, *arguments = [*shlex.split(what), "", ""]
    arguments = arguments[:-2]
    if view not in VIEWS:
        raise FiguresError(f"figures: {what}: expected a view of {', '.join(VIEWS)}; got '{view}'")
    record = None if name == "code" else read_record(name, root)
    try:
        return VIEWS[view](record, *arguments)
    except (FiguresError, KeyError, TypeError, ValueError) as error:
        raise FiguresError(f"figures: {what}: {error}") from error


# Words.


def _study(record: dict[str, Any]) -> Any:
    from ostinato.study.results.files import parse_results

    return parse_results(json.dumps(record["results"]), "the record")


def _sweep(record: dict[str, Any]) -> Any:
    from pydantic import TypeAdapter

    from ostinato.study.results.tables import SweepTable

    return TypeAdapter(SweepTable).validate_python(record["table"])


def _percent(found: Any) -> str:
    return f"{100 * found.mean:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _points(found: Any) -> str:
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _few(artists: int) -> str:
    from ostinato.study.report.reading import FEW_ARTISTS

    return f" (fewer than {FEW_ARTISTS})" if artists < FEW_ARTISTS else ""


def _of_genre(share: float, bounds: Sequence[float] | None, artists: int) -> str:
    """A share of a genre in per cent with its interval, or why it has none that means anything."""
    if bounds is None or bounds[0] == bounds[1]:
        return (
            f"{100 * share:.0f} (no interval: {artists} {'artist' if artists == 1 else 'artists'})"
        )
    return f"{100 * share:.0f} ({100 * bounds[0]:.0f} to {100 * bounds[1]:.0f})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("| --- ", "|---")


def _fenced(text: str) -> str:
    body = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
    return f"```\n{body}\n```"
