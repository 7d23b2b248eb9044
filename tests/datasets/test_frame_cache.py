"""Frames on disk: found again by content, never trusted when damaged, kept when interrupted."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ostinato.audio import load_audio
from ostinato.audio.load import decode_audio
from ostinato.datasets import CacheError, FrameCache
from ostinato.datasets import compute as compute_module
from ostinato.datasets.compute import FileFrames, compute_frames
from ostinato.errors import UsageError
from ostinato.features import FeatureSpec, frames
from ostinato.parallel import WorkerKilledError

SPEC = FeatureSpec(n_coefficients=5, n_mels=40, excerpt_seconds=1.0)
RATE_HZ = SPEC.sample_rate_hz
HASH = "ab" + "0" * 62
LONG_AGO_NS = 1_600_000_000 * 10**9


def write_noise(path: Path, *, seed: int = 0, seconds: float = 0.9) -> Path:
    """A file of noise that was written long ago, so that the cache trusts its date."""
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE_HZ))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise, RATE_HZ)
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS + seed))
    return path


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


def leftovers(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and p.suffix not in {".npy", ".txt"}]


@pytest.fixture
def cache(tmp_path: Path) -> FrameCache:
    return FrameCache(tmp_path / "cache")


@pytest.fixture
def sounds(tmp_path: Path) -> list[Path]:
    return [write_noise(tmp_path / f"{seed}.wav", seed=seed) for seed in range(5)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded (with one job, that is in this process)."""
    names: list[str] = []

    def counting(path: Path) -> object:
        names.append(path.name)
        return decode_audio(path)

    monkeypatch.setattr(compute_module, "decode_audio", counting)
    return names


def found(result: FileFrames | str) -> FileFrames:
    assert isinstance(result, FileFrames), result
    return result


# Entries


def test_what_is_stored_is_loaded_bit_for_bit(cache: FrameCache) -> None:
    computed = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    cache.store(HASH, SPEC, computed)
    loaded = cache.load(HASH, SPEC)
    assert loaded is not None
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, computed)
    # An entry is a plain .npy for anyone who looks in, whatever stands after the array.
    np.testing.assert_array_equal(np.load(entries(cache.folder)[0]), computed)


def test_an_entry_belongs_to_one_content_and_one_spec(cache: FrameCache) -> None:
    cache.store(HASH, SPEC, np.ones((7, 5), np.float32))
    assert cache.load("cd" + HASH[2:], SPEC) is None
    assert cache.load(HASH, FeatureSpec(n_coefficients=6)) is None


def test_entries_are_spread_over_sub_folders(cache: FrameCache) -> None:
    for start in ("00", "7f", "ff"):
        cache.store(start + HASH[2:], SPEC, np.ones((1, 5), np.float32))
    assert [p.parent.name for p in entries(cache.folder)] == ["00", "7f", "ff"]


@pytest.mark.parametrize("n_bytes", [0, 1, 31, 32, 100, 200, 299])
def test_a_truncated_entry_counts_as_absent(cache: FrameCache, n_bytes: int) -> None:
    cache.store(HASH, SPEC, np.ones((7, 5), np.float32))
    (entry,) = entries(cache.folder)
    assert entry.stat().st_size == 128 + 7 * 5 * 4 + 32
    entry.write_bytes(entry.read_bytes()[:n_bytes])
    assert cache.load(HASH, SPEC) is None


@pytest.mark.parametrize("position", [0, 20, 150, -1])
def test_a_flipped_bit_counts_as_absent(cache: FrameCache, position: int) -> None:
    cache.store(HASH, SPEC, np.ones((7, 5), np.float32))
    (entry,) = entries(cache.folder)
    content = bytearray(entry.read_bytes())
    content[position] ^= 4
    entry.write_bytes(content)
    assert cache.load(HASH, SPEC) is None


def test_the_default_folder_is_the_users_and_is_not_made_before_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name, **_: str(tmp_path / name))
    cache = FrameCache()
    assert cache.folder == tmp_path / "ostinato" / "frames"
    assert cache.load(HASH, SPEC) is None
    assert list(tmp_path.iterdir()) == []


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch, tmp_path: Path) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert FrameCache(Path("~/frames")).folder == tmp_path / "frames"


# Hashes of paths


