"""musicnn: the graph against the arithmetic of the original, and the ways to the fetched file."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from ostinato import features
from ostinato.audio import waveform_from_array
from ostinato.cli.main import main
from ostinato.errors import DataError, MissingExtraError, UsageError
from ostinato.evaluation import apply_temperature, softmax
from ostinato.features import FeatureSpec
from ostinato.inference import musicnn_wheel
from ostinato.inference.classifier import Classifier
from ostinato.inference.ear import open_ear
from ostinato.inference.live import LiveClassifier
from ostinato.inference.model_file import open_graph
from ostinato.inference.musicnn import (
    PATCH_FRAMES,
    PATCH_HOP,
    SPEC,
    TAGS_SPEC,
    ear_graph,
    live_arrays,
    numbered,
)
from ostinato.inference.musicnn_wheel import DATA, FetchError, arrays_in, fetch_musicnn, weights
from ostinato.inference.registry import WEIGHTS, fetched_path, load_graph, shipped
from tests.helpers.graphs import INFO, toy_bytes
from tests.helpers.sounds import music

N_PATCHES = 3
WINDOW = PATCH_FRAMES + (N_PATCHES - 1) * PATCH_HOP
HEAD_WEIGHT = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32) * 3


def small_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """The network with few channels: random weights, factors of normalisation of both signs.

    Of each convolution of the front end, the second channel's kernel is next to nothing, as weight
    decay has left 497 of the 561.
    """
    random = np.random.default_rng(seed)
    gain = {"conv2d": 2.0, "dense": 0.5}  # no likelihood so small that its root is not precise
    front, middle, dense = (9, 3, 2, 3, 2), 5, 6
    lengths = ((7, 38), (7, 67), (128, 1), (64, 1), (32, 1))
    kernels = [(*size, 1, n) for size, n in zip(lengths, front, strict=True)]
    kernels += [(7, sum(front), 1, middle), (7, middle, 1, middle), (7, middle, 1, middle)]
    pooled = 2 * (sum(front) + 3 * middle)
    layers = {"conv2d": kernels, "dense": [(pooled, dense), (dense, 50)]}
    arrays = {}
    for layer, shapes in layers.items():
        for i, shape in enumerate(shapes):
            fan_in = np.prod(shape[:-1])
            kernel = random.normal(size=shape) * gain[layer] / np.sqrt(fan_in)
            arrays[f"{numbered(layer, i)}/kernel"] = kernel
            arrays[f"{numbered(layer, i)}/bias"] = random.normal(size=shape[-1]) / 4
            if layer == "conv2d" and i < len(front):
                arrays[f"{numbered(layer, i)}/kernel"][..., 1] *= 1e-12
    for i, width in enumerate((1, *(k[-1] for k in kernels), pooled, dense)):
        for part in ("beta", "gamma", "moving_mean"):
            arrays[f"{numbered('batch_normalization', i)}/{part}"] = random.normal(size=width)
        variance = random.uniform(0.5, 2, size=width)
        arrays[f"{numbered('batch_normalization', i)}/moving_variance"] = variance
    return {name: array.astype(np.float32) for name, array in arrays.items()}


class Original:
    """The network as its authors wrote it, a patch at a time, in float64 and in NumPy alone."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = {name: array.astype(np.float64) for name, array in arrays.items()}

    def norm(self, x: np.ndarray, i: int) -> np.ndarray:
        beta, gamma, mean, variance = (
            self.arrays[f"{numbered('batch_normalization', i)}/{part}"]
            for part in ("beta", "gamma", "moving_mean", "moving_variance")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def conv(self, x: np.ndarray, i: int, pads: tuple[int, int]) -> np.ndarray:
        """Rectified and normalised convolution: (time, width) -> (time, places, channels)."""
        kernel = self.arrays[f"{numbered('conv2d', i)}/kernel"][:, :, 0]  # (time, width, channel)
        views = sliding_window_view(np.pad(x, (pads, (0, 0))), kernel.shape[:2])
        y = np.einsum("tfab,abc->tfc", views, kernel)
        y = np.maximum(y + self.arrays[f"{numbered('conv2d', i)}/bias"], 0)
        return self.norm(y, i + 1)

    def tags(self, patch: np.ndarray) -> np.ndarray:
        x = self.norm(patch[:, :, None].astype(np.float64), 0)[:, :, 0]
        pads = ((3, 3), (3, 3), (63, 64), (31, 32), (15, 16))  # TensorFlow's 'same': more behind
        front = [self.conv(x, i, pad).max(axis=1) for i, pad in enumerate(pads)]
        layers = [np.concatenate(front, axis=1)]
        for i in (5, 6, 7):
            y = self.conv(layers[-1], i, (3, 3))[:, 0]
            layers.append(y + layers[-1] if i > 5 else y)
        everything = np.concatenate(layers, axis=1)
        pools = np.stack([everything.max(axis=0), everything.mean(axis=0)], axis=1)
        dense = self.norm(pools.flatten(), 9) @ self.arrays["dense/kernel"]
        dense = self.norm(np.maximum(dense + self.arrays["dense/bias"], 0), 10)
        logits = dense @ self.arrays["dense_1/kernel"] + self.arrays["dense_1/bias"]
        return 1 / (1 + np.exp(-logits))


def some_windows(n: int = 2) -> np.ndarray:
    """Noise whose level in each band changes every second or so."""
    random = np.random.default_rng(2)
    level = random.exponential(2, size=(n, -(-WINDOW // 80), 1, SPEC.n_mels)).repeat(80, axis=2)
    level = level.reshape(n, -1, SPEC.n_mels)[:, :WINDOW]
    return (level * random.uniform(size=level.shape)).astype(np.float32)


def originals_roots(arrays: dict[str, np.ndarray], excerpts: np.ndarray) -> np.ndarray:
    original = Original(arrays)
    starts = range(0, excerpts.shape[1] - PATCH_FRAMES + 1, PATCH_HOP)
    tags = [[original.tags(x[i : i + PATCH_FRAMES]) for i in starts] for x in excerpts]
    return np.sqrt(tags)


def head_bytes(**changes: Any) -> bytes:
    info = replace(INFO, spec=TAGS_SPEC, window_frames=N_PATCHES, window_hop=1, **changes)
    return toy_bytes(info, weight=HEAD_WEIGHT)


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    """A user's data folder, empty."""
    folder = tmp_path / "home" / "musicnn.onnx"
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(folder.parent))
    return folder


class TestGraph:
    def test_vectors_are_the_roots_of_the_originals_tags(self) -> None:
        """With the convolutions that patches share, and the maximum before the normalisation."""
        arrays = small_arrays()
        session = onnxruntime.InferenceSession(
            ear_graph(arrays).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        two = some_windows()
        # Batch and length are free; the last patch may end before the excerpt, or with it.
        for excerpts in (two, two[:1, :-1], two[:, :PATCH_FRAMES], two[:, 5 : PATCH_FRAMES + 40]):
            (roots,) = session.run(["vectors"], {"frames": excerpts})
            wanted = originals_roots(arrays, excerpts)
            np.testing.assert_allclose(roots, wanted, atol=1e-5)
            assert wanted.shape[1] == 1 or wanted.std(axis=1).max() > 0.01  # patches differ

    def test_channels_without_a_kernel_take_no_time(self) -> None:
        arrays = small_arrays()
        living = live_arrays(arrays)
        for i in (0, 2, 3, 4):  # the other one over frequency has fewer than 8 channels anyway
            kernel = arrays[f"{numbered('conv2d', i)}/kernel"]
            kept = living[f"{numbered('conv2d', i)}/kernel"]
            np.testing.assert_array_equal(kept, np.delete(kernel, 1, axis=-1))
        assert living["conv2d_5/kernel"].shape == (7, 19 - 4, 1, 5)
        assert living["dense/kernel"].shape == (2 * (19 - 4 + 3 * 5), 6)

    def test_the_file_says_what_it_takes_and_gives(self) -> None:
        (metadata,) = ear_graph(small_arrays()).metadata_props
        about = json.loads(metadata.value)
        assert metadata.key == "ostinato-ear"
        assert FeatureSpec.from_dict(about.pop("spec")) == SPEC
        assert about == {
            "name": "musicnn-tags",
            "sample_rate_hz": 16000,
            "hop_samples": 61 * 256,
            "heard_samples": 187 * 256,
            "width": 50,
            "licence": "ISC, J. Pons",
        }

    def test_the_head_hears_the_roots_of_the_tags(self, tmp_path, home) -> None:
        """The ear hears the whole of an excerpt once; the head takes windows of its vectors."""
        arrays = small_arrays()
        home.parent.mkdir()
        home.write_bytes(ear_graph(arrays).SerializeToString())
        model = tmp_path / "head.onnx"
        model.write_bytes(head_bytes())
        seconds = WINDOW * SPEC.hop_samples / SPEC.sample_rate_hz
        sound = music(0, 2 * seconds)
        verdict = Classifier.load(model).classify(waveform=sound, sample_rate_hz=22050)
        mono = waveform_from_array(sound, sample_rate_hz=22050, target_sample_rate_hz=16000)
        (roots,) = originals_roots(arrays, features.frames(mono, SPEC)[None])
        logits = features.cut(roots, length=N_PATCHES, hop=1).mean(axis=1) @ HEAD_WEIGHT
        wanted = apply_temperature(softmax(logits).mean(axis=0), INFO.temperature)
        for genre, p in verdict.ranked:
            assert p == pytest.approx(wanted[INFO.genres.index(genre)], abs=1e-4)

    def test_without_onnx_it_says_what_to_install(self, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "onnx", None)
        monkeypatch.setattr(musicnn_wheel, "_is_whole", lambda *_: False)
        with pytest.raises(MissingExtraError, match=r'pip install "ostinato\[musicnn\]"'):
            fetch_musicnn()

    def test_tags_last_as_long_as_their_patches(self) -> None:
        assert TAGS_SPEC.hop_seconds == pytest.approx(PATCH_HOP * SPEC.hop_seconds)
        head = load_head()
        assert head.info.window_s == pytest.approx(20, abs=0.5)
        assert head.info.spec == TAGS_SPEC

    def test_the_figures_beside_the_head_are_its_own(self) -> None:
        info = load_head().info
        path = WEIGHTS / "musicnn-head.json"
        figures = json.loads(path.read_text(encoding="utf-8"))
        for name in ("temperature", "threshold", "precision", "novelty_threshold"):
            assert getattr(info, name) == figures[name]
        assert info.accuracy["mean"] == figures["fault-filtered test"]["accuracy"]["mean"]
        assert "overlap unknown" in info.accuracy["protocol"]
        assert path.with_suffix(".onnx").stat().st_size == figures["bytes"] < 1_000_000


def load_head() -> Any:
    return open_graph(WEIGHTS / "musicnn-head.onnx")


def checkpoint() -> bytes:
    """Numbers of the right number, small enough for no infinity."""
    values = np.random.default_rng(0).normal(size=9465596 // 4) * 0.05
    return np.abs(values).astype("<f4").tobytes()


@pytest.fixture
def wheel(monkeypatch, tmp_path) -> Path:
    """A wheel with other weights, and the checksum that goes with it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as files:
        files.writestr(DATA, checkpoint())
    path = tmp_path / "other.whl"
    path.write_bytes(content.getvalue())
    digest = musicnn_wheel.hashlib.sha256(content.getvalue()).hexdigest()
    monkeypatch.setattr(musicnn_wheel, "WHEEL_SHA256", digest)
    return path


class TestWheel:
    def test_variables_lie_one_after_the_other(self) -> None:
        """Where the index of the real checkpoint says that they begin, in bytes."""
        data = checkpoint()
        arrays = arrays_in(data)
        for name, shape, first in (
            ("batch_normalization/beta", (1,), 0),
            ("batch_normalization_10/beta", (200,), 6560),
            ("batch_normalization_9/moving_variance", (1506,), 72696),
            ("conv2d/bias", (204,), 78728),
            ("conv2d_5/kernel", (7, 561, 1, 64), 2022596),
            ("dense_1/kernel", (200, 50), 9345596),
        ):
            wanted = np.frombuffer(data, "<f4", np.prod(shape, dtype=int), first).reshape(shape)
            np.testing.assert_array_equal(arrays[name], wanted)
        assert len(arrays) == 64  # and none of the moments

    @pytest.mark.parametrize("change", [-4, -1, 4])
    def test_another_number_of_weights_is_refused(self, change: int) -> None:
        data = checkpoint()
        data = data[:change] if change < 0 else data + bytes(change)
        with pytest.raises(DataError, match="expected 9465596 bytes of weights"):
            arrays_in(data)

    def test_another_file_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"w\.whl: expected musicnn-0\.1\.0.*got 5 bytes"):
            weights(b"wheel", source="w.whl")

    def test_a_wheel_damaged_on_its_way_is_refused_before_it_is_opened(self, wheel) -> None:
        content = bytearray(wheel.read_bytes())
        content[1000] ^= 1
        for damaged in (bytes(content), bytes(content[:5000])):
            with pytest.raises(DataError, match="damaged on its way"):
                weights(damaged, source="w.whl")

    def test_without_pip_it_says_what_else_to_do(self, monkeypatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(FetchError, match=r"which has none: .* --wheel FILE"):
            musicnn_wheel.downloaded_wheel()

    @pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="no pip here")
    def test_a_download_that_fails_is_one_sentence(self, monkeypatch) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        with pytest.raises(FetchError, match=r"pip says 'No matching .*--wheel FILE") as refused:
            musicnn_wheel.downloaded_wheel()
        assert "\n" not in str(refused.value)


class TestFetch:
    def test_the_file_is_made_once_and_found_by_its_name(self, home, wheel, monkeypatch) -> None:
        told: list[str] = []
        assert fetch_musicnn(wheel=wheel, tell=told.append) == home
        assert told == ["Making its file ..."]
        graph = load_graph("musicnn")
        assert graph.info.name == "musicnn"
        assert graph.info.genres == load_head().info.genres
        made = home.stat().st_mtime_ns
        fetch_musicnn(tell=told.append)  # no wheel is asked for
        assert "there already" in told[-1]
        assert home.stat().st_mtime_ns == made
        verdict = Classifier.load("musicnn").classify(
            waveform=np.random.default_rng(0).normal(size=22050 * 3) / 10, sample_rate_hz=22050
        )
        assert len(verdict.ranked) == 10
        assert LiveClassifier(Classifier.load("musicnn")).enough_s == pytest.approx(20, abs=0.5)

    def test_a_damaged_or_outdated_file_is_made_again(self, home, wheel) -> None:
        fetch_musicnn(wheel=wheel)
        whole = home.read_bytes()
        graph = onnx.load_from_string(whole)
        (metadata,) = graph.metadata_props
        metadata.value = metadata.value.replace("musicnn-tags", "other-tags")
        for bad in (whole[:100_000], graph.SerializeToString(), toy_bytes()):
            home.write_bytes(bad)
            fetch_musicnn(wheel=wheel)
            assert home.read_bytes() == whole

    def test_a_folder_of_ones_own(self, home, wheel, tmp_path) -> None:
        assert fetch_musicnn(to=tmp_path / "mine", wheel=wheel) == tmp_path / "mine/musicnn.onnx"
        assert not home.exists()

    def test_nothing_is_written_of_a_wrong_wheel(self, home, tmp_path) -> None:
        (tmp_path / "w.whl").write_bytes(b"no wheel")
        with pytest.raises(DataError, match="another file"):
            fetch_musicnn(wheel=tmp_path / "w.whl")
        assert not home.parent.exists()

    def test_a_wheel_that_is_not_there(self, home, tmp_path) -> None:
        with pytest.raises(DataError, match=r"Cannot read the wheel .*No such file"):
            fetch_musicnn(wheel=tmp_path / "w.whl")

    def test_before_it_was_fetched_the_model_says_how(self, home) -> None:
        for load in (load_graph, Classifier.load):
            with pytest.raises(UsageError, match="run ostinato fetch musicnn first"):
                load("musicnn")

    def test_it_is_no_model_that_ships(self) -> None:
        assert not [name for name in shipped() if "musicnn" in name]
        with pytest.raises(
            UsageError, match=r"Expected a model of default, .*, musicnn, or the path"
        ):
            load_graph("musicnn-head")


class TestCommandLine:
    def call(self, *arguments: str) -> int:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        return int(end.value.code or 0)

    def test_fetch_prints_the_file_and_tells_on_stderr(self, home, wheel, capsys) -> None:
        assert self.call("fetch", "musicnn", "--wheel", str(wheel)) == 0
        out, err = capsys.readouterr()
        assert out == f"{home}\n"
        assert "Making its file" in err

    @pytest.mark.parametrize(
        ("arguments", "status", "sentence"),
        [
            (("fetch", "musicnn", "--wheel", "nowhere.whl"), 1, "Cannot read the wheel"),
            (("fetch", "musicnn", "--url", "https://a.b"), 2, "Expected --url with gtzan"),
            (("fetch", "gtzan", "--wheel", "w.whl"), 2, "Expected --wheel with musicnn"),
            (("classify", "--model", "musicnn", "song.mp3"), 2, "fetch musicnn first"),
        ],
    )
    def test_wrong_calls(self, home, capsys, arguments, status: int, sentence: str) -> None:
        assert self.call(*arguments) == status
        assert sentence in capsys.readouterr().err


@pytest.fixture(scope="session")
def fetched(tmp_path_factory) -> Path:
    """The real file: made of the wheel that OSTINATO_MUSICNN_WHEEL names, or fetched before."""
    wheel = os.environ.get("OSTINATO_MUSICNN_WHEEL")
    if wheel:
        return fetch_musicnn(to=tmp_path_factory.mktemp("musicnn"), wheel=Path(wheel))
    if not fetched_path("musicnn").is_file():
        pytest.skip("musicnn was not fetched (set OSTINATO_MUSICNN_WHEEL to its wheel)")
    return fetched_path("musicnn")


class TestRealNetwork:
    def test_tags_are_the_published_ones(self, fetched, shared_data) -> None:
        """Those were computed with TensorFlow, behind another resampler."""
        path = Path(__file__).resolve().parents[2] / "benchmarks" / "musicnn.py"
        benchmark: Any = load_module(path)
        rows = list(benchmark.compared(shared_data, benchmark.tagger(fetched)))
        found = [r for _, r, _, _ in rows]
        assert len(found) > 30
        assert min(found) > 0.96
        assert np.median(found) > 0.99

    def test_songs_have_verdicts(self, fetched, shared_data) -> None:
        head = open_graph(WEIGHTS / "musicnn-head.onnx")
        verdict = Classifier(head, ear=open_ear(fetched)).classify(
            shared_data / "gtzan" / "audio" / "full" / "classical.00000.flac"
        )
        assert verdict.ranked[0][0] == "classical"


def load_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"benchmark {path.stem}"] = module
    spec.loader.exec_module(module)
    return module
