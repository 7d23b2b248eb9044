"""Where worker processes come from: on Linux, forked from one that has imported what they need.

That one has no threads, so a fork of it is safe and takes milliseconds; a fork of the server would
inherit its locks. Elsewhere a process starts from nothing, and so it does where the path of the
temporary folder is so long that the one to fork from could not be asked: it listens at a socket
there, and the system bounds the paths of sockets.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

_SOCKET_BYTES = 107  # of its path
_PRELOADED = [
    "ostinato.server.forking",
    "ostinato.server.worker",
    "ostinato.inference.classifier",
    "av",
    "onnxruntime",
]

lock = threading.Lock()
"""Held by whoever asks multiprocessing of processes: its lists are not for several threads."""


def is_forking() -> bool:
    """Whether processes are forked here."""
    socket = Path(tempfile.gettempdir(), "pymp-xxxxxxxx", "listener-xxxxxxxx")
    return sys.platform == "linux" and len(os.fsencode(socket)) <= _SOCKET_BYTES


def begin() -> None:
    """Have the imports begin, beside whatever else is done before the first worker is needed."""
    if is_forking():
        from multiprocessing import forkserver

        with _settled():
            forkserver.ensure_running()


def start(target: Callable[..., None], *arguments: Any) -> Any:
    """Start a process, which ends with this one; OSError or EOFError if the system refuses."""
    context: Any = multiprocessing.get_context("forkserver" if is_forking() else "spawn")
    with _settled():
        process = context.Process(target=target, args=arguments, daemon=True)
        process.start()
    return process


@contextlib.contextmanager
def _settled() -> Iterator[None]:
    """Settle what a process inherits.

    Each has one thread for its matrix products, for there is a process for each core. Signals that
    stop a server never reach it: home decides. That they are held back is inherited by the process
    to fork from; those that come for home meanwhile come afterwards.
    """
    for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")
    with lock:
        if is_forking():
            multiprocessing.set_forkserver_preload(_PRELOADED)
        if not hasattr(signal, "pthread_sigmask"):
            yield
            return
        resource_tracker.ensure_running()  # as it starts one, it would end the holding back
        held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
