"""What a study says of probabilities, and of recordings that every model gets wrong."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ostinato.evaluation import apply_temperature, calibration, selective
from ostinato.evaluation.significance import wilson
from ostinato.study.results.always_wrong import always_wrong
from ostinato.study.results.confidence import TARGETS, confidence
from tests.helpers.toy import toy_corpus

G = 4


def pool(part: str, n_folds: int, n: int, *, first: int = 0, seed: int = 0) -> Any:
    """As much of a Pool as is asked for: ``n`` rows a fold, labels at random."""
    random = np.random.default_rng(seed)
    return SimpleNamespace(
        part=part,
        labels=random.integers(0, G, n * n_folds),
        positions=first + np.arange(n * n_folds),
        folds=np.repeat(np.arange(n_folds), n),
        probabilities=lambda folds: np.concatenate([fold[part] for fold in folds]),
    )


def stated(labels: np.ndarray, sharpness: float, seed: int) -> np.ndarray:
    """Probabilities that are true at sharpness 1, and too sure above."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.0, (labels.size, G))
    # Bayes: with prior 1/G and evidence of deviation 1, adding 1 to the truth is calibrated.
    logits[np.arange(labels.size), labels] += 1.0
    powers = np.exp(sharpness * logits)
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_temperature_of_models_that_are_too_sure_is_found_on_the_validation_part() -> None:
    """Probabilities that were sharpened threefold need a temperature of three."""
    valid, test = pool("valid", 1, 4000), pool("test", 1, 3000, first=9000, seed=1)
    seeds = [
        [{"valid": stated(valid.labels, 3, s), "test": stated(test.labels, 3, 10 + s)}]
        for s in range(2)
    ]
    found = confidence(valid, test, seeds)
    assert found is not None
    assert (found.part, found.fitted_on) == ("test", "valid")
    assert found.temperature == pytest.approx(3, rel=0.1)
    before, after = found.before, found.after
    assert before.ece > before.ece_high
    assert after.ece_low <= after.ece <= after.ece_high
    assert after.nll < before.nll
    alone = apply_temperature(
        seeds[0][0]["test"], calibration.fit_temperature(valid.labels, seeds[0][0]["valid"])
    )
    other = apply_temperature(
        seeds[1][0]["test"], calibration.fit_temperature(valid.labels, seeds[1][0]["valid"])
    )
    by_hand = np.mean([calibration.nll(test.labels, p) for p in (alone, other)])
    assert after.nll == pytest.approx(by_hand)
    assert sum(p.n for p in found.reliability) == pytest.approx(3000)


def test_thresholds_reach_their_target_on_recordings_that_did_not_choose_them() -> None:
    valid, test = pool("valid", 1, 4000), pool("test", 1, 4000, first=9000, seed=1)
    seeds = [[{"valid": stated(valid.labels, 1, 0), "test": stated(test.labels, 1, 1)}]]
    found = confidence(valid, test, seeds)
    assert found is not None
    assert [entry.target for entry in found.abstaining] == list(TARGETS)
    for entry in found.abstaining:
        assert entry.precision == pytest.approx(entry.target, abs=0.06)
        assert entry.low < entry.precision < entry.high
    coverages = [entry.coverage for entry in found.abstaining]
    assert coverages == sorted(coverages, reverse=True)
    curve = selective.risk_coverage(*calibration.verdicts(test.labels, seeds[0][0]["test"]))
    assert found.risk_coverage.aurc == pytest.approx(curve.aurc, abs=0.01)
    assert found.risk_coverage.risk[-1] == pytest.approx(curve.risk[-1])


def test_what_is_answered_is_counted_seed_by_seed() -> None:
    """Share answered, and share of that right, counted one by one, of the seeds that reach the
    target; scores before are all seeds'."""
    valid, test = pool("valid", 1, 600), pool("test", 1, 500, first=9000, seed=1)
    seeds = [
        [{"valid": stated(valid.labels, k, k), "test": stated(test.labels, k, 10 + k)}]
        for k in (1, 3)
    ]
    found = confidence(valid, test, seeds)
    assert found is not None
    for entry in found.abstaining:
        answered = right = reached = 0
        for (fold,), point in zip(seeds, entry.seeds, strict=True):
            temperature = calibration.fit_temperature(valid.labels, fold["valid"])
            chosen = calibration.verdicts(
                valid.labels, apply_temperature(fold["valid"], temperature)
            )
            limit = selective.threshold_for(*chosen, precision=entry.target)
            assert (point is None) == (limit is None)
            reached += limit is not None
            scaled = apply_temperature(fold["test"], temperature)
            for truth, row in zip(test.labels, scaled, strict=True):
                if limit is not None and row.max() >= limit.threshold:
                    answered += 1
                    right += int(row.argmax() == truth)
        assert 0 < right < answered
        assert entry.coverage == pytest.approx(answered / 500 / reached)
        assert entry.precision == pytest.approx(right / answered)
    plain = [calibration.evaluate(test.labels, fold["test"]) for (fold,) in seeds]
    assert found.before.nll == pytest.approx(np.mean([one.nll for one in plain]))
    assert found.before.ece == pytest.approx(np.mean([one.ece for one in plain]))


