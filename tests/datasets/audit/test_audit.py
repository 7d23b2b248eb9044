"""The audit: pairs that it must find, pairs that it must not, and files without music."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from ostinato.audio import SAMPLE_RATE, Waveform, load_audio
from ostinato.datasets import Corpus, FrameCache, Recording, Skipped, load_corpus
from ostinato.datasets.audit import (
    NEAR,
    SPEC,
    AuditResult,
    Pair,
    audit_corpus,
    audit_folder,
    find_leaks,
    join_copies,
)
from ostinato.datasets.audit import fingerprint as _fingerprint
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.splits import Fold, Split, split_corpus
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec, Frames, frames
from tests.helpers.sounds import music


def as_mp3(path: Path, sound: Waveform, kbit_s: int = 64) -> None:
    import av

    pcm = np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16)[None]
    with av.open(str(path), "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE)
        stream.bit_rate, stream.layout, stream.format = 1000 * kbit_s, "mono", "s16p"
        for first in range(0, pcm.shape[1], 1152):
            block = np.ascontiguousarray(pcm[:, first : first + 1152])
            frame = av.AudioFrame.from_ndarray(block, format="s16p", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def wav(path: Path, sound: np.ndarray, rate_hz: int = SAMPLE_RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate_hz)


@pytest.fixture
def listen(tmp_path: Path) -> Callable[..., AuditResult]:
    """Audit a folder in this process's cache."""

    def run(folder: Path, **options: object) -> AuditResult:
        return audit_folder(folder, cache=FrameCache(tmp_path / "cache"), n_jobs=1, **options)

    return run


def corpus_of(*images: Frames, spec: FeatureSpec = SPEC) -> Corpus:
    recordings = [Recording(id=str(i), genre="x") for i in range(len(images))]
    return Corpus(name="c", source="test", recordings=recordings, frames=images, spec=spec)


def ids(pairs: tuple[Pair, ...], kind: str | None = None) -> set[tuple[str, str]]:
    return {(p.a, p.b) for p in pairs if kind in (None, p.kind)}


@pytest.fixture(scope="module")
def gtzan() -> Corpus:
    return load_gtzan()


@pytest.fixture(scope="module")
def found(gtzan: Corpus) -> AuditResult:
    return audit_corpus(gtzan)


class TestGtzan:
    def test_all_known_exact_replicas_and_no_other_are_exact(
        self, gtzan: Corpus, found: AuditResult
    ) -> None:
        known = {
            (a.id, b.id)
            for a, b in itertools.combinations(gtzan.recordings, 2)
            if a.recording == b.recording
        }
        assert len(known) == 14
        assert ids(found.pairs, "exact") == known

    def test_they_are_those_of_the_published_list(
        self, found: AuditResult, shared_data: Path
    ) -> None:
        lines = (shared_data / "gtzan" / "exact_duplicates.txt").read_text().splitlines()
        listed = {tuple(line.split()) for line in lines if not line.startswith("#")}
        assert ids(found.pairs, "exact") == listed

    def test_near_pairs_share_artist_and_title(self, gtzan: Corpus, found: AuditResult) -> None:
        """Nothing is reported that the table does not call the same piece: no false pair."""
        song = {r.id: (r.artist, r.title) for r in gtzan.recordings}
        near = ids(found.pairs, "near")
        assert len(near) >= 40
        assert [(a, b) for a, b in near if song[a] != song[b]] == []

    def test_what_is_alike_without_any_search_is_found(
        self, gtzan: Corpus, found: AuditResult
    ) -> None:
        """Compares with the correlation of all 498,501 pairs of whole images, without a shift."""
        images = np.stack(gtzan.frames)
        images = (images - images.mean(axis=1, keepdims=True)).reshape(len(images), -1)
        images /= np.linalg.norm(images, axis=1, keepdims=True)
        a, b = np.nonzero(np.triu(images @ images.T, k=1) > 0.75)
        alike = {(gtzan.ids[i], gtzan.ids[j]) for i, j in zip(a, b, strict=True)}
        assert len(alike) >= 14 + 13  # the exact ones, and the near replicas of jazz
        assert alike <= ids(found.pairs)
        jazz = {pair for pair in ids(found.pairs, "near") if pair[0].startswith("jazz")}
        assert len(jazz) == 13

    def test_near_copies_become_one_recording(self, gtzan: Corpus, found: AuditResult) -> None:
        jazz = [i for i, r in enumerate(gtzan.recordings) if r.genre == "jazz"]
        frames, recordings = ([of[i] for i in jazz] for of in (gtzan.frames, gtzan.recordings))
        corpus = replace(gtzan, recordings=tuple(recordings), frames=tuple(frames))
        joined = {r.id: r.recording for r in join_copies(corpus, corpus).recordings}
        near = [pair for pair in ids(found.pairs, "near") if pair[0].startswith("jazz")]
        assert all(joined[a] == joined[b] for a, b in near)
        apart = {r.recording for r in corpus.recordings}
        assert len(apart) - 13 <= len(set(joined.values())) < len(apart)

    def test_the_published_split_keeps_pairs_together_and_a_random_one_does_not(
        self, gtzan: Corpus, found: AuditResult
    ) -> None:
        assert find_leaks(found.pairs, split_corpus(gtzan, "fault-filtered")) == ()
        across = find_leaks(found.pairs, split_corpus(gtzan, "song-holdout"))
        kinds = {(p.a, p.b): p.kind for p in found.pairs}
        assert across
        assert {kinds[s.a, s.b] for s in across} == {"near"}  # a split cannot part exact ones

    def test_the_corrupt_track_is_named(self, found: AuditResult) -> None:
        assert [file.id for file in found.files] == ["jazz.00054"]


