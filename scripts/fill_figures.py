"""Fills the figures of the documentation from small result files.

::

    python scripts/fill_figures.py                     # fill every block of every page
    python scripts/fill_figures.py --check             # only name the pages that are out of date
    python scripts/fill_figures.py --keep runs/gtzan   # a study -> studies/results/gtzan.json
    python scripts/fill_figures.py --keep-output levels python benchmarks/levels.py

``--keep`` takes what the pages need from ``results.json`` (a study) or ``table.json`` (a study with
variants), ``--keep-output`` takes what a command prints. Both note the command, the commit and the
day. A page marks a block with two comments::

    <!-- figures: gtzan terminal -->
    ...
    <!-- end -->

The first names a result file (or the path of any JSON file) and a view of :data:`VIEWS`. Around one
figure the comments stand within a line. The name ``code`` is for what code counts, from no file.
``tests/test_figures.py`` fails where a page and its file differ.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

REPOSITORY = Path(__file__).parents[1]
RECORDS = Path("studies/results")
CARD = Path("src/ostinato/weights/README.md")

#: Tables below these headings need no block: nothing that can be run now prints them.
EXEMPT = (
    "Figures of earlier versions",
    "Prototype trials (no command)",
    "Published figures",
    "Speed of one machine",
)
_LATER = ("splits.md",)

#: Figures of a genre that pages show.
SHOWN = ("recall", "precision")

_BLOCK = re.compile(r"(<!-- figures: (?P<what>[^\n]*?) -->)(?P<body>.*?)(<!-- end -->)", re.S)
#: A share or a score: not a size or a time, which are the machine's.
_FIGURE = re.compile(r"\d\.\d+(?!\d*\s?(?:[kM]B|m?s|k?Hz)\b)|\d\s?%")


class FiguresError(Exception):
    """A block, or a result file, that cannot be used."""


def pages(root: Path = REPOSITORY) -> list[Path]:
    """The pages whose tables of figures must stand in blocks."""
    folders = [root / "docs" / name for name in ("research", "reference")]
    found = [root / "README.md", root / CARD]
    found += [page for folder in folders for page in sorted(folder.rglob("*.md"))]
    return [page for page in found if page.is_file() and page.name not in _LATER]


# Views: a record and arguments -> text of a block.


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

    return sweep_markdown(_sweep(record)).partition("\n\n")[2].strip()


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


# Blocks of a page.


@dataclass(frozen=True)
class Block:
    """A marked stretch of a page: what its first comment says, and what stands in it."""

    what: str
    body: str

    @classmethod
    def of(cls, match: re.Match[str]) -> Block:
        """The block that :data:`_BLOCK` found."""
        return cls(match["what"], match["body"])

    @property
    def name(self) -> str:
        """The record that it is filled from, or ``code``."""
        return self.what.split()[0] if self.what.strip() else ""

    def due(self, root: Path = REPOSITORY) -> str:
        """What should stand in it; FiguresError if that cannot be told."""
        own_lines = "\n" if self.body.startswith("\n") else ""
        return f"{own_lines}{render(self.what, root)}{own_lines}"


def blocks(text: str) -> list[Block]:
    """The blocks of a page, in order; FiguresError where one does not end."""
    found = [Block.of(match) for match in _BLOCK.finditer(text)]
    if len(found) != text.count("<!-- figures:") or any("<!-- figures:" in b.body for b in found):
        raise FiguresError("a block of figures has no <!-- end -->")
    return found


def filled(text: str, root: Path = REPOSITORY) -> str:
    """A page's text with every block filled; FiguresError names a block that cannot be."""
    blocks(text)  # each has an end
    return _BLOCK.sub(lambda match: f"{match[1]}{Block.of(match).due(root)}{match[4]}", text)


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


