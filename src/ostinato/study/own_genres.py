"""From a folder of somebody's own genres to a judged model file: what ``ostinato train`` runs.

The collection is heard, divided into folds that keep artists, albums and copies together, learned
once a fold to be judged and once as a whole to be used. What is finished is kept below the cache
until the file is written, so the same command resumes after an interruption.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostinato import models, parallel
from ostinato.datasets import Corpus, FrameCache, load_corpus
from ostinato.datasets.audit import SPEC, join_copies
from ostinato.datasets.compute import FileFrames, compute_frames
from ostinato.datasets.load import MIN_GENRES, MIN_RECORDINGS, Progress
from ostinato.datasets.splits import Fold, Split, grouped_folds
from ostinato.errors import DataError, first_of
from ostinato.evaluation import apply_temperature
from ostinato.features import FeatureSpec
from ostinato.inference.model_info import ModelInfo
from ostinato.inference.registry import FETCHED, fetched_path, own_path
from ostinato.storage import expanded, is_file, replacing
from ostinato.study.config import StudyConfig
from ostinato.study.judgement import Judgement, judge
from ostinato.study.learned_from import learned_from
from ostinato.study.report.words import count
from ostinato.study.tracking import Tracked
from ostinato.study.training_run import Recipe, corpus_digest
from ostinato.training import TrainedModel, train
from ostinato.training.curves import Curves
from ostinato.training.finish import PRECISION, finish, fit_confidence, write
from ostinato.training.recipe import ChosenRecipe, choose_recipe
from ostinato.training.settings import TrainingSettings

EAR = next(iter(FETCHED))

_SOLVED = ("discriminant", "baseline")  # without epochs

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class LearnedGenres:
    """A model file of somebody's genres, how good it is, and what was chosen."""

    path: Path
    info: ModelInfo
    recipe: ChosenRecipe
    corpus: Corpus
    judgement: Judgement
    curves: Curves  # of the training on everything

    def tracked(self, page: Path) -> Tracked:
        """The training as TensorBoard and MLflow show it (:mod:`ostinato.study.tracking`)."""
        judged = self.judgement
        named = {g: re.sub(r"[^\w. -]", "_", g.genre) for g in judged.per_genre}  # as MLflow asks
        recalls = {f"recall/{name}": genre.recall for genre, name in named.items()}
        return Tracked(
            name=self.info.name,
            settings=self.settings,
            metrics={"accuracy": judged.accuracy.mean, "macro_f1": judged.macro_f1, **recalls},
            curves=self.curves,
            files=[self.path, page],
        )

    @property
    def facts(self) -> list[str]:
        """The line below the page's title."""
        return [
            f"{self.judgement.n:,} recordings of {len(self.info.genres)} genres",
            f"{self.judgement.n_groups:,} artists, albums or sounds of unknown artist",
            f"learned by {models.family(self.info.family).label}",
            f"hears {self.info.spec.describe()}",
        ]

    @property
    def settings(self) -> dict[str, str]:
        """What decided the figures, for the end of the page."""
        values = {
            "collection": self.corpus.source,
            "model file": self.path.name,
            "recipe": self.recipe.why,
            "family": self.info.family,
            **{f"settings.{k}": str(v) for k, v in self.info.settings.items()},
            "frames": self.info.spec.describe(),
            "window": f"{self.info.window_frames} frames, {self.info.window_s:.1f} s",
            "temperature": f"{self.info.temperature:.2f}",
            "threshold": _thresholds(self.info),
            "judged": str(self.info.accuracy["protocol"]),
            "seed": str(self.info.provenance["seed"]),
            **{k: str(v) for k, v in self.info.provenance["versions"].items()},
        }
        if self.info.family not in _SOLVED:
            training = asdict(self.recipe.training).items()
            values |= {f"training.{k}": str(v) for k, v in training}
        return values