class TestFrames:
    """On frames alone, where the truth is known to the frame."""

    def test_offset_is_the_time_in_a_at_which_b_begins(self, gtzan: Corpus) -> None:
        whole = gtzan.frames[0]
        (pair,) = audit_corpus(corpus_of(whole, whole[50:])).pairs
        assert pair.kind == "near"
        assert pair.similarity > 0.99
        assert pair.offset_s == pytest.approx(50 * SPEC.hop_seconds, abs=0.01)
        (pair,) = audit_corpus(corpus_of(whole[50:], whole)).pairs
        assert pair.offset_s == pytest.approx(-50 * SPEC.hop_seconds, abs=0.01)

    def test_half_a_frame_between_is_survived(self) -> None:
        """Frames of a copy seldom have the times of the original's."""
        sound = music(1)
        half = SPEC.hop_samples * 21 // 2
        (pair,) = audit_corpus(corpus_of(frames(sound, SPEC), frames(sound[half:], SPEC))).pairs
        assert pair.offset_s == pytest.approx(half / SAMPLE_RATE, abs=SPEC.hop_seconds / 2)

    def test_gain_and_colour_do_not_matter(self, gtzan: Corpus) -> None:
        """Another standardisation is a factor; a filter is an offset of each coefficient."""
        whole = gtzan.frames[0]
        tilt = np.linspace(2, -2, whole.shape[1], dtype=np.float32)
        (pair,) = audit_corpus(corpus_of(whole, 0.8 * whole + tilt)).pairs
        assert pair.similarity > 0.99

    def test_three_copies_are_three_pairs(self, gtzan: Corpus) -> None:
        result = audit_corpus(corpus_of(*[gtzan.frames[0]] * 3))
        assert ids(result.pairs, "exact") == {("0", "1"), ("0", "2"), ("1", "2")}

    def test_the_order_of_entries_does_not_matter(self, gtzan: Corpus) -> None:
        corpus = corpus_of(*(gtzan.frames[i][t:] for t in (0, 30) for i in range(5)))
        backwards = corpus_of(*reversed(corpus.frames))
        there = {(int(p.a), int(p.b)): p.similarity for p in audit_corpus(corpus).pairs}
        back = {(9 - int(p.b), 9 - int(p.a)): p.similarity for p in audit_corpus(backwards).pairs}
        assert there.keys() == back.keys() == {(i, i + 5) for i in range(5)}
        for pair, similarity in there.items():
            assert back[pair] == pytest.approx(similarity, abs=0.05)

    def test_a_threshold_of_one_leaves_only_exact_pairs(self, gtzan: Corpus) -> None:
        part = corpus_of(gtzan.frames[0], gtzan.frames[0], gtzan.frames[0][20:] * 1.1)
        assert {p.kind for p in audit_corpus(part).pairs} == {"exact", "near"}
        assert {p.kind for p in audit_corpus(part, threshold=1.0).pairs} == {"exact"}

    def test_frames_of_excerpts_of_another_length_will_do(self, gtzan: Corpus) -> None:
        short = FeatureSpec(excerpt_seconds=10.0)
        assert audit_corpus(corpus_of(gtzan.frames[0], spec=short)).pairs == ()

    def test_few_frames_are_said_to_be_too_few(self, gtzan: Corpus) -> None:
        result = audit_corpus(corpus_of(gtzan.frames[0][:39], gtzan.frames[0]))
        assert result.pairs == ()
        assert [(f.id, "short" in f.problem) for f in result.files] == [("0", True)]

    def test_what_was_skipped_is_told(self, gtzan: Corpus) -> None:
        corpus = Corpus(
            name="c",
            source="",
            recordings=gtzan.recordings[:1],
            frames=gtzan.frames[:1],
            spec=gtzan.spec,
            skipped=(Skipped("broken.mp3", "It is empty."),),
        )
        assert audit_corpus(corpus).to_dict()["files"] == [
            {"id": "broken.mp3", "problem": "It is empty."}
        ]


