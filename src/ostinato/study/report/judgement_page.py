"""The page of a judged collection, and what the terminal prints of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ostinato.storage import write_text
from ostinato.study.judgement import GenreJudgement, Judgement
from ostinato.study.report.page import environment
from ostinato.study.report.words import percent, percent_span, percent_with_span

LISTED = 40
"""How many of the recordings that are named otherwise the page lists; the terminal, a few."""

FEW = 5

MOST_GENRES = 30
"""Genres up to which the confusion is a square; of more, the pairs most often confused are told."""


def headline(judged: Judgement, what: str) -> str:
    """The result in a sentence."""
    share, span = percent(judged.accuracy.mean), percent_span(judged.accuracy)
    n, n_genres, most = f"{judged.n:,}", len(judged.per_genre), percent(judged.majority)
    if judged.multi_label:
        return (
            f"{what} names a recording's own genre, or one of them, first for {share} of {n} (95% "
            f"interval {span}); macro-F1 of all that it names is {judged.macro_f1:.2f}. The most "
            f"frequent of {n_genres} genres is one of {most}."
        )
    return (
        f"{what} names {share} of {n} recordings as they are filed (95% interval {span}); always "
        f"naming the most frequent of {n_genres} genres would be right for {most}."
    )


def abstaining(judged: Judgement) -> str:
    """What the threshold does, in a sentence."""
    if judged.multi_label:
        return "Each genre has a threshold of its own, chosen for its F1."
    if judged.answered is None:
        return "It has no threshold: every recording gets a verdict."
    if judged.right_of_answered is None:
        return "At its threshold it would answer nothing."
    return (
        f"At its threshold it answers {percent(judged.answered)} of them, and "
        f"{percent(judged.right_of_answered)} of these answers are right."
    )


def write_judgement(
    judged: Judgement,
    path: Path,
    *,
    title: str,
    what: str,
    facts: Sequence[str],
    settings: Mapping[str, str],
) -> Path:
    """Write the page; MissingExtraError if Jinja is not installed.

    Parameters
    ----------
    what : str
        The subject of the headline: "The model".
    facts : sequence of str
        The line below the title.
    settings : dict of str to str
        For the end of the page.
    """
    template = environment().get_template("judgement.html.j2")
    square = len(judged.genres) <= MOST_GENRES and bool(judged.confusion)
    page = template.render(
        title=title,
        headline=headline(judged, what),
        abstaining=abstaining(judged),
        facts=facts,
        judged=judged,
        genres=sorted(judged.per_genre, key=lambda g: g.recall),
        spans={
            g.genre: percent_span(g.recall_interval) if g.recall_interval else ""
            for g in judged.per_genre
        },
        needing=[g for g in judged.per_genre if g.needs],
        square=_square(judged) if square else None,
        pairs=_pairs(judged),
        suspects=judged.suspects[:LISTED],
        listed=LISTED,
        settings=settings,
    )
    write_text(path, page)
    return path


def print_judgement(judged: Judgement, console: Console, *, what: str) -> None:
    """Print the headline, a table of genres, and the files to listen to again."""
    console.print(headline(judged, what))
    console.print(abstaining(judged))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("Genre", "Recordings", "Artists or albums", "Recall", "F1"):
        table.add_column(head, justify="left" if head == "Genre" else "right")
    table.add_column("Taken for")
    for genre in sorted(judged.per_genre, key=lambda g: g.recall):
        table.add_row(*map(Text, _row(genre)))
    console.print()
    console.print(table)
    for genre in judged.per_genre:
        if genre.needs:
            console.print(f"{genre.genre} needs {genre.needs}.", soft_wrap=True)
    if judged.suspects:
        console.print("\nListen to these again, they may be filed wrongly:")
    for suspect in judged.suspects[:FEW]:
        console.print(
            f"  {suspect.path or suspect.id}: {suspect.verdict} "
            f"({suspect.probability:.0%}), filed under {suspect.genre}",
            soft_wrap=True,
        )


def _row(genre: GenreJudgement) -> tuple[str, ...]:
    recall = (
        percent_with_span(genre.recall_interval) if genre.recall_interval else percent(genre.recall)
    )
    return (
        genre.genre,
        f"{genre.recordings:,}",
        f"{genre.groups:,}",
        recall,
        f"{genre.f1:.2f}",
        genre.confused_with or "-",
    )


def _square(judged: Judgement) -> list[dict[str, Any]]:
    """Rows of the confusion, of genres that occur: counts, and shares for their shade."""
    rows = []
    for genre, row in zip(judged.genres, judged.confusion, strict=True):
        total = sum(row)
        if total:
            cells = [{"n": n, "share": round(100 * n / total)} for n in row]
            rows.append({"genre": genre, "cells": cells})
    return rows


def _pairs(judged: Judgement) -> list[tuple[str, str, int]]:
    """Genres most often confused: true genre, verdict, recordings."""
    counted = [
        (true, said, n)
        for true, row in zip(judged.genres, judged.confusion, strict=False)
        for said, n in zip(judged.genres, row, strict=True)
        if n and true != said
    ]
    return sorted(counted, key=lambda pair: -pair[2])[:20]
