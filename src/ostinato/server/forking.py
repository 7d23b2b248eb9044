"""Imported by the process that workers are forked from: what it forks can be ended from outside.

That process holds signals back (:mod:`~ostinato.server.nursery`), and what it forks would inherit
that. But it forks for all of a program, and a pool of :mod:`multiprocessing` ends its processes by
SIGTERM, then waits for their end. A worker of ours ignores these signals itself.
"""

from __future__ import annotations

import os
import signal

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=lambda: signal.pthread_sigmask(
            signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP}
        )
    )
