"""Calls for workers of a cluster, which import this module and nothing heavy with it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def slow_root(number: int) -> float:
    time.sleep(0.02)
    return number**0.5


class Payload:
    """Notes in a file each time that it arrives in a process."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        with self.notes.open("a") as file:
            file.write(f"{os.getpid()}\n")


def size_with(payload: Payload, number: int) -> int:
    return len(payload.notes.name) + number


def count_forever(number: int, *, report: Callable[[int], None]) -> int:
    for step in range(3000):
        report(step)
        time.sleep(0.02)
    return number
