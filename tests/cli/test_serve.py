"""The verb ``serve`` as a process, and what it refuses before there is one."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import soundfile

from tests.helpers.sounds import music


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_it_serves_until_a_signal_and_leaves_nothing(tmp_path) -> None:
    soundfile.write(tmp_path / "song.flac", music(0), 22_050)
    (tmp_path / "temporary").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        where = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
        told_to_report = {
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": where,
        }
        command = [sys.executable, "-m", "ostinato", "serve", "--port", "0", "--model", "lstm",
                   "--workers", "1", "--no-page"]  # fmt: skip
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **told_to_report, "TMPDIR": str(tmp_path / "temporary")},
        ) as server:  # fmt: skip
            try:
                ready = server.stderr.readline()
                port = int(re.search(r"http://127\.0\.0\.1:(\d+) is ready: no page", ready)[1])
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("POST", "/v1/classify", (tmp_path / "song.flac").read_bytes())
                verdict = json.loads(connection.getresponse().read())
                connection.close()
            finally:
                server.send_signal(signal.SIGTERM)
            log = server.stderr.read()
            assert server.wait(10) == 0
        elsewhere.settimeout(0.1)
        with pytest.raises(TimeoutError):  # nobody reported anything
            elsewhere.accept()
    assert (verdict["model"], len(verdict["ranked"])) == ("lstm", 10)
    line = json.loads(log.splitlines()[0])
    assert (line["event"], line["method"], line["status"]) == ("request", "POST", 200)
    assert line["route"] == "/v1/classify"
    assert verdict["genre"] not in log
    assert list((tmp_path / "temporary").rglob("*")) == []


def refused(call, *arguments: str | Path) -> tuple[int, str]:
    status, out, err = call("serve", "--port", "0", *arguments)
    assert out == ""
    assert err.startswith("ostinato: ")
    assert err.count("\n") == 1
    return status, err


class TestRefused:
    def test_a_port_that_is_taken(self, call) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            status, said = refused(call, "--port", str(port))
        assert status == 2
        assert f"port {port}: another program listens there already" in said
        assert "--port" in said

    def test_a_model_that_is_unknown_or_damaged(self, call, tmp_path) -> None:
        status, said = refused(call, "--model", "lsmt")
        assert (status, "did you mean 'lstm'?" in said) == (2, True)
        (tmp_path / "damaged.onnx").write_bytes(b"no model")
        status, said = refused(call, "--model", tmp_path / "damaged.onnx", "--workers", "1")
        assert (status, "damaged.onnx" in said) == (1, True)

    def test_keys_that_others_can_read(self, call, tmp_path) -> None:
        (tmp_path / "keys").write_text("0123456789abcdef")
        (tmp_path / "keys").chmod(0o644)
        status, said = refused(call, "--api-key-file", tmp_path / "keys")
        assert (status, "its owner alone can read, got mode 644" in said) == (2, True)
        assert "0123456789abcdef" not in said

    def test_no_space_for_uploads(self, call, monkeypatch) -> None:
        space = namedtuple("space", "total used free")(10**9, 10**9, 10**6)
        monkeypatch.setattr("shutil.disk_usage", lambda place: space)
        status, said = refused(call, "--workers", "1")
        assert status == 1
        assert "for uploads in" in said
        assert "got 1 MB: free some, or name another folder by TMPDIR" in said

    def test_without_the_extra(self, call, monkeypatch) -> None:
        monkeypatch.setattr("ostinato.server.entry.find_spec", lambda module: None)
        monkeypatch.setitem(sys.modules, "fastapi", None)
        status, said = refused(call)
        assert status == 1
        assert 'pip install "ostinato[serve]"' in said


def test_a_program_that_serves_where_workers_import_it_is_told(tmp_path) -> None:
    (tmp_path / "program.py").write_text(
        "from ostinato.server.entry import run\nrun(port=0, models=['lstm'], n_workers=1)\n"
    )
    ran = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "Expected the call that serves behind if __name__ == '__main__'" in ran.stderr


def test_who_serves_a_network_without_keys_is_warned(call, monkeypatch) -> None:
    monkeypatch.setattr("ostinato.server.entry.serve", lambda *_, **__: None)
    monkeypatch.setattr("ostinato.server.workers.Workers.start", lambda _: None)
    _, _, said = call("serve", "--host", "0.0.0.0", "--port", "0")
    assert said == (
        "Whoever reaches 0.0.0.0 can ask this server: --api-key-file FILE would ask for a key.\n"
    )
    for loopback in ("127.0.0.1", "localhost"):
        assert call("serve", "--host", loopback, "--port", "0")[2] == ""
