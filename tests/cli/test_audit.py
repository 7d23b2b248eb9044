"""``ostinato audit``: what it prints, for people and for programs."""

from __future__ import annotations

import json

import soundfile

from tests.helpers.sounds import RATE_HZ, music


def test_json_is_all_that_is_printed(call) -> None:
    status, out, err = call("audit", "gtzan", "--format", "json", "--split", "holdout")
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert list(result) == ["name", "n_entries", "pairs", "files", "split"]
    assert {tuple(pair) for pair in result["pairs"]} == {
        ("a", "b", "kind", "similarity", "offset_s")
    }
    assert {pair["kind"] for pair in result["pairs"]} == {"exact", "near"}
    assert result["split"]["name"] == "holdout"
    straddles = {(s["a"], s["b"]) for s in result["split"]["straddling"]}
    assert straddles <= {(pair["a"], pair["b"]) for pair in result["pairs"]}


def test_a_table_for_people(call) -> None:
    status, out, _ = call("audit", "gtzan", "--split", "fault-filtered")
    assert status == 0
    assert "metal.00058" in out
    assert "999 recordings compared: 14 exact pairs" in out
    assert "0 pairs leak across the split 'fault-filtered'." in out


def test_a_folder(call, tmp_path) -> None:
    (tmp_path / "music").mkdir()
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / "music" / name, music(0), RATE_HZ)
    cache = ("--cache", str(tmp_path / "cache"), "--jobs", "1")
    status, out, _ = call("audit", str(tmp_path / "music"), *cache)
    assert status == 0
    assert "a.wav" in out
    assert "2 recordings compared: 1 exact pair, 0 near pairs, 0 files with a problem." in out


def test_wrong_calls(call, tmp_path) -> None:
    status, out, err = call("audit", "gtzan", "--format", "xml")
    assert (status, out) == (2, "")
    assert "table or json" in err
    assert call("audit", str(tmp_path / "nowhere"))[0] == 2
    assert call("audit", "gtzan", "--split", "unheard-of")[0] == 2