def test_a_second_training_alike_makes_no_interval_narrower() -> None:
    """Another seed is not another recording."""
    valid, test = pool("valid", 1, 300), pool("test", 1, 200, first=9000, seed=1)
    seed = [{"valid": stated(valid.labels, 1, 0), "test": stated(test.labels, 1, 1)}]
    once, twice = (confidence(valid, test, [seed] * n) for n in (1, 2))
    assert once is not None
    assert twice is not None
    for one, two in zip(once.abstaining, twice.abstaining, strict=True):
        assert two == replace(one, seeds=one.seeds * 2)
    assert twice.after == once.after
    bounds = [[(p.low, p.high, p.n) for p in found.reliability] for found in (once, twice)]
    np.testing.assert_allclose(*bounds)


def test_a_point_of_one_recording_is_as_unsure_as_one_recording() -> None:
    valid, test = pool("valid", 1, 300), pool("test", 1, 1, first=9000, seed=1)
    seed = [{"valid": stated(valid.labels, 1, 0), "test": stated(test.labels, 1, 1)}]
    found = confidence(valid, test, [seed])
    assert found is not None
    (point,) = found.reliability
    expected = wilson(point.accuracy, 1)
    assert (point.low, point.high, point.n) == (expected.low, expected.high, 1)


def test_each_fold_with_a_test_part_is_judged_by_its_own_validation_part() -> None:
    valid, test = pool("valid", 2, 1500), pool("test", 2, 1000, first=9000, seed=1)
    folds = [
        {
            "valid": stated(valid.labels.reshape(2, -1)[k], sharp, k),
            "test": stated(test.labels.reshape(2, -1)[k], sharp, 10 + k),
        }
        for k, sharp in enumerate((1, 4))
    ]
    found = confidence(valid, test, [folds])
    assert found is not None
    own = [
        calibration.fit_temperature(labels, fold["valid"])
        for labels, fold in zip(valid.labels.reshape(2, -1), folds, strict=True)
    ]
    assert found.temperature == pytest.approx(np.mean(own))
    scaled = [apply_temperature(f["test"], t) for f, t in zip(folds, own, strict=True)]
    by_hand = calibration.brier(test.labels, np.concatenate(scaled))
    assert found.after.brier == pytest.approx(by_hand)


def test_folds_are_judged_by_what_the_other_folds_chose() -> None:
    """A fold of models that are too sure, among honest ones, is judged at their temperature."""
    valid = pool("valid", 3, 2000)
    sharp = (1, 1, 4)
    labels = valid.labels.reshape(3, -1)
    folds = [{"valid": stated(labels[k], sharp[k], k)} for k in range(3)]
    found = confidence(valid, valid, [folds])
    assert found is not None
    assert found.fitted_on == "other folds"
    temperatures = []
    scaled = []
    for k in range(3):
        others = np.concatenate([folds[j]["valid"] for j in range(3) if j != k])
        truth = np.concatenate([labels[j] for j in range(3) if j != k])
        temperatures.append(calibration.fit_temperature(truth, others))
        scaled.append(apply_temperature(folds[k]["valid"], temperatures[-1]))
    assert found.temperature == pytest.approx(np.mean(temperatures))
    assert found.after.brier == pytest.approx(
        calibration.brier(valid.labels, np.concatenate(scaled))
    )


def test_a_recording_in_several_repeats_does_not_choose_for_itself() -> None:
    """Repeated folds hold every recording again: none of its rows may set its temperature."""
    valid = pool("valid", 4, 500)
    valid.positions = np.tile(np.arange(1000), 2)  # folds 0 and 2, and 1 and 3, are the same
    labels = valid.labels.reshape(4, -1)
    labels[2:] = labels[:2]
    valid.labels = labels.reshape(-1)
    folds = [{"valid": stated(labels[k], 1 + k, k)} for k in range(4)]
    found = confidence(valid, valid, [folds])
    assert found is not None
    expected = []
    for k in range(4):
        others = [j for j in range(4) if j % 2 != k % 2]
        said = np.concatenate([folds[j]["valid"] for j in others])
        expected.append(calibration.fit_temperature(labels[others].reshape(-1), said))
    assert found.temperature == pytest.approx(np.mean(expected))


