"""``ostinato fetch``: what it refuses, and the one line that it prints."""

from __future__ import annotations

from ostinato.errors import DataError


def test_fetch_knows_what_it_can_fetch(call) -> None:
    status, _, err = call("fetch", "fma")
    assert (status, err) == (2, "ostinato: Expected one of: gtzan, musicnn; got 'fma'.\n")


def test_fetch_prints_the_folder_and_nothing_else(call, monkeypatch, tmp_path) -> None:
    from ostinato.datasets import download

    monkeypatch.setattr(download, "fetch_gtzan", lambda **options: tmp_path / "genres")
    assert call("fetch", "gtzan") == (0, f"{tmp_path / 'genres'}\n", "")

    def fail(**options):
        raise DataError("No network.")

    monkeypatch.setattr(download, "fetch_gtzan", fail)
    assert call("fetch", "gtzan") == (1, "", "ostinato: No network.\n")
