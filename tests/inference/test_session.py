"""The device that graphs run on: the processor, or what was asked for, and nothing in its place."""

from __future__ import annotations

from typing import Any

import onnxruntime
import pytest

from ostinato.errors import DataError, UsageError
from ostinato.inference.classifier import Classifier
from ostinato.inference.default_model import choose
from ostinato.inference.session import DEVICES, DeviceError, open_session
from tests.helpers.graphs import toy_bytes

CPU = "CPUExecutionProvider"


@pytest.fixture
def asked(monkeypatch) -> list[dict[str, Any]]:
    """Have a machine with every device, on which all is computed by the processor; what is asked of
    it."""
    seen: list[dict[str, Any]] = []
    real = onnxruntime.InferenceSession

    def session(content: bytes, options: Any, **given: Any) -> Any:
        seen.append(given | {"threads": options.intra_op_num_threads})
        made = real(content, options, providers=[CPU])
        made.get_providers = lambda: [*given["providers"], CPU]
        return made

    every = [device.provider for device in DEVICES.values()]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: every)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return seen


@pytest.mark.parametrize("value", [None, "", "cpu"])
def test_the_processor_unless_asked_for(asked, monkeypatch, value: str | None) -> None:
    """Also where there are others."""
    if value is not None:
        monkeypatch.setenv("OSTINATO_DEVICE", value)
    open_session(toy_bytes(), source="toy")
    assert asked == [{"providers": [CPU], "enable_fallback": 0, "threads": 1}]


@pytest.mark.parametrize("name", DEVICES)
def test_what_was_asked_for_is_used_alone(asked, monkeypatch, name: str) -> None:
    monkeypatch.setenv("OSTINATO_DEVICE", name)
    Classifier.load("lstm")
    (given,) = asked
    assert given["providers"] == [DEVICES[name].provider]
    assert given["enable_fallback"] == 0


@pytest.mark.parametrize(
    ("name", "package"),
    [("cuda", "onnxruntime-gpu"), ("coreml", "on a Mac"), ("directml", "onnxruntime-directml")],
)
def test_what_is_not_there_is_a_sentence_with_what_there_is(
    call, tmp_path, monkeypatch, name: str, package: str
) -> None:
    monkeypatch.setenv("OSTINATO_DEVICE", name)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["AnyProvider", CPU])
    (tmp_path / "a.wav").touch()
    status, out, err = call("classify", "a.wav")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"OSTINATO_DEVICE={name}: expected an ONNX Runtime with {DEVICES[name].provider}" in err
    assert f"got one with AnyProvider, {CPU}; {name} needs " in err
    assert package in err


def test_a_device_that_does_not_start_is_no_processor(asked, monkeypatch) -> None:
    """ONNX Runtime goes on without a provider whose libraries are missing, and raises nothing."""
    real = onnxruntime.InferenceSession

    def without(*arguments: Any, **given: Any) -> Any:
        made = real(*arguments, **given)
        made.get_providers = lambda: [CPU]
        return made

    monkeypatch.setattr(onnxruntime, "InferenceSession", without)
    monkeypatch.setenv("OSTINATO_DEVICE", "cuda")
    with pytest.raises(DeviceError, match=r"CUDA\w+ to start, got a session without it; .*cuDNN"):
        Classifier.load("lstm")


def test_a_name_that_is_not_known(monkeypatch) -> None:
    monkeypatch.setenv("OSTINATO_DEVICE", "cud")
    with pytest.raises(
        UsageError, match=r"expected one of cpu, cuda, .*'cud'; did you mean 'cuda'"
    ):
        Classifier.load("lstm")


def test_a_graph_that_cannot_be_loaded_there(asked, monkeypatch) -> None:
    monkeypatch.setenv("OSTINATO_DEVICE", "coreml")
    with pytest.raises(DataError, match=r"^x: expected a graph .* can load on coreml, got '"):
        open_session(b"no graph", source="x")


def test_a_device_is_not_the_fault_of_the_model(tmp_path, monkeypatch) -> None:
    """No other model would help, so the settings file is not named."""
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path))
    choose("lstm")
    monkeypatch.setenv("OSTINATO_DEVICE", "gpu")
    with pytest.raises(DeviceError, match=r"^OSTINATO_DEVICE: expected one of"):
        Classifier.load()
