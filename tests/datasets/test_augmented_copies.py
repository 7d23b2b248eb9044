"""Models train on copies, each as likely as the recording, and are never judged on them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from ostinato import models
from ostinato.datasets import Corpus, Recording
from ostinato.datasets.augment_audio import NO_COPIES, AudioAugmentation
from ostinato.datasets.mel_npz import load_mel_npz
from ostinato.datasets.splits import segmented
from ostinato.errors import DataError, UsageError
from ostinato.study.config import StudyConfig, load_config, overridden
from ostinato.study.plan import load_data, plan_study
from ostinato.study.study import run_study
from ostinato.study.training_run import corpus_digest
from ostinato.training import weak_genres as weak
from ostinato.training.fit import fit
from ostinato.training.tracks import Tracks
from tests.helpers.toy import QUICK, toy_corpus

WAVEFORM = AudioAugmentation(copies=2, pitch=1.0, mp3=0.5)
PLAIN = toy_corpus()


def with_copies(corpus: Corpus = PLAIN) -> Corpus:
    """Two copies of each recording, known by their values: 100 more, and 200 more and shorter."""
    variants = ([f + 100 for f in corpus.frames], [f[:30] + 200 for f in corpus.frames])
    return replace(corpus, augmentation=WAVEFORM, copies=variants)


CORPUS = with_copies()
CONFIG = StudyConfig(
    models=("lstm",), seeds=1, training=QUICK, waveform=WAVEFORM,
    settings={"lstm": {"width": 8, "depth": 1, "texture_frames": 4}},
)  # fmt: skip


def which(crops: torch.Tensor) -> list[int]:
    """The copy that each window is cut from; 0 is the recording."""
    return (crops.mean(dim=(1, 2)) / 100).round().int().tolist()


# Windows


def test_recording_and_copies_are_equally_likely() -> None:
    torch.manual_seed(0)
    n = 3000
    crops = Tracks.with_copies(CORPUS, CORPUS.ids).random_crops(torch.arange(n) % 30, 24)
    counts = np.bincount(which(crops), minlength=3)
    assert counts.sum() == n
    assert len(counts) == 3
    assert np.abs(counts - n / 3).max() < 4 * np.sqrt(n * (1 / 3) * (2 / 3))


def test_each_window_is_a_piece_of_its_own_track() -> None:
    """From anywhere in it: places are drawn by the length of the copy, not of the recording."""
    torch.manual_seed(0)
    ids = CORPUS.ids[::3]
    tracks = torch.arange(500) % len(ids)
    crops = Tracks.with_copies(CORPUS, ids).random_crops(tracks, 24)
    versions = (CORPUS.frames, *CORPUS.copies)
    starts = set()
    for crop, track, copy in zip(crops.numpy(), tracks.tolist(), which(crops), strict=True):
        source = versions[copy][CORPUS.positions([ids[track]])[0]]
        (start,) = np.flatnonzero((source == crop[0]).all(axis=1))
        np.testing.assert_array_equal(crop, source[start : start + 24])
        starts.add((copy, start))
    assert {start for copy, start in starts if copy == 2} == set(range(30 - 24 + 1))


def test_without_copies_the_windows_are_those_of_before() -> None:
    """Number by number: no figure of a study without copies may change."""
    tracks = torch.tensor([3, 0, 7, 3])
    plain = Tracks.of(PLAIN, PLAIN.ids)
    torch.manual_seed(5)
    got = Tracks.with_copies(PLAIN, PLAIN.ids).random_crops(tracks, 24)
    after = torch.rand(1)
    torch.manual_seed(5)
    starts = (torch.rand(4) * (plain.lengths[tracks] - 24 + 1)).long()
    torch.testing.assert_close(got, plain.gather(tracks, starts, 24), rtol=0, atol=0)
    assert torch.equal(after, torch.rand(1)), "as many random numbers were drawn"


def test_models_are_judged_on_windows_of_the_recordings() -> None:
    got = list(Tracks.with_copies(CORPUS, CORPUS.ids).batches(length=24, hop=7))
    wanted = list(Tracks.of(PLAIN, PLAIN.ids).batches(length=24, hop=7))
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


def test_a_copy_with_a_frame_that_is_no_number_is_refused() -> None:
    variants = ([f.copy() for f in CORPUS.frames], CORPUS.copies[1])
    variants[0][4][7, 0] = np.nan
    spoilt = replace(CORPUS, copies=variants)
    with pytest.raises(DataError, match=r"'g0\.004': expected frames of finite numbers, got nan"):
        Tracks.with_copies(spoilt, spoilt.ids)


# Training


def trained(folder, corpus: Corpus, *, epochs: int = 4, interrupt_after: int | None = None):
    torch.manual_seed(0)
    settings = models.family("lstm").settings(width=8, depth=1, texture_frames=4)
    model = models.build("lstm", spec=corpus.spec, n_genres=3, settings=settings)
    steps = 0
    training = Tracks.with_copies(corpus, corpus.ids[::2])
    real = training.random_crops

    def crops(tracks, length):
        nonlocal steps
        steps += 1
        if steps == interrupt_after:
            raise KeyboardInterrupt
        return real(tracks, length)

    object.__setattr__(training, "random_crops", crops)
    curves, last = fit(
        model,
        train=training,
        valid=Tracks.of(corpus, corpus.ids[1::2]),
        settings=replace(QUICK, epochs=epochs),
        seed=3,
        folder=folder,
    )
    return curves, last


def test_a_resumed_training_draws_the_same_copies(tmp_path) -> None:
    """The copy depends on seed, epoch and step alone, as all else that is drawn."""
    _, whole = trained(tmp_path / "whole", CORPUS)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "broken", CORPUS, interrupt_after=6)  # an epoch has two steps
    _, resumed = trained(tmp_path / "broken", CORPUS)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    _, without = trained(tmp_path / "without", PLAIN)
    assert any(not torch.equal(whole[name], without[name]) for name in whole)


# Runs: which parts have copies


def parts() -> dict[str, set[str]]:
    (fold,) = plan_study(CONFIG, CORPUS).split.folds
    return {part: set(fold.part(part)) for part in ("train", "valid", "test")}


def figures(folder, corpus: Corpus) -> dict[str, object]:
    results = run_study(plan_study(CONFIG, corpus, folder), jobs=1, report=False).results
    model = results.models["lstm"]
    kept = {part: model.accuracy(part).mean for part in ("train", "valid", "test")}
    text = (folder / "models" / "lstm" / "seed0-fold0" / "probabilities.csv").read_text("utf-8")
    return {**kept, "predictions": text}


def spoilt(names: set[str]) -> Corpus:
    """The corpus with copies of NaN for these recordings, which no model could use."""
    variants = tuple(
        [np.full_like(f, np.nan) if r.id in names else f for r, f in zip(
            CORPUS.recordings, frames, strict=True)]
        for frames in CORPUS.copies
    )  # fmt: skip
    return replace(CORPUS, copies=variants)


def test_copies_of_valid_and_test_recordings_are_never_used(tmp_path) -> None:
    """They are NaN here, which training refuses, and no figure changes."""
    members = parts()
    assert all(members.values())
    held_out = spoilt(members["valid"] | members["test"])
    assert figures(tmp_path / "spoilt", held_out) == figures(tmp_path / "whole", CORPUS)


def test_copies_of_training_recordings_are_used(tmp_path) -> None:
    one = min(parts()["train"])
    with pytest.raises(DataError, match=rf"'{one}': expected frames of finite numbers"):
        figures(tmp_path, spoilt({one}))


def test_weak_genres_are_found_with_copies_of_the_inner_training_part(monkeypatch) -> None:
    """And judged on recordings of the rest: neither the study's valid part nor any copy."""
    heard = []

    def noting(model, *, train, valid, **rest):
        heard.append((train, valid))
        return fit(model, train=train, valid=valid, **rest)

    monkeypatch.setattr(weak, "fit", noting)
    members = parts()
    corpus = spoilt(members["valid"] | members["test"])
    make = partial(
        models.build, "lstm", spec=corpus.spec, n_genres=3,
        settings=models.family("lstm").settings(width=8, depth=1, texture_frames=4),
    )  # fmt: skip
    settings = replace(QUICK, weak_genres=1.0, weak_genre_epochs=1)
    given = {"make_model": make, "settings": settings, "seed": 0}
    weak.recall_on_inner_folds(corpus, tuple(sorted(members["train"])), **given)
    assert len(heard) == settings.weak_genre_folds
    for train, valid in heard:
        assert len(train.copies) == 2
        copied = np.concatenate(train.copies[0].frames)
        np.testing.assert_array_equal(copied, np.concatenate(train.frames) + 100)
        assert valid.copies == ()
        assert max(frames.max() for frames in valid.frames) < 50, "of recordings"


