"""docs/contribute: the code of a metric, a format and a verb does what its page says.

That of a model family is run in ``tests/models/test_worked_example.py``.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ostinato.audio import AUDIO_SUFFIXES, SAMPLE_RATE, load_audio
from ostinato.cli.help import Verb
from ostinato.cli.main import app
from ostinato.evaluation import metrics
from tests.helpers.formats import BY_PYAV, tone, write_with_pyav

PAGES = Path(__file__).parents[1] / "docs" / "contribute"


def code_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text("utf-8"), re.M | re.S)


def functions_of(code: str, names: dict[str, Any]) -> list[Callable[..., None]]:
    exec(code, names)
    found = [value for name, value in names.items() if name.startswith("test_")]
    assert len(found) == 2
    return found


def test_a_metric() -> None:
    sklearn = pytest.importorskip("sklearn")
    pytest.importorskip("sklearn.metrics")
    metric, tests = code_of("a-metric.md")
    names = vars(metrics) | {"np": np, "pytest": pytest, "sklearn": sklearn}
    exec(metric, names)
    for test in functions_of(tests, names):
        test(None)


def test_an_audio_format(tmp_path: Path) -> None:
    """Its suffix is the only thing that is missing: the content is known."""
    page = (PAGES / "an-audio-format.md").read_text("utf-8")
    suffix, container, codec = re.findall(r'"(\.\w+)": \("(\w+)", "(\w+)"\)', page)[0]
    assert suffix not in AUDIO_SUFFIXES | set(BY_PYAV)
    path = tmp_path / f"x{suffix}"
    write_with_pyav(path, tone(44_100), 44_100, container=container, codec=codec)
    assert len(load_audio(path)) / SAMPLE_RATE == pytest.approx(2.0, abs=0.1)


class TestVerb:
    @pytest.fixture(autouse=True)
    def registered(self) -> Iterator[None]:
        before = list(app.registered_commands)
        names: dict[str, Any] = {}
        exec(code_of("a-verb.md")[0], names)
        app.command(cls=Verb)(names["genres"])
        yield
        app.registered_commands[:] = before

    def test_its_tests_pass(self, call) -> None:
        for test in functions_of(code_of("a-verb.md")[1], {}):
            test(call)

    def test_its_help_begins_with_a_sentence_and_examples(self, call) -> None:
        status, out, _ = call("genres", "--help")
        assert status == 0
        assert "Print the genres that a model names, a line each." in out
        assert "ostinato genres --model musicnn" in out

    def test_the_function_that_its_option_reaches_is_there(self) -> None:
        verb, arguments, function, _ = eval(code_of("a-verb.md")[2])
        assert (verb, arguments) == ("genres", ["--model", "m"])
        assert callable(pkgutil.resolve_name(f"ostinato.{function}"))