def remember(cache: FrameCache, name: str = "x.wav", sha256: str = HASH) -> None:
    cache.remember_hash(Path(name), size=10, mtime_ns=LONG_AGO_NS, sha256=sha256)


def known(cache: FrameCache, name: str = "x.wav") -> str | None:
    return cache.known_hash(Path(name), size=10, mtime_ns=LONG_AGO_NS)


def test_a_hash_is_known_to_the_next_process(cache: FrameCache) -> None:
    assert known(cache) is None
    remember(cache)
    assert known(cache) == HASH
    assert known(FrameCache(cache.folder)) == HASH


def test_a_hash_is_forgotten_when_size_or_time_differ(cache: FrameCache) -> None:
    remember(cache)
    assert cache.known_hash(Path("x.wav"), size=11, mtime_ns=LONG_AGO_NS) is None
    assert cache.known_hash(Path("x.wav"), size=10, mtime_ns=LONG_AGO_NS + 1) is None
    assert cache.known_hash(Path("y.wav"), size=10, mtime_ns=LONG_AGO_NS) is None


def test_the_latest_hash_of_a_file_counts(cache: FrameCache) -> None:
    remember(cache, sha256="0" * 64)
    remember(cache)
    assert known(FrameCache(cache.folder)) == HASH


def test_a_file_written_just_now_is_not_noted(cache: FrameCache, tmp_path: Path) -> None:
    # It could change again within the tick of the file system's clock and look unchanged.
    path = tmp_path / "new.wav"
    path.write_bytes(b"new")
    time_ns = path.stat().st_mtime_ns
    cache.remember_hash(path, size=3, mtime_ns=time_ns, sha256=HASH)
    assert cache.known_hash(path, size=3, mtime_ns=time_ns) is None


@pytest.mark.parametrize(
    "name", ["Füße 音楽.wav", 'quote" and \n break.wav', "not utf-8 \udcff.wav"]
)
def test_any_file_name_is_remembered(cache: FrameCache, name: str) -> None:
    remember(cache, name)
    assert known(FrameCache(cache.folder), name) == HASH


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-5],
        lambda content: content + b"\n12345678 [1,",
        lambda content: content + b"\n\xff\xfe\x00",
        lambda content: content.replace(b"x.wav", b"y.wav"),
    ],
    ids=["cut short", "half a line", "binary", "changed"],
)
def test_damaged_lines_are_passed_over(cache: FrameCache, damage: Callable[[bytes], bytes]) -> None:
    remember(cache, "first.wav")
    remember(cache, "x.wav")
    index = cache.folder / "hashes.txt"
    index.write_bytes(damage(index.read_bytes()))
    remember(FrameCache(cache.folder), "after.wav")
    fresh = FrameCache(cache.folder)
    assert known(fresh, "first.wav") == HASH
    assert known(fresh, "after.wav") == HASH
    assert known(fresh, "y.wav") is None


def test_several_writers_do_not_tear_each_others_lines(cache: FrameCache) -> None:
    def write(writer: int) -> None:
        own = FrameCache(cache.folder)
        for i in range(100):
            remember(own, f"{writer}-{i}.wav")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert all(known(cache, f"{w}-{i}.wav") == HASH for w in range(4) for i in range(100))


# A disk that refuses


