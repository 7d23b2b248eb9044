"""What workers of the tests do in place of hearing: as the name of the file says."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.server.jobs import Asked, Job
from ostinato.server.problems import Problem


def hear(job: Asked) -> dict[str, Any]:
    """Do what the file's name says, and tell which process did it."""
    assert isinstance(job, Job)
    what, _, argument = job.name.partition(" ")
    if what == "sleep":
        time.sleep(float(argument))
    elif what == "take":  # so many MB, a byte of each page written
        return {"n_bytes": int(np.ones(int(argument) << 20, np.uint8).nbytes)}
    elif what == "signal":
        os.kill(os.getpid(), getattr(signal, argument))
    elif what == "once":  # dies at the first try
        trace = Path(job.path)
        if trace.exists():
            trace.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    elif what == "write":
        Path(job.path).write_bytes(b"something")
    elif what == "raise":
        raise ValueError(argument)
    elif what == "refuse":
        raise Problem(422, "not-heard", argument, 3.0)
    return {"process": os.getpid()}
