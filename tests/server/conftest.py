"""A server whose app keeps what it receives, for tests of what comes over a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.serving import Small, serving


@pytest.fixture(scope="module")
def small() -> Small:
    return Small()


@pytest.fixture(scope="module")
def port(small: Small) -> Iterator[int]:
    with serving(small.app) as found:
        yield found
