"""Training: what it learns, that it can be killed, that the same seed gives the same figures."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato import models
from ostinato.errors import DataError, UsageError
from ostinato.features import cut
from ostinato.storage import WriteError
from ostinato.training import fit as fit_module
from ostinato.training.augment_frames import add_noise, mixup
from ostinato.training.fit import CHECKPOINT, CurveKeeper, GenreTraining, TrainingError, fit
from ostinato.training.settings import TrainingSettings
from ostinato.training.tracks import Tracks, epoch_batches, predict
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus()
TRAIN = Tracks.of(CORPUS, CORPUS.ids[::2])
VALID = Tracks.of(CORPUS, CORPUS.ids[1::2])


def new_model(seed: int = 0, **settings: object) -> torch.nn.Module:
    torch.manual_seed(seed)
    kind = models.family("residual-lstm").settings
    defaults = {"width": 8, "depth": 2, "texture_frames": 4}
    return models.build(
        "residual-lstm", spec=CORPUS.spec, n_genres=3, settings=kind(**defaults | settings)
    )


def train(folder: Path, *, seed: int = 0, settings: TrainingSettings = QUICK, model=None):
    model = model or new_model()
    curves, last = fit(model, train=TRAIN, valid=VALID, settings=settings, seed=seed, folder=folder)
    return model, curves, last


def without_seconds(curves):
    return {k: v for k, v in curves.items() if k != "seconds"}


def test_tracks_are_gathered_as_windows_are_cut() -> None:
    """The windows that :func:`ostinato.features.windows.cut` gives, track by track, in order."""
    batches = torch.cat(list(TRAIN.batches(length=24, hop=7, size=5))).numpy()
    positions = CORPUS.positions(CORPUS.ids[::2])
    wanted = np.concatenate([cut(CORPUS.frames[i], length=24, hop=7) for i in positions])
    np.testing.assert_array_equal(batches, wanted)
    assert TRAIN.counts(length=24, hop=7).sum() == len(wanted)


def test_random_crops_lie_inside_their_track_and_short_tracks_are_repeated() -> None:
    torch.manual_seed(0)
    which = torch.arange(len(TRAIN)).repeat(20)
    for crop, track in zip(TRAIN.random_crops(which, 24), which.tolist(), strict=True):
        own = TRAIN.gather(torch.tensor([track]), torch.tensor([0]), int(TRAIN.lengths[track]))[0]
        starts = (own[:, 0] == crop[0, 0]).nonzero()[:, 0].tolist()
        assert any(torch.equal(own[s : s + 24], crop) for s in starts)
    long = TRAIN.random_crops(torch.tensor([0]), 100)[0]
    n = int(TRAIN.lengths[0])
    assert torch.equal(long[:n], long[n : 2 * n][: 100 - n][:n]) or torch.equal(
        long[: 100 - n], long[n:100]
    )


def test_prediction_is_the_mean_of_the_windows_probabilities() -> None:
    model = new_model().eval()
    got = predict(model, VALID, length=24, hop=12)
    first = torch.from_numpy(cut(CORPUS.frames[1], length=24, hop=12))
    wanted = torch.softmax(model(first).double(), dim=1).mean(0).detach().numpy()
    np.testing.assert_allclose(got[0], wanted, rtol=1e-5)
    np.testing.assert_allclose(got.sum(1), 1)


def test_prediction_leaves_a_model_in_the_mode_it_was_in() -> None:
    model = new_model().train()
    predict(model, VALID, length=24, hop=12)
    assert model.training


def test_every_track_is_heard_once_an_epoch() -> None:
    for n_tracks, size in ((15, 8), (16, 8), (3, 8), (17, 4)):
        batches = [batch.tolist() for batch in epoch_batches(n_tracks, size)]
        assert sorted(i for batch in batches for i in batch) == list(range(n_tracks))
        sizes = [len(batch) for batch in batches]
        assert max(sizes) <= size
        assert max(sizes) - min(sizes) <= 1


@given(
    weights=st.lists(st.floats(0.01, 20), min_size=1, max_size=40),
    size=st.integers(1, 16),
    seed=st.integers(0, 1000),
)
def test_tracks_are_heard_as_often_as_their_weights_say(weights, size: int, seed: int) -> None:
    """Expected 1.4 times: once or twice, since systematic sampling leaves no more to chance."""
    torch.manual_seed(seed)
    batches = epoch_batches(len(weights), size, torch.tensor(weights))
    counts = np.bincount(torch.cat(batches).numpy(), minlength=len(weights))
    assert counts.sum() == len(weights), "an epoch is no longer than another"
    expected = np.array(weights) / np.sum(weights) * len(weights)
    assert (abs(counts - expected) < 1 + 1e-4).all()
    assert max(len(b) for b in batches) <= size


def test_over_many_epochs_weights_are_met_and_copies_are_spread() -> None:
    torch.manual_seed(0)
    weights = torch.tensor([0.5, 1.0, 3.0, 0.25, 0.25])
    epochs = [torch.cat(epoch_batches(5, 2, weights)) for _ in range(4000)]
    shares = np.bincount(torch.cat(epochs).numpy()) / len(epochs)
    np.testing.assert_allclose(shares, weights, atol=0.03)
    first_places = np.bincount(torch.stack(epochs)[:, 0].numpy()) / len(epochs)
    np.testing.assert_allclose(first_places, weights / 5, atol=0.03)


def test_training_learns_genres_that_can_be_told_apart(tmp_path) -> None:
    model, curves, _ = train(tmp_path, settings=replace(QUICK, epochs=20, learning_rate=1e-2))
    accuracy = (predict(model, VALID, length=24, hop=12).argmax(1) == VALID.labels.numpy()).mean()
    assert accuracy >= 0.9
    assert curves["train_loss"][-1] < curves["train_loss"][0]


def test_same_seed_same_weights_and_another_seed_others(tmp_path) -> None:
    first, curves, _ = train(tmp_path / "a")
    second, again, _ = train(tmp_path / "b")
    third, _, _ = train(tmp_path / "c", seed=1)
    state = first.state_dict()
    assert all(torch.equal(state[k], v) for k, v in second.state_dict().items())
    assert without_seconds(curves) == without_seconds(again)
    assert not all(torch.equal(state[k], v) for k, v in third.state_dict().items())


def plain_training(settings: TrainingSettings, seed: int) -> dict[str, torch.Tensor]:
    """The recipe as a loop that can be read from top to bottom: the reference for its weights."""
    model = new_model()
    model.normalise.fit(torch.from_numpy(np.concatenate(TRAIN.frames)))
    n_batches = -(-len(TRAIN) // settings.batch_size)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, settings.epochs * n_batches, pct_start=settings.warmup
    )
    for epoch in range(settings.epochs):
        torch.manual_seed(seed_of(seed, epoch))
        batches = torch.randperm(len(TRAIN)).tensor_split(n_batches)
        for step, tracks in enumerate(batches):
            torch.manual_seed(seed_of(seed, epoch, step))
            room = TRAIN.lengths[tracks] - settings.window_frames + 1
            starts = (torch.rand(len(tracks)) * room).long()
            x = TRAIN.gather(tracks, starts, settings.window_frames)
            x = x + model.normalise.deviation * settings.noise * torch.randn_like(x)
            alpha = torch.full((len(tracks),), settings.mixup)
            share = torch.distributions.Beta(alpha, alpha).sample()
            share = torch.maximum(share, 1 - share)
            partners = torch.randperm(len(tracks))
            x = share[:, None, None] * x + (1 - share[:, None, None]) * x[partners]
            own, other = (
                torch.nn.functional.cross_entropy(
                    logits, y, label_smoothing=settings.label_smoothing, reduction="none"
                )
                for logits in [model(x)]
                for y in (TRAIN.labels[tracks], TRAIN.labels[tracks][partners])
            )
            optimizer.zero_grad()
            (share * own + (1 - share) * other).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
            optimizer.step()
            schedule.step()
    return model.state_dict()


def seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def test_the_recipe_draws_what_it_always_drew_and_gives_the_same_weights(tmp_path) -> None:
    """Bit by bit: published figures stand only while nothing else is drawn, or in another order."""
    assert (QUICK.noise, QUICK.mixup) == (0.3, 0.2)
    _, _, last = train(tmp_path, seed=3)
    wanted = plain_training(QUICK, seed=3)
    assert list(last) == list(wanted)
    for name, value in wanted.items():
        assert torch.equal(last[name], value), name


def test_a_training_step_of_ones_own_takes_the_place_of_the_usual_one(tmp_path) -> None:
    """As scripts/train_student.py adds a loss; one that adds nothing gives the same weights."""
    heard: list[int] = []

    class Counting(GenreTraining):
        def training_step(self, number: int) -> torch.Tensor:
            heard.append(number)
            return super().training_step(number)

    usual, own = new_model(), new_model()
    train(tmp_path / "usual", model=usual)
    fit(
        own, train=TRAIN, valid=VALID, settings=QUICK, seed=0, folder=tmp_path / "own",
        make_training=Counting,
    )  # fmt: skip
    assert len(heard) == QUICK.epochs * len(epoch_batches(len(TRAIN), QUICK.batch_size))
    torch.testing.assert_close(own.state_dict(), usual.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    "augmentation",
    [{"mask_time": 0.3}, {"mask_bands": 0.3}, {"stretch": 0.3}, {"pitch": 2.0}, {"tilt": 0.5},
     {"gain": 0.5}],
    ids=lambda a: next(iter(a)),
)  # fmt: skip
def test_an_augmentation_that_is_on_reaches_the_weights(tmp_path, augmentation) -> None:
    _, _, plain = train(tmp_path / "plain", settings=replace(QUICK, epochs=1))
    _, _, last = train(tmp_path / "on", settings=replace(QUICK, epochs=1, **augmentation))
    assert not torch.equal(last["head.weight"], plain["head.weight"])
    assert last["head.weight"].isfinite().all()


def test_a_training_that_was_killed_after_its_last_epoch_gives_the_same_weights(tmp_path) -> None:
    """Its checkpoint is there and nothing is left to train: it ends as the other one did."""
    whole, _, last = train(tmp_path)
    again, _, last_again = train(tmp_path)
    assert not torch.equal(whole.head.weight, last["head.weight"])  # averaged, and not
    for wanted, got in ((whole.state_dict(), again.state_dict()), (last, last_again)):
        assert wanted.keys() == got.keys()
        assert all(torch.equal(value, got[key]) for key, value in wanted.items())


def test_normalisation_is_fitted_on_the_training_part_alone(tmp_path) -> None:
    model, _, _ = train(tmp_path)
    mean = torch.from_numpy(np.concatenate(TRAIN.frames)).mean(0)
    torch.testing.assert_close(model.normalise.mean, mean, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("killed_at_step", [1, 3, 7])
def test_a_training_that_was_killed_gives_the_same_weights(
    tmp_path, monkeypatch, killed_at_step: int
) -> None:
    """Two steps an epoch: killed in the first epoch (nothing kept yet), and in later ones."""
    whole, curves, whole_last = train(tmp_path / "whole")
    steps = 0

    def killed(x, *, alpha):
        nonlocal steps
        steps += 1
        if steps == killed_at_step:
            raise MemoryError("killed")
        return mixup(x, alpha=alpha)

    monkeypatch.setattr(fit_module, "mixup", killed)
    with pytest.raises(MemoryError):
        train(tmp_path / "killed")
    monkeypatch.setattr(fit_module, "mixup", mixup)
    torch.manual_seed(12345)  # whatever happened in between
    resumed, resumed_curves, resumed_last = train(tmp_path / "killed")
    assert without_seconds(resumed_curves) == without_seconds(curves)
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key
        assert torch.equal(resumed_last[key], whole_last[key]), key


def test_the_checkpoint_holds_tensors_and_plain_values_only(tmp_path) -> None:
    train(tmp_path)
    checkpoint = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert checkpoint["epoch"] >= QUICK.epochs - 1


def test_a_disk_that_fills_up_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch) -> None:
    real = Path.write_bytes
    written = []

    def filling(self, content):
        written.append(self)
        if len(written) == 3:
            real(self, bytes(content)[:100])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", filling)
    with pytest.raises(WriteError, match=r"last\.ckpt: the disk is full"):
        train(tmp_path)
    monkeypatch.undo()
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["epoch"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curves.csv", CHECKPOINT]


def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"last\.ckpt cannot be read .*: delete it"):
        train(tmp_path)


def test_curves_are_written_as_csv_with_a_row_an_epoch(tmp_path) -> None:
    _, curves, _ = train(tmp_path)
    header, *rows = (tmp_path / "curves.csv").read_text().splitlines()
    assert header.startswith("epoch,objective,train_loss,valid_loss,train_accuracy,valid_accuracy")
    assert [row.split(",")[0] for row in rows] == ["1", "2", "3", "4"]
    evaluated = [loss is not None for loss in curves["valid_loss"]]
    assert evaluated == [True, True, False, True]  # the first, every second, the last


def test_a_loss_that_is_no_number_stops_training_in_words(tmp_path) -> None:
    model = new_model()
    torch.nn.init.constant_(model.head.weight, float("nan"))
    sentence = (
        r"The loss is nan in epoch 1, step 1 of 2: training has diverged; lower "
        r"training\.learning_rate \(0\.002\) or training\.gradient_clip \(1\); no epoch was "
        r"finished\."
    )
    with pytest.raises(TrainingError, match=sentence):
        train(tmp_path, model=model)
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("spoilt_step", "what", "kept"),
    [
        (5, r"The loss is nan in epoch 3, step 1 of 2", 2),
        (6, r"The loss is nan in epoch 3, step 2 of 2", 2),
        (-5, r"The loss is nan in epoch 3, step 2 of 2", 2),
        (-6, r"A weight is no finite number in epoch 3, step 2 of 2", 2),
    ],
    ids=["first step", "last step", "weights after the first step", "weights after the last step"],
)
def test_a_training_that_diverges_keeps_the_last_good_epoch_and_can_go_on(
    tmp_path, monkeypatch, spoilt_step: int, what: str, kept: int
) -> None:
    """Spoilt are the windows of a step, or (negative) the gradients that change the weights in it.

    After the last step of an epoch the weights are kept: were they not looked at, the checkpoint
    would be one from which nothing can be resumed.
    """
    whole, curves, _ = train(tmp_path / "whole")
    model = new_model()
    steps = 0

    def spoiling(x, *, alpha):
        nonlocal steps
        steps += 1
        if steps == spoilt_step:
            x = x * float("nan")
        if steps == -spoilt_step:
            model.head.weight.register_hook(lambda gradient: gradient * float("nan"))
        return mixup(x, alpha=alpha)

    monkeypatch.setattr(fit_module, "mixup", spoiling)
    with pytest.raises(TrainingError, match=rf"{what}: .*; last\.ckpt is that of epoch {kept}\."):
        train(tmp_path / "spoilt", model=model)
    monkeypatch.setattr(fit_module, "mixup", mixup)
    checkpoint = torch.load(tmp_path / "spoilt" / CHECKPOINT, weights_only=True)
    assert checkpoint["epoch"] == kept - 1
    assert checkpoint["global_step"] == 2 * kept
    assert all(v.isfinite().all() for v in checkpoint["state_dict"].values())
    resumed, resumed_curves, _ = train(tmp_path / "spoilt")
    assert without_seconds(resumed_curves) == without_seconds(curves)
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


def test_a_window_longer_than_every_training_track_is_refused(tmp_path) -> None:
    longest = int(TRAIN.lengths.max())
    sentence = (
        rf"training\.window_frames: expected at most {longest} frames, the longest training track "
        rf"\(3\.4 s\), got {longest + 1} \(3\.5 s\)\."
    )
    with pytest.raises(UsageError, match=sentence):
        train(tmp_path, settings=replace(QUICK, window_frames=longest + 1))
    train(tmp_path, settings=replace(QUICK, window_frames=longest, epochs=1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_frames_that_are_no_numbers_are_named(value: float) -> None:
    """One of them would make every weight NaN, and the loss would tell nobody where it was."""
    frames = list(CORPUS.frames)
    frames[4] = frames[4].copy()
    frames[4][6, 2] = frames[4][9, 0] = value
    spoilt = replace(CORPUS, frames=frames)
    sentence = rf"Recording 'g0.004': .*finite numbers, got {value} in frame 7 of \d+ \(2 such\)"
    with pytest.raises(DataError, match=sentence):
        Tracks.of(spoilt, spoilt.ids)
    Tracks.of(spoilt, spoilt.ids[5:])


def test_averaged_weights_differ_from_the_last_ones_and_can_be_turned_off(tmp_path) -> None:
    model, _, last = train(tmp_path / "on")
    assert not torch.equal(model.state_dict()["head.weight"], last["head.weight"])
    model, _, last = train(tmp_path / "off", settings=replace(QUICK, averaging=0.0))
    torch.testing.assert_close(model.state_dict()["head.weight"], last["head.weight"])


def test_mixup_keeps_each_window_the_main_one_and_blends_as_told() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 5, 3)
    blended, partners, share = mixup(x, alpha=0.4)
    assert (share >= 0.5).all()
    assert (share <= 1).all()
    assert sorted(partners.tolist()) == list(range(64))
    s = share[:, None, None]
    torch.testing.assert_close(blended, s * x + (1 - s) * x[partners])
    same, _, one = mixup(x, alpha=0.0)
    assert torch.equal(same, x)
    assert (one == 1).all()


def test_noise_has_the_deviation_it_is_told_in_every_feature() -> None:
    torch.manual_seed(0)
    x = torch.zeros(50, 200, 3)
    deviation = torch.tensor([0.0, 0.5, 3.0])
    measured = add_noise(x, deviation).flatten(0, 1).std(0)
    torch.testing.assert_close(measured, deviation, rtol=0.02, atol=0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("learning_rate", -1.0),
        ("warmup", 1.0),
        ("mixup", -0.1),
        ("averaging", 1.0),
        ("weak_genres", -0.5),
        ("weak_genre_folds", 1),
        ("weak_genre_epochs", 0),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"training.{name}: expected"):
        TrainingSettings(**{name: value})


def test_gradients_of_recurrent_layers_are_noted_before_they_are_clipped(tmp_path) -> None:
    """In the first step, which no clipping has changed yet, they are the same whatever the clip."""
    noted = []
    for clip in (1e-9, 1e9):
        settings = replace(QUICK, epochs=1, batch_size=64, gradient_clip=clip)
        _, curves, _ = train(tmp_path / str(clip), settings=settings)
        noted.append([curves["gradient_1"], curves["gradient_2"]])
    assert noted[0] == noted[1]
    assert min(norm for (norm,) in noted[1]) > 1e-6


def test_the_norm_of_a_layer_is_that_of_all_its_numbers() -> None:
    model = torch.nn.Module()
    model.layers = torch.nn.ModuleList([torch.nn.Linear(3, 2), torch.nn.Linear(2, 2)])
    model.recurrent_layers = lambda: list(model.layers)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    keeper = CurveKeeper({}, QUICK)
    keeper.on_after_backward(None, SimpleNamespace(model=model))
    wanted = [
        torch.cat([p.grad.flatten() for p in layer.parameters()]).norm() for layer in model.layers
    ]
    assert torch.allclose(keeper.gradients[0], torch.stack(wanted))
