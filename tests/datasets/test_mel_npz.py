"""Files of mel frames: their frames, and the errors of files that cannot be used."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

from ostinato.audio import load_audio
from ostinato.datasets.gtzan import load_gtzan, tracks
from ostinato.datasets.mel_npz import load_mel_npz
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec
from scripts.build_gtzan_frames import frames_at

MEL = FeatureSpec(kind="log-mel")
IDS = ("blues.00003", "rock.00099", "jazz.00007")


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "mel": random.integers(0, 256, (3, 128, 20), dtype=np.uint8),
        "track_id": np.array(IDS),
        "genre": np.array([name.split(".")[0] for name in IDS]),
        "n_frames": np.array([1290, 1290, 1290]),
    }


def written(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = folder / "mel.npz"
    np.savez(path, **arrays)
    return path


def test_every_image_is_standardised_and_turned_so_that_time_comes_first(tmp_path, arrays) -> None:
    corpus = load_mel_npz(written(tmp_path, arrays), spec=MEL)
    assert corpus.ids == IDS
    for frames, image in zip(corpus.frames, arrays["mel"].astype(np.float64), strict=True):
        wanted = (image.T - image.mean()) / image.std()
        assert frames.dtype == np.float32
        np.testing.assert_allclose(frames, wanted, atol=1e-5)


def test_scale_and_offset_of_a_track_are_of_no_effect(tmp_path, arrays) -> None:
    """They are unknown, and another for each track."""
    arrays["mel"] //= 4
    plain = load_mel_npz(written(tmp_path, arrays), spec=MEL).frames
    arrays["mel"][1] = 60 + 2 * arrays["mel"][1]
    other = load_mel_npz(written(tmp_path, arrays), spec=MEL).frames
    np.testing.assert_allclose(plain[1], other[1], atol=1e-5)


@pytest.mark.parametrize("n_coefficients", [1, 40, 77, 128])
def test_mfcc_are_the_dct_of_the_bands_however_many_are_asked_for(
    tmp_path, arrays, n_coefficients: int
) -> None:
    path = written(tmp_path, arrays)
    bands = load_mel_npz(path, spec=MEL).frames[0]
    dct = scipy.fft.dct(bands, axis=1, norm="ortho")
    mfcc = load_mel_npz(path, spec=FeatureSpec(n_coefficients=n_coefficients)).frames[0]
    np.testing.assert_allclose(mfcc, dct[:, :n_coefficients], atol=1e-4)
    smooth = load_mel_npz(
        path, spec=FeatureSpec(kind="log-mel-from-mfcc", n_coefficients=n_coefficients)
    ).frames[0]
    dct[:, n_coefficients:] = 0
    np.testing.assert_allclose(smooth, scipy.fft.idct(dct, axis=1, norm="ortho"), atol=1e-4)


def test_what_is_known_of_a_track_comes_from_the_table(tmp_path, arrays) -> None:
    corpus = load_mel_npz(written(tmp_path, arrays), spec=MEL)
    by_id = {track.id: track for track in tracks()}
    assert [r.artist for r in corpus.recordings] == [by_id[name].artist for name in IDS]
    assert corpus.name == "gtzan"
    assert corpus.source == "mel.npz"
    assert corpus.skipped == ()
    assert "128 mel bands, every" in corpus.spec.describe()


def test_the_research_file_gives_the_frames_that_ship_and_those_of_the_audio(shared_data) -> None:
    """MFCC within the 8 bits of the shipped ones; bands within 0.03 deviations of real audio."""
    path = shared_data / "gtzan" / "mel128.npz"
    shipped = load_gtzan()
    held = load_mel_npz(path, spec=shipped.spec)
    assert held.recordings == shipped.recordings
    deviation = np.concatenate(shipped.frames).std(0)
    for mine, theirs in zip(held.frames[::50], shipped.frames[::50], strict=True):
        assert (np.abs(mine - theirs) / deviation).max() < 0.04
    bands = load_mel_npz(path, spec=MEL)
    with np.load(path) as stored:
        n_frames = dict(zip(stored["track_id"].tolist(), stored["n_frames"].tolist(), strict=True))
    audio = sorted((shared_data / "gtzan" / "audio" / "full").glob("*.flac"))[:4]
    assert len(audio) == 4
    for track in audio:
        columns = np.floor((np.arange(387) + 0.5) * n_frames[track.stem] / 387.5).astype(int)
        wanted = frames_at(load_audio(track), 512 * columns, MEL)
        got = bands.frames[bands.ids.index(track.stem)]
        assert np.abs(got - wanted).mean() < 0.03


def test_a_file_that_does_not_exist_is_a_wrong_call(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"none\.npz', which does not exist"):
        load_mel_npz(tmp_path / "none.npz", spec=MEL)


def test_frames_with_another_hop_than_the_file_has_are_refused(tmp_path, arrays) -> None:
    with pytest.raises(UsageError, match=r"the file can give 128 mel bands, every 77.5 ms; got"):
        load_mel_npz(written(tmp_path, arrays), spec=FeatureSpec(kind="log-mel", hop_samples=512))


@pytest.mark.parametrize("name", ["mel", "track_id", "genre"])
def test_a_missing_array_is_named(tmp_path, arrays, name: str) -> None:
    del arrays[name]
    with pytest.raises(DataError, match=f"mel.npz: expected the arrays .*; it lacks {name}"):
        load_mel_npz(written(tmp_path, arrays), spec=MEL)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("mel", np.zeros((3, 64, 20), np.uint8), r"shape \(tracks, 128, frames\), got uint8 of"),
        ("mel", np.zeros((3, 128, 20), np.float32), r"'mel' of uint8 .* got float32"),
        ("mel", np.zeros((128, 20), np.uint8), r"got uint8 of shape \(128, 20\)"),
        ("mel", np.ones((3, 128, 20), np.uint8), r"track 'blues.00003': Sound without content"),
        ("track_id", np.array(IDS[:2]), r"'track_id' of text and shape \(3,\)"),
        ("track_id", np.arange(3), r"'track_id' of text .* got int64"),
        ("track_id", np.array(["blues.00003", "song 1", "song 2"]), r"tracks of GTZAN .*'song 1'"),
        ("track_id", np.array(["blues.00003"] * 3), r"genre 'blues' of track 'blues.00003', got"),
        ("genre", np.array(["blues"] * 3), r"genre 'rock' of track 'rock.00099', got 'blues'"),
        ("genre", np.array("blues"), r"'genre' of text and shape \(3,\)"),
    ],
)
def test_an_array_of_another_form_is_refused_in_a_sentence(
    tmp_path, arrays, name: str, value: np.ndarray, sentence: str
) -> None:
    arrays[name] = value
    with pytest.raises(DataError, match=sentence) as caught:
        load_mel_npz(written(tmp_path, arrays), spec=MEL)
    assert "mel.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_track_that_occurs_twice_is_refused(tmp_path, arrays) -> None:
    arrays["track_id"] = np.array([IDS[0], IDS[1], IDS[0]])
    arrays["genre"] = np.array(["blues", "rock", "blues"])
    with pytest.raises(DataError, match=r"'blues\.00003' occurs more than once"):
        load_mel_npz(written(tmp_path, arrays), spec=MEL)


def archive(**arrays: object) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def single() -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"these are no arrays",
        single(),
        archive(mel=np.zeros(9))[:-30],
        archive(mel=np.array([{}], dtype=object)),
    ],
    ids=["empty", "text", "npy", "cut off", "pickled"],
)
def test_a_file_that_is_no_archive_of_arrays_is_refused_and_nothing_unpickled(
    tmp_path, content: bytes
) -> None:
    path = tmp_path / "mel.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mel\.npz: expected an archive of NumPy arrays") as caught:
        load_mel_npz(path, spec=MEL)
    assert "\n" not in str(caught.value)
