"""Which model learns a collection best, by its size: the choice that ``ostinato train`` makes.

The figures behind it are those of ``docs/guide/your-own-genres.md``: artist-grouped folds of GTZAN
with 3 to 40 tracks a genre.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from statistics import median_low
from typing import Any

from ostinato import models
from ostinato.datasets import Corpus
from ostinato.training.settings import TrainingSettings

ENOUGH = 40
"""Recordings a genre, in the median, from which a network is trained instead of solved for."""

UNBALANCED = 1.5
"""Times as many recordings in the largest genre as in the smallest from which genres are weighed
alike."""


@dataclass(frozen=True, kw_only=True)
class ChosenRecipe:
    """A family with its settings and those of its training, and why they were chosen."""

    family: str
    settings: Any  # the family's dataclass
    training: TrainingSettings
    why: str  # a sentence


def choose_recipe(
    corpus: Corpus, family: str | None = None, *, training: TrainingSettings | None = None
) -> ChosenRecipe:
    """Choose what learns a corpus; None for ``family`` chooses by its size.

    Below :data:`ENOUGH` recordings a genre it is the discriminant, which is solved for in a second.
    From there on it is a network: the fusion, or the residual LSTM on what an ear hears. Windows
    fit the recordings, and genres of unequal size are balanced.

    UsageError if there is no such family.
    """
    counts = Counter(genre for r in corpus.recordings for genre in r.genres)
    usual = median_low(counts.values())
    external = corpus.spec.kind == "external"
    size = f"{usual} recordings a genre (the median)"
    if family is not None:
        why = f"{models.family(family).label}, which was asked for"
    elif usual < ENOUGH or len(set(corpus.groups)) < 2 * len(counts):
        family = "discriminant"
        why = f"linear discriminant analysis, because it learns most from {size}"
    else:
        family = "residual-lstm" if external else "fusion"
        why = f"{models.family(family).label}, because {size} are enough for a network"
    chosen = training or TrainingSettings()
    if max(counts.values()) >= UNBALANCED * min(counts.values()) and not chosen.balanced:
        chosen = replace(chosen, balanced=True)
        why += "; genres weigh the same, though they differ in size"
    return ChosenRecipe(
        family=family,
        settings=models.parse_settings(family, {}, external=external),
        training=chosen.fitting([len(frames) for frames in corpus.frames], corpus.spec),
        why=f"{why[0].upper()}{why[1:]}.",
    )
