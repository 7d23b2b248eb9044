"""What the routes answer, in this process; the files are heard by a real worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

import ostinato
from ostinato.audio import open_audio
from ostinato.inference.classifier import Classifier
from ostinato.inference.occlusion import explain as explain_
from ostinato.inference.registry import shipped
from ostinato.server.app import Service, build
from ostinato.server.keys import read_keys
from ostinato.server.limits import Limits
from ostinato.server.monitor import Monitor
from ostinato.server.problems import MEDIA_TYPE
from ostinato.server.served import Served, served
from ostinato.server.uploads import Spool
from ostinato.server.workers import Workers
from tests.helpers.close import assert_close
from tests.helpers.sounds import music

LIMITS = Limits(batch_files=3, sound_s=60.0, upload_bytes=4 << 20)
KEY = "0123456789abcdef"

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def song(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "söng.wav"
    soundfile.write(path, music(0), 22_050)
    return path


class Server:
    """An app whose worker hears, asked in one loop of events."""

    def __init__(self, models: tuple[Served, ...], **options: Any) -> None:
        self.workers = Workers(models, n=1, limits=LIMITS)
        self.workers.start()
        self.spool = Spool(LIMITS)
        self.monitor = Monitor(log=False)
        self.loop = asyncio.new_event_loop()
        service = Service(self.workers, self.spool, models, limits=LIMITS, monitor=self.monitor)
        self.app = build(service, page=False, **options)
        self.loop.run_until_complete(self.workers.wait_ready())

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **request)

        return self.loop.run_until_complete(asked())

    def left(self) -> list[Path]:
        return list(self.spool.folder.iterdir())

    def close(self) -> None:
        self.loop.run_until_complete(self.workers.stop())
        self.loop.close()
        self.spool.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    damaged = tmp_path_factory.mktemp("models") / "damaged.onnx"
    damaged.write_bytes(b"no model")
    offered = (*served(["default", "lstm"]), Served("damaged", str(damaged), must_load=False))
    running = Server(offered)
    yield running
    running.close()


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == MEDIA_TYPE
    told = answer.json()
    assert told["status"] == answer.status_code
    assert set(told) == {"type", "title", "status", "code", "detail"}
    return told


class TestClassify:
    def test_a_body_and_a_form_are_heard_as_the_file_is(self, server, song) -> None:
        expected = json.loads(json.dumps(ostinato.classify(song, model="default").to_dict()))
        raw = server.ask("POST", "/v1/classify", content=song.read_bytes())
        form = server.ask("POST", "/v1/classify", files={"file": song.read_bytes()})
        curl = {"Content-Type": "application/x-www-form-urlencoded"}  # what --data-binary states
        posted = server.ask("POST", "/v1/classify", content=song.read_bytes(), headers=curl)
        assert raw.status_code == form.status_code == posted.status_code == 200
        assert raw.json() == form.json() == posted.json()
        assert_close(raw.json(), expected)
        assert server.left() == []

    def test_model_top_and_timeline(self, server, song) -> None:
        asked = {"model": "lstm", "top": 2, "timeline": True}
        answer = server.ask("POST", "/v1/classify", params=asked, content=song.read_bytes()).json()
        verdict = ostinato.classify(song, model="lstm", thorough=True)
        expected = json.loads(json.dumps(verdict.to_dict(timeline=True)))
        assert answer["model"] == "lstm"
        assert_close(answer, expected | {"ranked": expected["ranked"][:2]})

    @pytest.mark.parametrize(
        ("params", "code", "said"),
        [
            ({"model": "lsmt"}, "unknown-model", "Expected a model of default, lstm, damaged, got "
             "'lsmt'; did you mean 'lstm'?"),
            ({"model": "../../etc/passwd"}, "unknown-model", "got '../../etc/passwd'."),
            ({"top": 0}, "parameter", "Parameter 'top': Input should be greater than or equal to "
             "1, got '0'."),
            ({"timeline": "perhaps"}, "parameter", "Parameter 'timeline': "),
            ({"modle": "lstm"}, "parameter", "Expected parameters that /openapi.json lists, got "
             "'modle'."),
        ],
    )  # fmt: skip
    def test_a_wrong_parameter_is_refused(self, server, params, code, said) -> None:
        answer = server.ask("POST", "/v1/classify", params=params, content=b"never read")
        assert answer.status_code == 422
        assert problem_of(answer)["code"] == code
        assert said in answer.json()["detail"]

    def test_what_is_no_sound_is_refused_by_its_senders_name(self, server) -> None:
        answer = server.ask("POST", "/v1/classify", files={"file": ("a<b>.mp3", b"%PDF-1.7 text")})
        assert answer.status_code == 422
        told = problem_of(answer)
        assert told["code"] == "not-heard"
        assert told["detail"].startswith("'a<b>.mp3' cannot be used as sound: ")
        assert str(server.spool.folder) not in told["detail"]
        assert server.left() == []

    def test_a_sound_that_lasts_too_long_is_refused(self, server, tmp_path) -> None:
        soundfile.write(tmp_path / "long.flac", music(0, seconds=61.0), 22_050)
        answer = server.ask("POST", "/v1/classify", content=(tmp_path / "long.flac").read_bytes())
        assert answer.status_code == 413
        assert problem_of(answer)["code"] == "too-long"
        assert "Expected at most 1:00 of sound, got 1:01 in 'upload'" in answer.json()["detail"]

    def test_a_model_that_is_damaged_says_so(self, server, song) -> None:
        asked = {"model": "damaged"}
        answer = server.ask("POST", "/v1/classify", params=asked, content=song.read_bytes())
        assert answer.status_code == 500
        assert problem_of(answer)["code"] == "model"


def test_a_batch_gives_each_file_its_verdict_or_problem(server, song) -> None:
    files = [("file", ("1.wav", song.read_bytes())), ("file", ("2.wav", b"no sound at all")),
             ("file", ("1.wav", song.read_bytes()))]  # fmt: skip
    answer = server.ask("POST", "/v1/classify/batch", files=files, params={"top": 1})
    first, second, third = answer.json()["results"]
    assert first == third
    assert first["name"] == "1.wav"
    assert first["problem"] is None
    assert len(first["verdict"]["ranked"]) == 1
    assert (second["name"], second["verdict"]) == ("2.wav", None)
    assert second["problem"]["code"] == "not-heard"
    assert server.left() == []
    many = [*files, ("file", ("4.wav", b"x"))]
    refused = server.ask("POST", "/v1/classify/batch", files=many)
    assert refused.status_code == 413
    assert problem_of(refused)["code"] == "too-many-files"
    assert refused.json()["detail"] == "Expected at most 3 files, got more."
    two = server.ask("POST", "/v1/classify", files=files[:2])
    assert problem_of(two)["detail"] == "Expected one file, got more."
    assert server.left() == []


def test_models_are_compared_on_one_upload(server, song) -> None:
    answer = server.ask("POST", "/v1/compare", content=song.read_bytes()).json()["results"]
    assert [result["model"] for result in answer] == ["default", "lstm", "damaged"]
    for result in answer[:2]:
        assert result["verdict"]["model"] == result["model"]
    assert answer[2]["problem"]["code"] == "model"
    asked = {"model": ["lstm", "lstm"]}
    answer = server.ask("POST", "/v1/compare", params=asked, content=song.read_bytes()).json()
    assert [result["model"] for result in answer["results"]] == ["lstm"]


def test_what_spoke_for_a_verdict_is_explained(server, song) -> None:
    asked = {"model": "lstm", "start_s": 2.0}
    answer = server.ask("POST", "/v1/explain", params=asked, content=song.read_bytes()).json()
    with open_audio(song) as sound:
        expected = explain_(Classifier.load("lstm"), sound, start_s=2.0).to_dict()
    assert_close(answer, expected)
    for wrong, code in (({"start_s": -1}, "parameter"), ({"start_s": 99}, "not-explained")):
        refused = server.ask("POST", "/v1/explain", params=wrong, content=song.read_bytes())
        assert refused.status_code == 422
        assert problem_of(refused)["code"] == code
    assert server.left() == []


def test_models_are_listed_with_what_is_wrong_with_them(server) -> None:
    default, lstm, damaged = server.ask("GET", "/v1/models").json()["models"]
    assert (default["name"], default["problem"], len(default["genres"])) == ("default", None, 10)
    assert lstm["family"] == "lstm"
    assert "damaged.onnx" in damaged["problem"]
    assert damaged["genres"] is None


def test_health_metrics_and_paths_that_are_not_there(server) -> None:
    assert server.ask("GET", "/healthz").text == "ok\n"
    assert server.ask("GET", "/readyz").text == "ready\n"
    assert server.ask("HEAD", "/healthz").status_code == 200  # as wget --spider asks
    metrics = server.ask("GET", "/metrics").text
    assert 'ostinato_verdicts_total{is_sure="true",model="lstm"}' in metrics
    assert "ostinato_received_bytes_total" in metrics
    counted = 'ostinato_requests_total{method="GET",route="/readyz",status="200"} 1.0'
    assert counted in metrics
    assert "ostinato_requests_at_work 1.0" in metrics  # this one
    for path, method, status in (("/nowhere", "GET", 404), ("/v1/classify", "GET", 405)):
        answer = server.ask(method, path)
        assert answer.status_code == status
        problem_of(answer)
    for path in ("/docs", "/redoc"):  # they would load scripts from elsewhere
        assert server.ask("GET", path).status_code == 404


def test_the_document_has_examples_and_every_refusal(server) -> None:
    document = server.ask("GET", "/openapi.json").json()
    classify = document["paths"]["/v1/classify"]["post"]
    assert {"400", "401", "408", "413", "415", "422", "429", "503", "507"} <= set(
        classify["responses"]
    )
    assert set(classify["requestBody"]["content"]) == {
        "multipart/form-data", "application/octet-stream",
    }  # fmt: skip
    for name in ("Verdict", "ProblemDetails"):
        assert document["components"]["schemas"][name]["examples"]


def test_a_server_with_keys_asks_for_one(server, song, tmp_path) -> None:
    (tmp_path / "keys").write_text(KEY)
    (tmp_path / "keys").chmod(0o600)
    app, server.app = server.app, build(
        Service(server.workers, server.spool, served(["default"]), limits=LIMITS,
                monitor=server.monitor),
        keys=read_keys(tmp_path / "keys"), page=False, allowed_origins=["https://example.org"],
    )  # fmt: skip
    try:
        for path, method in (("/v1/classify", "POST"), ("/v1/models", "GET"), ("/metrics", "GET")):
            for headers in ({}, {"Authorization": "Bearer another-key-of-some"}):
                answer = server.ask(method, path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert problem_of(answer)["code"] == "key"
        right = {"Authorization": f"Bearer {KEY}"}
        assert server.ask("GET", "/v1/models", headers=right).status_code == 200
        assert server.ask("GET", "/healthz").status_code == 200
        asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "authorization"}  # fmt: skip
        allowed = server.ask("OPTIONS", "/v1/classify", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://example.org"
        other = server.ask("OPTIONS", "/v1/classify", headers={**asked, "Origin": "https://x.org"})
        assert "access-control-allow-origin" not in other.headers
    finally:
        server.app = app


def test_too_much_at_work_is_refused_before_a_byte_is_read(server, song, monkeypatch) -> None:
    monkeypatch.setattr(server.workers, "_limits", replace(LIMITS, waiting=0))

    async def never() -> Any:
        yield b"x"
        raise AssertionError("the body was read")

    with server.workers.place():
        answer = server.ask("POST", "/v1/classify", content=never())
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert problem_of(answer)["code"] == "busy"
    assert server.ask("POST", "/v1/classify", content=song.read_bytes()).status_code == 200


def test_every_model_that_ships_can_be_offered() -> None:
    assert {model.source for model in served(list(shipped()))} == set(shipped())