class TestIndex:
    def test_equal_numbers_are_found_as_by_comparing_all(self, monkeypatch) -> None:
        """In one part or in several: equal numbers are always in one."""
        every = np.random.default_rng(0).integers(-1, 300, size=600)
        expected = {
            (i, j)
            for i, j in itertools.combinations(range(600), 2)
            if every[i] == every[j] and every[i] >= 0
        }
        for part in (1 << 20, 100):
            monkeypatch.setattr(_fingerprint, "_PART", part)
            pairs = [
                tuple(sorted(pair))
                for x, y in _fingerprint._equal(every)
                for pair in zip(x.tolist(), y.tolist(), strict=True)
            ]
            assert len(pairs) == len(set(pairs))
            assert set(pairs) == expected

    def test_a_number_that_all_have_costs_no_square(self) -> None:
        """A jingle in a thousand files must not be a million comparisons."""
        every = np.zeros(5000, dtype=np.int64)
        n = sum(x.size for x, _ in _fingerprint._equal(every))
        assert n < 5000 * _fingerprint.MOST_NEIGHBOURS

    def test_silence_leaves_no_number(self) -> None:
        """Else all silences would be one recording."""
        still = np.zeros((100, _fingerprint.N_COEFFICIENTS), dtype=np.float32)
        at, between = _fingerprint.numbers(still)
        assert (at == -1).all()
        assert (between == -1).all()

    def test_numbers_of_unrelated_sounds_differ(self, gtzan: Corpus) -> None:
        index = _fingerprint.Index()
        for i in (0, 150, 250, 350, 450):
            index.add(gtzan.frames[i])
        assert index.candidates() == []
        assert _fingerprint.Index().candidates() == []

    def test_likeness_is_the_correlation_of_the_images(self, gtzan: Corpus) -> None:
        """Compares one block with NumPy's correlation."""
        index = _fingerprint.Index()
        a, b = gtzan.frames[0][:64], gtzan.frames[0][:64] + gtzan.frames[1][:64]
        for image in (a, b):
            index.add(image)
        x, y = (np.array(i, dtype=float) for i in index.images)
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        expected = np.corrcoef(x.ravel(), y.ravel())[0, 1]
        like = index.likeness(_fingerprint.Candidate(0, 1, frame=32, offset=0))
        assert like.similarity == pytest.approx(expected, abs=1e-5)
        assert like.offset == 0


