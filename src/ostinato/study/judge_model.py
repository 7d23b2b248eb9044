"""Any model file judged on any labelled collection: what ``ostinato evaluate`` runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ostinato.datasets import Corpus, FrameCache, load_corpus
from ostinato.datasets.load import Progress
from ostinato.errors import DataError, first_of
from ostinato.inference.classifier import Classifier
from ostinato.inference.model_info import ModelInfo
from ostinato.inference.registry import find_ear, model_path
from ostinato.inference.verdict import UNSURE
from ostinato.study.judgement import Judgement, judge
from ostinato.study.learned_from import overlap


@dataclass(frozen=True, kw_only=True)
class JudgedModel:
    """A model file's judgement on a collection."""

    name: str
    info: ModelInfo
    corpus: Corpus
    judgement: Judgement


def judge_model(
    model: str | Path,
    data: str | Path,
    *,
    cache: Path | None = None,
    jobs: int | None = None,
    backend: str = "processes",
    progress: Progress | None = None,
) -> JudgedModel:
    """Judge a model file on a folder or table of audio whose genres are its own.

    The model hears all of every recording; frames are cached, so an interrupted call resumes.
    Genres are matched by name, whatever their case; recordings of other genres are left out, and
    told.

    Raises
    ------
    UsageError
        If there is no such model or collection.
    DataError
        If the model or the collection cannot be used, or no genre of it is the model's.
    """
    classifier = Classifier.load(model)
    info = classifier.info
    external = info.spec.kind == "external"
    ear = find_ear(info.spec, model=model_path(model)) if external else None
    corpus = load_corpus(
        data,
        spec=info.spec if ear is None else ear.spec,
        ear=None if ear is None else ear.path,
        cache=FrameCache(cache),
        n_jobs=jobs,
        backend=backend,
        progress=progress,
        least=1,
    )
    notes = [*overlap(info, corpus), *corpus.notes]
    notes += [f"Passed over: {s.id}: {s.reason}" for s in corpus.skipped]
    corpus, unknown = _known(corpus, info)
    if unknown:
        listed = first_of([f"{genre} ({n})" for genre, n in sorted(unknown.items())], 12)
        notes.append(f"Left out are genres that the model does not know: {listed}.")
    probabilities = np.zeros((len(corpus), len(info.genres)))
    abstained = np.zeros(len(corpus), bool)
    place = {genre: i for i, genre in enumerate(info.genres)}
    for i, frames in enumerate(corpus.frames):
        verdict = classifier.classify(frames=np.asarray(frames))
        for genre, probability in verdict.ranked:
            probabilities[i, place[genre]] = probability
        abstained[i] = verdict.abstained not in (None, UNSURE)
        if progress:
            progress(i + 1, len(corpus), corpus.recordings[i].id)
    judgement = judge(
        corpus,
        probabilities,
        info.genres,
        threshold=info.threshold,
        thresholds=info.thresholds,
        abstained=abstained,
        notes=notes,
    )
    return JudgedModel(name=classifier.name, info=info, corpus=corpus, judgement=judgement)


def _known(corpus: Corpus, info: ModelInfo) -> tuple[Corpus, Counter[str]]:
    """The recordings of the model's genres, as it spells them; and how many others there are."""
    spelled = {genre.casefold(): genre for genre in info.genres}
    recordings, frames = [], []
    unknown: Counter[str] = Counter()
    for r, own in zip(corpus.recordings, corpus.frames, strict=True):
        known = [spelled[g.casefold()] for g in r.genres if g.casefold() in spelled]
        unknown.update(g for g in r.genres if g.casefold() not in spelled)
        if known:
            recordings.append(replace(r, genre=known[0], also=tuple(known[1:])))
            frames.append(own)
    if not recordings:
        raise DataError(
            f"Expected recordings of the model's genres, {first_of(list(info.genres), 12)}, in "
            f"'{corpus.source}', got {first_of(sorted(unknown), 12)}."
        )
    return replace(corpus, recordings=tuple(recordings), frames=tuple(frames)), unknown