def learn_genres(
    data: str | Path,
    out: Path | None = None,
    *,
    model: str | None = None,
    frames: str | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    precision: float = PRECISION,
    cache: Path | None = None,
    jobs: int | None = None,
    backend: str = "processes",
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> LearnedGenres:
    """Learn the genres of a folder or table of audio, judge, and write a model file.

    Parameters
    ----------
    data : str or Path
        As :func:`ostinato.datasets.load_corpus` takes it.
    out : Path or None
        The model file; None is one among the user's own models, named for the collection.
    model : str or None
        A family; None chooses by the size of the collection.
    frames : str or None
        As in a study; None is the ear where it was fetched, else MFCC.
    training : TrainingSettings or None
        How a network is trained.
    precision : float
        Share of right verdicts that the threshold aims at.
    jobs, backend : int or None, str
        Files and trainings side by side, and where: :func:`ostinato.parallel.run`.
    progress, tell : callable or None
        As :func:`ostinato.study.run`.

    Raises
    ------
    UsageError
        If a name or setting is wrong, or the file's name is that of a model that ships.
    DataError
        If the collection has too few recordings, or holds none.
    TrainingError
        If a training diverges.
    WriteError
        If the file cannot be written.
    """
    tell = tell or (lambda sentence: None)
    if frames is None:
        frames = EAR if is_file(fetched_path(EAR)) else "mfcc"
        if frames != EAR:
            tell(
                f"Hears with {frames}: the ear {EAR} learns more from few tracks, and was not "
                f"fetched (ostinato fetch {EAR}, {FETCHED[EAR]} MB)."
            )
    config = StudyConfig(frames=frames)
    if model is not None:
        models.family(model)
    kept = FrameCache(cache)
    corpus = load_corpus(
        data, spec=config.spec, ear=config.ear, cache=kept, n_jobs=jobs, backend=backend,
        progress=progress,
    )  # fmt: skip
    out = own_path(corpus.name) if out is None else expanded(out)
    corpus = _usable(_with_copies_joined(corpus, kept, jobs=jobs, backend=backend), tell)
    for sentence in _told(corpus):
        tell(sentence)
    split = grouped_folds(corpus, seed=seed)
    for note in split.notes:
        tell(note)
    recipe = choose_recipe(corpus, model, training=training)
    tell(f"Learns by: {recipe.why}")
    digest = Recipe(
        family=recipe.family, settings=recipe.settings, training=recipe.training,
        data=corpus_digest(corpus), split=split.digest(), test=False,
    ).digest()  # fmt: skip
    state = kept.folder / "training" / f"{digest}-{seed}"
    held_out, whole = _trained(
        corpus, split, recipe, state, seed=seed, jobs=jobs, backend=backend, progress=progress
    )
    labels = corpus.targets if corpus.is_multi_label else corpus.labels
    confidence = fit_confidence(labels, held_out, precision=precision)
    judgement = judge(
        corpus,
        held_out if corpus.is_multi_label else apply_temperature(held_out, confidence.temperature),
        corpus.genres,
        threshold=confidence.threshold,
        thresholds=confidence.thresholds,
        notes=(*split.notes, *_told(corpus)),
        learned=True,
    )
    info = replace(
        whole.info,
        name=out.stem,
        accuracy={
            "mean": judgement.accuracy.mean,
            "low": judgement.accuracy.low,
            "high": judgement.accuracy.high,
            "n": judgement.n,
            "protocol": f"{corpus.name}, each recording by a model that had learned no other by "
            f"its artist or album, {len(split.folds)} folds; 95 % by artist or album",
        },
        provenance=whole.info.provenance
        | {"split": split.name, "recipe": digest, "why": recipe.why, **learned_from(corpus)},
    )
    finished = finish(
        whole.model, info, corpus, train=corpus.ids, held_out=split.folds, confidence=confidence
    )
    write(finished, out)
    shutil.rmtree(state, ignore_errors=True)
    return LearnedGenres(
        path=out,
        info=finished.info,
        recipe=recipe,
        corpus=corpus,
        judgement=judgement,
        curves=whole.curves,
    )


def _thresholds(info: ModelInfo) -> str:
    if info.thresholds:
        each = zip(info.genres, info.thresholds, strict=True)
        return ", ".join(f"{genre} {threshold:.2f}" for genre, threshold in each)
    return "none" if info.threshold is None else f"{info.threshold:.2f}"


def _with_copies_joined(
    corpus: Corpus, cache: FrameCache, *, jobs: int | None, backend: str
) -> Corpus:
    """The corpus with copies of one recording joined, by the audit's frames."""
    heard = corpus
    if replace(corpus.spec, excerpt_seconds=SPEC.excerpt_seconds) != SPEC:
        rows = [r for r in corpus.recordings if r.path is not None]
        found = compute_frames(
            [Path(r.path or "") for r in rows],
            spec=FeatureSpec(), cache=cache, n_jobs=jobs, backend=backend,
        )  # fmt: skip
        pairs = [(r, f) for r, f in zip(rows, found, strict=True) if isinstance(f, FileFrames)]
        if not pairs:
            return corpus
        heard = replace(
            corpus,
            recordings=tuple(r for r, _ in pairs),
            frames=tuple(f.frames for _, f in pairs),
            spec=FeatureSpec(),
        )
    return join_copies(corpus, heard)


def _usable(corpus: Corpus, tell: Tell) -> Corpus:
    """The recordings that can be learned from: of one genre each, in genres of three or more."""
    genres: dict[str, set[str]] = defaultdict(set)
    named: dict[str, list[str]] = defaultdict(list)
    for r in corpus.recordings:
        genres[r.recording].add(r.genre)
        named[r.recording].append(r.id)
    torn = {sound for sound, own in genres.items() if len(own) > 1}
    if torn and not corpus.is_multi_label:
        first = sorted(torn)[0]
        tell(
            f"Passed over: {count(len(torn), 'sound')} filed under two genres or more, such as "
            f"{first_of([repr(i) for i in named[first]], 3)}: file each under one."
        )
    elif torn:
        torn = set()
    recordings = [r for r in corpus.recordings if r.recording not in torn]
    counts = Counter(g for g, _ in {(g, r.recording) for r in recordings for g in r.genres})
    few = {genre: counts[genre] for genre in corpus.genres if counts[genre] < MIN_RECORDINGS}
    if len(corpus.genres) - len(few) < MIN_GENRES:
        raise DataError(
            f"Expected {MIN_GENRES} genres or more of at least {MIN_RECORDINGS} different "
            f"recordings in '{corpus.source}', got "
            f"{first_of([f'{g} ({counts[g]})' for g in corpus.genres], 12)} once copies count as "
            "one recording."
        )
    keep = [
        (replace(r, genre=own[0], also=tuple(own[1:])), frames)
        for r, frames in zip(corpus.recordings, corpus.frames, strict=True)
        if r.recording not in torn and (own := [g for g in r.genres if g not in few])
    ]
    return replace(
        corpus,
        recordings=tuple(r for r, _ in keep),
        frames=tuple(frames for _, frames in keep),
        left_out=corpus.left_out | few,
    )


def _told(corpus: Corpus) -> Iterator[str]:
    """What a reader must know of the collection."""
    yield from corpus.notes
    for skipped in corpus.skipped:
        yield f"Passed over: {skipped.id}: {skipped.reason}"
    for genre, n in corpus.left_out.items():
        yield (
            f"Left out: genre '{genre}' has {count(n, 'different usable recording')}; at least "
            f"{MIN_RECORDINGS} are needed, to learn from some and judge by another."
        )
    n_copies = len(corpus) - len({r.recording for r in corpus.recordings})
    if n_copies:
        are = "is a copy of another" if n_copies == 1 else "are copies of others"
        yield f"{count(n_copies, 'recording')} {are}: they stay in one fold."


def _trained(
    corpus: Corpus,
    split: Split,
    recipe: ChosenRecipe,
    state: Path,
    *,
    seed: int,
    jobs: int | None,
    backend: str,
    progress: Progress | None,
) -> tuple[NDArray[np.float64], TrainedModel]:
    """Held-out probabilities of every recording (N, G), and the model of all recordings.

    ``state`` keeps what is finished. The folds' models are not kept: they judge, and no more.
    """
    folds = (*split.folds, Fold(train=corpus.ids, valid=()))
    whole = len(folds) - 1
    files = [state / f"fold{k}.npy" for k in range(whole)]
    waiting = [k for k in range(len(folds)) if k == whole or not is_file(files[k])]
    done = dict.fromkeys(waiting, 0)
    epochs = recipe.training.epochs
    before = (len(folds) - len(waiting)) * epochs

    def step(position: int, n_epochs: int) -> None:
        done[waiting[position]] = n_epochs
        if progress:
            at_work = [_name(k, whole) for k, n in done.items() if 0 < n < epochs]
            progress(before + sum(done.values()), len(folds) * epochs, ", ".join(at_work))

    learn = partial(
        _learn, corpus=corpus, recipe=recipe, seed=seed,
        state=state.absolute() if backend == "processes" else None,
    )  # fmt: skip
    calls = [(_name(k, whole), folds[k]) for k in waiting]
    found: TrainedModel | None = None
    if recipe.family in _SOLVED:  # sooner done than a process is started
        jobs, backend = 1, "processes"
    with parallel.run(
        learn, calls, doing="trained a model", n_jobs=jobs, backend=backend, progress=step
    ) as results:
        for position, trained in results:
            k = waiting[position]
            if k == whole:
                found = trained
            else:
                with replacing(files[k]) as beside, beside.open("wb") as file:
                    np.save(file, trained.probabilities["valid"])
            step(position, epochs)
    assert found is not None
    held_out = np.zeros((len(corpus), len(corpus.genres)))
    for k, fold in enumerate(split.folds):
        held_out[corpus.positions(fold.valid)] = np.load(files[k], allow_pickle=False)
    return held_out, found


def _name(k: int, whole: int) -> str:
    return "everything" if k == whole else f"fold{k}"


def _learn(
    name: str,
    fold: Fold,
    *,
    corpus: Corpus,
    recipe: ChosenRecipe,
    seed: int,
    state: Path | None,
    report: Callable[[int], None],
) -> TrainedModel:
    """Train on a fold; its checkpoints are kept in a folder of its name."""
    return train(
        corpus,
        fold,
        recipe.family,
        settings=recipe.settings,
        training=recipe.training,
        seed=seed,
        folder=None if state is None else state / name,
        on_epoch=report,
    )
