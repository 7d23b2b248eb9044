"""Artist, album and title, as each format has them."""

from __future__ import annotations

import av
import numpy as np
import pytest

from ostinato.audio.tags import Tags, read_tags
from tests.helpers.sounds import write_tune

TAGS = {"artist": "Astor  Piazzolla", "album": "Tango: Zero Hour", "title": "Milonga"}


@pytest.mark.parametrize(
    ("suffix", "codec", "form"),
    [("mp3", "mp3", "fltp"), ("opus", "libopus", "s16"), ("m4a", "aac", "fltp"),
     ("flac", "flac", "s16"), ("mka", "pcm_s16le", "s16"), ("wav", "pcm_s16le", "s16")],
)  # fmt: skip
def test_every_format_says_who_made_it(tmp_path, suffix: str, codec: str, form: str) -> None:
    path = tmp_path / f"x.{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata.update(TAGS)
        stream = container.add_stream(codec, rate=48_000)
        stream.layout = "mono"
        samples = np.zeros((1, 48_000), np.float32 if form == "fltp" else np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format=form, layout="mono")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    assert read_tags(path) == Tags("Astor Piazzolla", "Tango: Zero Hour", "Milonga")


def test_a_file_without_tags_or_that_cannot_be_read_says_nothing(tmp_path) -> None:
    assert read_tags(write_tune(tmp_path / "x.flac", 0, 0)) == Tags()
    (tmp_path / "y.mp3").write_bytes(b"no sound")
    assert read_tags(tmp_path / "y.mp3") == Tags()
    assert read_tags(tmp_path / "nowhere.mp3") == Tags()