class TestFolder:
    def test_copies_of_every_kind_are_found_and_nothing_else(self, tmp_path, listen) -> None:
        """No genres, folders in folders: what a person's music looks like."""
        folder = tmp_path / "music"
        for seed in range(6):
            wav(folder / f"{seed}.wav", music(seed))
        wav(folder / "copies" / "3 kept.wav", music(3)[int(2.6 * SAMPLE_RATE) :])
        wav(folder / "copies" / "2 soft.flac", music(2) / 10)
        wav(folder / "copies" / "4 low.wav", soxr.resample(music(4), SAMPLE_RATE, 16_000), 16_000)
        wav(folder / "copies" / "5 fast.wav", soxr.resample(music(5), SAMPLE_RATE * 1.015, 22_050))
        as_mp3(folder / "copies" / "1.mp3", 0.5 * music(1)[SAMPLE_RATE:])
        result = listen(folder)
        assert result.files == ()
        assert {(Path(p.a).stem[0], Path(p.b).stem[0], p.kind) for p in result.pairs} == {
            (name, name, "near") for name in "12345"
        }
        offsets = {Path(p.b).stem: p.offset_s for p in result.pairs}
        assert offsets["3 kept"] == pytest.approx(2.6, abs=0.08)
        assert all(NEAR <= p.similarity <= 1 for p in result.pairs)

    def test_same_bytes_and_same_samples_are_exact(self, tmp_path, listen) -> None:
        folder = tmp_path / "music"
        samples = np.rint(music(0) * 32767).astype(np.int16)
        wav(folder / "a.wav", samples)
        wav(folder / "b.flac", samples)
        shutil.copy(folder / "a.wav", folder / "c.wav")
        wav(folder / "d.wav", music(1))
        result = listen(folder)
        names = {("a.wav", "b.flac"), ("a.wav", "c.wav"), ("b.flac", "c.wav")}
        assert ids(result.pairs, "exact") == ids(result.pairs) == names

    def test_files_that_are_no_music_are_named(self, tmp_path, listen) -> None:
        folder = tmp_path / "music"
        t = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
        rest = np.zeros(20 * SAMPLE_RATE, dtype=np.float32)
        loud = music(2) / np.abs(music(2)).max()
        sounds = {
            "tone": 0.3 * np.sin(2 * np.pi * 440 * t).astype(np.float32),
            "silence": np.zeros(8 * SAMPLE_RATE, dtype=np.float32),
            "mostly silent": np.concatenate([music(0, 4), rest]),
            "clipped": np.clip(12 * loud, -1, 1),
            "short": music(3, 2),
            "music": music(1),
        }
        for name, sound in sounds.items():
            wav(folder / f"{name}.wav", sound)
        wav(folder / "opposite.wav", np.stack([music(4), -music(4)], axis=1))
        as_mp3(folder / "tone.mp3", sounds["tone"])
        (folder / "broken.mp3").write_bytes(b"no sound at all")
        problems = {file.id: file.problem for file in listen(folder).files}
        said = {
            "tone.wav": "constant",
            "tone.mp3": "constant",
            "silence.wav": "no sound",
            "mostly silent.wav": "Silent for 8",
            "clipped.wav": "Clipped",
            "short.wav": "Too short",
            "opposite.wav": "Its channels cancel each other out",
            "broken.mp3": "no sound format",
        }
        assert problems.keys() == said.keys()
        assert {i: word for i, word in said.items() if word not in problems[i]} == {}

    def test_a_split_of_a_collection_with_a_copy_in_it(self, tmp_path, listen) -> None:
        """Copies with other names and formats: a split by name and bytes lets some leak."""
        folder = tmp_path / "music"
        for genre, seeds in (("a", range(6)), ("b", range(6, 12))):
            for seed in seeds:
                wav(folder / genre / f"{seed}.wav", music(seed, 8))
                wav(folder / genre / f"{seed} again.wav", music(seed, 8)[8000:] / 2)
        result = listen(folder, split="holdout")
        assert result.split == "holdout"
        assert len(result.pairs) == 12
        assert result.leaks
        assert {e.genre for e in result.entries} == {"a", "b"}
        for s in result.leaks:
            assert (s.a, s.b) in ids(result.pairs)
            assert s.a_part != s.b_part

    def test_a_table_is_audited_as_it_is_split(self, tmp_path, listen) -> None:
        """Ids, artists and titles are the table's; files that it does not name are ignored."""
        folder, rows = tmp_path / "music", ["id,path,genre,artist,title"]
        for k, (genre, seeds) in enumerate((("a", range(4)), ("b", range(4, 8)))):
            for seed in seeds:
                wav(folder / f"{seed}.wav", music(seed, 8))
                rows.append(f"song {seed},music/{seed}.wav,{genre},by {seed - 4 * k},T{seed}")
        wav(folder / "again.wav", music(0, 8)[8000:] / 2)
        wav(folder / "not named.wav", music(1, 8))
        rows += ["song 0 again,music/again.wav,a,by nobody,T0", "gone,music/gone.wav,b,by 3,"]
        table = tmp_path / "mine.csv"
        table.write_text("\n".join(rows))
        result = listen(table)
        assert result.name == str(table)
        assert ids(result.pairs) == {("song 0", "song 0 again")}
        assert [(f.id, "No such file" in f.problem) for f in result.files] == [("gone", True)]
        known = {e.id: (e.genre, e.artist, e.title) for e in result.entries}
        assert len(known) == 9
        assert known["song 5"] == ("b", "by 1", "T5")
        sides = split_corpus(load_corpus(table, spec=SPEC, cache=FrameCache(tmp_path / "cache")))
        again = listen(table, split="holdout")
        assert (again.split, again.leaks) == ("holdout", find_leaks(result.pairs, sides))

    def test_a_table_that_is_wrong_is_refused(self, tmp_path, listen) -> None:
        (tmp_path / "mine.csv").write_text("path,artist\na.wav,Ada\n")
        with pytest.raises(DataError, match=r"mine\.csv', line 1: expected a header .* genre"):
            listen(tmp_path / "mine.csv")
        with pytest.raises(UsageError, match="Cannot read the table"):
            listen(tmp_path / "none.csv")

    def test_a_second_call_reads_the_cache(self, tmp_path, listen, monkeypatch) -> None:
        folder = tmp_path / "music"
        wav(folder / "a.wav", music(0))
        wav(folder / "b.wav", music(0)[9000:])
        seen: list[tuple[int, int, str]] = []
        first = listen(folder, progress=lambda *step: seen.append(step))
        assert sorted(step[0] for step in seen) == [1, 2]
        assert listen(folder) == first

    def test_names_that_spell_gtzan_bring_artist_and_title(self, tmp_path, listen) -> None:
        wav(tmp_path / "genres" / "blues" / "blues.00001.wav", music(0))
        wav(tmp_path / "genres" / "jazz" / "jazz.00002.wav", music(1))
        entries = {e.id: e.artist for e in listen(tmp_path / "genres").entries}
        assert entries.keys() == {"blues.00001", "jazz.00002"}
        assert entries["blues.00001"] == "John Lee Hooker"


