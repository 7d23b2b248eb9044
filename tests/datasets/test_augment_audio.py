"""Augmented copies: the size of each change, its random numbers, and the cache's key."""

from __future__ import annotations

import hashlib
import itertools
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

from ostinato.audio import Waveform, load_audio
from ostinato.datasets import FrameCache, load_corpus
from ostinato.datasets import augmented_copies as copies_module
from ostinato.datasets.augment_audio import AudioAugmentation, augment, draw, through_mp3
from ostinato.datasets.augmented_copies import compute_copies
from ostinato.datasets.compute import FileFrames, compute_frames
from ostinato.errors import DataError, MissingExtraError, UsageError
from ostinato.features import FeatureSpec, frames
from tests.helpers.programs import run

RATE_HZ = 22_050
HASH = "ab" + "0" * 62
ALL = AudioAugmentation(copies=2, pitch=2.0, stretch=0.1, equaliser=6.0, noise=0.03, mp3=0.5)
SPEC = FeatureSpec(n_coefficients=5, n_mels=40, excerpt_seconds=1.0)


def tone(hz: float = 440.0, seconds: float = 4.0) -> Waveform:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(
        np.float32
    )


def white(seconds: float = 4.0, *, seed: int = 0) -> Waveform:
    size = round(seconds * RATE_HZ)
    return np.random.default_rng(seed).normal(scale=0.05, size=size).astype(np.float32)


def copy_of(
    sound: Waveform, settings: AudioAugmentation, number: int = 1, sha256: str = HASH
) -> Waveform:
    return augment(sound, settings, sample_rate_hz=RATE_HZ, sha256=sha256, number=number)


def peak_hz(sound: Waveform) -> float:
    """The frequency at which the spectrum of the middle half is highest."""
    middle = sound[sound.size // 4 : -sound.size // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.size), 8 * middle.size))
    return float(spectrum.argmax()) * RATE_HZ / (8 * middle.size)


def power_db(sound: Waveform, low_hz: float, high_hz: float) -> float:
    """Mean power density between two frequencies, by Welch's method."""
    hz, density = signal.welch(sound, RATE_HZ, nperseg=2048)
    return float(10 * np.log10(density[(hz >= low_hz) & (hz < high_hz)].mean()))


# The changes


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_tone_is_shifted_by_the_semitones_drawn_and_lasts_as_long(number: int) -> None:
    settings = AudioAugmentation(copies=1, pitch=4.0)
    semitones = draw(settings, sha256=HASH, number=number).semitones
    got = copy_of(tone(), settings, number)
    assert got.shape == tone().shape
    assert 12 * np.log2(peak_hz(got) / 440) == pytest.approx(semitones, abs=0.1)
    assert abs(semitones) > 0.2, "or nothing was tried"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_copy_that_is_faster_is_shorter_and_as_high(number: int) -> None:
    settings = AudioAugmentation(copies=1, stretch=0.5)
    rate = draw(settings, sha256=HASH, number=number).rate
    got = copy_of(tone(), settings, number)
    assert got.size == pytest.approx(tone().size / rate, abs=1)
    assert peak_hz(got) == pytest.approx(440, abs=1)
    assert abs(rate - 1) > 0.02, "or nothing was tried"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_noise_is_as_far_below_the_sound_as_was_drawn(number: int) -> None:
    settings = AudioAugmentation(copies=1, noise=0.2)
    drawn = draw(settings, sha256=HASH, number=number)
    noise = copy_of(tone(), settings, number) - tone()
    snr_db = 10 * np.log10(np.mean(tone() ** 2) / np.mean(noise**2))
    assert snr_db == pytest.approx(drawn.snr_db, abs=0.5)
    assert abs(noise.mean()) < noise.std() / 10
    octave_db = power_db(noise, 2000, 3000) - power_db(noise, 4000, 6000)
    assert octave_db == pytest.approx(drawn.fall_db, abs=1)


def test_the_equaliser_changes_no_frequency_by_more_than_its_bands_together() -> None:
    settings = AudioAugmentation(copies=1, equaliser=6.0)
    sound = white(20)
    edges = 20 * 2.0 ** np.arange(0, 9, 0.5)
    changes = []
    for number in (1, 2, 3):
        got = copy_of(sound, settings, number)
        _, coherence = signal.coherence(sound, got, RATE_HZ, nperseg=2048)
        assert np.median(coherence) > 0.99, "a filter, and nothing beside it"
        pairs = itertools.pairwise(edges)
        changes.append([power_db(got, *e) - power_db(sound, *e) for e in pairs if e[0] > 40])
    # Neighbouring bands overlap: two of them, full on, may add up.
    assert np.abs(changes).max() < 12.5
    assert np.abs(changes).max(axis=1).min() > 1, "of seven gains up to 6 dB one is above 1 dB"


@pytest.mark.parametrize(("kbps", "passed_hz"), [(16, 5_800), (24, 6_500), (32, 8_800)])
def test_above_the_low_pass_of_a_bit_rate_nothing_is_left(kbps: int, passed_hz: int) -> None:
    sound = white()
    got = through_mp3(sound, sample_rate_hz=RATE_HZ, kbps=kbps)
    assert got.shape == sound.shape
    assert power_db(got, passed_hz, 11_000) < power_db(sound, passed_hz, 11_000) - 40
    assert power_db(got, 200, 2_000) == pytest.approx(power_db(sound, 200, 2_000), abs=3)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_mp3_delays_nothing(rate_hz: int) -> None:
    """Encoder and decoder each hold samples back; the sound begins where it began."""
    sound = white(2)
    got = through_mp3(sound, sample_rate_hz=rate_hz, kbps=64)
    lags = np.correlate(got[1_000:21_000], sound[3_000:19_000], "valid")
    assert lags.argmax() == 2_000


def test_the_share_of_copies_through_mp3_is_the_strength() -> None:
    settings = AudioAugmentation(copies=1, mp3=0.3)
    rates = [draw(settings, sha256=HASH, number=n).kbps for n in range(1, 2001)]
    share = np.mean([rate is not None for rate in rates])
    assert share == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / 2000))
    assert {rate for rate in rates if rate} == {32, 40, 48, 56, 64}


