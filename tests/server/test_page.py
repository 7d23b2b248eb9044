"""The page's files, by themselves; what they do in a browser is in test_page_in_browser.py."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import pytest
from starlette.applications import Starlette

from ostinato.audio.find import AUDIO_SUFFIXES
from ostinato.inference.timeline import COLOURS
from ostinato.server.limits import Limits
from ostinato.server.page import FOLDER, add_page
from tests.helpers.pages import Page

LIMITS = Limits(upload_bytes=123, sound_s=45.0)
FILES = sorted(file.name for file in FOLDER.iterdir())


def get(path: str, method: str = "GET", **headers: str) -> httpx.Response:
    app = Starlette()
    add_page(app, LIMITS)

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(asked())


def test_it_names_no_file_that_it_has_not(tmp_path) -> None:
    named = {
        attributes.get("src", attributes.get("href", ""))
        for tag, attributes in Page(FOLDER / "index.html").tags
        if tag in ("script", "link")
    }
    for file in FOLDER.glob("*.js"):
        imports = re.findall(r'^import .* from "(.*)";$', file.read_text(), flags=re.MULTILINE)
        assert all(name.startswith("./") for name in imports)
        named |= {f"page/{name[2:]}" for name in imports}
    assert len(named) > 10
    for path in named:
        assert get(f"/{path}").status_code == 200, path


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host_or_makes_markup_of_data(name) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    addresses = re.findall(r"https?://[^\s\"'`)]+", text)
    assert set(addresses) <= {"http://www.w3.org/2000/svg", "http://localhost,"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert not re.search(r"\bstyle=|\bon\w+=\"|localStorage", text)


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/report.css", "/page/icon.svg"])
def test_headers_forbid_what_is_not_from_here(path) -> None:
    answer = get(path)
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("media-src") == "blob:"  # the song that is played lies in the browser
    assert set(policy.values()) <= {"'self'", "'none'"}
    assert {"base-uri", "form-action", "frame-ancestors", "script-src"} <= set(policy)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"


def test_types_are_told() -> None:
    types = {path: get(path).headers["content-type"].split(";")[0] for path in
             ("/", "/page/page.css", "/page/given.js", "/page/icon.svg")}  # fmt: skip
    assert list(types.values()) == ["text/html", "text/css", "text/javascript", "image/svg+xml"]


def test_who_has_it_gets_it_not_again() -> None:
    first = get("/page/main.js")
    again = get("/page/main.js", **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert get("/page/main.js", **{"If-None-Match": '"other"'}).content == first.content
    assert get("/", "HEAD").status_code == 200
    assert get("/", "POST").status_code == 405


@pytest.mark.parametrize(
    "path", ["/page/", "/page/index.html", "/page/../page.py", "/page/..%2fpage.py", "/page/x.js"]
)
def test_no_other_file_is_served(path) -> None:
    assert get(path).status_code == 404


def test_it_knows_suffixes_colours_and_limits_of_python() -> None:
    lines = get("/page/given.js").text.strip().split("\n")
    given = dict(re.fullmatch(r"export const (\w+) = (.*);", line).groups() for line in lines)  # type: ignore[union-attr]
    assert {name: json.loads(value) for name, value in given.items()} == {
        "SUFFIXES": sorted(AUDIO_SUFFIXES),
        "COLOURS": list(COLOURS),
        "MOST_BYTES": 123,
        "MOST_SECONDS": 45.0,
    }
