"""docs/guide/errors.md and formats.md say what the source says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from ostinato.audio import formats
from ostinato.audio.find import AUDIO_SUFFIXES
from ostinato.errors import OstinatoError
from tests.helpers.sentences import SOURCE, first_cells, is_said, said

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
ERRORS = (GUIDE / "errors.md").read_text("utf-8")
FORMATS = (GUIDE / "formats.md").read_text("utf-8")
SENTENCES = first_cells(ERRORS, "sentence")
REFUSED = first_cells(FORMATS, "`... cannot be used as sound:`")


@pytest.fixture(scope="module")
def source() -> list[str]:
    return said()


def test_sentences_were_found() -> None:
    assert len(SENTENCES) > 25
    assert len(REFUSED) > 10


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_of_the_guide_is_one_of_the_source(sentence: str, source: list[str]) -> None:
    assert len(sentence.replace(".", "")) > 15
    assert is_said(sentence, source)


def test_a_sentence_that_nothing_says_is_seen(source: list[str]) -> None:
    assert not is_said("Expected ..., got a fish.", source)


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refusal_of_the_guide_is_one_of_the_source(reason: str, source: list[str]) -> None:
    at_0_5 = reason.replace("0.5 s", "... s")
    converts = reason.replace(formats._CONVERTS, "...")
    assert is_said(at_0_5, source) or is_said(converts, source)


def test_every_file_that_is_known_and_refused_is_in_the_guide() -> None:
    known = {reason for _, _, reason in formats._FOREIGN}
    assert known | {formats.UNKNOWN_CODEC, formats.ENCRYPTED} <= set(REFUSED)


def test_the_guide_lists_what_ffmpeg_may_try() -> None:
    listed = next(b for b in re.findall(r"```\n(.*?)```", FORMATS, re.S) if "matroska" in b)
    assert listed.split() == formats.CONTAINERS.split(",")
    assert ".flac" in AUDIO_SUFFIXES


def test_every_kind_of_error_is_listed_with_its_exit_status() -> None:
    rows = re.findall(r"^\| `(ostinato\.[\w.]+)` \|.*\| (\d) \|$", ERRORS, re.M)
    kinds = {}
    for name, status in rows:
        module, _, kind = name.rpartition(".")
        kinds[kind] = getattr(importlib.import_module(module), kind)
        assert issubclass(kinds[kind], OstinatoError)
        assert kinds[kind].exit_status == int(status)
    assert {"UsageError", "DataError", "AudioError", "MissingExtraError"} <= kinds.keys()


def test_the_command_that_finds_a_sentence_finds_it() -> None:
    words = re.search(r'`grep -r "(.*?)" src`', ERRORS)
    assert words
    assert any(words[1] in path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
