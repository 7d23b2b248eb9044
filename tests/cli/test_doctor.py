"""What an installation is, for a report."""

from __future__ import annotations

import json
from importlib import metadata

import numpy
import pytest


def test_it_says_what_there_is_without_names_of_files(call, data_home, monkeypatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path.replace("~", str(data_home)))
    (data_home / "models").mkdir()
    (data_home / "models" / "my secret crate.onnx").write_bytes(b"damaged")
    monkeypatch.setenv("OSTINATO_MODEL", str(data_home / "models" / "my secret crate.onnx"))
    status, out, err = call("doctor")
    assert (status, err) == (1, "")  # a model of one's own is damaged
    first = out.splitlines()[0]
    assert first.startswith(f"Ostinato {metadata.version('ostinato')}, Python 3.")
    assert "Hears: yes, a made sound in" in out
    assert f"numpy {numpy.__version__}" in out
    assert "train     installed" in out
    assert "(own)             version ?, damaged" in out
    assert "default           version" in out
    assert "OSTINATO_MODEL (a file)" in out
    assert "secret" not in out
    assert "data      ~, 1 files" in out
    assert str(data_home) not in out


def test_programs_get_json(call, data_home, monkeypatch) -> None:
    monkeypatch.setenv("OSTINATO_MODEL", "lstm")
    status, out, _ = call("doctor", "--format", "json")
    found = json.loads(out)
    assert status == 0
    assert found["hears"]["works"]
    assert [model["name"] for model in found["models"] if model["is_default"]] == ["lstm"]
    assert found["variables"]["OSTINATO_MODEL"] == "lstm"
    assert found["devices"]["cpu"]
    assert set(found["extras"]) >= {"train", "plot", "search", "cluster", "serve", "live"}
    assert "dev" not in found["extras"]
    assert set(found["extras"]["plot"]) <= set(found["extras"]["train"])  # an extra inside it
    assert found["folders"]["data"]["can_be_written"]


@pytest.mark.parametrize("missing", ["soxr", "scipy"])
def test_a_missing_package_is_told(call, data_home, monkeypatch, missing) -> None:
    found = metadata.version

    def version(name: str) -> str:
        if name == missing:
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(metadata, "version", version)
    status, out, _ = call("doctor", "--format", "json")
    assert status == 1
    assert json.loads(out)["packages"][missing] is None


def test_what_an_extra_needs_on_some_systems_alone_is_not_needed_by_all(
    call, data_home, monkeypatch
) -> None:
    needed = (
        "numpy>=2.0",
        "not-here>=1; (sys_platform == 'a' and platform_machine == 'b') and extra == 'dev'",
        'nor-here[all]>=1; extra == "serve" and sys_platform != "none"',
    )
    monkeypatch.setattr(metadata, "requires", lambda _: needed)
    status, out, _ = call("doctor", "--format", "json")
    found = json.loads(out)
    assert (status, [*found["packages"]]) == (0, ["numpy"])
    assert found["extras"] == {"serve": {"nor-here": None}}


def test_a_listener_that_does_not_hear_says_why(call, data_home, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("no such decoder")

    monkeypatch.setattr("ostinato.inference.classifier.Classifier.classify", broken)
    status, out, _ = call("doctor")
    assert status == 1
    assert "Hears: no: OSError: no such decoder" in out
