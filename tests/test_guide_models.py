"""The shell session of docs/guide/models.md says what it says there."""

from __future__ import annotations

import re
from pathlib import Path

import soundfile

from tests.helpers.sounds import RATE_HZ, music

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "models.md"
SESSION = re.findall(r"^\$ (.*)\n((?:(?!\$ |```).*\n)*)", PAGE.read_text(encoding="utf-8"), re.M)


def test_the_session_prints_what_stands_there(call, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "settings"))
    for seed, name in enumerate(("a.mp3", "b.mp3")):
        soundfile.write(tmp_path / name, music(seed, 5), RATE_HZ, format="WAV")
    assert len(SESSION) == 5
    for command, shown in SESSION:
        *variables, verb_onwards = re.split(r"\bostinato ", command, maxsplit=1)
        with monkeypatch.context() as patch:
            for variable in "".join(variables).split():
                patch.setenv(*variable.split("="))
            status, out, err = call(*verb_onwards.split())
        assert status == 0
        wanted = re.escape(shown.replace("~/.config/ostinato", str(tmp_path / "settings")))
        assert re.fullmatch(wanted.replace(r"\.\.\.", ".*"), out + err), (command, out + err)