def sentence(caught: pytest.ExceptionInfo[CacheError]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    assert "--cache DIR" in text
    return text


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    cache: FrameCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(CacheError) as caught:
        cache.store(HASH, SPEC, np.ones((7, 5), np.float32))
    assert "the disk is full" in sentence(caught)
    assert str(cache.folder) in sentence(caught)
    assert entries(cache.folder) == leftovers(cache.folder) == []


@pytest.mark.parametrize(
    ("code", "words"), [(errno.EACCES, "permission is denied"), (errno.EROFS, "is read-only")]
)
def test_no_write_permission_is_one_sentence(
    cache: FrameCache, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    for write in (
        lambda: cache.store(HASH, SPEC, np.ones((7, 5), np.float32)),
        lambda: remember(cache),
    ):
        with pytest.raises(CacheError) as caught:
            write()
        assert words in sentence(caught)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(cache: FrameCache) -> None:
    cache.folder.mkdir()
    cache.folder.chmod(0o500)
    with pytest.raises(CacheError, match="permission is denied"):
        cache.store(HASH, SPEC, np.ones((7, 5), np.float32))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_is_full_when_a_hash_is_noted(cache: FrameCache) -> None:
    cache.folder.mkdir()
    (cache.folder / "hashes.txt").symlink_to("/dev/full")
    with pytest.raises(CacheError, match="the disk is full"):
        remember(cache)


def test_a_file_in_place_of_the_cache_folder(cache: FrameCache) -> None:
    cache.folder.write_text("a file")
    for use in (lambda: known(cache), lambda: remember(cache), lambda: cache.load(HASH, SPEC)):
        with pytest.raises(CacheError) as caught:
            use()
        assert "is a file, not a folder" in sentence(caught)


def test_an_entry_that_cannot_be_read_is_an_error(cache: FrameCache) -> None:
    cache.store(HASH, SPEC, np.ones((7, 5), np.float32))
    (entry,) = entries(cache.folder)
    entry.unlink()
    entry.mkdir()
    with pytest.raises(CacheError) as caught:
        cache.load(HASH, SPEC)
    assert "cannot be read" in sentence(caught)


# Computing frames


def test_frames_are_those_of_the_audio(cache: FrameCache, sounds: list[Path]) -> None:
    results = compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)
    for path, result in zip(sounds, results, strict=True):
        np.testing.assert_array_equal(found(result).frames, frames(load_audio(path), SPEC))


def test_frames_are_the_same_from_any_number_of_processes(
    tmp_path: Path, sounds: list[Path]
) -> None:
    alone = compute_frames(sounds, spec=SPEC, cache=FrameCache(tmp_path / "1"), n_jobs=1)
    positions: list[int] = []
    together = compute_frames(
        sounds, spec=SPEC, cache=FrameCache(tmp_path / "2"), n_jobs=2, done=positions.append
    )
    assert sorted(positions) == list(range(len(sounds)))
    for a, b in zip(alone, together, strict=True):
        assert found(a).sha256 == found(b).sha256
        np.testing.assert_allclose(found(a).frames, found(b).frames, atol=1e-5)


def test_audio_is_resampled_to_the_rate_of_the_spec(cache: FrameCache, sounds: list[Path]) -> None:
    spec = FeatureSpec(sample_rate_hz=16_000, n_mels=40, n_coefficients=5)
    (result,) = compute_frames(sounds[:1], spec=spec, cache=cache, n_jobs=1)
    expected = frames(load_audio(sounds[0], sample_rate_hz=16_000), spec)
    np.testing.assert_array_equal(found(result).frames, expected)


def test_the_excerpts_of_a_long_file_follow_each_other(cache: FrameCache, tmp_path: Path) -> None:
    # 2.5 excerpts: the third ends with the sound, half a second into the second.
    path = write_noise(tmp_path / "long.wav", seconds=2.5)
    (result,) = compute_frames([path], spec=SPEC, cache=cache, n_jobs=1)
    waveform = load_audio(path)
    starts = (0, RATE_HZ, waveform.size - RATE_HZ)
    pieces = [frames(waveform[s : s + RATE_HZ], SPEC) for s in starts]
    np.testing.assert_array_equal(found(result).frames, np.concatenate(pieces))


def test_a_silence_in_the_middle_does_not_spoil_a_file(cache: FrameCache, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE_HZ)
    noise[RATE_HZ : 2 * RATE_HZ] = 0
    path = tmp_path / "pause.wav"
    soundfile.write(path, noise, RATE_HZ)
    (result,) = compute_frames([path], spec=SPEC, cache=cache, n_jobs=1)
    n_frames = 1 + (RATE_HZ - SPEC.n_fft) // SPEC.hop_samples
    assert found(result).frames.shape == (2 * n_frames, SPEC.n_features)


def test_nothing_is_opened_the_second_time(
    cache: FrameCache, sounds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)
    monkeypatch.setattr(compute_module, "_compute", lambda *_: pytest.fail("a file was opened"))
    positions: list[int] = []
    again = compute_frames(sounds, spec=SPEC, cache=FrameCache(cache.folder), done=positions.append)
    assert positions == list(range(len(sounds)))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(found(a).frames, found(b).frames)


def test_a_moved_or_copied_file_is_not_decoded_again(
    cache: FrameCache, sounds: list[Path], decoded: list[str]
) -> None:
    compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)
    decoded.clear()
    moved = sounds[0].rename(sounds[0].with_name("moved.wav"))
    copied = sounds[0].with_name("copied.wav")
    copied.write_bytes(sounds[1].read_bytes())
    a, b = compute_frames([moved, copied], spec=SPEC, cache=cache, n_jobs=1)
    assert decoded == []
    np.testing.assert_array_equal(found(a).frames, frames(load_audio(moved), SPEC))
    np.testing.assert_array_equal(found(b).frames, frames(load_audio(copied), SPEC))


