"""A study's TOML: its values, and the line of the file that an error is about."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ostinato.datasets.table import is_table
from ostinato.errors import UsageError
from ostinato.storage import is_folder

_TABLE = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]")
_SETTING = re.compile(r"""\s*([\w.-]+)\s*=\s*["']?([\w.-]*)""")


class TomlFile:
    """The values of a study's TOML.

    UsageError if the file cannot be read, is not TOML, or is a collection, which is no study.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if is_folder(path) or is_table(path) or path.suffix == ".npz":
            kind = "folder" if is_folder(path) else "collection"
            raise UsageError(
                f"Expected the settings of a study (.toml), got the {kind} {path}: "
                f"ostinato study --data {shlex.quote(str(path))}"
            )
        try:
            self._text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin with a BOM
            self.values: dict[str, Any] = tomllib.loads(self._text)
        except OSError as error:
            raise UsageError(f"Cannot read the study {path}: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"The study {path} is not valid TOML: {error}.") from error

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Begin a UsageError within the context with the file, and the line that it is about."""
        try:
            yield
        except UsageError as error:
            line = self._line_of(str(error))
            where = f"{self.path}, line {line}" if line else str(self.path)
            raise UsageError(f"{where}: {error}") from error

    def _line_of(self, message: str) -> int | None:
        """The line of the setting that a message names, else None.

        A message begins with the setting's name, or its table's and then names it, or quotes it.
        """
        found = re.match(r"There is no setting '([\w.-]+)'|([\w.-]+): ", message)
        if found is None:
            return None
        named, lines = found[1] or found[2], self._lines()
        words = set(re.findall(r"[\w-]+", message[found.end() :]))
        # A variant has its own settings and those that are common to all.
        for name in (named, re.sub(r"^variants\.[\w-]+\.", "", named)):
            if name in lines:
                return lines[name]
            for setting, line in lines.items():
                table, _, last = setting.rpartition(".")
                if table == name and last in words:
                    return line
        return None

    def _lines(self) -> dict[str, int]:
        """The line of each setting, by its name with the tables that it is in."""
        lines: dict[str, int] = {}
        table = variant = ""
        for number, text in enumerate(self._text.splitlines(), start=1):
            if header := _TABLE.match(text):
                table = f"{header[1]}."
            elif setting := _SETTING.match(text):
                name = table + setting[1]
                variant = setting[2] if name == "variants.name" else variant
                own = re.sub(r"^variants\.", f"variants.{variant}.", name)
                lines.setdefault(own, number)
        return lines
