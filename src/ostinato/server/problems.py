"""A refusal as RFC 9457 writes it: ``application/problem+json``, with a sentence for people."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """Why a request, or one file of it, is not answered with a verdict.

    Parameters
    ----------
    status : int
        The status of HTTP.
    code : str
        For programs: ``"too-large"``. It stays what it is when the sentence changes.
    detail : str
        For people: what was expected, what came, what to do.
    retry_after_s : float, optional
        When it is worth trying again.
    """

    def __init__(
        self, status: int, code: str, detail: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(status, code, detail, retry_after_s)  # workers send it home pickled
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return self.detail

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        if self.retry_after_s is None:
            return {}
        return {"Retry-After": str(max(1, math.ceil(self.retry_after_s)))}
