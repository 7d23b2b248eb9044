"""Calls in parallel processes, whose results come as they are ready."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import joblib

from ostinato.errors import DataError


@contextlib.contextmanager
def in_processes(calls: Sequence[Any], n_jobs: int) -> Generator[Iterator[Any]]:
    """Make calls in parallel processes; what they return comes as it is ready.

    Parameters
    ----------
    calls : sequence of joblib.delayed calls
    n_jobs : int

    Raises
    ------
    DataError
        If a process was killed.
    """
    computing = _results(calls, n_jobs)
    # Closed on the way out: an interruption must not leave processes at work on what is left.
    with warnings.catch_warnings(), contextlib.closing(computing) as coming:
        warnings.filterwarnings("ignore", r"\d+ tasks ", UserWarning)  # joblib's word on that
        yield coming


def _results(calls: Sequence[Any], n_jobs: int) -> Generator[Any]:
    if not calls:
        return
    # BLAS of one thread a process: there are as many processes as there are cores.
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=min(n_jobs, len(calls)), return_as="generator_unordered")
    try:
        results = parallel(calls)
        for result in results:  # noqa: UP028 - "yield from" would close them before the pause
            yield result
    except GeneratorExit:
        # Stopped while it takes in a task, as it does after a result, loky prints a traceback.
        time.sleep(0.1)
        results.close()
        raise
    except BrokenProcessPool as error:
        raise DataError(
            "A process that computed frames was killed, most likely because memory ran out: what "
            "was done is kept, so run the same again, with fewer jobs."
        ) from error
