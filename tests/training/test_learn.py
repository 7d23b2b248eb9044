"""Training in memory: one call from a corpus to a judged model, with or without a folder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from ostinato import models, training
from ostinato.datasets.splits import Fold
from ostinato.errors import UsageError
from ostinato.training import TrainedModel
from ostinato.training.tracks import Tracks, predict
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus()
FOLD = Fold(train=CORPUS.ids[::2], valid=CORPUS.ids[1::4], test=CORPUS.ids[3::4])
SMALL = models.family("lstm").settings(width=8, depth=1, texture_frames=4)


def trained(fold: Fold = FOLD, family: str = "lstm", **options) -> TrainedModel:
    options = {"settings": SMALL, "training": QUICK} | options
    return training.train(CORPUS, fold, family, **options)


def weights(found: TrainedModel) -> bytes:
    return b"".join(v.numpy().tobytes() for v in found.model.state_dict().values())


def test_every_part_is_judged_by_the_model_that_is_returned() -> None:
    found = trained()
    assert not found.model.training
    assert set(found.probabilities) == set(found.metrics) == {"train", "valid", "test"}
    window = {"length": found.info.window_frames, "hop": found.info.window_hop}
    for part, said in found.probabilities.items():
        tracks = Tracks.of(CORPUS, FOLD.part(part))
        np.testing.assert_array_equal(said, predict(found.model, tracks, **window))
        right = (said.argmax(axis=1) == tracks.labels.numpy()).mean()
        assert found.metrics[part].accuracy == pytest.approx(right)
    assert set(found.last_accuracy) == {"train", "valid"}
    assert found.info.genres == CORPUS.genres
    assert found.info.provenance["train"] == len(FOLD.train)
    assert found.curves["epoch"] == [1, 2, 3, 4]


def test_a_fold_without_a_test_part_is_judged_on_the_others() -> None:
    assert set(trained(replace(FOLD, test=())).metrics) == {"train", "valid"}


@pytest.mark.parametrize("family", ["lstm", "baseline"])
def test_a_fold_that_holds_nothing_out_trains_the_same_model(family: str) -> None:
    settings = SMALL if family == "lstm" else models.family(family).settings(bands=4)
    everything = trained(Fold(train=FOLD.train, valid=()), family, settings=settings)
    assert weights(everything) == weights(trained(FOLD, family, settings=settings))
    assert set(everything.probabilities) == set(everything.last_accuracy) == {"train"}
    assert not any(everything.curves["valid_loss"])


def test_a_folder_changes_no_weight_and_without_one_nothing_is_written(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    in_memory = trained()
    assert list(tmp_path.iterdir()) == []
    kept = trained(folder=tmp_path / "run")
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"last.ckpt", "curves.csv"}
    assert weights(in_memory) == weights(kept)


def test_weak_genres_are_found_without_a_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = trained(training=replace(QUICK, weak_genres=1.0, weak_genre_epochs=1))
    assert set(found.weak_genres) == set(CORPUS.genres)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", ["lstm", "baseline"])
def test_epochs_are_counted_as_they_are_finished(family: str) -> None:
    """A model that is solved for has none: all are finished at once."""
    done: list[int] = []
    settings = SMALL if family == "lstm" else models.family(family).settings(modulation_bands=4)
    trained(family=family, settings=settings, on_epoch=done.append)
    assert done == ([1, 2, 3, 4] if family == "lstm" else [4])


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(143)])  # Ctrl-C, SIGTERM
def test_a_resumed_training_counts_on_and_gives_the_same_weights(tmp_path, ending) -> None:
    def interrupt(epoch: int) -> None:
        done.append(epoch)
        if epoch == 3:
            raise ending

    done: list[int] = []
    with pytest.raises(type(ending)):
        trained(folder=tmp_path, on_epoch=interrupt)
    resumed = trained(folder=tmp_path, on_epoch=done.append)
    assert done == [1, 2, 3, 3, 4]
    assert weights(resumed) == weights(trained())


def test_random_numbers_and_threads_of_the_caller_are_left_alone() -> None:
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    trained()
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == deterministic


def test_the_genre_named_other_stands_for_none_of_the_others() -> None:
    """In any case; and a model of whose corpus none is named so has none."""
    of = {"g0": "Jazz", "g1": "Other", "g2": "Rock"}
    corpus = replace(CORPUS, recordings=[replace(r, genre=of[r.genre]) for r in CORPUS.recordings])
    settings = models.family("baseline").settings(bands=4, modulation_bands=4)
    found = training.train(corpus, FOLD, "baseline", settings=settings, training=QUICK)
    assert (corpus.other, found.info.other) == ("Other", "Other")
    assert trained(family="baseline", settings=settings).info.other == ""


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Expected models of lstm, .*; got 'lstn'"):
        trained(family="lstn", settings=None)


def test_the_package_is_imported_without_pytorch() -> None:
    code = "import sys, ostinato.training; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
