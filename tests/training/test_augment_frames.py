"""Augmentation of frames, against NumPy and SciPy working on mel bands one window at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.training.augment_frames import (
    FrameAugmentation,
    MelBands,
    add_noise,
    gain,
    mask_bands,
    mask_time,
    mixup,
    shift_bands,
    stretch,
    tilt,
)
from ostinato.training.settings import TrainingSettings

MFCC = FeatureSpec(n_coefficients=40)
LOG_MEL = FeatureSpec(kind="log-mel")
NAMES = ("mask_time", "mask_bands", "stretch", "pitch", "tilt", "gain")
SENSIBLE = {
    "mask_time": 0.2, "mask_bands": 0.2, "stretch": 0.2, "pitch": 3.0, "tilt": 0.3, "gain": 0.3,
}  # fmt: skip


def windows(spec: FeatureSpec = MFCC, *, B: int = 6, T: int = 30, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.normal(size=(B, T, spec.n_features)).astype(np.float32))


def to_bands(x: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Mel bands of frames, by SciPy."""
    if spec.kind != "mfcc":
        return x.astype(np.float64)
    padded = np.pad(
        x.astype(np.float64), [(0, 0)] * (x.ndim - 1) + [(0, spec.n_mels - x.shape[-1])]
    )
    return fft.idct(padded, type=2, norm="ortho", axis=-1)