def test_draws_fill_their_range_and_do_not_leave_it() -> None:
    drawn = [draw(ALL, sha256=HASH, number=n) for n in range(1, 2001)]
    for values, low, high in (
        ([d.semitones for d in drawn], -2, 2),
        ([np.log(d.rate) for d in drawn], -np.log(1.1), np.log(1.1)),
        ([d.snr_db for d in drawn], 20 * np.log10(1 / 0.03), 20 * np.log10(1 / 0.03) + 20),
        ([d.fall_db for d in drawn], 0, 6),
    ):
        assert low <= min(values) < low + (high - low) / 100
        assert high - (high - low) / 100 < max(values) <= high


@pytest.mark.parametrize("seconds", [0.5, 3.0])
@pytest.mark.parametrize("number", range(1, 9))
def test_a_copy_is_a_valid_waveform(number: int, seconds: float) -> None:
    """A sound at full scale, which most changes would drive beyond it, too."""
    sound = np.clip(20 * white(seconds), -1, 1)
    strong = AudioAugmentation(copies=1, pitch=6, stretch=0.3, equaliser=12, noise=0.5, mp3=1)
    got = copy_of(sound, strong, number)
    assert got.dtype == np.float32
    assert got.ndim == 1
    assert got.flags.c_contiguous
    assert np.isfinite(got).all()
    assert 0.3 < np.abs(got).max() <= 1
    assert sound.size / 1.31 < got.size < sound.size * 1.31


def test_silence_stays_silent() -> None:
    """It has no frames; with noise it would be a recording of noise."""
    silence = np.zeros(RATE_HZ, np.float32)
    got = copy_of(silence, ALL)
    np.testing.assert_array_equal(got, silence)
    assert got is not silence


# What a copy depends on


def test_a_copy_depends_on_file_seed_and_number_and_on_nothing_else() -> None:
    sound = white(2)
    once = copy_of(sound, ALL)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - the generator that must not matter
    copy_of(sound, ALL, 2)
    np.testing.assert_array_equal(copy_of(sound, ALL), once)
    others = {
        "number": copy_of(sound, ALL, 2),
        "file": copy_of(sound, ALL, sha256="cd" + HASH[2:]),
        "seed": copy_of(sound, AudioAugmentation(**vars(ALL) | {"seed": 1})),
    }
    for what, other in others.items():
        assert other.size != once.size or not np.allclose(other, once), what


