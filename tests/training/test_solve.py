"""The baseline is solved for: by scikit-learn, on the training part, whatever the seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ostinato import models
from ostinato.errors import UsageError
from ostinato.models import baseline as baseline_module
from ostinato.models.baseline import BaselineClassifier, BaselineSettings
from ostinato.models.discriminant import DiscriminantClassifier, DiscriminantSettings
from ostinato.models.fusion import FusionClassifier, FusionSettings
from ostinato.study.config import StudyConfig
from ostinato.study.plan import plan_study
from ostinato.study.study import run_study
from ostinato.training.curves import TrainingError
from ostinato.training.fit import fit
from ostinato.training.solve import solve
from ostinato.training.tracks import Tracks, predict
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus()
TRAIN, VALID = CORPUS.ids[::2], CORPUS.ids[1::2]
SETTINGS = replace(QUICK, window_frames=24, window_hop=12)
SMALL = BaselineSettings(bands=4, modulation_bands=4)


def solved(folder: Path, corpus=CORPUS, train=TRAIN, valid=VALID):
    model = BaselineClassifier(corpus.spec, len(corpus.genres), SMALL)
    parts = {"train": Tracks.of(corpus, train), "valid": Tracks.of(corpus, valid)}
    curves, last = solve(model, **parts, settings=SETTINGS, folder=folder)
    return model, parts, curves, last


def test_it_is_logistic_regression_on_scaled_statistics_of_all_windows(tmp_path: Path) -> None:
    model, parts, _, _ = solved(tmp_path)
    window = {"length": 24, "hop": 12}
    windows = torch.cat(list(parts["train"].batches(**window)))
    labels = np.repeat(parts["train"].labels.numpy(), parts["train"].counts(**window))
    with torch.no_grad():
        x = model.statistics(windows).double().numpy()
        logits = model(windows).numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    peer = LogisticRegression(C=SMALL.regularisation, max_iter=2000).fit(x, labels)
    ours = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    np.testing.assert_allclose(ours, peer.predict_proba(x), atol=1e-4)


@pytest.mark.parametrize("n_genres", [2, 3])
def test_the_discriminant_is_the_bayes_rule_of_gaussians_with_a_shrunk_covariance(
    n_genres: int,
) -> None:
    """Written out: the mean of the genres' covariances, half-way to a multiple of the identity."""
    corpus = toy_corpus(n_genres=n_genres)
    settings = DiscriminantSettings(bands=4, modulation_bands=4)
    model = DiscriminantClassifier(corpus.spec, n_genres, settings)
    # More of the first genre than of the others: it is not preferred for that.
    tracks = Tracks.of(corpus, corpus.ids[:9] + corpus.ids[10::2])
    solve(model, train=tracks, valid=None, settings=SETTINGS)
    window = {"length": 24, "hop": 12}
    windows = torch.cat(list(tracks.batches(**window)))
    labels = np.repeat(tracks.labels.numpy(), tracks.counts(**window))
    with torch.no_grad():
        x = model.scale(model.statistics(windows)).double().numpy()
        ours = torch.softmax(model(windows), dim=1).numpy()
    covariance, means = np.zeros((x.shape[1],) * 2), []
    for g in range(n_genres):
        own = x[labels == g]
        covariance += np.cov(own.T, bias=True) / n_genres
        means.append(own.mean(axis=0))
    level = np.trace(covariance) / len(covariance)
    covariance = (covariance + level * np.eye(len(covariance))) / 2
    away = x[:, None] - np.array(means)
    distances = np.einsum("ngd,de,nge->ng", away, np.linalg.inv(covariance), away)
    likelihood = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / 2)
    expected = likelihood / likelihood.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_the_curves_are_one_point_and_are_kept(tmp_path: Path) -> None:
    _, _, curves, _ = solved(tmp_path)
    assert curves["epoch"] == [1]
    assert curves["objective"] == [None]
    assert 0 <= curves["valid_accuracy"][0] <= 1
    assert len((tmp_path / "curves.csv").read_text().splitlines()) == 2