def from_bands(bands: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    if spec.kind != "mfcc":
        return bands
    return fft.dct(bands, type=2, norm="ortho", axis=-1)[..., : spec.n_features]


def assert_close(got: torch.Tensor, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(got.numpy(), wanted, atol=2e-5)


both = pytest.mark.parametrize("spec", [MFCC, LOG_MEL], ids=["mfcc", "log-mel"])


# Each against what it means on mel bands


@both
@given(shift=st.floats(-20, 20))
@settings(max_examples=20, deadline=None)
def test_a_shift_reads_every_band_where_it_was(spec: FeatureSpec, shift: float) -> None:
    x = windows(spec, B=2)
    shifts = torch.tensor([shift, -0.5 * shift], dtype=torch.float32)
    got = shift_bands(x, shifts, MelBands.of(spec))
    i = np.arange(spec.n_mels)
    for one, by, result in zip(x.numpy(), shifts.tolist(), got, strict=True):
        moved = [np.interp(i - by, i, frame) for frame in to_bands(one, spec)]
        assert_close(result, from_bands(np.array(moved), spec))


@both
def test_a_whole_shift_moves_a_bump_up_by_so_many_bands(spec: FeatureSpec) -> None:
    bump = np.exp(-0.5 * ((np.arange(spec.n_mels) - 40) / 6) ** 2)[None, None]
    x = torch.from_numpy(from_bands(bump, spec).astype(np.float32))
    moved = shift_bands(x, torch.tensor([7.0]), MelBands.of(spec))
    assert to_bands(moved.numpy(), spec)[0, 0].argmax() == 47


@both
def test_a_tilt_adds_a_line_and_a_gain_a_constant_to_the_bands(spec: FeatureSpec) -> None:
    x = windows(spec, B=3)
    by = torch.tensor([0.5, -1.25, 0.0])
    line = np.linspace(-1, 1, spec.n_mels)
    steps = by.numpy()[:, None, None]
    bands = to_bands(x.numpy(), spec)
    assert_close(tilt(x, by, MelBands.of(spec)), from_bands(bands + steps * line, spec))
    assert_close(gain(x, by, MelBands.of(spec)), from_bands(bands + steps, spec))


def test_of_mfcc_a_gain_is_the_zeroth_coefficient_alone() -> None:
    x = windows(B=1)
    change = gain(x, torch.tensor([2.0]), MelBands.of(MFCC)) - x
    assert_close(change[..., 0], np.full((1, 30), 2 * np.sqrt(128)))
    assert change[..., 1:].abs().max() < 1e-5


@both
def test_masked_bands_are_those_of_the_fill_and_the_others_are_left(spec: FeatureSpec) -> None:
    x, fill = windows(spec, B=3), windows(spec, B=1, T=1, seed=1)[0, 0]
    firsts, widths = torch.tensor([0, 100, 17]), torch.tensor([5, 28, 0])
    got = mask_bands(x, firsts, widths, fill=fill, bands=MelBands.of(spec))
    wanted = to_bands(x.numpy(), spec)
    put_in = to_bands(fill.numpy(), spec)
    wanted[0, :, :5] = put_in[:5]
    wanted[1, :, 100:] = put_in[100:]
    assert_close(got, from_bands(wanted, spec))
    assert torch.equal(got[2], x[2])


def test_masked_frames_are_the_fill_and_the_others_are_left_bit_by_bit() -> None:
    x, fill = windows(B=3), torch.arange(40.0)
    got = mask_time(x, torch.tensor([4, 25, 9]), torch.tensor([3, 5, 0]), fill=fill)
    wanted = x.numpy().copy()
    wanted[0, 4:7] = fill
    wanted[1, 25:] = fill
    np.testing.assert_array_equal(got.numpy(), wanted)


@given(
    factor=st.floats(0.5, 2, allow_subnormal=False),
    offset=st.floats(0, 20, allow_subnormal=False),
    length=st.integers(1, 40),
)
@settings(max_examples=50, deadline=None)
def test_a_stretch_is_linear_interpolation(factor: float, offset: float, length: int) -> None:
    """Past the end too, where ``numpy.interp`` repeats the last frame."""
    x = windows(B=2, T=37)
    factors, offsets = torch.tensor([factor, 1.0]), torch.tensor([offset, 0.25])
    got = stretch(x, factors, offsets, length=length)
    assert got.shape == (2, length, 40)
    for one, f, o, result in zip(x.numpy(), factors.tolist(), offsets.tolist(), got, strict=True):
        places = o + f * np.arange(length)
        columns = [np.interp(places, np.arange(37), column) for column in one.T]
        np.testing.assert_allclose(result.numpy(), np.array(columns).T, atol=1e-4)


def test_twice_as_fast_reads_every_second_frame() -> None:
    x = windows(B=1, T=41)
    got = stretch(x, torch.tensor([2.0]), torch.tensor([0.0]), length=20)
    assert torch.equal(got, x[:, :40:2])


# What is drawn


def augmentation(spec: FeatureSpec = MFCC, *, T: int = 30, by: float = 1.0, **strengths: float):
    settings = TrainingSettings(window_frames=T, **strengths)
    fill = torch.full((spec.n_features,), 7.0)
    return FrameAugmentation(settings, spec, fill, largest_strength=by)


@both
@pytest.mark.parametrize("strength", [0.05, 0.3, 0.95])
def test_masks_are_runs_of_every_allowed_length_at_every_place(
    spec: FeatureSpec, strength: float
) -> None:
    """SpecAugment: 0 to share * T frames, each width as likely, anywhere that it fits."""
    T = 20
    augment = augmentation(spec, T=T, mask_time=strength)
    torch.manual_seed(0)
    x = windows(spec, B=6000, T=T)
    masked = (augment(x) == 7).all(dim=2).numpy()
    edges = np.diff(np.pad(masked.astype(int), [(0, 0), (1, 1)]), axis=1)
    assert ((edges == 1).sum(axis=1) <= 1).all(), "one run, or none"
    widths = masked.sum(axis=1)
    widest = int(round(strength * T, 6))
    counts = np.bincount(widths, minlength=widest + 1)
    assert len(counts) == widest + 1
    expected = 6000 / (widest + 1)
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()
    firsts = masked.argmax(axis=1)[widths == 1]
    assert set(firsts) == set(range(T))


def test_masked_bands_are_one_run_of_at_most_the_share_told() -> None:
    augment = augmentation(LOG_MEL, mask_bands=0.25)
    torch.manual_seed(0)
    masked = (augment(windows(LOG_MEL, B=500)) == 7).numpy()
    assert (masked == masked[:, :1]).all(), "the same bands in all frames of a window"
    edges = np.diff(np.pad(masked[:, 0].astype(int), [(0, 0), (1, 1)]), axis=1)
    assert ((edges == 1).sum(axis=1) <= 1).all()
    widths = masked[:, 0].sum(axis=1)
    assert widths.max() == 32
    assert widths.min() == 0


def test_windows_are_played_faster_as_often_as_slower_and_within_bounds() -> None:
    """On a ramp the distance of neighbouring frames is the factor, and the ends show the place."""
    T, s = 30, 0.25
    augment = augmentation(LOG_MEL, T=T, stretch=s)
    assert augment.source_frames == 1 + np.ceil(29 * 1.25)
    ramp = torch.arange(augment.source_frames, dtype=torch.float32)
    torch.manual_seed(0)
    got = augment(ramp[None, :, None].expand(4000, -1, 128))[:, :, 0].numpy()
    factors = (got[:, -1] - got[:, 0]) / (T - 1)
    assert factors.min() > 1 / (1 + s) - 1e-4
    assert factors.max() < 1 + s + 1e-4
    assert abs((factors > 1).mean() - 0.5) < 0.03
    np.testing.assert_allclose(np.diff(got, axis=1), factors[:, None] * np.ones(T - 1), atol=1e-3)
    assert got.min() >= 0
    assert got.max() <= augment.source_frames - 1
    slow = factors < 0.9
    assert got[slow, 0].max() > 8, "the end of the longer window is heard as well"


@pytest.mark.parametrize("name", ["pitch", "tilt", "gain"])
def test_shifts_slopes_and_levels_are_uniform_both_ways(name: str) -> None:
    """Read off windows of which the result tells what was drawn."""
    augment = augmentation(LOG_MEL, T=1, **{name: 3.0})
    x = torch.arange(128.0).expand(3000, 1, 128) if name == "pitch" else torch.zeros(3000, 1, 128)
    torch.manual_seed(0)
    change = (augment(x) - x)[:, 0].numpy()
    drawn = {"pitch": -change[:, 64], "tilt": change[:, -1], "gain": change[:, 64]}[name]
    assert abs(drawn).max() <= 3 + 1e-4
    quarters = np.histogram(drawn, bins=4, range=(-3, 3))[0] / 3000
    np.testing.assert_allclose(quarters, 0.25, atol=0.03)


def test_strengths_multiply_window_by_window() -> None:
    augment = augmentation(LOG_MEL, T=8, by=3.0, gain=1.0, stretch=0.2)
    assert augment.source_frames == 1 + np.ceil(7 * 1.6)
    x = torch.zeros(2000, augment.source_frames, 128)
    torch.manual_seed(0)
    strengths = torch.tensor([0.0, 3.0]).repeat(1000)
    drawn = augment(x, strengths)[:, 0, 0].view(1000, 2)
    assert (drawn[:, 0] == 0).all()
    assert 2.9 < drawn[:, 1].abs().max() <= 3


def test_a_mask_or_stretch_that_is_multiplied_stays_a_share() -> None:
    augment = augmentation(LOG_MEL, T=50, by=10.0, mask_time=0.5, stretch=0.5)
    assert augment.source_frames == 1 + np.ceil(49 * 1.99)
    torch.manual_seed(0)
    got = augment(windows(LOG_MEL, B=500, T=augment.source_frames), torch.full((500,), 10.0))
    assert got.isfinite().all()
    assert (got == 7).all(dim=2).sum(dim=1).max() == 49


# Properties of all


@both
@given(
    chosen=st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 0.9), max_size=6),
    B=st.integers(1, 5),
    T=st.integers(1, 25),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_shape_is_kept_values_are_finite_and_a_seed_decides_all(
    spec: FeatureSpec, chosen: dict[str, float], B: int, T: int, seed: int
) -> None:
    augment = augmentation(spec, T=T, **chosen)
    x = windows(spec, B=B, T=augment.source_frames)
    before = x.clone()
    torch.manual_seed(seed)
    first = augment(x)
    torch.manual_seed(seed)
    second = augment(x)
    assert first.shape == (B, T, spec.n_features)
    assert first.dtype == torch.float32
    assert first.isfinite().all()
    assert torch.equal(first, second)
    assert torch.equal(x, before), "the windows that were given are not written to"


@both
def test_strength_0_is_the_identity_bit_by_bit_and_draws_nothing(spec: FeatureSpec) -> None:
    augment = augmentation(spec)
    assert augment.source_frames == 30
    x = windows(spec)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(augment(x), x)
    assert torch.equal(torch.rand(3), wanted)


@both
@pytest.mark.parametrize("name", NAMES)
def test_each_strength_turns_on_its_own_augmentation(spec: FeatureSpec, name: str) -> None:
    torch.manual_seed(0)
    augment = augmentation(spec, **{name: SENSIBLE[name]})
    x = windows(spec, B=20, T=augment.source_frames)
    changed = (augment(x) != x[:, :30]).any(dim=2).float().mean()
    assert changed > 0.03


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_is_made_where_the_windows_are(dtype: torch.dtype) -> None:
    """On the meta device, which refuses to be mixed with another one, as an accelerator does."""
    augment = augmentation(MFCC, **SENSIBLE)
    x = torch.empty(4, augment.source_frames, 40, device="meta", dtype=dtype)
    for strengths in (None, torch.ones(4)):
        got = augment(x, strengths)
        assert got.device.type == "meta"
        assert got.dtype == dtype
        assert got.shape == (4, 30, 40)
    assert mixup(x, alpha=0.0)[1].device.type == "meta"
    deviation = torch.ones(40, device="meta", dtype=dtype)
    assert add_noise(x, deviation).dtype == dtype


def test_bands_are_read_by_orthonormal_columns() -> None:
    """Or the way there and back would not be one matrix."""
    basis = MelBands.of(MFCC).basis
    assert basis is not None
    np.testing.assert_allclose(basis.T @ basis, np.eye(40), atol=1e-5)
    x = windows()
    np.testing.assert_allclose(x @ basis.T, to_bands(x.numpy(), MFCC), atol=1e-5)
    smoothed = FeatureSpec(kind="log-mel-from-mfcc")
    assert MelBands.of(smoothed).basis is None


# Bad input


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_strength_that_is_negative_or_no_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"training\.{name}: expected .*, got {value}\."):
        TrainingSettings(**{name: value})


@pytest.mark.parametrize("name", ["mask_time", "mask_bands", "stretch"])
def test_a_share_of_1_is_refused(name: str) -> None:
    sentence = rf"training\.{name}: expected a number in \[0, 1\), got 1\.0\."
    with pytest.raises(UsageError, match=sentence):
        TrainingSettings(**{name: 1.0})


def test_a_shift_by_all_the_bands_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match=r"training\.pitch: .*less than 128 mel bands.*got 128"):
        augmentation(MFCC, pitch=128.0)


def test_settings_tell_their_augmentation_in_words() -> None:
    assert TrainingSettings().augmentation() == "noise 0.3, mixup 0.2"
    assert TrainingSettings(noise=0, mixup=0).augmentation() == "no augmentation"
    told = TrainingSettings(mixup=0, mask_bands=0.25, stretch=0.1).augmentation()
    assert told == "noise 0.3, mask of bands 0.25, stretch 0.1"
