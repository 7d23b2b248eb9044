"""docs/contribute/a-model-family.md: its code runs as it stands, and passes the suite."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ostinato import models
from ostinato.errors import UsageError
from ostinato.models import registry
from tests.models.family_suite import FamilySuite

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "contribute" / "a-model-family.md").read_text("utf-8")
FAMILY, TEST, ENTRY = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
(DIFF,) = re.findall(r"^```diff\n(.*?)^```", PAGE, re.M | re.S)
(DECLARED,) = re.findall(r"^\[project\.entry-points\.\"(.*?)\"\]\n(.*?)^```", PAGE, re.M | re.S)

NAMES: dict[str, object] = {}
exec(TEST, NAMES)
TestGRU = NAMES["TestGRU"]


@pytest.fixture(scope="module", autouse=True)
def family_of_the_page() -> Iterator[None]:
    """The file and the two lines of the registry, as if they were there."""
    module = ModuleType("ostinato.models.gru")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        exec(FAMILY, module.__dict__)
        here: dict[str, object] = {"Family": models.Family}
        imported, entry = (line[1:] for line in DIFF.splitlines() if line.startswith("+"))
        exec(imported, here)
        for name, family in eval(f"{{{entry}}}", here).items():
            patch.setitem(models.FAMILIES, name, family)
        yield


def test_the_lines_around_those_of_the_registry_are_there() -> None:
    lines = Path(registry.__file__).read_text("utf-8").splitlines()
    around = [line[1:] for line in DIFF.splitlines() if line.startswith(" ")]
    assert len(around) == 2
    assert set(around) <= set(lines)


def test_the_training_notes_the_gradient_of_the_recurrence() -> None:
    settings = models.parse_settings("gru", {})
    spec = models.registry.FeatureSpec()
    model = models.build("gru", spec=spec, n_genres=3, settings=settings)
    assert model.recurrent_layers() == [model.gru]


def test_a_wrong_setting_of_a_study_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"no setting .settings\.gru\.widht.; did you mean"):
        models.parse_settings("gru", {"widht": 3}, prefix="settings.gru.")
    with pytest.raises(UsageError, match=r"width: expected a valid integer; got 'wide'\."):
        models.parse_settings("gru", {"width": "wide"})


def test_a_family_without_a_reference_fails() -> None:
    class TestBare(FamilySuite):
        name = "lstm"

    with pytest.raises(pytest.fail.Exception, match="a-model-family"):
        TestBare().test_logits_are_those_of_the_reference({}, 40)


class TestPackage:
    """An installed package declares a family."""

    @pytest.fixture(autouse=True)
    def installed(self, tmp_path, monkeypatch) -> None:
        group, declared = DECLARED
        about = tmp_path / "my_families-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-families\nVersion: 1.0\n")
        lines = f"{declared}gone = my_families:Gone\nlstm = my_families:Gone\n".replace('"', "")
        (about / "entry_points.txt").write_text(f"[{group}]\n{lines}")
        package = tmp_path / "my_families"
        package.mkdir()
        (package / "gru.py").write_text(FAMILY)
        (package / "__init__.py").write_text(ENTRY)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(models.FAMILIES, "gru")
        for name, point in registry.families_of_packages().items():
            monkeypatch.setitem(models.FAMILIES, name, point)
        yield
        for name in ("my_families", "my_families.gru"):
            sys.modules.pop(name, None)

    def test_it_is_imported_when_it_is_asked_for(self) -> None:
        assert "my_families" not in sys.modules
        found = models.family("gru")
        assert (found.label, found.settings.__module__) == ("GRU", "my_families.gru")
        assert models.family("gru") is found

    def test_a_name_that_is_taken_stays_what_it_is(self) -> None:
        assert models.family("lstm").label == "LSTM"

    def test_one_that_is_not_there_is_a_sentence(self) -> None:
        wanted = r"Model 'gone': expected a Family at my_families:Gone, as an installed package"
        with pytest.raises(UsageError, match=wanted):
            models.family("gone")
