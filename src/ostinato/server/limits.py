"""What a server takes from anybody: sizes, times and numbers, in one place."""

from __future__ import annotations

from dataclasses import dataclass

_MB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a server takes; whatever asks for more is refused with a sentence.

    Attributes
    ----------
    upload_bytes : int
        Of one file.
    batch_files : int
        Files of one request.
    spool_bytes : int
        Of all files that lie in the spool at a time.
    sound_s : float
        Seconds of sound in a file, as it states them.
    connections : int
        Connections at a time.
    uploads : int
        Requests whose bodies are received at a time.
    waiting : int
        Requests that wait for a worker, for each worker.
    header_s : float
        Seconds within which a request's line and headers arrive.
    idle_s : float
        Seconds without a byte of a body after which its sender is given up.
    upload_s : float
        Seconds within which a body arrives.
    work_s : float
        Seconds for which a worker hears one file.
    answer_s : float
        Seconds for which a file waits for a worker and is heard.
    worker_bytes : int
        Memory that a worker may take for its work, beyond what it has when it is ready.
    stop_s : float
        Seconds for what runs to finish when the server is stopped.
    """

    upload_bytes: int = 64 * _MB
    batch_files: int = 32
    spool_bytes: int = 2048 * _MB
    sound_s: float = 3600.0
    connections: int = 512
    uploads: int = 128
    waiting: int = 16
    header_s: float = 10.0
    idle_s: float = 10.0
    upload_s: float = 120.0
    work_s: float = 60.0
    answer_s: float = 180.0
    worker_bytes: int = 1024 * _MB
    stop_s: float = 30.0
