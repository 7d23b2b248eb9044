"""The plan of a study: its data, split and runs, before anything is trained."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ostinato import models
from ostinato.audio import AudioError, open_audio
from ostinato.datasets import Corpus, FrameCache, load_corpus
from ostinato.datasets.corpus import Listing, Recording
from ostinato.datasets.load import Progress
from ostinato.datasets.splits import (
    ARMS,
    N_SEGMENTS,
    SEGMENT_RANDOM,
    Split,
    check_split,
    leak_arm,
    segment_random,
    segmented,
    segmented_split,
    split_corpus,
)
from ostinato.errors import UsageError
from ostinato.study.config import StudyConfig
from ostinato.study.training_run import Recipe, Task, corpus_digest
from ostinato.training.settings import TrainingSettings
from ostinato.training.tracks import check_window


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, ready to run."""

    config: StudyConfig
    corpus: Corpus
    split: Split
    tasks: tuple[Task, ...]  # by model, then seed, then fold
    folder: Path


def load_data(
    config: StudyConfig,
    *,
    cache: Path | None = None,
    jobs: int | None = None,
    backend: str = "processes",
    progress: Progress | None = None,
) -> Corpus:
    """Load a study's corpus: :func:`ostinato.datasets.load.load_corpus` with its settings.

    UsageError before frames are computed if windows were chosen that no file fills.
    """
    return load_corpus(
        config.data,
        spec=config.spec,
        ear=config.ear,
        cache=FrameCache(cache),
        augmentation=config.waveform,
        n_jobs=jobs,
        backend=backend,
        progress=progress,
        check=partial(_check_chosen, config),
    )


def _check_chosen(config: StudyConfig, listing: Listing) -> None:
    """Refuse several genres a track, and windows that were chosen and that no file fills.

    The length of a file is the one that it states.
    """
    _check_labels(listing.name, listing.recordings)
    training, spec = config.training, config.spec
    if config.segments > 1 or training != training.fitting([1], spec):
        return  # they will fit
    longest = 0
    for path in listing.paths:  # the first one fills them, almost always
        try:
            with open_audio(path) as sound:
                seconds = sound.seconds
        except AudioError:
            continue  # it is told when frames are computed
        if seconds is None or seconds > spec.excerpt_seconds:
            return
        n_samples = round(seconds * spec.sample_rate_hz)
        longest = max(longest, 1 + max(0, n_samples - spec.n_fft) // spec.hop_samples)
        if longest >= training.window_frames:
            return
    if longest:
        check_window(longest, training, spec)


def _check_labels(name: str, recordings: Sequence[Recording]) -> None:
    """Refuse recordings of several genres: a study's figures are of one genre a recording."""
    several = next((r for r in recordings if r.also), None)
    if several is not None:
        raise UsageError(
            f"'{name}': a study compares models that name one genre, got several of "
            f"'{several.id}' ({', '.join(several.genres)}): ostinato train learns from them all."
        )


def plan_study(config: StudyConfig, corpus: Corpus, folder: Path | None = None) -> Plan:
    """Split the corpus and lay out the runs, without training anything.

    Without a folder the study gets one below ``runs/``, named for data, split and recipe, so that
    other settings never meet in one folder. UsageError if the corpus has not the copies that the
    settings ask for, or windows or a model's settings do not fit its frames; DataError if it cannot
    be split so.
    """
    _check_labels(corpus.name, corpus.recordings)
    config, corpus, split = _divided(config, corpus.with_copies_of(config.waveform))
    for fold in split.folds:
        longest = max(len(corpus.frames[i]) for i in corpus.positions(fold.train))
        check_window(longest, config.training, corpus.spec)
    data = corpus_digest(corpus)
    recipes = {
        name: Recipe(
            family=name,
            settings=config.model_settings(name),
            training=config.training,
            data=data,
            split=split.digest(),
            test=config.test,
        )
        for name in config.models
    }
    for (
        name
    ) in config.models:  # settings that do not fit the frames are told before anything is kept
        with torch.random.fork_rng(devices=[]):
            model = models.build(
                name, spec=corpus.spec, n_genres=len(corpus.genres), settings=recipes[name].settings
            )
            _try(name, model, torch.zeros(1, config.training.window_frames, corpus.spec.n_features))
    folder = folder or _default_folder(config, corpus, split, data)
    tasks = tuple(
        Task(
            recipe=recipes[name],
            seed=seed,
            fold=k,
            parts=fold,
            # Absolute: worker processes may have been started in another folder.
            folder=folder.absolute() / "models" / name / f"seed{seed}-fold{k}",
        )
        for name in config.models
        for seed in range(config.seeds)
        for k, fold in enumerate(split.folds)
    )
    return Plan(config=config, corpus=corpus, split=split, tasks=tasks, folder=folder)


def fitted(config: StudyConfig, corpus: Corpus) -> TrainingSettings:
    """The training's settings, with windows that fit the recordings where none were chosen."""
    return config.training.fitting([len(frames) for frames in corpus.frames], corpus.spec)


def unfitted(config: StudyConfig, corpus: Corpus) -> TrainingSettings:
    """The same, for recordings that are long enough."""
    return config.training.fitting([sys.maxsize], corpus.spec)


def _try(name: str, model: models.GenreModel, window: torch.Tensor) -> None:
    """Refuse windows too short for a model; (1, T, F)."""
    try:
        with torch.no_grad():
            model.eval()(window)
    except (UsageError, RuntimeError, ArithmeticError) as error:
        why = str(error) if isinstance(error, UsageError) else "Its layers leave no step of them."
        raise UsageError(
            f"training.window_frames: expected longer windows for '{name}', got "
            f"{window.shape[1]} frames. {why}"
        ) from error


def _divided(config: StudyConfig, corpus: Corpus) -> tuple[StudyConfig, Corpus, Split]:
    """The split, and its corpus: whole recordings, or their pieces with windows that fit."""
    n = config.segments
    if n == 1 and config.split in (SEGMENT_RANDOM, *ARMS):
        n = N_SEGMENTS
    if config.split == SEGMENT_RANDOM:
        split = segment_random(corpus, n, seed=config.split_seed)
    elif config.split in ARMS:
        split = leak_arm(corpus, config.split, n, seed=config.split_seed)
    else:
        split = split_corpus(
            corpus,
            config.split,
            seed=config.split_seed,
            shares=config.shares,
            repeats=config.repeats,
        )
        split = segmented_split(split, n) if n > 1 else split
    if n == 1:
        return replace(config, training=fitted(config, corpus)), corpus, split
    corpus = segmented(corpus, n)
    # A window longer than a piece would be the piece more than once.
    longest = max(len(frames) for frames in corpus.frames)
    whole = unfitted(config, corpus)
    training = replace(
        config.training,
        window_frames=min(whole.window_frames, longest),
        window_hop=min(whole.window_hop, longest),
    )
    return replace(config, segments=n, training=training), corpus, check_split(corpus, split)


def _default_folder(config: StudyConfig, corpus: Corpus, split: Split, data: str) -> Path:
    """Named for data and split, and for all else that decides a run's figures but its model."""
    facts = [data, split.digest(), config.test, config.training.to_dict(), config.settings]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:6]
    choosing = "" if config.test else "-no-test"
    return Path("runs") / f"{corpus.name}-{split.name}{choosing}-{digest}"
