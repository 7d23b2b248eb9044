"""Files of tag sequences: their frames, and the errors of files that cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ostinato import models
from ostinato.datasets.gtzan import GENRES, published_split, tracks
from ostinato.datasets.tag_npz import load_tag_npz
from ostinato.errors import DataError, UsageError
from ostinato.inference.musicnn import TAGS_SPEC
from ostinato.study.config import StudyConfig, load_config
from ostinato.study.plan import load_data, plan_study
from ostinato.study.training_run import corpus_digest
from ostinato.training.augment_frames import FrameAugmentation
from ostinato.training.settings import TrainingSettings

IDS = ("rock.00099", "blues.00003", "jazz.00007")
ROWS = 4


@pytest.fixture
def arrays() -> dict[str, Any]:
    names = [f"{name.split('.')[0]}/{name}.au" for name in IDS for _ in range(ROWS)]
    return {
        "X": np.random.default_rng(0).uniform(size=(len(names), 50)).astype(np.float32),
        "Y": np.array([GENRES.index(name.split("/")[0]) for name in names]),
        "IDS": np.array(names),
    }


def written(folder: Path, arrays: dict[str, Any], name: str = "tags.npz") -> Path:
    path = folder / name
    np.savez(path, **arrays)
    return path


def test_frames_are_the_roots_of_the_likelihoods_in_order_of_time(tmp_path, arrays) -> None:
    corpus = load_tag_npz(written(tmp_path, arrays))
    assert corpus.ids == tuple(sorted(IDS))
    for name, frames in zip(corpus.ids, corpus.frames, strict=True):
        first = IDS.index(name) * ROWS
        np.testing.assert_allclose(frames, np.sqrt(arrays["X"][first : first + ROWS]))
    assert corpus.spec == TAGS_SPEC
    assert corpus.source == "tags.npz"
    by_id = {track.id: track for track in tracks()}
    assert [r.artist for r in corpus.recordings] == [by_id[name].artist for name in corpus.ids]


def test_a_folder_stands_for_its_files(tmp_path, arrays) -> None:
    rows = {"a": slice(ROWS), "b": slice(ROWS, None)}
    for name, some in rows.items():
        written(tmp_path, {key: array[some] for key, array in arrays.items()}, f"{name}.npz")
    assert load_tag_npz(tmp_path).ids == tuple(sorted(IDS))
    written(tmp_path, {key: array[:1] for key, array in arrays.items()}, "c.npz")
    with pytest.raises(DataError, match=r"c\.npz: expected each track in one file, got 'rock"):
        load_tag_npz(tmp_path)


def test_a_track_whose_sound_is_corrupt_is_passed_over(tmp_path, arrays) -> None:
    arrays["IDS"] = np.array(["jazz/jazz.00054.au" if "jazz" in i else i for i in arrays["IDS"]])
    corpus = load_tag_npz(written(tmp_path, arrays))
    assert corpus.ids == ("blues.00003", "rock.00099")
    assert [s.id for s in corpus.skipped] == ["jazz.00054"]


def test_a_study_of_tags_is_given_them(tmp_path, arrays) -> None:
    path = written(tmp_path, arrays)
    corpus = load_data(StudyConfig(data=str(path), frames="musicnn-tags"))
    assert corpus.ids == tuple(sorted(IDS))


def test_the_digest_is_that_of_studies_before_external_frames_had_a_name(tmp_path, arrays) -> None:
    """The test of the shipped head is recorded under it (study/test-ledger.csv)."""
    assert corpus_digest(load_tag_npz(written(tmp_path, arrays))) == "13a9a5860e277df3"


@pytest.mark.parametrize("data", ["gtzan", "nowhere.npz", "."])
def test_no_such_file(tmp_path, monkeypatch, data: str) -> None:
    """The shipped frames have no tags either."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="Expected a file of tag sequences"):
        load_data(StudyConfig(data=data, frames="musicnn-tags"))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "float64": ({"X": np.zeros((12, 50))}, "'X' of float32 .* got float64"),
    "49 tags": ({"X": np.zeros((12, 49), np.float32)}, r"got float32 of shape \(12, 49\)"),
    "fewer rows": ({"X": np.zeros((11, 50), np.float32)}, r"\(11, 50\) for 12"),
    "logits": ({"X": np.full((12, 50), -3, np.float32)}, r"likelihoods in \[0, 1\]"),
    "NaN": ({"X": np.full((12, 50), np.nan, np.float32)}, r"likelihoods in \[0, 1\]"),
    "real genres": ({"Y": np.zeros(12)}, "'Y' of whole numbers"),
    "another genre": ({"Y": np.zeros(12, int)}, "the genre of 'jazz/jazz.00007.au'"),
    "an unknown track": ({"IDS": np.array(["a.wav"] * 12)}, r"tracks of GTZAN .*, got 'a\.wav'"),
    "numbers for names": ({"IDS": np.arange(12)}, "'IDS' of text"),
}