# The digest of a run


def test_the_digest_of_a_corpus_without_copies_is_that_of_before() -> None:
    """A digest from before there were copies: finished runs stay finished."""
    frames = [np.arange(8, dtype=np.float32).reshape(2, 4) + i for i in range(2)]
    recordings = [Recording(id=name, genre=name) for name in ("a", "b")]
    made = Corpus(name="x", source="y", recordings=recordings, frames=frames, spec=PLAIN.spec)
    assert corpus_digest(made) == "28163c2b32eece1d"


def test_copies_are_in_the_digest_of_a_corpus() -> None:
    other = replace(CORPUS, copies=(CORPUS.copies[0], [f + 1 for f in CORPUS.copies[1]]))
    seed = replace(CORPUS, augmentation=replace(WAVEFORM, seed=1))
    assert len({corpus_digest(c) for c in (PLAIN, CORPUS, other, seed)}) == 4


def test_the_report_describes_the_copies(tmp_path) -> None:
    plan = plan_study(CONFIG, CORPUS, tmp_path)
    results = run_study(plan, jobs=1, report=False).results
    said = "of a copy whose sound was changed: 2 copies (pitch by up to 1 semitone, 50 % through"
    assert sum(said in line for line in results.fairness.same) == 1
    assert json.loads((tmp_path / "results.json").read_text("utf-8"))["config"]["waveform"] == {
        "copies": 2, "pitch": 1.0, "stretch": 0.0, "equaliser": 0.0, "noise": 0.0, "mp3": 0.5,
        "seed": 0,
    }  # fmt: skip
    assert load_config(tmp_path / "config.toml").waveform == WAVEFORM


