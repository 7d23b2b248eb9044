"""Errors: one sentence, the right exit status, and the same after a journey between processes."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

import ostinato
from ostinato.audio import AudioError
from ostinato.datasets import CacheError
from ostinato.datasets.download import DownloadError
from ostinato.datasets.splits import LeakError
from ostinato.errors import DataError, MissingExtraError, OstinatoError, UsageError, near, require
from ostinato.features import FeatureError
from ostinato.storage import WriteError


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that is there, whose module ``broken`` needs one that is not."""
    package = tmp_path / "made_up_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "whole.py").write_text("answer = 42\n")
    (package / "broken.py").write_text("import nowhere_to_be_found\n")
    (package / "torn.py").write_text("import made_up_package.compiled_part\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package.name


class TestExitStatus:
    def test_a_wrong_call_is_2_and_all_else_is_1(self) -> None:
        """Scripts tell "mend your call" from "it could not be done" by the status."""
        assert UsageError.exit_status == 2
        others = (OstinatoError, DataError, MissingExtraError, LeakError, WriteError, CacheError)
        assert {kind.exit_status for kind in (*others, AudioError, FeatureError)} == {1}

    def test_every_kind_is_caught_by_one_name(self) -> None:
        """The command line prints an OstinatoError and nothing else."""
        for kind in (UsageError, DataError, MissingExtraError, LeakError, WriteError, CacheError,
                     AudioError, FeatureError, DownloadError):  # fmt: skip
            assert issubclass(kind, OstinatoError)
        assert issubclass(LeakError, DataError)

    def test_the_package_offers_the_kinds_to_catch(self) -> None:
        assert set(ostinato.__all__) >= {"OstinatoError", "UsageError", "DataError"}
        assert ostinato.MissingExtraError is MissingExtraError


@pytest.mark.parametrize(
    "error",
    [
        UsageError("Expected a split of auto, holdout; got 'x'."),
        DataError("Corpus 'x': expected at least one recording, got none."),
        LeakError("'a' (train) and 'b' (test) hold the same recording."),
        WriteError("Cannot write x: the disk is full."),
        CacheError("The cache cannot be written."),
        MissingExtraError("train", "A study", "torch"),
        AudioError("x.wav", "it is empty"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_worker_process_can_send_it_home(error: OstinatoError) -> None:
    """Runs and files are handled in parallel processes, which pickle what went wrong; an error
    that cannot be built again would break the pool and hide the reason."""
    received = pickle.loads(pickle.dumps(error))
    assert type(received) is type(error)
    assert str(received) == str(error)
    assert vars(received) == vars(error)


class TestRequire:
    def test_gives_the_module(self, make_package: str) -> None:
        module = require(f"{make_package}.whole", extra="train", needed_for="A test")
        assert module.answer == 42
        assert require("json", extra="train", needed_for="A test") is sys.modules["json"]

    @pytest.mark.parametrize("module", ["nowhere_to_be_found", "nowhere_to_be_found.inside"])
    def test_a_missing_extra_is_one_sentence_with_the_pip_line(self, module: str) -> None:
        with pytest.raises(MissingExtraError) as caught:
            require(module, extra="train", needed_for="A study")
        assert str(caught.value) == (
            "A study needs the Python package 'nowhere_to_be_found', which is not installed: "
            'pip install "ostinato[train]"'
        )
        assert caught.value.extra == "train"
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)

    def test_a_package_barred_from_import_counts_as_missing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(MissingExtraError, match="'torch'"):
            require("torch", extra="train", needed_for="A study")

    @pytest.mark.parametrize("module", ["broken", "torn"])
    def test_a_broken_package_is_not_called_missing(self, make_package: str, module: str) -> None:
        """Installing it again under that name would mend nothing: the true cause must be seen."""
        with pytest.raises(ModuleNotFoundError, match=r"nowhere_to_be_found|compiled_part"):
            require(f"{make_package}.{module}", extra="train", needed_for="A study")


def test_a_name_that_is_alike_is_meant() -> None:
    assert near("lstn", ["cnn", "lstm"]) == "; did you mean 'lstm'?"
    assert near("LSTM", ["cnn", "lstm"]) == "; did you mean 'lstm'?"
    assert near("zebra", ["cnn", "lstm"]) == "."
