"""A session of ONNX Runtime: how every graph is opened, and on which device it runs.

Graphs run on the processor unless the environment variable ``OSTINATO_DEVICE`` names another
device. Where that device cannot be used, nothing runs on the processor in its place: an error says
what is missing. What single operators a device lacks, ONNX Runtime computes on the processor.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ostinato.errors import DataError, UsageError, near

VARIABLE = "OSTINATO_DEVICE"


class Device(NamedTuple):
    """What ONNX Runtime calls a device, and what makes one usable."""

    provider: str
    needs: str


DEVICES = {
    "cpu": Device("CPUExecutionProvider", "onnxruntime (pip)"),
    "cuda": Device(
        "CUDAExecutionProvider",
        "onnxruntime-gpu in place of onnxruntime (pip), and NVIDIA's driver, CUDA and cuDNN",
    ),
    "coreml": Device("CoreMLExecutionProvider", "onnxruntime (pip) on a Mac"),
    "directml": Device(
        "DmlExecutionProvider", "onnxruntime-directml in place of onnxruntime (pip), on Windows"
    ),
}


class DeviceError(UsageError):
    """The device that was asked for cannot be used (exit status 2)."""


def open_session(content: bytes, *, source: str) -> Any:
    """Open a graph, as onnxruntime.InferenceSession; ``source`` is its file's name, for errors.

    Its bytes are checked before (:mod:`ostinato.inference.onnx_check`).

    Raises
    ------
    DeviceError
        If the device that the user asked for is not known, or cannot be used here.
    DataError
        If ONNX Runtime cannot load the graph.
    """
    import onnxruntime  # takes 0.1 s

    name = os.environ.get(VARIABLE) or "cpu"
    device = _device(name, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    options.intra_op_num_threads = 1  # files are classified in parallel
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=[device.provider], enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's errors share no other class
        where = "" if name == "cpu" else f" on {name}"
        raise DataError(
            f"{source}: expected a graph that ONNX Runtime can load{where}, got "
            f"'{first_line(error)}'; it is damaged, or was written for a newer one."
        ) from error
    if device.provider not in session.get_providers():  # its libraries are missing: not raised
        raise DeviceError(
            f"{VARIABLE}={name}: expected {device.provider} to start, got a session without it; "
            f"{name} needs {device.needs}; what is missing, ONNX Runtime may have said above."
        )
    return session


def first_line(error: BaseException) -> str:
    """What an error of ONNX Runtime says, in a line."""
    return str(error).strip().partition("\n")[0].rstrip(".")[:300]


def _device(name: str, available: list[str]) -> Device:
    if name not in DEVICES:
        raise DeviceError(
            f"{VARIABLE}: expected one of {', '.join(DEVICES)}, got '{name}'{near(name, DEVICES)}"
        )
    device = DEVICES[name]
    if device.provider not in available:
        raise DeviceError(
            f"{VARIABLE}={name}: expected an ONNX Runtime with {device.provider}, got one with "
            f"{', '.join(available) or 'none'}; {name} needs {device.needs}."
        )
    return device