def test_without_copies_the_report_says_nothing_of_them(tmp_path) -> None:
    plan = plan_study(replace(CONFIG, waveform=NO_COPIES), PLAIN, tmp_path)
    results = run_study(plan, jobs=1, report=False).results
    assert not any("copy" in line or "copies" in line for line in results.fairness.same)


# Data that are not what was asked for


def test_frames_that_ship_have_no_sound_to_change() -> None:
    with pytest.raises(UsageError, match=r"expected 2 copies .*'gtzan'.*with --data DIR\."):
        load_data(overridden(CONFIG, data="gtzan"))


def test_a_file_of_frames_has_no_sound_to_change(shared_data) -> None:
    path = shared_data / "gtzan" / "mel128.npz"
    assert load_mel_npz(path, spec=CONFIG.spec).copies == ()
    with pytest.raises(UsageError, match=r"expected 2 copies .*with --data DIR\."):
        load_data(overridden(CONFIG, data=str(path)))


@pytest.mark.parametrize(
    ("corpus", "settings"),
    [
        (PLAIN, WAVEFORM),
        (CORPUS, NO_COPIES),
        (CORPUS, replace(WAVEFORM, pitch=2.0)),
    ],
    ids=["none", "too many", "others"],
)
def test_a_corpus_with_other_copies_than_the_study_s_is_refused(corpus, settings) -> None:
    """Or its figures would be reported for copies that were not used."""
    with pytest.raises(UsageError, match=r"waveform: expected .* of every recording, got .* 'toy'"):
        plan_study(replace(CONFIG, waveform=settings), corpus)


@pytest.mark.parametrize(
    ("variants", "sentence"),
    [
        (CORPUS.copies[:1], "expected 2 copies of every recording, got 1"),
        ((PLAIN.frames, PLAIN.frames[1:]), "frames for each of 30 recordings, got 29"),
        ((PLAIN.frames, [f[:0] for f in PLAIN.frames]), r"'g0\.000': expected one frame or more"),
    ],
)
def test_copies_that_do_not_fit_their_recordings_are_refused(variants, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        replace(PLAIN, augmentation=WAVEFORM, copies=variants)


def test_pieces_of_a_copy_go_with_those_of_its_recording() -> None:
    """A copy that is shorter has shorter pieces, of the same music."""
    pieces = segmented(CORPUS, 3)
    assert len(pieces.copies) == 2
    for of_all, whole in zip(pieces.copies, CORPUS.copies, strict=True):
        for k, frames in enumerate(whole):
            length = len(frames) // 3
            own = np.concatenate(of_all[3 * k : 3 * k + 3])
            np.testing.assert_array_equal(own, frames[: 3 * length])
    with pytest.raises(DataError, match=r"'g0\.000': expected at least 35 frames .* got 30"):
        segmented(CORPUS, 35)
