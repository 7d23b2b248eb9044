"""A real browser, Debian's Chromium, whose pages may ask nobody but their own server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

_ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-device-for-media-stream "
    "--use-fake-ui-for-media-stream"
)
_FAILED = "Failed to load resource: the server responded with a status of"


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """The browser, with a microphone that beeps once a second, unless arguments say otherwise."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*_ARGUMENTS.split(), *arguments], timeout=60_000
        )
        yield browser
        browser.close()


@contextmanager
def visit(
    browser: Browser,
    address: str,
    *,
    refused: tuple[int, ...] = (),
    script: str = "",
    axe: bool = True,
    **look: Any,
) -> Iterator[Page]:
    """A page in a tab of its own.

    At the end it has written no error to the console, has asked no other host, and looks well
    (:func:`check_look`).

    Parameters
    ----------
    refused : tuple of int
        Statuses that the server answers, which the browser reports by itself.
    script : str
        Runs before those of the page.
    """
    errors, asked = [], []
    context = browser.new_context(**look)
    context.set_default_timeout(60_000)
    if script:
        context.add_init_script(script)
    page = context.new_page()
    page.on("console", lambda said: errors.append(said.text) if said.type != "log" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(address)
        yield page
        expected = tuple(f"{_FAILED} {status}" for status in refused)
        assert [error for error in errors if not error.startswith(expected)] == []
        host = urlsplit(address).netloc
        assert asked
        assert [url for url in asked if urlsplit(url.removeprefix("blob:")).netloc != host] == []
        check_look(page, axe=axe)
    finally:
        context.close()


def check_look(page: Page, *, axe: bool = True) -> None:
    """Check that a page is no wider than its window, and that axe-core finds nothing serious."""
    wide, window = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= window
    found = Axe().run(page).response["violations"] if axe else []
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