def test_a_changed_file_is_decoded_again(
    cache: FrameCache, sounds: list[Path], decoded: list[str]
) -> None:
    compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)
    decoded.clear()
    write_noise(sounds[2], seed=99)  # of the same length
    result = compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)[2]
    assert decoded == [sounds[2].name]
    np.testing.assert_array_equal(found(result).frames, frames(load_audio(sounds[2]), SPEC))


def test_another_spec_is_computed_and_does_not_displace_the_first(
    cache: FrameCache, sounds: list[Path], decoded: list[str]
) -> None:
    other = FeatureSpec(n_coefficients=6, n_mels=40)
    for spec in (SPEC, other, SPEC, other):
        for result in compute_frames(sounds, spec=spec, cache=cache, n_jobs=1):
            assert found(result).frames.shape[1] == spec.n_features
    assert len(decoded) == 2 * len(sounds)


def test_a_damaged_entry_is_computed_and_written_anew(
    cache: FrameCache, sounds: list[Path], decoded: list[str]
) -> None:
    compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)
    decoded.clear()
    damaged = entries(cache.folder)[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-40])
    results = compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)
    assert len(decoded) == 1
    assert all(isinstance(result, FileFrames) for result in results)
    assert damaged.read_bytes() == whole


@pytest.mark.parametrize("n_done", [1, 3, 5])
def test_an_interruption_loses_nothing_that_was_done(
    cache: FrameCache, sounds: list[Path], decoded: list[str], n_done: int
) -> None:
    positions: list[int] = []

    def interrupt(position: int) -> None:
        positions.append(position)
        if len(positions) == n_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1, done=interrupt)
    assert len(entries(cache.folder)) == n_done
    assert leftovers(cache.folder) == []
    decoded.clear()
    results = compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)
    assert decoded == [path.name for path in sounds[n_done:]]
    assert all(isinstance(result, FileFrames) for result in results)


def test_an_interruption_of_several_processes(cache: FrameCache, sounds: list[Path]) -> None:
    def interrupt(position: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=2, done=interrupt)
    assert len(entries(cache.folder)) == 1
    results = compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=2)
    assert all(isinstance(result, FileFrames) for result in results)


def test_a_full_disk_stops_the_work_and_keeps_what_was_done(
    cache: FrameCache, sounds: list[Path], monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    write_bytes = Path.write_bytes

    def fill(path: Path, content: bytes) -> int:
        if len(entries(cache.folder)) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill)
        with pytest.raises(CacheError, match="the disk is full"):
            compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)
    assert len(entries(cache.folder)) == 2
    assert leftovers(cache.folder) == []
    decoded.clear()
    compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=1)
    assert decoded == [path.name for path in sounds[2:]]


# Bad input


