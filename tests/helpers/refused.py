"""Properties of splits that are drawn from collections of any kind, of which some are refused."""

from __future__ import annotations

from collections.abc import Callable

from ostinato.datasets.splits import LeakError, Split
from ostinato.errors import DataError


class Tried:
    """How many splits were made, and how many refused: a property of none holds of nothing."""

    def __init__(self) -> None:
        self.made = self.refused = 0

    def split(self, make: Callable[[], Split]) -> Split | None:
        """A split, or None where it is refused in words; a leak is an error of ours."""
        try:
            split = make()
        except LeakError:  # a DataError too: a split was made, and made wrongly
            raise
        except DataError:
            self.refused += 1
            return None
        self.made += 1
        return split