def test_one_fold_without_a_test_part_is_not_judged_on_what_chose() -> None:
    valid = pool("valid", 1, 50)
    assert confidence(valid, valid, [[{"valid": stated(valid.labels, 1, 0)}]]) is None


def test_a_target_that_no_threshold_reaches_answers_nothing() -> None:
    valid, test = pool("valid", 1, 400), pool("test", 1, 400, first=900, seed=1)
    guess = np.full((400, G), 1 / G)
    found = confidence(valid, test, [[{"valid": guess, "test": guess}]])
    assert found is not None
    for entry in found.abstaining:
        assert (entry.seeds, entry.coverage, entry.precision) == ([None], None, None)


def test_a_seed_that_never_reaches_the_target_is_in_no_mean() -> None:
    """Each seed's threshold is one operating point; a guessing seed is not averaged in."""
    valid, test = pool("valid", 1, 4000), pool("test", 1, 4000, first=9000, seed=1)
    guess = [{"valid": np.full((4000, G), 1 / G), "test": np.full((4000, G), 1 / G)}]
    good = [
        [{"valid": stated(valid.labels, 1, s), "test": stated(test.labels, 1, 10 + s)}]
        for s in range(2)
    ]
    alone = confidence(valid, test, good)
    found = confidence(valid, test, [good[0], guess, good[1]])
    assert found is not None
    assert alone is not None
    assert found.temperatures == [
        alone.temperatures[0],
        pytest.approx(1, abs=20),
        alone.temperatures[1],
    ]
    for entry, own in zip(found.abstaining, alone.abstaining, strict=True):
        assert entry.seeds == [own.seeds[0], None, own.seeds[1]]
        assert (entry.coverage, entry.precision) == (own.coverage, own.precision)
        points = [point for point in own.seeds if point]
        assert own.coverage == pytest.approx(np.mean([p.coverage for p in points]))
        for seed, point in enumerate(points):
            scaled = apply_temperature(good[seed][0]["test"], alone.temperatures[seed])
            answered = scaled.max(axis=1) >= point.threshold
            right = (scaled.argmax(axis=1) == test.labels)[answered]
            assert (point.coverage, point.precision) == (answered.mean(), right.mean())


def test_a_seed_that_reaches_the_target_in_some_folds_only_does_not_reach_it() -> None:
    """The folds that choose for the last one hold a training that guesses."""
    valid = pool("valid", 3, 2000)
    labels = valid.labels.reshape(3, -1)
    sharp = [{"valid": stated(labels[k], 1, k)} for k in range(3)]
    guess = [{"valid": np.full((2000, G), 1 / G)} for _ in range(2)]
    found = confidence(valid, valid, [[guess[0], guess[1], sharp[2]], sharp])
    assert found is not None
    for entry in found.abstaining:
        first, second = entry.seeds
        assert first is None
        assert second is not None
        assert (entry.coverage, entry.precision) == (second.coverage, second.precision)


def test_always_wrong_are_those_that_no_training_got_right_the_surest_first() -> None:
    corpus = toy_corpus(n_genres=3, per_genre=2)  # rows 0, 1: g0; 2, 3: g1; 4, 5: g2
    rows = np.array([0, 2, 4, 0])  # row 0 in two repeats
    own = SimpleNamespace(
        part="valid",
        positions=rows,
        labels=corpus.labels[rows],
        probabilities=lambda folds: np.concatenate([fold["valid"] for fold in folds]),
    )

    def said(*genres: int, sure: float) -> np.ndarray:
        return np.full((4, 3), (1 - sure) / 2) + (sure - (1 - sure) / 2) * np.eye(3)[list(genres)]

    verdicts = {
        "a": [[{"valid": said(1, 0, 2, 1, sure=0.5)}]],
        "b": [[{"valid": said(2, 0, 0, 0, sure=0.9)}]],
    }
    found = always_wrong(corpus, own, verdicts)
    # Row 0 was right once (b, in its second repeat); row 4 by a; row 2 never.
    assert (found.n, found.trainings) == (3, 2)
    (entry,) = found.recordings
    assert (entry.id, entry.genre, entry.said) == ("g1.000", "g1", "g0")
    assert entry.artist == corpus.recordings[2].artist
    assert entry.share == 1
    assert entry.probability == pytest.approx(0.7)
    verdicts["b"] = [[{"valid": said(2, 0, 0, 2, sure=0.9)}]]
    names = [e.id for e in always_wrong(corpus, own, verdicts).recordings]
    assert names == ["g1.000", "g0.000"]