class TestRealMusic:
    """A few of the plants of ``benchmarks/audit.py``, which measures recall on all."""

    def test_copies_of_real_music(self, tmp_path, listen, shared_data) -> None:
        folder = tmp_path / "music"
        tracks = sorted((shared_data / "gtzan" / "audio" / "full").glob("*.flac"))[1::12]
        assert len(tracks) >= 5
        for track in tracks:
            sound = load_audio(track)
            wav(folder / f"{track.stem}~0.flac", sound)
            as_mp3(folder / f"{track.stem}~1.mp3", sound[40_000:] / 2)
            low = soxr.resample(sound[: -3 * SAMPLE_RATE], SAMPLE_RATE, 16_000)
            wav(folder / f"{track.stem}~2.wav", low, 16_000)
        pairs = listen(folder).pairs
        assert {(p.a.split("~")[0], p.b.split("~")[0]) for p in pairs} == {
            (track.stem, track.stem) for track in tracks
        }
        assert len(pairs) == 3 * len(tracks)

    def test_the_sound_and_the_shipped_frames_of_it_are_one(self, gtzan, shared_data) -> None:
        """Frames from real audio, at other places in time, against the frames of the package."""
        track = sorted((shared_data / "gtzan" / "audio" / "full").glob("*.flac"))[20]
        computed = frames(load_audio(track), SPEC)
        shipped = gtzan.frames[int(gtzan.positions([track.stem])[0])]
        (pair,) = audit_corpus(corpus_of(computed, shipped)).pairs
        assert pair.similarity > 0.8
        assert abs(pair.offset_s) < 0.1


class TestLeaks:
    def test_each_fold_is_checked_and_absent_entries_are_in_no_part(self) -> None:
        pair = Pair(a="a", b="b", kind="near", similarity=0.9, offset_s=0.0)
        absent = Pair(a="a", b="z", kind="near", similarity=0.9, offset_s=0.0)
        together = Fold(train=("a", "b"), valid=("c",))
        apart = Fold(train=("a", "c"), valid=("b",))
        across = find_leaks([pair, absent], Split(name="s", folds=(together, apart)))
        assert [(s.fold, s.a_part, s.b_part) for s in across] == [(1, "train", "valid")]


class TestBadInput:
    @pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
    def test_a_threshold_that_is_none(self, gtzan, threshold, tmp_path) -> None:
        with pytest.raises(UsageError, match="threshold above 0, at most 1"):
            audit_corpus(gtzan, threshold=threshold)
        with pytest.raises(UsageError, match="threshold"):
            audit_folder(tmp_path, cache=FrameCache(tmp_path), threshold=threshold)

    def test_other_frames_are_refused(self) -> None:
        with pytest.raises(UsageError, match=r"40 MFCC from 128 mel bands, every 77.5 ms.* got 13"):
            audit_corpus(load_gtzan(n_coefficients=13))

    def test_no_folder_and_no_audio(self, tmp_path, listen) -> None:
        with pytest.raises(UsageError, match="does not exist"):
            listen(tmp_path / "nowhere")
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty" / "notes.txt").write_text("la la")
        with pytest.raises(DataError, match=r"No audio in .* got 1 \.txt\."):
            listen(tmp_path / "empty")

    def test_a_folder_without_genres_has_no_split(self, tmp_path, listen) -> None:
        wav(tmp_path / "music" / "a.wav", music(0))
        with pytest.raises(DataError, match="genres"):
            listen(tmp_path / "music", split="holdout")

    def test_a_split_that_does_not_exist_is_refused_before_frames_are_computed(
        self, tmp_path, listen
    ) -> None:
        wav(tmp_path / "music" / "a.wav", music(0))
        with pytest.raises(UsageError, match=r"split: expected one of .*; got 'random'"):
            listen(tmp_path / "music", split="random")
        assert not (tmp_path / "cache").exists()
