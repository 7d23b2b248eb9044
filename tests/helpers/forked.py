"""Processes that need not import PyTorch anew: ten seconds for each that a test starts."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

#: Where a name cannot be imported, each process imports it as it needs it.
PRELOADED = ["ostinato.study.entry", "ostinato.study.search", "distributed"]


def forked() -> ForkServerContext:
    """Give the way to start processes from one that has imported what they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()
    return context
