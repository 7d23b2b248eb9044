"""What a worker answers when it is asked what spoke for a verdict."""

from __future__ import annotations

import pytest
import soundfile

from ostinato.server.jobs import Job, answer
from ostinato.server.problems import Problem
from tests.helpers.graphs import toy_bytes, toy_info
from tests.helpers.sounds import RATE_HZ, music


@pytest.fixture
def job(tmp_path):
    (tmp_path / "toy.onnx").write_bytes(toy_bytes(toy_info(name="toy")))
    soundfile.write(tmp_path / "0001", music(1, 6.0), RATE_HZ, format="WAV")

    def make(start_s: float, *, most_s: float = 60.0) -> Job:
        return Job(
            path=str(tmp_path / "0001"), name="song.wav", model=str(tmp_path / "toy.onnx"),
            most_s=most_s, explain_at_s=start_s,
        )  # fmt: skip

    return make


def test_the_excerpt_from_there_on(job) -> None:
    values = answer(job(2.0))
    assert (values["model"], values["start_s"], round(values["end_s"], 2)) == ("toy", 2.0, 6.0)
    assert values["mel"]["rows"] == len(values["mel"]["hz"]) == 128


@pytest.mark.parametrize(
    ("start_s", "most_s", "status", "why"),
    [(7.0, 60.0, 422, "lasts 0:06, got 7 s"), (0.0, 5.0, 413, "at most 0:05 of sound")],
)
def test_what_cannot_be_explained(job, start_s, most_s, status, why) -> None:
    with pytest.raises(Problem, match=why) as raised:
        answer(job(start_s, most_s=most_s))
    assert raised.value.status == status
