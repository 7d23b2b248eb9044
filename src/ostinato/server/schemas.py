"""The forms of what the server is asked and answers, as its OpenAPI document shows them.

Answers are made of plain values elsewhere; these classes describe them, and check nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict, JsonValue

from ostinato.server.problems import MEDIA_TYPE

_RANKED: list[JsonValue] = [
    {"genre": "jazz", "probability": 0.62},
    {"genre": "blues", "probability": 0.21},
]
_VERDICT: JsonDict = {
    "model": "default", "model_version": "1", "genre": "jazz", "named": ["jazz"],
    "probability": 0.62, "ranked": _RANKED, "abstained": None, "seconds": 241.3,
    "heard_channel": None,
}  # fmt: skip
_PROBLEM: JsonDict = {
    "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "code": "not-heard",
    "detail": "'song.mp3' cannot be used as sound: it is empty (0 bytes).",
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class HowToHear(_Strict):
    """How a file is heard."""

    top: int | None = Field(default=None, ge=1, le=10_000, description="Genres to rank; else all.")
    timeline: bool = Field(
        default=False, description="Give genres over time as well; implies thorough."
    )
    thorough: bool = Field(
        default=False, description="Hear all of a long file, not only excerpts of it."
    )


class ByOne(HowToHear):
    """How a file is heard, and by which model."""

    model: str | None = Field(
        default=None, description="A name of GET /v1/models; by default the first."
    )


class ByMany(HowToHear):
    """How a file is heard, and by which models."""

    model: list[str] = Field(
        default=[], description="Names of GET /v1/models, one a time; by default all."
    )


class WhatToExplain(_Strict):
    """Which excerpt is explained, and by which model."""

    model: str | None = Field(
        default=None, description="A name of GET /v1/models that hears mel frames."
    )
    start_s: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="Where the excerpt begins, in seconds."
    )


AskedToExplain = Annotated[WhatToExplain, Query()]
AskedOfOne = Annotated[ByOne, Query()]
AskedOfMany = Annotated[ByMany, Query()]


class ProblemDetails(BaseModel):
    """Why there is no answer (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PROBLEM]})
    type: str
    title: str
    status: int
    code: str = Field(description="For programs; it stays when the sentence changes.")
    detail: str = Field(description="For people: what was expected, what came, what to do.")


class Ranked(BaseModel):
    """A genre and its probability."""

    genre: str
    probability: float = Field(ge=0, le=1)


class Stretch(BaseModel):
    """An excerpt that was heard."""

    start_s: float
    end_s: float
    probabilities: dict[str, float]


class Segment(BaseModel):
    """A part with one verdict throughout."""

    start_s: float
    end_s: float
    genre: str | None
    probability: float
    named: list[str]


class Verdict(BaseModel):
    """What a model makes of a sound."""

    model_config = ConfigDict(json_schema_extra={"examples": [_VERDICT]})
    model: str = Field(description="Its name.")
    model_version: str | None
    genre: str | None = Field(description="null if the model abstains.")
    named: list[str] = Field(description="All genres that are likely enough.")
    probability: float = Field(ge=0, le=1, description="That of the likeliest genre, from 0 to 1.")
    ranked: list[Ranked] = Field(description="Genres, the likeliest first.")
    abstained: str | None = Field(description="Why it abstains, as a clause; else null.")
    seconds: float = Field(description="How long the sound is.")
    heard_channel: int | None = Field(
        description="The channel, from 1, that was heard alone where the others cancel it out."
    )
    timeline: list[Stretch] | None = Field(default=None, description="Only if asked for.")
    segments: list[Segment] | None = Field(default=None, description="Only if asked for.")


class OfFile(BaseModel):
    """What became of one file: a verdict, or a problem."""

    name: str
    verdict: Verdict | None
    problem: ProblemDetails | None


class Batch(BaseModel):
    """What became of each file, in their order."""

    results: list[OfFile]


class OfModel(BaseModel):
    """What one model makes of the file: a verdict, or a problem."""

    model: str
    verdict: Verdict | None
    problem: ProblemDetails | None


class Comparison(BaseModel):
    """What each model makes of one file."""

    results: list[OfModel]


class Mel(BaseModel):
    """A mel spectrogram in 256 steps of its decibels."""

    rows: int
    columns: int
    hz: list[float] = Field(description="Where the bands peak, the lowest first.")
    data: str = Field(description="A byte a cell, band after band from the lowest, in base64.")


class Influence(BaseModel):
    """How far the probability falls without each patch of the spectrogram."""

    rows: int
    columns: int
    values: list[list[float]] = Field(description="The lowest bands first.")


class Explanation(BaseModel):
    """What spoke for the likeliest genre of an excerpt."""

    model: str
    genre: str
    probability: float = Field(ge=0, le=1)
    start_s: float
    end_s: float
    mel: Mel
    influence: Influence


class Model(BaseModel):
    """A model that is offered."""

    model_config = ConfigDict(extra="allow")
    name: str
    problem: str | None = Field(description="Why it cannot be used.")
    version: str | None
    family: str | None
    genres: list[str] | None
    accuracy: dict[str, Any] | None
    licence: str | None


class Models(BaseModel):
    """The models that are offered; the first is the default."""

    models: list[Model]


_SOUND = {"type": "string", "format": "binary"}


def body(*, many: bool = False) -> dict[str, Any]:
    """What the OpenAPI document says of a request's body: a form, or the bytes of one file."""
    form = {"file": {"type": "array", "items": _SOUND} if many else _SOUND}
    content: dict[str, Any] = {
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": form}
        }
    }
    if not many:
        content["application/octet-stream"] = {"schema": _SOUND}
    return {"requestBody": {"required": True, "content": content}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of refusals."""
    said = {
        400: "The request is malformed.",
        401: "A key is missing, or is not known.",
        408: "The body came too slowly.",
        413: "The file is too large, or lasts too long.",
        415: "The body has a Content-Encoding.",
        422: "A parameter is wrong, or the file cannot be heard.",
        429: "Too much is at work; Retry-After says when to try again.",
        503: "The server is stopping, or a worker died twice.",
        507: "There is no space for the upload.",
    }
    schema = ProblemDetails.model_json_schema()
    return {
        status: {"description": said[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
