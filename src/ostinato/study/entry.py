"""A study in one call, from its settings to its report: what ``ostinato study`` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostinato.datasets import Corpus
from ostinato.datasets.load import Progress
from ostinato.errors import UsageError
from ostinato.storage import expanded
from ostinato.study.config import StudyConfig, load_config, overridden
from ostinato.study.plan import fitted, load_data, plan_study, unfitted
from ostinato.study.report import write_sweep
from ostinato.study.results import read_results
from ostinato.study.results.tables import SweepTable
from ostinato.study.study import StudyResult, run_study
from ostinato.study.sweep import is_sweep, load_sweep, run_sweep, tabulate
from ostinato.study.tracking import check_tracker, study_runs, track
from ostinato.training.device import training_device
from ostinato.training.settings import TrainingSettings

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """The finished variants of a sweep."""

    table: SweepTable
    folder: Path
    report: Path  # the page


def run(
    study: Path | str | StudyConfig | None = None,
    *,
    out: Path | str | None = None,
    jobs: int | None = None,
    backend: str = "processes",
    cache: Path | None = None,
    only: Sequence[str] | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
    accelerator: str = "cpu",
    ledger: Path | None = None,
    log: str | None = None,
    **changes: Any,
) -> StudyResult | SweepResult:
    """Load a study's data, train what is not finished, judge, and write tables and report.

    Parameters
    ----------
    study : Path, str, StudyConfig or None
        Settings, or the TOML file that holds them, with or without variants. None is the default:
        LSTM, ResLSTM and ConvLSTM on GTZAN.
    out : Path, str or None
        The study's folder; None is one below ``runs/``, named for data, split and recipe.
    jobs : int or None
        Trainings in parallel; None is one a core. Figures do not depend on it.
    backend : str
        Where frames are computed and runs are trained, as in :func:`ostinato.parallel.run`: in
        processes, or on the Dask cluster of a scheduler's address.
    cache : Path or None
        Folder for the frames of audio files; None is the user's cache.
    only : sequence of str or None
        Variants to run, of a study that has variants.
    progress : callable or None
        Called with (done, total, what): files while the data are loaded, then epochs.
    tell : callable or None
        Called with a sentence on each file or genre that is left out, and on an interruption.
    accelerator : str
        One of :data:`ostinato.training.device.ACCELERATORS`.
    ledger : Path or None
        Where looks at a test part are entered; None is ``test-ledger.csv`` beside the folder.
    log : str or None
        One of :data:`ostinato.study.tracking.TRACKERS`, to track the finished study with.
    **changes
        Settings of :class:`StudyConfig` to change; those that are None stay as they are.

    Raises
    ------
    UsageError
        If a setting is wrong, the data do not exist, or there is no such accelerator.
    DataError
        If the data cannot be used, or the folder holds runs of another recipe.
    OstinatoError
        If a training fails; those that are finished are kept.

    Examples
    --------
    >>> from ostinato import study
    >>> result = study.run(data="music", models=("baseline",), seeds=1, out="runs/mine", jobs=1)
    >>> result.results.split.name, list(result.results.models)
    ('holdout', ['baseline'])
    """
    tell = tell or (lambda sentence: None)
    device = training_device(accelerator)
    if accelerator == "auto":
        tell(f"Trained on: {device}.")
    if log is not None:
        check_tracker(log)
    out, ledger = (None if path is None else expanded(path) for path in (out, ledger))

    def load(config: StudyConfig) -> Corpus:
        return told_corpus(config, tell, cache=cache, jobs=jobs, backend=backend, progress=progress)

    source = expanded(study) if isinstance(study, str | Path) else study
    if isinstance(source, Path) and is_sweep(source):
        sweep, folder = load_sweep(source, **changes), out or Path("runs") / source.stem
        chosen = sweep.only(only) if only else sweep
        with resumable(folder, tell):
            run_sweep(
                chosen,
                folder,
                load,
                jobs=jobs,
                backend=backend,
                progress=progress,
                accelerator=device,
                ledger=ledger,
            )
        for variant in chosen.variants if log else ():
            _tracked(folder / variant.name, log, tell)
        table = tabulate(sweep, folder)
        return SweepResult(table=table, folder=folder, report=write_sweep(table, folder))
    if only is not None:
        raise UsageError("Expected a study with variants for --only, got one without.")
    config = load_config(source) if isinstance(source, Path) else source
    if config is None:
        config = StudyConfig(**{k: v for k, v in changes.items() if v is not None})
    config = overridden(config, **changes)
    plan = plan_study(config, load(config), out)
    with resumable(plan.folder, tell):
        result = run_study(
            plan,
            jobs=jobs,
            backend=backend,
            progress=progress,
            accelerator=device,
            ledger=ledger,
        )
    _tracked(plan.folder, log, tell)
    return result


def _tracked(folder: Path, log: str | None, tell: Tell) -> None:
    if log is not None:
        place = track(study_runs(read_results(folder), folder), log, folder)
        tell(f"Logged for {log} in {place}.")


def told_corpus(config: StudyConfig, tell: Tell, **options: Any) -> Corpus:
    """Load a study's corpus by :func:`load_data`, and tell what is left out or shortened."""
    corpus = load_data(config, **options)
    for sentence in _left_out(corpus) if config.data != "gtzan" else ():
        tell(sentence)
    fits, usual = fitted(config, corpus), unfitted(config, corpus)
    if config.segments == 1 and fits != usual:
        tell(_shorter(fits, usual, corpus))
    return corpus


def _shorter(fits: TrainingSettings, chosen: TrainingSettings, corpus: Corpus) -> str:
    spec = corpus.spec
    # A vector of an ear hears more than what lies between two.
    more_s = spec.n_fft / spec.sample_rate_hz - spec.hop_seconds if spec.kind == "external" else 0
    was, now = chosen.window_frames, fits.window_frames
    was_s, now_s = (n * spec.hop_seconds + more_s for n in (was, now))
    return (
        f"Windows have {now} frame{'s' if now > 1 else ''} ({now_s:.1f} s), not {was} "
        f"({was_s:.1f} s): at least half of the recordings are shorter."
    )


def _left_out(corpus: Corpus) -> Iterator[str]:
    yield from corpus.notes
    for skipped in corpus.skipped:
        yield f"Passed over: {skipped.id}: {skipped.reason}"
    for genre, n in corpus.left_out.items():
        yield (
            f"Left out: genre '{genre}' has {n} usable recording{'s' if n != 1 else ''}; at least "
            "3 are needed (one each for training, validation and test)."
        )


@contextmanager
def resumable(folder: Path, tell: Tell) -> Iterator[None]:
    """Tell how to resume where an interruption leaves the context."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        tell(f"Interrupted. What is finished is kept in {folder}; run the same again to resume.")
        raise
