"""docs/reference/model-file.md: its code names genres, and it lists every key."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from ostinato import Classifier
from ostinato.features import cut, frames
from ostinato.inference.model_info import SCHEMA, ModelInfo
from ostinato.inference.registry import model_path
from tests.helpers.code_of_pages import ran
from tests.helpers.sounds import tune

DOCS = Path(__file__).parents[2] / "docs"
MODEL_FILE = (DOCS / "reference" / "model-file.md").read_text("utf-8")


@pytest.mark.parametrize(("kind", "genre"), [(1, "jazz"), (2, None)])
def test_a_verdict_of_windows_is_that_of_a_classifier(
    kind: int, genre: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(model_path("default").read_bytes())
    classifier = Classifier.load("default")
    info = classifier.info
    heard = frames(tune(kind, 0, seconds=60.0), info.spec)
    np.save("windows.npy", cut(heard, length=info.window_frames, hop=info.window_hop))
    verdict = classifier.classify(frames=heard)
    made, _ = ran(MODEL_FILE)
    assert len(made["windows"]) > 1
    assert made["genre"] == verdict.genre == genre
    said = dict(zip(info.genres, made["probabilities"].tolist(), strict=True))
    assert said == pytest.approx(dict(verdict.ranked), abs=1e-6)


def test_every_key_of_the_metadata_is_listed() -> None:
    table = MODEL_FILE.partition("## The metadata")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \| .* \| (.*?) \|$", table, re.M)
    listed = {key: absent for keys, absent in rows for key in re.findall(r"`(\w+)`", keys)}
    fields = {field.name: field for field in dataclasses.fields(ModelInfo)}
    assert listed.keys() == {"schema", *fields}
    missing = dataclasses.MISSING
    for name, field in fields.items():
        needed = field.default is missing and field.default_factory is missing
        assert (listed[name] == "refused") is needed, name
    assert f"the version of this form: {SCHEMA} |" in table
