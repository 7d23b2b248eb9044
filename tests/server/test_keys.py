"""Keys that clients show."""

from __future__ import annotations

import os

import pytest

from ostinato.errors import UsageError
from ostinato.server.keys import read_keys

FIRST, SECOND = "a" * 16, "0123456789abcdef0123456789abcdef"


def written(path, text: str, mode: int = 0o600):
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_keys_of_a_file_open_and_others_do_not(tmp_path) -> None:
    keys = read_keys(written(tmp_path / "keys", f"# ours\n{FIRST}\n\n  {SECOND}  \n"))
    assert keys
    for shown in (f"Bearer {FIRST}", f"bearer  {SECOND} "):
        assert keys.open(shown)
    for shown in ("", FIRST, f"Basic {FIRST}", f"Bearer {FIRST}a", f"Bearer {FIRST[:-1]}", "Bearer",
                  "Bearer # ours", "Bearer \udcff"):  # fmt: skip
        assert not keys.open(shown)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (FIRST, 0o640, "its owner alone can read, got mode 640: chmod 600"),
        (FIRST, 0o604, "its owner alone can read, got mode 604"),
        ("# none\n\n", 0o600, "expected a key a line, got none; one is made by: openssl rand"),
        (f"{FIRST}\nshort\n", 0o600, "without spaces, got another one as key 2"),
        (f"{FIRST} {SECOND}\n", 0o600, "without spaces, got another one as key 1"),
        ("schlüssel" * 3, 0o600, "expected keys of ASCII letters"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_one_of_keys_is_refused(tmp_path, text, mode, said) -> None:
    if os.name != "posix" and mode != 0o600:
        pytest.skip("only POSIX has such modes")
    with pytest.raises(UsageError, match=said) as refused:
        read_keys(written(tmp_path / "keys", text, mode))
    assert str(tmp_path / "keys") in str(refused.value)
    assert FIRST not in str(refused.value)
    assert "short" not in str(refused.value).replace("too short", "")


def test_a_file_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"Cannot read the keys in .*No such file"):
        read_keys(tmp_path / "keys")
