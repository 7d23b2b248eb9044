"""What a version promises does not change unseen."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

pytest.importorskip("griffe")
pytest.importorskip("fastapi")
import public_api  # noqa: E402


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return list(public_api.lines())


def test_what_is_promised_is_what_was_kept(lines: list[str]) -> None:
    kept = public_api.KEPT.read_text(encoding="utf-8").splitlines()
    changed = [
        line for line in difflib.unified_diff(kept, lines, lineterm="", n=0) if line[0] in "+-"
    ]
    assert not changed, (
        "What is promised has changed (docs/reference/versions.md). If that is meant:\n"
        "  python scripts/public_api.py --write\n" + "\n".join(changed[2:])
    )


@pytest.mark.parametrize(
    "line",
    [
        "ostinato.audio.find_audio(paths: Path | Sequence[Path]) -> FoundAudio",
        "classmethod ostinato.features.FeatureSpec.from_dict("
        "settings: Mapping[str, Any]) -> FeatureSpec",
        "ostinato.Verdict.genre: str | None",
        "ostinato.UsageError.exit_status = 2",
        "ostinato tag --min-probability VALUE",
        "ostinato tag --by VALUE = track",
        "ostinato classify --thorough",
        "results.json schema = 1",
        "results.json models.*.train_accuracy.wilson.low: number",
        "results.json models.*.test_accuracy?.seeds[]: number",
        "POST /v1/classify ?timeline: boolean",
        "POST /v1/classify -> application/json ranked[].probability: number",
    ],
)
def test_each_kind_of_promise_is_read(lines: list[str], line: str) -> None:
    assert line in lines


def test_every_name_of_the_api_is_there(lines: list[str]) -> None:
    names = [name for names in public_api.API.values() for name in names]
    assert len(names) > 10
    for name in names:
        assert any(line.startswith((f"{name}(", f"class {name}")) for line in lines), name
