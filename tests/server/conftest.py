"""A server whose app keeps what it receives, for tests of what comes over a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.serving import Small, serving


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Small:
    """The app, whose uploads lie in a folder that no other process uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))
        return Small()


@pytest.fixture(scope="module")
def port(small: Small) -> Iterator[int]:
    with serving(small.app) as found:
        yield found