def test_random_numbers_of_the_caller_are_left_alone() -> None:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    wanted = random.random(), np.random.random()  # noqa: NPY002
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    copy_of(white(1), ALL)
    assert (random.random(), np.random.random()) == wanted  # noqa: NPY002


def test_another_process_makes_the_same_copy() -> None:
    program = f"""
import hashlib, numpy as np
from ostinato.datasets.augment_audio import AudioAugmentation, augment
sound = np.random.default_rng(0).normal(scale=0.05, size={RATE_HZ}).astype(np.float32)
settings = AudioAugmentation(copies=2, pitch=2.0, stretch=0.1, equaliser=6.0, noise=0.03, mp3=1.0)
copies = [augment(sound, settings, sample_rate_hz={RATE_HZ}, sha256="{HASH}", number=n)
          for n in (2, 1)]
print(*(hashlib.sha256(copy.tobytes()).hexdigest() for copy in copies))
"""
    there = run(program, options=("-W", "ignore"))
    settings = AudioAugmentation(**vars(ALL) | {"mp3": 1.0})
    here = [copy_of(white(1), settings, number) for number in (2, 1)]
    assert there.split() == [hashlib.sha256(copy.tobytes()).hexdigest() for copy in here]


def test_turning_one_change_off_leaves_the_draws_of_the_others() -> None:
    """Or an ablation would compare different pitches."""
    quiet = AudioAugmentation(**vars(ALL) | {"noise": 0.0, "stretch": 0.0})
    a, b = (draw(s, sha256=HASH, number=3) for s in (ALL, quiet))
    assert (a.semitones, a.kbps, a.seeds) == (b.semitones, b.kbps, b.seeds)
    assert (b.rate, b.snr_db) == (1.0, np.inf)


@pytest.mark.parametrize(
    "change",
    [{"pitch": 2.5}, {"stretch": 0.2}, {"equaliser": 5}, {"noise": 0.1}, {"mp3": 1}, {"seed": 1}],
    ids=str,
)
def test_another_strength_or_seed_is_another_key(change: dict[str, float]) -> None:
    assert AudioAugmentation(**vars(ALL) | change).digest() != ALL.digest()


def test_the_number_of_copies_is_not_in_the_key() -> None:
    """Four copies are the two there were, and two more; 2 and 2.0 are one strength."""
    assert AudioAugmentation(**vars(ALL) | {"copies": 4, "pitch": 2}).digest() == ALL.digest()


# Wrong settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"copies": -1}, r"waveform\.copies: expected 0 or more, got -1\."),
        ({"copies": 1, "pitch": 13}, r"waveform\.pitch: expected 0 to 12, got 13\."),
        ({"copies": 1, "stretch": -0.1}, r"waveform\.stretch: expected 0 to 1, got -0\.1\."),
        ({"copies": 1, "noise": float("nan")}, r"waveform\.noise: expected 0 to 1, got nan\."),
        ({"copies": 1, "mp3": 1.5}, r"waveform\.mp3: expected 0 to 1, got 1\.5\."),
        ({"copies": 3}, r"waveform\.copies: expected a strength .*: 3 copies would be the record"),
        ({"pitch": 2}, r"waveform\.pitch: expected waveform\.copies of 1 or more .*no effect\."),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as said:
        AudioAugmentation(**settings)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("sound", "number", "rate_hz", "sentence"),
    [
        (np.zeros((2, 9), np.float32), 1, RATE_HZ, r"one-dimensional .* got float32 of shape \(2,"),
        (np.ones(9), 1, RATE_HZ, "array of float32 .* got float64"),
        (np.zeros(0, np.float32), 1, RATE_HZ, "one sample or more"),
        (white(1), 0, RATE_HZ, r"counted from 1, got copy 0\."),
        (
            white(1),
            1,
            10_000,
            r"waveform\.mp3: expected a sample rate that MP3 supports, .*got 10000",
        ),
    ],
)
def test_what_cannot_be_varied_is_refused(sound, number: int, rate_hz: int, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        augment(sound, ALL, sample_rate_hz=rate_hz, sha256=HASH, number=number)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "audiomentations", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ostinato\[train\]"'):
        copy_of(white(1), ALL)


# Frames of copies, in the cache


@pytest.fixture
def cache(tmp_path: Path) -> FrameCache:
    return FrameCache(tmp_path / "cache")


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[Path, str]]:
    found = []
    for seed in range(3):
        path = tmp_path / f"{seed}.wav"
        soundfile.write(path, white(0.9, seed=seed), RATE_HZ)
        found.append((path, hashlib.sha256(path.read_bytes()).hexdigest()))
    return found


