"""The example in JavaScript: ONNX Runtime for Node gives what ONNX Runtime gives in Python.

Where Node and npm are installed. ``OSTINATO_NODE_MODULES`` names a ``node_modules`` that holds
``onnxruntime-node``; otherwise npm installs it for these tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from ostinato import Classifier
from ostinato.features import FeatureSpec
from ostinato.inference.model_file import read_graph
from ostinato.inference.model_info import TAKES_WAVEFORM, ModelInfo
from tests.helpers.graphs import stamp, toy_bytes, toy_info

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "javascript"
RATE = 22_050
N = 30 * RATE

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example's folder, beside ONNX Runtime for Node."""
    folder = tmp_path_factory.mktemp("node") / "javascript"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    if given := os.environ.get("OSTINATO_NODE_MODULES"):
        (folder / "node_modules").symlink_to(Path(given).resolve(), target_is_directory=True)
    elif npm := shutil.which("npm"):
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=300)
    if not (folder / "node_modules" / "onnxruntime-node").is_dir():
        pytest.skip("onnxruntime-node is not installed, and npm could not install it")
    return folder


def run(example: Path, model: Path, wav: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", str(example / "classify.mjs"), str(model), str(wav)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def ranked(said: str) -> dict[str, float]:
    rows = (line.split() for line in said.splitlines() if not line.startswith("("))
    return {genre: float(p) for genre, p in rows}


def sound_graph(info: ModelInfo) -> bytes:
    """A model of sound: softmax of a product with the power of each second."""
    weight = np.random.default_rng(3).normal(0, 60, (30, len(info.genres))).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["waveform", "seconds"], ["parts"]),
            helper.make_node("ReduceSumSquare", ["parts", "last"], ["energy"], keepdims=0),
            helper.make_node("Div", ["energy", "rate"], ["power"]),
            helper.make_node("MatMul", ["power", "weight"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
            helper.make_node("ReduceMax", ["power", "first"], ["distance"], keepdims=0),
        ],
        "sound",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", N])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["batch"]),
        ],
        [
            numpy_helper.from_array(np.array([-1, 30, RATE], np.int64), "seconds"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "first"),
            numpy_helper.from_array(np.array(RATE, np.float32), "rate"),
            numpy_helper.from_array(weight, "weight"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    content: bytes = stamp(model, info.to_json()).SerializeToString()
    return content


def written(path: Path, seconds: float = 41.0, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A WAV of noise whose loudness changes every second."""
    rng = np.random.default_rng(5)
    level = rng.uniform(0.01, 0.3, int(seconds) + 1)
    n = round(seconds * rate)
    sound = level[np.arange(n) // rate] * rng.uniform(-1, 1, n)
    soundfile.write(path, np.stack([sound] * channels, axis=1), rate, subtype="PCM_16")
    heard: np.ndarray = soundfile.read(path, dtype="float32", always_2d=True)[0][:, 0]
    return heard


def test_says_what_python_says_of_the_middle_30_s(example: Path, tmp_path: Path) -> None:
    """Genres in their order, too, though one has a name that could end the metadata."""
    info = toy_info(takes=TAKES_WAVEFORM, genres=('a}"]b', "jazz", "rock"))
    (tmp_path / "sound.onnx").write_bytes(sound_graph(info))
    sound = written(tmp_path / "song.wav")
    result = run(example, tmp_path / "sound.onnx", tmp_path / "song.wav")
    assert result.returncode == 0, result.stderr
    first = (sound.size - N) // 2
    graph = read_graph(sound_graph(info), source="sound.onnx")
    (expected,), _ = graph.run(sound[None, first : first + N])
    got = ranked(result.stdout)
    assert got == pytest.approx(dict(zip(info.genres, map(float, expected), strict=True)), abs=1e-3)
    assert list(got) == [info.genres[i] for i in np.argsort(-expected)]
    assert min(np.diff(np.sort(expected))) > 0.01, "else their order says little"
    assert "(" not in result.stdout


def test_a_trained_model_with_the_front_end_says_what_ostinato_says(
    example: Path, tmp_path: Path
) -> None:
    """What comes before the network and behind it is in the file: other code than Python's."""
    torch = pytest.importorskip("torch")
    from ostinato import models
    from ostinato.models.export.model_file import write_listening, write_with_front_end

    spec = FeatureSpec()
    info = toy_info(spec=spec, window_frames=144, window_hop=72)
    family = models.family("lstm")
    torch.manual_seed(0)
    model = models.build(
        "lstm", spec=spec, n_genres=len(info.genres), settings=family.settings()
    ).eval()
    windows = torch.randn(2, info.window_frames, spec.n_features)
    write_listening(model, None, info, tmp_path / "frames.onnx", windows=windows)
    write_with_front_end(model, None, info, tmp_path / "sound.onnx")
    sound = written(tmp_path / "song.wav")
    result = run(example, tmp_path / "sound.onnx", tmp_path / "song.wav")
    assert result.returncode == 0, result.stderr
    first = (sound.size - N) // 2
    expected = Classifier.load(tmp_path / "frames.onnx").classify(
        waveform=sound[first : first + N], sample_rate_hz=RATE
    )
    assert ranked(result.stdout) == pytest.approx(dict(expected.ranked), abs=1e-3)
    assert max(dict(expected.ranked).values()) > 1.05 / len(info.genres), "else all would agree"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threshold": 1.0}, "(no genre is likely enough)"),
        ({"novelty_threshold": 1e-6}, "(unlike the music that the model learned from)"),
    ],
    ids=["unsure", "unlike"],
)
def test_says_where_the_model_abstains(
    example: Path, tmp_path: Path, changes: dict[str, float], said: str
) -> None:
    info = toy_info(takes=TAKES_WAVEFORM, **changes)
    (tmp_path / "sound.onnx").write_bytes(sound_graph(info))
    written(tmp_path / "song.wav")
    result = run(example, tmp_path / "sound.onnx", tmp_path / "song.wav")
    assert result.stdout.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("wav", "takes", "sentence"),
    [
        ({"rate": 44_100}, TAKES_WAVEFORM, "Expected a mono WAV of 16 bits at 22050 Hz."),
        ({"channels": 2}, TAKES_WAVEFORM, "Expected a mono WAV of 16 bits at 22050 Hz."),
        ({"seconds": 3.0}, TAKES_WAVEFORM, "Expected 30 s of sound, got 3."),
        ({}, "frames", "Expected a model with the front end inside: export it --with-front-end."),
    ],
    ids=["rate", "stereo", "short", "frames"],
)
def test_what_it_cannot_hear_is_one_sentence(
    example: Path, tmp_path: Path, wav: dict[str, float], takes: str, sentence: str
) -> None:
    info = toy_info(takes=takes)
    content = sound_graph(info) if takes == TAKES_WAVEFORM else toy_bytes(info)
    (tmp_path / "model.onnx").write_bytes(content)
    written(tmp_path / "song.wav", **wav)  # type: ignore[arg-type]
    result = run(example, tmp_path / "model.onnx", tmp_path / "song.wav")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.strip() == sentence
