"""Values that are equal but for the rounding of their numbers."""

from __future__ import annotations

from typing import Any

import pytest


def assert_close(got: Any, expected: Any) -> None:
    """Check plain values, however deep; libraries of matrices add in orders of their own."""
    if isinstance(expected, dict):
        assert set(got) == set(expected)
        for key, value in expected.items():
            assert_close(got[key], value)
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_close(one, other)
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, abs=1e-5)
    else:
        assert got == expected
