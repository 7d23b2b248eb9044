"""Frames in mapped shards are those of memory, in a bounded part of it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from ostinato.datasets import FrameCache, load, load_corpus, shards
from ostinato.datasets.augment_audio import AudioAugmentation
from ostinato.datasets.shards import FrameShards, pack
from ostinato.datasets.splits import Fold
from ostinato.errors import DataError
from ostinato.features import FeatureSpec
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.storage import WriteError
from ostinato.training import train
from tests.helpers.toy import QUICK, toy_corpus

F = 4
ARRAYS = {
    f"key{i}": np.random.default_rng(i).normal(size=(5 + i, F)).astype(np.float32)
    for i in range(20)
}


@pytest.fixture
def small(monkeypatch) -> None:
    """Shards of three or four recordings."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 600)


def same(found: FrameShards, keys: list[str]) -> bool:
    return len(found) == len(keys) and all(
        np.array_equal(found[i], ARRAYS[key]) for i, key in enumerate(keys)
    )


@pytest.mark.usefixtures("small")
class TestPacking:
    def test_gives_each_recording_its_frames_in_the_order_asked_for(self, tmp_path) -> None:
        keys = [*ARRAYS][::-1]
        found = pack(tmp_path, keys, ARRAYS.__getitem__, n_features=F)
        assert same(found, keys)
        assert len(found.files) > 3
        assert same(found[2:5], keys[2:5])
        assert same(found.chosen([7, 7, 0]), [keys[7], keys[7], keys[0]])
        assert len(list(found)) == 20
        with pytest.raises(IndexError):
            found[20]
        with pytest.raises(ValueError, match="read-only"):
            found[0][0, 0] = 1

    def test_again_reads_nothing_and_a_new_recording_alone(self, tmp_path) -> None:
        first = [*ARRAYS][:12]
        pack(tmp_path, first, ARRAYS.__getitem__, n_features=F)
        asked: list[str] = []

        def load_one(key: str) -> np.ndarray:
            asked.append(key)
            return ARRAYS[key]

        assert same(pack(tmp_path, first[::2], load_one, n_features=F), first[::2])
        assert asked == []
        assert same(pack(tmp_path, [*ARRAYS], load_one, n_features=F), [*ARRAYS])
        assert asked == [*ARRAYS][12:]

    def test_that_is_interrupted_keeps_whole_shards(self, tmp_path) -> None:
        def interrupted(key: str) -> np.ndarray:
            if key == "key9":
                raise KeyboardInterrupt
            return ARRAYS[key]

        with pytest.raises(KeyboardInterrupt):
            pack(tmp_path, [*ARRAYS], interrupted, n_features=F)
        assert not list(tmp_path.glob(".*"))
        kept = {key for path in tmp_path.glob("*.json") for key in json.loads(path.read_text())}
        assert 0 < len(kept) < 10
        asked: list[str] = []
        found = pack(
            tmp_path, [*ARRAYS], lambda key: asked.append(key) or ARRAYS[key], n_features=F
        )
        assert same(found, [*ARRAYS])
        assert set(asked) == set(ARRAYS) - kept

    @pytest.mark.parametrize("damage", ["no index", "half an index", "half a shard", "no shard"])
    def test_a_damaged_shard_counts_as_absent(self, tmp_path, damage) -> None:
        pack(tmp_path, [*ARRAYS], ARRAYS.__getitem__, n_features=F)
        path = sorted(tmp_path.glob("*.json" if "index" in damage else "*.f32"))[0]
        if damage.startswith("half"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            path.unlink()
        assert same(pack(tmp_path, [*ARRAYS], ARRAYS.__getitem__, n_features=F), [*ARRAYS])

    def test_where_nothing_can_be_written_is_a_sentence(self, tmp_path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(WriteError, match=r"Cannot write .*a part of its path is a file"):
            pack(tmp_path / "file" / "shards", ["key0"], ARRAYS.__getitem__, n_features=F)


def test_pickled_it_is_paths_and_a_folder_that_is_not_seen_a_sentence(tmp_path) -> None:
    keys = [*ARRAYS]
    found = pack(tmp_path, keys, lambda key: np.tile(ARRAYS[key], (500, 1)), n_features=F)
    assert found[3].nbytes > 10_000
    sent = pickle.dumps(found)
    assert len(sent) < 2_000
    assert np.array_equal(pickle.loads(sent)[3], found[3])
    for path in found.files:
        path.unlink()
    with pytest.raises(DataError, match=r"cannot be read \(.*No such file.*must see the folder of"):
        pickle.loads(sent)[0]


class TestTraining:
    def test_gives_the_figures_of_memory_to_the_last_bit(self, tmp_path) -> None:
        corpus = toy_corpus()
        by_id = dict(zip(corpus.ids, corpus.frames, strict=True))
        mapped = replace(corpus, frames=pack(tmp_path, corpus.ids, by_id.__getitem__, n_features=F))
        fold = Fold(train=corpus.ids[::2], valid=corpus.ids[1::2], test=())
        one, other = (train(c, fold, "lstm", training=QUICK) for c in (corpus, mapped))
        for name, value in one.model.state_dict().items():
            assert torch.equal(value, other.model.state_dict()[name])
        assert np.array_equal(one.probabilities["valid"], other.probabilities["valid"])

    def test_standardises_in_pieces_as_at_once(self) -> None:
        pieces = [a * 30 + 1000 for a in ARRAYS.values()]
        layer, whole = FrameNormalisation(F), np.concatenate(pieces).astype(np.float64)
        layer.fit_in_pieces(pieces)
        np.testing.assert_allclose(layer.mean, whole.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(layer.deviation, whole.std(axis=0, ddof=1), rtol=1e-6)


MEASURED = """
import resource, sys
from pathlib import Path
import numpy as np
from ostinato.datasets.shards import pack

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(l.split()[1]) for l in lines if l.startswith("VmRSS"))

def load(key):
    return np.full((20_000, 40), int(key), dtype=np.float32)  # 3.2 MB

keys = [str(i) for i in range(200)]
frames = pack(Path(sys.argv[1]), keys, load, n_features=40)
before, most = peak(), 0
for _ in range(2):
    for i, array in enumerate(frames):
        assert array.sum() == i * array.size
        most = max(most, peak() - before)
print(most)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_was_read_does_not_stay_in_memory(tmp_path) -> None:
    """640 MB are read twice."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 200_000  # kB


@pytest.mark.parametrize("copies", [0, 2])
def test_a_folder_whose_frames_are_large_is_mapped(tmp_path, monkeypatch, copies) -> None:
    random = np.random.default_rng(0)
    for i in range(8):
        path = tmp_path / "music" / "ab"[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * random.normal(size=22050), 22050)
    augmentation = AudioAugmentation(copies=copies, noise=0.5) if copies else None
    options = {
        "spec": FeatureSpec(n_coefficients=8), "n_jobs": 1,
        "cache": FrameCache(tmp_path / "cache"),
        **({"augmentation": augmentation} if augmentation else {}),
    }  # fmt: skip
    whole = load_corpus(tmp_path / "music", **options)
    monkeypatch.setattr(load, "SHARE_OF_MEMORY", 1e-8)
    monkeypatch.setattr(load, "_AT_ONCE", 3)
    seen: list[tuple[int, int]] = []
    mapped = load_corpus(
        tmp_path / "music", progress=lambda done, total, _: seen.append((done, total)), **options
    )
    assert isinstance(mapped.frames, FrameShards)
    assert mapped.recordings == whole.recordings
    assert len(mapped.copies) == copies
    for one, other in zip((whole.frames, *whole.copies), (mapped.frames, *mapped.copies),
                          strict=True):  # fmt: skip
        assert [a.tobytes() for a in one] == [a.tobytes() for a in other]
    assert seen == [(i, 8) for i in range(1, 9)] * (2 if copies else 1)
