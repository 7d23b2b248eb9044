"""Any sound in, a verdict out: file -> waveform -> excerpts -> frames -> windows -> verdict.

:class:`Classifier` holds a model that ships or an ONNX file (:mod:`ostinato.inference.model_file`) and hears
with the functions that it was trained with: :mod:`ostinato.features.frames` makes the frames,
:mod:`ostinato.features.windows` cuts them and averages. PyTorch is not needed.

A long sound is heard in excerpts spread over it, unless all of it is asked for
(:mod:`ostinato.inference.sampling`). A model abstains, and says why, where a sound is silent, where it
is unlike what the model learned from, and where no genre is likely enough.

Axes: W windows, E excerpts, G genres.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ostinato import features
from ostinato.audio import AudioError, open_audio, waveform_from_array
from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.evaluation import pool_windows
from ostinato.features import Frames, Waveform, cut
from ostinato.inference.model_file import ModelGraph
from ostinato.inference.model_info import TAKES_FRAMES, ModelInfo
from ostinato.inference.registry import load_graph
from ostinato.inference.sampling import (
    QUICK_OVER_S,
    QUICK_SECONDS,
    Sound,
    SoundInMemory,
    closer_starts,
    is_of_silence,
    is_silent,
    quick_starts,
    streamed_excerpts,
)
from ostinato.inference.verdict import SILENT, UNLIKE, Heard, Segment, Stretch, Verdict, verdict_of
from ostinato.parallel import cpu_count

__all__ = ["Classifier", "Segment", "Stretch", "Verdict", "classify"]

CLOSE = 0.15
"""Where the two likeliest genres are nearer than this after a quick look, more is heard."""

_WINDOWS_A_RUN = 64
_AHEAD = 2  # files begun for each job: decoding never waits for whoever reads the verdicts


class Classifier:
    """A model that names the genre of sounds. Safe to call from several threads.

    Parameters
    ----------
    graph : ModelGraph
        That takes frames.

    Raises
    ------
    UsageError
        If the graph takes sound.
    """

    def __init__(self, graph: ModelGraph) -> None:
        if graph.info.takes != TAKES_FRAMES:
            raise UsageError(
                f"{graph.source}: expected a model of frames, got one with the front end inside, "
                "which is for programs without Ostinato; export it without --with-front-end."
            )
        self._graph = graph

    @classmethod
    def load(cls, name_or_path: str | Path = "default", *, threads: int = 1) -> Classifier:
        """Load a model that ships with the package or was fetched, or an ONNX file.

        Parameters
        ----------
        name_or_path : str or Path
        threads : int
            Of the network, at least 1.

        Raises
        ------
        UsageError, DataError
            As :func:`ostinato.inference.registry.load_graph`; or if the graph takes sound.
        """
        return cls(load_graph(name_or_path, threads=threads))

    @property
    def info(self) -> ModelInfo:
        """What the model is: genres, frames, thresholds, measured accuracy, licence."""
        return self._graph.info

    def classify(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        waveform: ArrayLike | None = None,
        sample_rate_hz: int | None = None,
        frames: ArrayLike | None = None,
        thorough: bool = False,
    ) -> Verdict:
        """Name the genre of a file, of samples in memory, or of frames; give one of the three.

        Parameters
        ----------
        path : str or path, optional
            A sound file of any format.
        waveform : array [shape=(n_samples,) or (n_samples, n_channels)], optional
            As :func:`ostinato.audio.load.waveform_from_array` takes it, with ``sample_rate_hz``.
        sample_rate_hz : int, optional
            Of ``waveform``.
        frames : float array [shape=(n_frames, n_features)], optional
            Of one excerpt, as ``info.spec`` says.
        thorough : bool
            Hear all of it, also where it lasts more than :data:`~ostinato.inference.sampling.QUICK_OVER_S`.

        Raises
        ------
        UsageError
            If not one of the three is given, or a rate without a waveform or the other way.
        AudioError
            If the sound cannot be read, or lasts less than 0.5 s.
        DataError
            If the frames are none of this model's, or the model's file is damaged.
        """
        if (path is not None) + (waveform is not None) + (frames is not None) != 1:
            raise UsageError("classify: expected one of a path, a waveform and frames.")
        if (waveform is None) != (sample_rate_hz is None):
            raise UsageError("classify: expected sample_rate_hz with a waveform, and only there.")
        if frames is not None:
            return self._of_frames(frames)
        rate_hz = self.info.spec.sample_rate_hz
        try:
            if path is not None:
                with open_audio(path, sample_rate_hz=rate_hz) as sound:
                    return self.hear(sound, thorough=thorough)
            assert waveform is not None
            assert sample_rate_hz is not None
            samples = waveform_from_array(
                waveform, sample_rate_hz=sample_rate_hz, target_sample_rate_hz=rate_hz
            )
            return self.hear(SoundInMemory(samples, rate_hz), thorough=thorough)
        except AudioError as error:
            if not is_of_silence(error):
                raise
            seconds = 0.0 if sample_rate_hz is None else len(np.asarray(waveform)) / sample_rate_hz
            return replace(verdict_of(self.info, Heard()), seconds=seconds)

    def hear(self, sound: Sound, *, thorough: bool = False) -> Verdict:
        """Name the genre of a sound that need not be in memory.

        Parameters
        ----------
        sound : Sound
            At ``info.spec.sample_rate_hz``.
        thorough : bool
            As in :meth:`classify`.

        Raises
        ------
        AudioError, FeatureError, DataError
            As :meth:`classify`.
        """
        stated_s = sound.seconds
        try:
            if not thorough and stated_s is not None and stated_s > QUICK_OVER_S:
                heard = self._listen(_cut_out(sound, quick_starts(stated_s)))
                verdict = verdict_of(self.info, heard)
                if verdict.abstained != SILENT and not _is_close(verdict):
                    return replace(verdict, seconds=stated_s)
                starts = closer_starts(stated_s) if verdict.abstained != SILENT else None
                if starts is not None:
                    heard += self._listen(_cut_out(sound, starts))
                    return replace(verdict_of(self.info, heard), seconds=stated_s)
            spec = self.info.spec
            heard = self._listen(streamed_excerpts(sound.blocks(spec.excerpt_seconds), spec))
        except AudioError as error:
            if not is_of_silence(error):
                raise
            return replace(verdict_of(self.info, Heard()), seconds=stated_s or 0.0)
        return replace(verdict_of(self.info, heard), seconds=heard.end_s)

    def classify_many(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        jobs: int | None = None,
        thorough: bool = False,
    ) -> Iterator[tuple[Path, Verdict | OstinatoError]]:
        """Name the genres of many files, several at a time, in the order of ``paths``.

        Decoding, resampling, frames and network let go of Python's lock, so threads do. Twice as
        many files as there are jobs are under way or done ahead of whoever reads the verdicts.

        Parameters
        ----------
        paths : iterable of str or path
        jobs : int, optional
            Files at a time; by default as many as there are processors.
        thorough : bool
            As in :meth:`classify`.

        Yields
        ------
        path : Path
        result : Verdict or OstinatoError
            The error where a file cannot be used; the others are heard all the same.

        Raises
        ------
        UsageError
            If ``jobs`` is below 1.
        """
        n_jobs = cpu_count() if jobs is None else jobs
        if n_jobs < 1:
            raise UsageError(f"jobs: expected 1 or more, got {jobs}.")
        return self._many(map(Path, paths), n_jobs, thorough)

    def _tried(self, path: Path, thorough: bool) -> Verdict | OstinatoError:
        try:
            return self.classify(path, thorough=thorough)
        except OstinatoError as error:
            return error

    def _many(
        self, paths: Iterator[Path], n_jobs: int, thorough: bool
    ) -> Iterator[tuple[Path, Verdict | OstinatoError]]:
        if n_jobs == 1:  # no thread: the memory of one is given back and asked for again each time
            for each in paths:
                yield each, self._tried(each, thorough)
            return
        pool = ThreadPoolExecutor(n_jobs, thread_name_prefix="ostinato")
        waiting: deque[tuple[Path, Future[Verdict | OstinatoError]]] = deque()
        try:
            while True:
                while len(waiting) < _AHEAD * n_jobs and (path := next(paths, None)) is not None:
                    waiting.append((path, pool.submit(self._tried, path, thorough)))
                if not waiting:
                    return
                path, future = waiting.popleft()
                yield path, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _of_frames(self, given: ArrayLike) -> Verdict:
        spec = self.info.spec
        array = np.asarray(given, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != spec.n_features or not len(array):
            raise DataError(
                f"Expected frames of shape (n_frames, {spec.n_features}), {spec.describe()}, got "
                f"{array.shape}."
            )
        if not np.isfinite(array).all():
            raise DataError("Expected frames of finite numbers, got NaN or infinity.")
        seconds = ((len(array) - 1) * spec.hop_samples + spec.n_fft) / spec.sample_rate_hz
        heard = self._listen_to_frames([(0.0, seconds, array)])
        return replace(verdict_of(self.info, heard), seconds=seconds)

    def _listen(self, pieces: Iterable[tuple[float, Waveform]]) -> Heard:
        """Hear pieces of sound, given with where they begin; silent ones say nothing."""
        spec, end_s = self.info.spec, 0.0

        def frames() -> Iterator[tuple[float, float, Frames]]:
            nonlocal end_s
            for start_s, piece in pieces:
                end_s = start_s + piece.size / spec.sample_rate_hz
                if not is_silent(piece):
                    yield start_s, end_s, features.frames(np.ascontiguousarray(piece), spec)

        return replace(self._listen_to_frames(frames()), end_s=end_s)

    def _listen_to_frames(self, excerpts: Iterable[tuple[float, float, Frames]]) -> Heard:
        heard = Heard()
        for batch in _batches(excerpts, self.info):
            logits, far = self._graph.run(np.concatenate([windows for _, _, windows in batch]))
            counts = np.array([len(windows) for _, _, windows in batch])  # (E,)
            times = [(start_s, end_s) for start_s, end_s, _ in batch]
            means = pool_windows(logits, counts)  # (E, G)
            heard += Heard(times, [means], [counts], [] if far is None else [far])
        return heard


def classify(
    path: str | os.PathLike[str], *, model: str | Path = "default", thorough: bool = False
) -> Verdict:
    """Name the genre of a sound file. The model is loaded once, and kept.

    Parameters
    ----------
    path : str or path
    model : str or Path
        A model that ships with the package or was fetched (``"musicnn"``), or an ONNX file.
    thorough : bool
        As in :meth:`Classifier.classify`.

    Raises
    ------
    OstinatoError
        As :meth:`Classifier.load` and :meth:`Classifier.classify`.

    Examples
    --------
    >>> import ostinato
    >>> ostinato.classify("song.mp3").genre  # doctest: +SKIP
    'jazz'
    """
    return _loaded(model).classify(path, thorough=thorough)


@functools.lru_cache(maxsize=4)
def _loaded(model: str | Path) -> Classifier:
    return Classifier.load(model)


def _is_close(verdict: Verdict) -> bool:
    """Whether more of a sound might turn a verdict round."""
    if verdict.abstained == UNLIKE or len(verdict.ranked) < 2:
        return False
    (_, first), (_, second), *_ = verdict.ranked
    return first - second < CLOSE


def _cut_out(sound: Sound, starts: Iterable[float]) -> Iterator[tuple[float, Waveform]]:
    return ((start_s, sound.excerpt(start_s, QUICK_SECONDS)) for start_s in starts)


def _batches(
    heard: Iterable[tuple[float, float, Frames]], info: ModelInfo
) -> Iterator[list[tuple[float, float, NDArray[np.float32]]]]:
    """Excerpts with their windows, as many together as make a run of the network."""
    batch: list[tuple[float, float, NDArray[np.float32]]] = []
    n_windows = 0
    for start_s, end_s, of_excerpt in heard:
        windows = cut(of_excerpt, length=info.window_frames, hop=info.window_hop)
        batch.append((start_s, end_s, windows))
        n_windows += len(windows)
        if n_windows >= _WINDOWS_A_RUN:
            yield batch
            batch, n_windows = [], 0
    if batch:
        yield batch