def strays(text: str) -> list[str]:
    """First lines of tables and printed output with figures, outside blocks and exempt headings."""
    found, exempt_at, fence, table = [], 0, False, False
    for line in _BLOCK.sub("", text).splitlines():
        if line.startswith("```"):
            fence, table = not fence, False
        elif not fence and (heading := re.match(r"(#+) (.*)", line)):
            level = len(heading[1])
            if exempt_at == 0 or level <= exempt_at:
                exempt_at = level if heading[2] in EXEMPT else 0
        table &= line.startswith("|") or fence
        inside = line.startswith("|") or (fence and not re.search(r"#|ostinato |=", line))
        if inside and not table and not exempt_at and _FIGURE.search(line):
            found.append(line)
            table = True
    return found


# Records.


def keep(folder: Path, command: str) -> dict[str, Any]:
    """The record of a finished study, or of one with variants."""
    from ostinato.study.results import RESULTS
    from ostinato.study.sweep import TABLE

    kept = {"results": RESULTS, "table": TABLE}
    for key, file in kept.items():
        if (folder / file).is_file():
            found = json.loads((folder / file).read_text(encoding="utf-8"))
            (_slim_study if key == "results" else _slim_sweep)(found)
            return _stamp(command) | {key: found}
    raise FiguresError(f"Expected {' or '.join(kept.values())} in {folder}, got neither.")


def keep_output(command: Sequence[str]) -> dict[str, Any]:
    """The record of what a command prints."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    return _stamp(shlex.join(command)) | {"output": done.stdout}


def _slim_study(found: dict[str, Any]) -> None:
    """Leave out what no page shows, and what makes ``results.json`` large."""
    for model in found["models"].values():
        model["runs"] = []
        model.pop("gradient_norms", None)
        for name in ("confidence", "ensemble_confidence"):
            if model[name]:
                model[name]["reliability"] = []
                model[name]["risk_coverage"] |= {"coverage": [], "risk": []}


def _slim_sweep(found: dict[str, Any]) -> None:
    for row in found["rows"]:
        row["gradient_norms"] = None


def _stamp(command: str) -> dict[str, Any]:
    return {"command": command, "commit": _commit(), "kept": f"{datetime.now(UTC):%Y-%m-%d}"}


def _commit() -> str:
    """The commit of the code, ``-dirty`` where modules differ from it."""
    commit, changed = (
        subprocess.run(
            ["git", *command], check=True, capture_output=True, text=True, cwd=REPOSITORY
        )
        for command in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--", "src"))
    )
    return commit.stdout.strip() + ("-dirty" if changed.stdout else "")


def _study(record: dict[str, Any]) -> Any:
    from ostinato.study.results.files import parse_results

    return parse_results(json.dumps(record["results"]), "the record")


def _sweep(record: dict[str, Any]) -> Any:
    from pydantic import TypeAdapter

    from ostinato.study.results.tables import SweepTable

    return TypeAdapter(SweepTable).validate_python(record["table"])


# Words.


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


def stale(root: Path = REPOSITORY) -> Iterator[tuple[Path, str]]:
    """Pages that differ from their result files, with the text that they should have."""
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        if (now := filled(text, root)) != text:
            yield page, now


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Fills the blocks of figures in the documentation."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page is stale")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of a finished study")
    parser.add_argument("--as", dest="name", help="name of the record; else that of the folder")
    parser.add_argument("--command", help="else: ostinato study studies/NAME.toml --out runs/NAME")
    parser.add_argument("--keep-output", nargs=argparse.REMAINDER, metavar="NAME COMMAND")
    asked = parser.parse_args(arguments)
    try:
        if asked.keep:
            name = asked.name or asked.keep.name
            command = asked.command or f"ostinato study studies/{name}.toml --out runs/{name}"
            _write(name, keep(asked.keep, command))
        elif asked.keep_output:
            name, *command = asked.keep_output
            _write(name, keep_output(command))
        found = list(stale(REPOSITORY))
    except (FiguresError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    for page, text in found:
        print(f"{page.relative_to(REPOSITORY)}: {'out of date' if asked.check else 'filled'}")
        if not asked.check:
            page.write_text(text, encoding="utf-8")
    return int(asked.check and bool(found))


def _write(name: str, record: dict[str, Any]) -> None:
    path = REPOSITORY / RECORDS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