@pytest.mark.parametrize(("change", "sentence"), BAD.values(), ids=BAD)
def test_arrays_of_another_form_are_refused(tmp_path, arrays, change, sentence: str) -> None:
    path = written(tmp_path, arrays | change)
    with pytest.raises(DataError, match=sentence) as refused:
        load_tag_npz(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_file_that_is_no_archive_is_refused(tmp_path, arrays) -> None:
    path = written(tmp_path, arrays)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"an archive of NumPy arrays \(\.npz\)"):
        load_tag_npz(path)
    del arrays["Y"]
    with pytest.raises(DataError, match="it lacks Y"):
        load_tag_npz(written(tmp_path, arrays))


@pytest.mark.parametrize(("place", "value"), [(6, 75), (8, 1), (10, 97)])
def test_an_archive_of_a_kind_that_python_does_not_read_is_refused(
    tmp_path, arrays, place: int, value: int
) -> None:
    """A later version of zip, an encrypted one, and another compression: other errors each."""
    path = tmp_path / "odd.npz"
    np.savez(path, **arrays)
    content = path.read_bytes()
    head = content.index(b"PK\x01\x02") + place
    path.write_bytes(content[:head] + bytes([value]) + content[head + 1 :])
    with pytest.raises(DataError, match=r"expected an archive of NumPy arrays"):
        load_tag_npz(path)


def test_nothing_is_unpickled(tmp_path, arrays) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_tag_npz(written(tmp_path, arrays | {"IDS": np.array([{}] * 12, object)}))


def test_models_and_augmentations_of_mel_bands_are_refused() -> None:
    for name in ("cnn", "crnn", "fusion"):
        settings = models.family(name).settings()
        with pytest.raises(UsageError, match=r"MFCC or mel bands.*got 50 musicnn-tags"):
            models.build(name, spec=TAGS_SPEC, n_genres=10, settings=settings)
    for name in ("pitch", "tilt", "gain", "mask_bands"):
        settings = TrainingSettings(**{name: 0.5})
        with pytest.raises(UsageError, match=rf"training\.{name}: expected 0, for 50 musicnn-tags"):
            FrameAugmentation(settings, TAGS_SPEC, torch.zeros(50))


def test_the_study_of_the_head_fits_the_published_sequences(shared_data, monkeypatch) -> None:
    """Its folds hold all 442 tracks out, each once, and have no test track."""
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    config = load_config(Path("studies/accuracy/musicnn.toml"))
    data = shared_data / "musicnn" / "training_data_GTZAN_MSDmusicnn_taggram.npz"
    plan = plan_study(config, load_data(replace(config, data=str(data))), Path("nowhere"))
    held_out = [name for fold in plan.split.folds for name in fold.valid]
    assert sorted(held_out) == sorted(plan.corpus.ids)
    assert len(plan.tasks) == 25
    assert plan.split.artists == "apart"
    assert not any(fold.test for fold in plan.split.folds)


def test_the_published_sequences(shared_data) -> None:
    """They are the 442 readable tracks of the train part, and nothing else."""
    folder = shared_data / "musicnn"
    corpus = load_tag_npz(folder / "training_data_GTZAN_MSDmusicnn_taggram.npz")
    train = set(published_split("fault-filtered")["train"])
    assert set(corpus.ids) == train - {"jazz.00054"}
    assert {len(frames) for frames in corpus.frames} == {28, 29}
