"""A sound in, a verdict out.

The road, as :meth:`Classifier._listen` goes it for each excerpt::

    excerpt -> is it silent? -> frames -> windows -> network -> probabilities

and :func:`~ostinato.inference.verdict.pooled` makes one verdict of all excerpts. Frames and windows
come from :mod:`ostinato.features`, with which the model was trained, or frames from the ear behind
which it was trained (:mod:`ostinato.inference.ear`). PyTorch is not needed.

Of a long sound, only excerpts spread over it are listened to, unless all of it is asked for
(:mod:`ostinato.inference.sampling`). A model abstains, and says why, if the sound is silent or too
short, if it is unlike the music that the model learned from, or steady as noise is, if no genre is
likely enough, or if the likeliest is the one that stands for none of the others.

Axes: T frames, F features, W windows, G genres.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ostinato import features
from ostinato.audio import AudioError, SilentAudioError, Waveform, open_audio, waveform_from_array
from ostinato.audio.load import mixed_array
from ostinato.errors import DataError, OstinatoError, UsageError
from ostinato.evaluation import sigmoid, softmax
from ostinato.evaluation.probabilities import SMALLEST
from ostinato.features import Frames, cut, streamed_excerpts
from ostinato.inference.default_model import in_use
from ostinato.inference.ear import Ear
from ostinato.inference.many import in_order
from ostinato.inference.model_file import ModelGraph
from ostinato.inference.model_info import TAKES_FRAMES, ModelInfo
from ostinato.inference.registry import find_ear, load_graph, model_path
from ostinato.inference.sampling import (
    CLOSE,
    CLOSE_ODDS,
    QUICK_OVER_S,
    Sound,
    SoundInMemory,
    closer_starts,
    cut_out,
    is_silent,
    is_steady,
    quick_starts,
)
from ostinato.inference.verdict import SILENT, UNLIKE, Heard, Verdict, pooled

__all__ = ["Classifier", "Verdict", "classify"]


class Classifier:
    """A model that names the genre of sounds. Safe to call from several threads.

    Parameters
    ----------
    ear : Ear, optional
        What gives the frames of a model whose frames are external; by default the one that
        :func:`~ostinato.inference.registry.find_ear` finds.

    Raises
    ------
    UsageError
        If the graph takes sound, not frames, or its ear is missing.
    DataError
        If the ear is damaged, or another one than the model's.

    Examples
    --------
    >>> from ostinato import Classifier
    >>> classifier = Classifier.load("default")
    >>> classifier.info.genres[:3]
    ('blues', 'classical', 'country')
    >>> for path, verdict in classifier.classify_many(["song.mp3", "mix.flac"], jobs=2):
    ...     print(path, verdict.genre)
    song.mp3 jazz
    mix.flac None
    """

    def __init__(self, graph: ModelGraph, *, ear: Ear | None = None) -> None:
        if graph.info.takes != TAKES_FRAMES:
            raise UsageError(
                f"{graph.source}: expected a model of frames, got one with the front end inside, "
                "which is for programs without Ostinato; export it without --with-front-end."
            )
        self._graph = graph
        self._frames_of: Callable[[Waveform], Frames] = functools.partial(
            features.frames, spec=graph.info.spec
        )
        self._ear_state: tuple[Path, int, int] | None = None
        self._digest = graph.sha256
        if graph.info.spec.kind == "external":
            ear = find_ear(graph.info.spec, model=Path(graph.source)) if ear is None else ear
            self._frames_of = ear.frames
            self._ear_state = _state(ear.path)
            self._digest = hashlib.sha256(f"{graph.sha256} {ear.spec.sha256}".encode()).hexdigest()

    @classmethod
    def load(cls, name_or_path: str | Path | None = None) -> Classifier:
        """Load a model that ships with the package or was fetched, or an ONNX file.

        Without a name it is the user's default (:mod:`~ostinato.inference.default_model`), as on
        the command line; a program whose verdicts must not depend on that names ``"default"``.

        Raises
        ------
        UsageError
            If there is no such model, it takes sound, or its ear is missing.
        DataError
            If the file or that of its ear cannot be read, is damaged, or is not one of Ostinato; if
            the user's settings file is damaged.
        """
        with in_use(name_or_path) as model:
            return cls(load_graph(model))

    @property
    def info(self) -> ModelInfo:
        """The model's metadata: genres, frames, thresholds, measured accuracy, licence."""
        return self._graph.info

    @property
    def name(self) -> str:
        """The model's name; that of its file if the model has none."""
        return self.info.name or Path(self._graph.source).stem

    @property
    def digest(self) -> str:
        """The SHA-256 of all that decides its verdicts: the model's file, and that of its ear."""
        return self._digest

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
        path : str or path
            An audio file of any format.
        waveform : array [shape=(n_samples,) or (n_samples, n_channels)]
            As :func:`ostinato.audio.waveform_from_array` takes it, with ``sample_rate_hz``.
        frames : float array [shape=(n_frames, n_features)]
            The frames of one excerpt, as ``info.spec`` says.
        thorough : bool
            Listen to all of a sound that lasts more than
            :data:`~ostinato.inference.sampling.QUICK_OVER_S`, too.

        Raises
        ------
        UsageError
            If not one of the three is given, or only one of waveform and rate.
        AudioError
            If the sound cannot be read, or lasts less than 0.5 s.
        DataError
            If the frames do not fit the model, or the model's file is damaged.
        """
        if (path is not None) + (waveform is not None) + (frames is not None) != 1:
            raise UsageError("classify: expected one of a path, a waveform and frames.")
        if (waveform is None) != (sample_rate_hz is None):
            raise UsageError("classify: expected sample_rate_hz with a waveform, and only there.")
        if frames is not None:
            return self._classify_frames(np.asarray(frames, dtype=np.float32))
        rate_hz = self.info.spec.sample_rate_hz
        seconds = 0.0
        try:
            if path is not None:
                with open_audio(path, sample_rate_hz=rate_hz) as sound:
                    seconds = sound.seconds or 0.0
                    return self._classify_sound(sound, thorough=thorough)
            assert waveform is not None
            assert sample_rate_hz is not None
            seconds = len(np.asarray(waveform)) / sample_rate_hz
            mono, own_rate_hz, channel = mixed_array(waveform, sample_rate_hz)
            samples = waveform_from_array(
                mono, sample_rate_hz=own_rate_hz, target_sample_rate_hz=rate_hz
            )
            in_memory = SoundInMemory(samples, rate_hz, heard_channel=channel)
            return self._classify_sound(in_memory, thorough=thorough)
        except SilentAudioError:
            return pooled([], self.info, model=self.name, seconds=seconds)

    def classify_many(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        jobs: int | None = None,
        thorough: bool = False,
    ) -> Iterator[tuple[Path, Verdict | OstinatoError]]:
        """Name the genres of many files, several at a time, in the order of ``paths``.

        Decoding, resampling, frames and network release Python's lock, so threads work side by
        side. At most twice as many files as there are jobs are begun ahead of the reader.

        Parameters
        ----------
        jobs : int, optional
            Files at a time, at least 1; by default as many as there are processors.

        Yields
        ------
        path, result
            The error, if a file cannot be used; the other files are classified all the same.
        """
        from ostinato.parallel import cpu_count

        n_jobs = cpu_count() if jobs is None else jobs
        if n_jobs < 1:
            raise UsageError(f"jobs: expected 1 or more, got {jobs}.")

        one = functools.partial(self.classify_file, thorough=thorough)
        return in_order(one, map(Path, paths), n_threads=n_jobs)

    def classify_file(self, path: Path, *, thorough: bool = False) -> Verdict:
        """Name the genre of a file, one of many: what the system refuses is an AudioError too."""
        try:
            return self.classify(path, thorough=thorough)
        except MemoryError as error:
            raise AudioError(str(path), "it does not fit into memory") from error
        except OSError as error:  # it disappeared, say, after its first bytes were read
            why = error.strerror or error
            raise AudioError(str(path), f"it cannot be read ({why})") from error

    def _classify_sound(self, sound: Sound, *, thorough: bool) -> Verdict:
        """Choose what to listen to, and say of which channel if it is one."""
        verdict = self._classify_parts(sound, thorough=thorough)
        return replace(verdict, heard_channel=sound.heard_channel)

    def _classify_parts(self, sound: Sound, *, thorough: bool) -> Verdict:
        """Listen to a few excerpts, more if they leave it open, or all."""
        stated_s, spec = sound.seconds, self.info.spec
        if not thorough and stated_s is not None and stated_s > QUICK_OVER_S:
            heard = self._listen(cut_out(sound, quick_starts(stated_s)))
            verdict = pooled(heard, self.info, model=self.name, seconds=stated_s)
            if verdict.abstained != SILENT and not _is_close(verdict):
                return verdict
            closer = closer_starts(stated_s)
            if verdict.abstained != SILENT and closer is not None:
                heard += self._listen(cut_out(sound, closer))
                return pooled(heard, self.info, model=self.name, seconds=stated_s)
        heard = self._listen(streamed_excerpts(sound.blocks(spec.excerpt_seconds), spec))
        return pooled(heard, self.info, model=self.name, seconds=heard[-1].end_s)

    def _listen(self, excerpts: Iterable[tuple[float, Waveform]]) -> list[Heard]:
        """Listen to excerpts, given with their starts in seconds: the road of this module."""
        spec, heard = self.info.spec, []
        for start_s, excerpt in excerpts:
            end_s = start_s + excerpt.size / spec.sample_rate_hz
            if is_silent(excerpt):  # it says nothing of genre, and has no frames
                heard.append(Heard(start_s, end_s))
            elif spec.kind == "external" and is_steady(excerpt, spec.sample_rate_hz):
                # Vectors do not tell hum from music; other frames do, by their novelty.
                heard.append(Heard(start_s, end_s, steady=True))
            else:
                frames = self._frames_of(np.ascontiguousarray(excerpt))  # (T, F)
                heard.append(self._run(start_s, end_s, frames))
        return heard

    def _run(self, start_s: float, end_s: float, frames: Frames) -> Heard:
        """Run the network on all windows of an excerpt, and average their probabilities."""
        windows = cut(frames, length=self.info.window_frames, hop=self.info.window_hop)
        logits, distances = self._graph.run(windows)  # (W, G), (W,)
        each = sigmoid(logits) if self.info.multi_label else softmax(logits)  # (W, G)
        distance = None if distances is None else float(distances.mean())
        return Heard(start_s, end_s, len(windows), each.mean(axis=0), distance)

    def _classify_frames(self, frames: Frames) -> Verdict:
        spec = self.info.spec
        if frames.ndim != 2 or frames.shape[1] != spec.n_features or not len(frames):
            raise DataError(
                f"Expected frames of shape (n_frames, {spec.n_features}), {spec.describe()}, got "
                f"{frames.shape}."
            )
        if not np.isfinite(frames).all():
            raise DataError("Expected frames of finite numbers, got NaN or infinity.")
        seconds = ((len(frames) - 1) * spec.hop_samples + spec.n_fft) / spec.sample_rate_hz
        heard = self._run(0.0, seconds, frames)
        return pooled([heard], self.info, model=self.name, seconds=seconds)


def classify(
    path: str | os.PathLike[str], *, model: str | Path | None = None, thorough: bool = False
) -> Verdict:
    """Name the genre of an audio file. The model is kept, and loaded anew if a file of it changes.

    Without ``model`` it is the user's default, so that the verdict is that of the command line.
    Parameters and errors are those of :meth:`Classifier.load` and :meth:`Classifier.classify`.

    Examples
    --------
    >>> import ostinato
    >>> ostinato.classify("song.mp3").genre
    'jazz'
    >>> print(ostinato.classify("song.mp3", model="lstm").ranked[0][0])
    jazz
    """
    return kept(model).classify(path, thorough=thorough)


def kept(model: str | Path | None) -> Classifier:
    """The classifier that :func:`classify` keeps of a model, loaded if it is not kept yet."""
    with in_use(model) as named:
        state = _state(model_path(named))
        if state is None:
            return Classifier.load(named)  # says what is wrong with it
        kept = _loaded(named, state)
        if kept._ear_state is not None and kept._ear_state != _state(kept._ear_state[0]):
            _loaded.cache_clear()
            kept = _loaded(named, state)
        return kept


@functools.lru_cache(maxsize=4)
def _loaded(named: str | Path, state: tuple[Path, int, int]) -> Classifier:
    return Classifier.load(named)


def _state(file: Path) -> tuple[Path, int, int] | None:
    """A file's place, size and time, which change if it does; None if it cannot be read."""
    try:
        status = file.stat()
        return file.absolute(), status.st_size, status.st_mtime_ns
    except (OSError, ValueError):
        return None


def _is_close(verdict: Verdict) -> bool:
    """Whether more excerpts might change the verdict."""
    if verdict.abstained == UNLIKE or len(verdict.ranked) < 2:
        return False
    if verdict.thresholds:
        shares = dict(verdict.ranked)
        pairs = zip(verdict.genres, verdict.thresholds, strict=True)
        return any(abs(_log_odds(shares[g]) - _log_odds(t)) < CLOSE_ODDS for g, t in pairs)
    (_, first), (_, second), *_ = verdict.ranked
    return first - second < CLOSE


def _log_odds(share: float) -> float:
    kept = min(max(share, SMALLEST), 1 - SMALLEST)
    return math.log(kept / (1 - kept))