def test_what_cannot_be_read_is_told_in_its_place(cache: FrameCache, tmp_path: Path) -> None:
    good = write_noise(tmp_path / "good.wav")
    (text := tmp_path / "text.wav").write_text("This is not a sound.")
    (empty := tmp_path / "empty.wav").touch()
    soundfile.write(silent := tmp_path / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    (dangling := tmp_path / "dangling.wav").symlink_to("nowhere.wav")
    bad = [text, empty, silent, dangling, tmp_path / "missing.wav", tmp_path]
    results = compute_frames([good, *bad], spec=SPEC, cache=cache, n_jobs=2)
    found(results[0])
    for path, reason in zip(bad, results[1:], strict=True):
        assert isinstance(reason, str), path
        assert reason[0].isupper(), path
        assert reason.endswith("."), path
        assert str(tmp_path) not in reason, path
    assert len(entries(cache.folder)) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_not_waited_on(cache: FrameCache, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert compute_frames([tmp_path / "pipe.wav"], spec=SPEC, cache=cache, n_jobs=1) == [
        "It is not a regular file."
    ]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_read_permission(cache: FrameCache, sounds: list[Path]) -> None:
    sounds[0].chmod(0)
    (reason,) = compute_frames(sounds[:1], spec=SPEC, cache=cache, n_jobs=1)
    assert reason == "It cannot be read: Permission denied."


def test_a_file_that_was_mended_is_found(cache: FrameCache, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_text("This is not a sound.")
    assert isinstance(compute_frames([path], spec=SPEC, cache=cache, n_jobs=1)[0], str)
    write_noise(path)
    found(compute_frames([path], spec=SPEC, cache=cache, n_jobs=1)[0])


@pytest.mark.parametrize("other_size", [False, True])
def test_a_file_that_changes_while_it_is_read_is_not_cached(
    cache: FrameCache, sounds: list[Path], monkeypatch: pytest.MonkeyPatch, other_size: bool
) -> None:
    # Its frames would stand under the hash of other bytes, for good.
    size = sounds[0].stat().st_size

    def change(path: Path) -> object:
        write_noise(path, seed=7, **({"seconds": 0.7} if other_size else {}))
        assert (path.stat().st_size != size) is other_size
        return decode_audio(path)

    monkeypatch.setattr(compute_module, "decode_audio", change)
    assert compute_frames(sounds[:1], spec=SPEC, cache=cache, n_jobs=1) == [
        "It changed while it was being read."
    ]
    assert entries(cache.folder) == []


def test_a_file_too_large_for_memory_is_passed_over(
    cache: FrameCache, sounds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(path: Path, **_: object) -> object:
        raise MemoryError

    monkeypatch.setattr(compute_module, "decode_audio", exhaust)
    assert compute_frames(sounds[:1], spec=SPEC, cache=cache, n_jobs=1) == [
        "It does not fit into memory."
    ]


def test_a_process_that_is_killed_is_one_sentence(
    cache: FrameCache, sounds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        os._exit(9)

    with monkeypatch.context() as patch:
        patch.setattr(compute_module, "_compute", die)
        with pytest.raises(WorkerKilledError, match="fewer jobs") as caught:
            compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=2)
    assert "\n" not in str(caught.value)
    found(compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=2)[0])


@pytest.mark.parametrize("n_jobs", [0, -1])
def test_no_jobs_is_a_wrong_call(cache: FrameCache, sounds: list[Path], n_jobs: int) -> None:
    with pytest.raises(UsageError, match="at least 1 job"):
        compute_frames(sounds, spec=SPEC, cache=cache, n_jobs=n_jobs)


def test_no_files_are_no_frames(cache: FrameCache) -> None:
    assert compute_frames([], spec=SPEC, cache=cache) == []
    assert not cache.folder.exists()


def test_the_index_is_plain_text(cache: FrameCache, sounds: list[Path]) -> None:
    compute_frames(sounds[:1], spec=SPEC, cache=cache, n_jobs=1)
    line = (cache.folder / "hashes.txt").read_text(encoding="ascii").strip()
    status = sounds[0].stat()
    path, size, mtime_ns, sha256 = json.loads(line.partition(" ")[2])
    assert (path, size, mtime_ns) == (str(sounds[0]), status.st_size, status.st_mtime_ns)
    assert entries(cache.folder)[0].stem == sha256


def test_clipping_is_measured_in_the_decoding_that_gives_the_frames(
    cache: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames are those without it, bit for bit; the share is cached as well."""
    noise = np.random.default_rng(0).uniform(-2, 2, RATE_HZ).clip(-1, 1)
    noise[::2] /= 4
    path = tmp_path / "loud.wav"
    soundfile.write(path, noise, 2 * RATE_HZ)
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    (plain,) = compute_frames([path], spec=SPEC, cache=FrameCache(tmp_path / "other"), n_jobs=1)
    (measured,) = compute_frames([path], spec=SPEC, cache=cache, n_jobs=1, clipping=True)
    assert found(plain).clipped is None
    share = found(measured).clipped
    assert share is not None
    assert share == pytest.approx(np.mean(np.abs(noise) == 1), abs=0.01)
    np.testing.assert_array_equal(found(plain).frames, found(measured).frames)
    monkeypatch.setattr(compute_module, "decode_audio", None)
    (again,) = compute_frames([path], spec=SPEC, cache=FrameCache(cache.folder), clipping=True)
    assert found(again).clipped == np.float32(share)
