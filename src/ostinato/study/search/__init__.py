"""A search for better settings: trials on validation folds, kept in an Optuna store.

Importing it needs Optuna; MissingExtraError where that is not installed.
"""

from ostinato.errors import require

require("optuna", extra="search", needed_for="A search")

from ostinato.study.search.run import SearchResult, search  # noqa: E402

__all__ = ["SearchResult", "search"]
