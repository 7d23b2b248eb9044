"""What a worker process is asked, and how it answers. No part of HTTP is imported here.

Home, which asks, imports this as well: what hears is imported where it is used.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.errors import OstinatoError, UsageError
from ostinato.server.problems import Problem
from ostinato.server.served import Served
from ostinato.storage import printable

if TYPE_CHECKING:
    from ostinato.inference.classifier import Classifier
    from ostinato.inference.sampling import Sound


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to be heard by one model.

    Attributes
    ----------
    path : str
        The file in the spool, under the server's own name for it.
    name : str
        What its sender calls it: text for sentences, never opened.
    most_s : float
        Seconds of sound that are taken.
    top : int or None
        Genres to rank; None for all.
    explain_at_s : float or None
        Explain the excerpt that begins here, in place of a verdict.
    """

    path: str
    name: str
    model: str
    most_s: float
    top: int | None = None
    timeline: bool = False
    thorough: bool = False
    explain_at_s: float | None = None

    def __str__(self) -> str:
        return printable(self.name)


@dataclass(frozen=True)
class About:
    """The question what the models are."""

    models: tuple[Served, ...]

    def __str__(self) -> str:
        return "the models"


Asked = Job | About
"""What a worker can be asked."""


@functools.cache
def classifier(model: str) -> Classifier:
    """Give the classifier of a model, which stays loaded."""
    from ostinato.inference.classifier import Classifier

    return Classifier.load(model)


def get_ready(models: Sequence[Served]) -> None:
    """Load all that jobs need, so that the first one waits for nothing.

    Raises
    ------
    UsageError, DataError
        If a model that must load cannot be.
    """
    import av  # noqa: F401 - PyAV is imported where it is used

    for model in models:
        try:
            classifier(model.source)
        except OstinatoError:
            if model.must_load:
                raise


def answer(job: Asked) -> dict[str, Any]:
    """Give plain values: the verdict on a file, what spoke for it, or what the models are.

    Raises
    ------
    Problem
        If a file cannot be heard, or lasts too long.
    """
    return _about(job.models) if isinstance(job, About) else _heard(job)


def _about(models: Sequence[Served]) -> dict[str, Any]:
    from ostinato.inference.catalogue import said_of

    described = []
    for model in models:
        info, problem = None, None
        try:
            info = classifier(model.source).info
        except OstinatoError as error:
            problem = str(error)
        described.append({"name": model.name, "problem": problem, **said_of(info)})
    return {"models": described}


def _heard(job: Job) -> dict[str, Any]:
    from ostinato.audio import AudioError, open_audio

    try:
        heard_by = classifier(job.model)
        with open_audio(job.path, sample_rate_hz=heard_by.info.spec.sample_rate_hz) as sound:
            _check_length(sound.seconds, job)
            if job.explain_at_s is not None:
                return _explained(heard_by, sound, job.explain_at_s)
        verdict = heard_by.classify_file(Path(job.path), thorough=job.thorough or job.timeline)
    except AudioError as error:
        reason = error.reason.replace(job.path, job.name)
        raise Problem(422, "not-heard", str(AudioError(job.name, reason))) from error
    except OstinatoError as error:
        raise Problem(500, "model", str(error)) from error
    _check_length(verdict.seconds, job)
    values = verdict.to_dict(timeline=job.timeline)
    values["ranked"] = values["ranked"][: job.top]
    return values


def _explained(heard_by: Classifier, sound: Sound, start_s: float) -> dict[str, Any]:
    from ostinato.features import FeatureError
    from ostinato.inference.occlusion import explain

    try:
        return explain(heard_by, sound, start_s=start_s).to_dict()
    except (FeatureError, UsageError) as error:  # silent there, behind the end, a model with an ear
        raise Problem(422, "not-explained", str(error)) from error


def _check_length(seconds: float | None, job: Job) -> None:
    from ostinato.inference.verdict import clock

    if seconds is not None and seconds > job.most_s:
        raise Problem(
            413,
            "too-long",
            f"Expected at most {clock(job.most_s)} of sound, got {clock(seconds)} in "
            f"'{job}': cut it, or have the server started with more --max-minutes.",
        )
