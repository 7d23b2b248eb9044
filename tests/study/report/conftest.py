"""Made-up results, and stand-ins for figures."""

from __future__ import annotations

import copy
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ostinato.evaluation.significance import Clusters
from ostinato.study.report.captions import CAPTIONS
from tests.helpers.fake_results import GTZAN, fake_results, pairs

#: Studies of every kind that a report must cope with.
STUDIES: dict[str, dict[str, Any]] = {
    "three models": {},
    "one model, one seed": {"n_models": 1, "n_seeds": 1},
    "two genres": {"n_models": 2, "genres": ["loud", "quiet"], "n_per_genre": 4, "n_seeds": 2},
    "no test, folds, no artists": {
        "test": False,
        "n_folds": 3,
        "artists_known": False,
        "n_per_genre": 10,
    },
    "five models, one epoch": {"n_models": 5, "n_epochs": 1},
}


@pytest.fixture(scope="session")
def _three_models() -> dict[str, Any]:
    return fake_results()


@pytest.fixture
def results(_three_models: dict[str, Any]) -> dict[str, Any]:
    """LSTM, ResLSTM and ConvLSTM, three seeds, a test part; a copy to change."""
    return copy.deepcopy(_three_models)


@pytest.fixture
def eleven() -> dict[str, Any]:
    """A user's first study: one seed, eleven genres with one test and validation recording each."""
    genres = (*GTZAN, "zydeco")
    results = fake_results(genres=genres, n_per_genre=1, n_seeds=1)
    clusters = Clusters.by_artist(np.arange(11), list(genres))
    right = {"lstm": 3, "residual-lstm": 5, "conv-lstm": 3}
    correct = {name: (np.arange(11) < n)[None] for name, n in right.items()}
    results["comparisons"] = pairs(correct, clusters, "test")
    for name, n in right.items():
        model = results["models"][name]
        model["test_accuracy"] |= {"mean": n / 11, "low": n / 11, "high": n / 11, "seeds": [n / 11]}
        for genre in genres:  # as the claim has it, for every model
            model["per_genre"]["test"][genre]["f1"] = 0.0 if genre in ("disco", "reggae") else 0.5
    results["gap_comparisons"] = [
        {
            "a": "residual-lstm",
            "b": rival,
            "difference": dict.fromkeys(("mean", "low", "high"), -2 / 11),
        }
        for rival in ("lstm", "conv-lstm")
    ] + [{"a": "lstm", "b": "conv-lstm", "difference": {"mean": 0.0, "low": 0.0, "high": 0.0}}]
    return results


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A PNG of two by one pixels for every figure of the page."""
    folder = tmp_path_factory.mktemp("figures")
    paths = {}
    for name in CAPTIONS:
        paths[name] = folder / f"{name}.png"
        paths[name].write_bytes(_png())
    return paths


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0)  # 8-bit grey
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0\0\0"))
        + chunk(b"IEND", b"")
    )
