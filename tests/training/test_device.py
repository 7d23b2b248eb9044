"""Which device is trained on: what was asked for, or one sentence."""

from __future__ import annotations

import pytest
import torch

from ostinato.errors import UsageError
from ostinato.training.device import training_device


@pytest.fixture
def found(monkeypatch):
    """Say which GPUs PyTorch finds."""

    def found(*names: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return found


@pytest.mark.parametrize(
    ("asked", "there", "device"),
    [
        ("cpu", ["cuda"], "cpu"), ("auto", [], "cpu"), ("auto", ["cuda"], "cuda"),
        ("gpu", ["mps"], "mps"), ("mps", ["mps"], "mps"), ("cuda", ["cuda", "mps"], "cuda"),
    ],
)  # fmt: skip
def test_the_device_is_what_was_asked_for(found, asked, there, device) -> None:
    found(*there)
    assert training_device(asked) == device


@pytest.mark.parametrize(("asked", "there"), [("gpu", []), ("cuda", ["mps"]), ("mps", ["cuda"])])
def test_a_gpu_that_is_not_there_is_one_sentence(found, asked, there) -> None:
    found(*there)
    with pytest.raises(UsageError, match=rf"--accelerator {asked}: expected a GPU, but PyTorch"):
        training_device(asked)


def test_an_accelerator_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="got 'gpus'; did you mean 'gpu'"):
        training_device("gpus")