def test_two_genres_keep_the_probabilities_of_scikit_learn(tmp_path: Path) -> None:
    """It keeps one row of coefficients for two classes, where the model has two outputs."""
    corpus = toy_corpus(n_genres=2)
    model, parts, _, _ = solved(tmp_path, corpus, corpus.ids[::2], corpus.ids[1::2])
    verdicts = predict(model, parts["train"], length=24, hop=12)
    assert model.head.weight.shape[0] == 2
    assert (verdicts.argmax(axis=1) == parts["train"].labels.numpy()).mean() > 0.9


def test_the_valid_part_changes_no_weight(tmp_path: Path) -> None:
    one, *_ = solved(tmp_path)
    other, *_ = solved(tmp_path, valid=VALID[:3])
    assert torch.equal(one.head.weight, other.head.weight)


def test_a_window_longer_than_every_track_is_refused(tmp_path: Path) -> None:
    parts = {"train": Tracks.of(CORPUS, TRAIN), "valid": Tracks.of(CORPUS, VALID)}
    model = BaselineClassifier(CORPUS.spec, 3, SMALL)
    with pytest.raises(UsageError, match="window_frames: expected at most"):
        solve(model, **parts, settings=replace(SETTINGS, window_frames=99), folder=tmp_path)


def test_a_solver_that_does_not_converge_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(baseline_module, "_MOST_STEPS", 1)
    with pytest.raises(TrainingError, match=r"did not converge in 1 steps.*regularisation"):
        solved(tmp_path)


def test_a_study_compares_it_with_networks(tmp_path: Path) -> None:
    """Its progress is whole when it is done, and every figure and page copes with one point."""
    config = StudyConfig(
        models=("baseline", "lstm"),
        split="holdout",
        seeds=2,
        training=replace(SETTINGS, weak_genres=0.5, weak_genre_epochs=1),
        settings={
            "baseline": {"bands": 4, "modulation_bands": 4},
            "lstm": {"width": 8, "depth": 1, "texture_frames": 4},
        },
    )
    told = []
    result = run_study(
        plan_study(config, CORPUS, tmp_path / "out"),
        jobs=1,
        progress=lambda done, total, _: told.append((done, total)),
    )
    assert told[-1] == (16, 16)
    first, second = result.results.models["baseline"].accuracy("test").seeds
    assert first == second
    assert result.report.exists()
    loaded, info = models.load(tmp_path / "out" / "models" / "baseline" / "seed0-fold0")
    assert info.family == "baseline"
    assert isinstance(loaded, BaselineClassifier)


def test_a_fusion_averages_a_trained_network_and_a_solved_baseline(tmp_path: Path) -> None:
    """Its baseline is the one that is solved for alone, and training leaves it as it is."""
    settings = FusionSettings(
        bands=32, channels=(4, 4), pool_time=(2, 2), width=8, depth=1,
        statistic_bands=SMALL.bands, modulation_bands=SMALL.modulation_bands,
    )  # fmt: skip
    torch.manual_seed(0)
    model = FusionClassifier(CORPUS.spec, len(CORPUS.genres), settings)
    before = model.network.head.weight.clone()
    parts = {"train": Tracks.of(CORPUS, TRAIN), "valid": Tracks.of(CORPUS, VALID)}
    curves, _ = fit(model, **parts, settings=SETTINGS, seed=0, folder=tmp_path)
    alone, *_ = solved(tmp_path)
    model.eval()
    x = next(parts["valid"].batches(length=24, hop=12))
    with torch.no_grad():
        members = [torch.softmax(part(x), dim=1) for part in (model.network, model.baseline)]
        fused = torch.softmax(model(x), dim=1)
    torch.testing.assert_close(model.baseline.state_dict(), alone.state_dict())
    torch.testing.assert_close(fused, sum(members) / 2)
    assert not torch.equal(before, model.network.head.weight)
    assert len(curves["epoch"]) == SETTINGS.epochs