def bits(copies: list[tuple[np.ndarray, ...]]) -> list[list[bytes]]:
    return [[frames.tobytes() for frames in of_one] for of_one in copies]


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After this call, making a copy is a failure."""

    def forbid() -> None:
        monkeypatch.setattr(copies_module, "_copies_of", lambda *_: pytest.fail("a copy was made"))

    return forbid


def test_frames_are_those_of_the_waveform_s_copies(cache, files) -> None:
    got = compute_copies(files, ALL, spec=SPEC, cache=cache, n_jobs=1)
    for (path, sha256), copies in zip(files, got, strict=True):
        assert len(copies) == 2
        for number, found in enumerate(copies, start=1):
            sound = copy_of(load_audio(path), ALL, number, sha256)
            np.testing.assert_array_equal(found, frames(sound, SPEC))


def test_copies_are_the_same_from_any_number_of_processes_and_from_the_cache(
    cache, files, tmp_path, no_work
) -> None:
    alone = bits(compute_copies(files, ALL, spec=SPEC, cache=cache, n_jobs=1))
    other = FrameCache(tmp_path / "other")
    assert bits(compute_copies(files, ALL, spec=SPEC, cache=other, n_jobs=2)) == alone
    no_work()
    positions: list[int] = []
    again = compute_copies(files, ALL, spec=SPEC, cache=cache, done=positions.append)
    assert bits(again) == alone
    assert positions == [0, 1, 2]


def test_more_copies_leave_those_there_are(cache, files, no_work) -> None:
    three = AudioAugmentation(**vars(ALL) | {"copies": 3})
    two = bits(compute_copies(files, ALL, spec=SPEC, cache=cache, n_jobs=1))
    more = bits(compute_copies(files, three, spec=SPEC, cache=cache, n_jobs=1))
    assert [copies[:2] for copies in more] == two
    assert len(list(cache.folder.rglob("*.npy"))) == 9
    no_work()
    assert bits(compute_copies(files, ALL, spec=SPEC, cache=cache)) == two


def test_what_was_cached_of_the_recording_is_still_found(cache, files) -> None:
    """Its key is as before there were copies; a copy has another."""
    path, sha256 = files[0]
    (found,) = compute_frames([path], spec=SPEC, cache=cache, n_jobs=1)
    assert isinstance(found, FileFrames)
    entry = cache.folder / SPEC.digest() / sha256[:2] / f"{sha256}.npy"
    before = entry.read_bytes()
    compute_copies([(path, sha256)], ALL, spec=SPEC, cache=cache, n_jobs=1)
    assert entry.read_bytes() == before
    np.testing.assert_array_equal(cache.load(sha256, SPEC), found.frames)


def test_each_excerpt_stays_one_excerpt(cache, tmp_path) -> None:
    """Three excerpts played slower are three longer ones, all drawn alike, and no fourth."""
    path = tmp_path / "long.wav"
    soundfile.write(path, white(3.0), RATE_HZ)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    settings = AudioAugmentation(copies=8, stretch=0.5)
    (copies,) = compute_copies([(path, sha256)], settings, spec=SPEC, cache=cache, n_jobs=1)
    for number, found in enumerate(copies, start=1):
        rate = draw(settings, sha256=sha256, number=number).rate
        n_samples = round(SPEC.excerpt_samples / rate)
        assert len(found) == 3 * (1 + (n_samples - SPEC.n_fft) // SPEC.hop_samples)


def test_a_file_that_has_changed_is_refused(cache, files) -> None:
    """Its copies would have the key of a sound that is gone."""
    path, sha256 = files[0]
    soundfile.write(path, white(0.9, seed=9), RATE_HZ)
    with pytest.raises(
        DataError, match=r"No augmented copy of .*0\.wav' can .*: it has changed since"
    ):
        compute_copies([(path, sha256)], ALL, spec=SPEC, cache=cache, n_jobs=1)
    assert not list(cache.folder.rglob("*.npy"))


def test_a_file_that_is_gone_is_named(cache, files) -> None:
    path, sha256 = files[0]
    path.unlink()
    with pytest.raises(
        DataError, match=r"No augmented copy of .*0\.wav' can be made: it cannot be opened"
    ):
        compute_copies([(path, sha256)], ALL, spec=SPEC, cache=cache, n_jobs=1)


# Collections


def collection(folder: Path) -> Path:
    for genre in ("blues", "jazz"):
        for k in range(3):
            path = folder / "music" / genre / f"{k}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, white(0.9, seed=3 * len(genre) + k), RATE_HZ)
    (folder / "music" / "jazz" / "broken.wav").write_bytes(b"RIFF")
    return folder / "music"


def test_a_collection_holds_its_copies_in_its_own_order(cache, tmp_path) -> None:
    folder = collection(tmp_path)
    calls: list[tuple[int, int, str]] = []
    given = {"spec": SPEC, "cache": cache, "n_jobs": 1}
    corpus = load_corpus(
        folder, augmentation=ALL, progress=lambda *call: calls.append(call), **given
    )
    plain = load_corpus(folder, **given)
    assert corpus.ids == plain.ids
    assert plain.copies == ()
    assert len(corpus.copies) == 2
    for i, recording in enumerate(corpus.recordings):
        np.testing.assert_array_equal(corpus.frames[i], plain.frames[i])
        path = Path(recording.path or "")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        for number, copy in enumerate(corpus.copies, start=1):
            sound = copy_of(load_audio(path), ALL, number, sha256)
            np.testing.assert_array_equal(copy[i], frames(sound, SPEC))
    assert calls[:7] == [(n, 7, calls[n - 1][2]) for n in range(1, 8)]
    assert calls[7:] == [(n, 6, f"{corpus.ids[n - 1]}, copies") for n in range(1, 7)]


def test_copies_that_cannot_be_made_are_refused_before_frames_are_computed(
    cache, tmp_path, monkeypatch
) -> None:
    folder = collection(tmp_path)
    monkeypatch.setitem(sys.modules, "audiomentations", None)
    with pytest.raises(MissingExtraError):
        load_corpus(folder, spec=SPEC, cache=cache, augmentation=ALL, n_jobs=1)
    assert not cache.folder.exists()
    assert len(load_corpus(folder, spec=SPEC, cache=cache, n_jobs=1)) == 6, "none are wanted"


@pytest.mark.parametrize(
    "change",
    [{"pitch": 1.0}, {"stretch": 0.2}, {"equaliser": 3.0}, {"noise": 0.03}, {"mp3": 1.0}],
    ids=str,
)
def test_a_copy_of_real_music_is_more_like_it_than_like_other_music(
    change: dict[str, float], shared_data: Path
) -> None:
    """Compares mean frames of 30 s of GTZAN: a copy must remain music of its genre."""
    paths = sorted((shared_data / "gtzan" / "audio" / "full").glob("*.flac"))[::8]
    assert len(paths) == 8
    spec, settings = FeatureSpec(n_coefficients=20), AudioAugmentation(copies=1, **change)
    means, of_copies = [], []
    for path in paths:
        sound = load_audio(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        means.append(frames(sound, spec).mean(axis=0))
        of_copies.append(frames(copy_of(sound, settings, 1, sha256), spec).mean(axis=0))
    distances = np.linalg.norm(np.array(of_copies)[:, None] - np.array(means), axis=2)
    own = distances.diagonal()
    others = (distances.sum(axis=1) - own) / (len(paths) - 1)
    assert (own < 0.9 * others).all()
    assert own.mean() < 0.7 * others.mean()
