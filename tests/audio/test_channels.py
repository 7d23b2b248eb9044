"""Channels that cancel each other out: one of them is heard, on every road, and it is said."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from ostinato import Classifier
from ostinato.audio import (
    AudioError,
    AudioStream,
    SilentAudioError,
    load_audio,
    open_audio,
    waveform_from_array,
)
from ostinato.audio.channels import Mixer
from ostinato.audio.load import decode_audio, mixed_array
from tests.helpers.formats import write_with_pyav
from tests.helpers.graphs import toy_bytes
from tests.helpers.sounds import RATE_HZ, music

Samples = NDArray[np.float32]

SECONDS = 9.3
STRETCH = Mixer(RATE_HZ).stretch
assert STRETCH == 40 * 1102  # samples, which 50 ms are not quite


@cache
def sides(kind: str) -> Samples:
    """Left and right [shape=(n_samples, 2)]."""
    left, other = music(1, SECONDS), music(2, SECONDS)
    t = np.arange(left.size) / RATE_HZ
    right = {
        "opposite": -left,
        "louder": -left / np.float32(0.98),
        "half": np.where(t < 5.2, -left, other),
        "other half": np.where(t < 5.2, other, -left),
        "blinking": np.where(t % 1 < 0.9, -left, left),
        "ordinary": other,
        "one side": np.zeros_like(left),
    }[kind]
    return np.stack([left, right], axis=1).astype(np.float32)


def through_mixer(samples: Samples, size: int) -> tuple[Samples, Mixer]:
    mixer = Mixer(RATE_HZ)
    blocks = [np.zeros(0, np.float32)]
    for first in range(0, len(samples), size):
        blocks += mixer.add(list(samples[first : first + size].T))
    blocks += mixer.end()
    return np.concatenate(blocks), mixer


class TestMixer:
    @pytest.mark.parametrize("kind", ["ordinary", "one side"])
    def test_ordinary_stereo_is_the_mean_bit_for_bit(self, kind: str) -> None:
        samples = sides(kind)
        mono, mixer = through_mixer(samples, 1152)
        np.testing.assert_array_equal(mono, (samples[:, 0] + samples[:, 1]) * np.float32(0.5))
        assert not mixer.alone

    @pytest.mark.parametrize(("kind", "side"), [("opposite", 0), ("louder", 1)])
    def test_where_they_cancel_the_loudest_is_heard(self, kind: str, side: int) -> None:
        """The first, where none is louder."""
        samples = sides(kind)
        mono, mixer = through_mixer(samples, 1152)
        np.testing.assert_array_equal(mono, samples[:, side])
        assert mixer.alone == {side: 5}

    @pytest.mark.parametrize(
        "kind", ["opposite", "louder", "half", "other half", "blinking", "ordinary"]
    )
    def test_blocks_of_any_length_give_the_same(self, kind: str) -> None:
        samples = sides(kind)
        whole, mixer = through_mixer(samples, len(samples))
        assert whole.size == len(samples)
        for size in (100, 1102, 1152, 65536):
            mono, other = through_mixer(samples, size)
            np.testing.assert_array_equal(mono, whole)
            assert other.doubtful == mixer.doubtful

    @pytest.mark.parametrize(("kind", "is_alone"), [("half", True), ("other half", False)])
    def test_each_stretch_is_decided_by_itself(self, kind: str, is_alone: bool) -> None:
        """Stretches of 2 s: only the one in which they begin or cease to cancel is mixed."""
        samples = sides(kind)
        mono, _ = through_mixer(samples, 1000)
        mean = samples.mean(axis=1)
        first, last = slice(0, 2 * STRETCH), slice(3 * STRETCH, None)
        for part, alone in ((first, is_alone), (last, not is_alone)):
            wanted = samples[part, 0] if alone else mean[part]
            np.testing.assert_allclose(mono[part], wanted, atol=1e-7)
        middle = slice(2 * STRETCH, 3 * STRETCH)
        np.testing.assert_allclose(mono[middle], mean[middle], atol=1e-7)

    def test_short_effects_do_not_flicker(self) -> None:
        """In every second 0.9 s cancel out, and the rest decides."""
        samples = sides("blinking")
        mono, mixer = through_mixer(samples, 1000)
        np.testing.assert_allclose(mono, samples.mean(axis=1), atol=1e-7)
        assert not mixer.alone

    @pytest.mark.parametrize("n_channels", [3, 4, 6, 24])
    def test_more_than_two_channels(self, n_channels: int) -> None:
        samples = np.zeros((int(4 * RATE_HZ), n_channels), np.float32)
        samples[:, 1] = 0.5 * music(1, 4)
        samples[:, 2] = -samples[:, 1] - 1e-4
        mono, mixer = through_mixer(samples, 1000)
        np.testing.assert_array_equal(mono, samples[:, 1])
        assert set(mixer.alone) == {1}

    @pytest.mark.parametrize("n_channels", [3, 8, 64])
    def test_one_of_many_channels_alone_is_mixed(self, n_channels: int) -> None:
        """Its mean is weak because the others are silent, which cancels nothing."""
        samples = np.zeros((2 * RATE_HZ, n_channels), np.float32)
        samples[:, 1] = music(1, 2)
        mono, mixer = through_mixer(samples, 1000)
        np.testing.assert_allclose(mono, samples[:, 1] / n_channels, atol=1e-7)
        assert not mixer.alone

    def test_the_number_of_channels_may_change(self) -> None:
        mixer = Mixer(RATE_HZ)
        left = music(1, 3)
        parts = [*mixer.add([left, -left]), *mixer.add([left]), *mixer.add([left] * 3)]
        np.testing.assert_allclose(np.concatenate([*parts, *mixer.end()]), np.tile(left, 3), 1e-6)

    def test_silence_is_not_held_back(self) -> None:
        mixer = Mixer(RATE_HZ)
        (given,) = mixer.add([np.zeros(1000, np.float32)] * 2)
        assert given.size == 1000
        assert not mixer.doubtful


def write(path: Path, samples: Samples) -> Path:
    """By libsndfile, or as MP3 of 64 kbit/s, which leaves some noise of what cancels."""
    container = {".mp3": "mp3", ".mka": "matroska"}.get(path.suffix)
    if container is None:
        soundfile.write(path, samples, RATE_HZ)
    else:
        write_with_pyav(
            path, samples, RATE_HZ, container=container, codec="libmp3lame", bit_rate=64_000
        )
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "mka"])
@pytest.mark.parametrize("kind", ["louder", "half", "ordinary"])
def test_any_part_of_a_file_is_a_stretch_of_the_whole(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    path = write(tmp_path / f"x.{suffix}", sides(kind))
    whole = load_audio(path)
    assert np.std(whole) > 0.6 * np.std(music(1, SECONDS))
    with open_audio(path) as sound:
        np.testing.assert_array_equal(np.concatenate(list(sound.blocks(0.7))), whole)
        assert (sound.heard_channel is None) == (kind == "ordinary")
    with open_audio(path) as sound:
        for start_s in (0.0, 1.97, 2.0, 3.3, 4.9, 6.1, 7.9):
            for seconds in (0.3, 3.0):
                part = sound.excerpt(start_s, seconds)
                first = round(start_s * RATE_HZ)
                np.testing.assert_allclose(part, whole[first : first + part.size], atol=2e-6)
        assert (sound.heard_channel is None) == (kind == "ordinary")


@pytest.mark.parametrize("kind", ["opposite", "louder", "half", "ordinary"])
def test_file_array_and_stream_are_one_sound(tmp_path: Path, kind: str) -> None:
    samples = sides(kind)
    wav = io.BytesIO()
    soundfile.write(wav, samples, RATE_HZ, format="WAV", subtype="FLOAT")
    path = tmp_path / "x.wav"
    path.write_bytes(wav.getvalue())
    whole = load_audio(path)
    np.testing.assert_array_equal(waveform_from_array(samples, sample_rate_hz=RATE_HZ), whole)
    stream = AudioStream.from_stream(io.BytesIO(wav.getvalue()))
    chunks, channels = [], set()
    for chunk in stream.chunks():
        chunks.append(chunk)
        channels.add(stream.heard_channel)
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
    heard = {"opposite": 1, "louder": 2, "half": 1, "ordinary": None}[kind]
    assert decode_audio(path).heard_channel == heard
    assert mixed_array(samples, RATE_HZ).heard_channel == heard
    assert channels == {heard, None} if kind == "half" else {heard}


def test_silence_is_still_silent_and_what_is_no_number_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros((RATE_HZ, 2)), RATE_HZ)
    with pytest.raises(SilentAudioError):
        load_audio(path)
    for value in (np.nan, np.inf):
        samples = sides("opposite").copy()
        samples[RATE_HZ, 0] = value
        soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
        with pytest.raises(AudioError, match="NaN or infinite"):
            load_audio(path)


def test_a_verdict_says_it_and_the_command_line_too(tmp_path: Path, call) -> None:
    model = tmp_path / "toy.onnx"
    model.write_bytes(toy_bytes())
    classifier = Classifier.load(model)
    samples = sides("louder")
    path = write(tmp_path / "x.wav", samples)
    of_one = classifier.classify(waveform=samples[:, 1], sample_rate_hz=RATE_HZ)
    of_both = classifier.classify(waveform=samples, sample_rate_hz=RATE_HZ)
    assert (of_one.heard_channel, of_both.heard_channel) == (None, 2)
    assert of_both.ranked == of_one.ranked
    assert classifier.classify(path).heard_channel == 2
    assert of_both.to_dict()["heard_channel"] == 2
    status, out, _ = call("classify", "--model", model, path)
    assert status == 0
    assert "x.wav  (channel 2 was heard, for all cancel out)" in out
    _, out, _ = call("classify", "--model", model, write(tmp_path / "y.wav", sides("ordinary")))
    assert "channel" not in out


def test_the_real_one(shared_data: Path) -> None:
    verdict = Classifier.load().classify(shared_data / "awkward" / "out-of-phase.mp3")
    assert verdict.abstained != "it is silent"
    assert verdict.heard_channel == 1


def test_energy_beyond_all_numbers_is_no_warning() -> None:
    loud = np.full(RATE_HZ, 1e30, np.float32)
    mixer = Mixer(RATE_HZ)
    assert sum(part.size for part in [*mixer.add([loud, loud]), *mixer.end()]) == loud.size
