"""One call that serves: what ``ostinato serve`` does, for programs as well."""

from __future__ import annotations

import ipaddress
import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from ostinato.errors import UsageError, require
from ostinato.parallel import cpu_count
from ostinato.server import nursery
from ostinato.server.keys import read_keys
from ostinato.server.limits import Limits
from ostinato.server.run import listen, serve

_NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def run(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    models: Sequence[str] | None = None,
    n_workers: int | None = None,
    key_file: Path | None = None,
    limits: Limits | None = None,
    allowed_origins: Sequence[str] = (),
    page: bool = True,
    tell: Callable[[str], None] = print,
) -> None:
    """Serve the classifier until a signal ends it. A program calls it behind ``__main__``.

    Parameters
    ----------
    models : sequence of str, optional
        Names or paths, the default first; by default all that there are.
    n_workers : int, optional
        By default one per core.
    key_file : path, optional
        A key a line; without one, whoever reaches the server may ask it.
    allowed_origins : sequence of str
        Sites whose pages may call from browsers.
    tell : callable
        Is given the sentences for whoever started it.

    Raises
    ------
    UsageError
        If the address or port cannot be had, a model is not known, the keys cannot be used, or a
        worker process makes the call, because the program that it imports does.
    DataError
        If a model is damaged.
    MissingExtraError
        If the extra ``serve`` is not installed.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError(
            "Expected the call that serves behind if __name__ == '__main__': worker processes "
            "import the program again, got it in one of them."
        )
    for module in _NEEDED:
        if find_spec(module) is None:
            require(module, extra="serve", needed_for="Serving")
    limits = limits or Limits()
    keys = None if key_file is None else read_keys(key_file)
    with listen(host, port, limits=limits) as listener:
        nursery.begin()
        from ostinato.server.monitor import Monitor
        from ostinato.server.served import served
        from ostinato.server.workers import Workers

        offered = served(models)
        monitor = Monitor()
        n = n_workers or cpu_count()
        workers = Workers(offered, n=n, limits=limits, replaced=monitor.replaced)
        workers.start()  # they load while what follows is imported
        from ostinato.server.app import Service, build
        from ostinato.server.uploads import Spool

        spool = Spool(limits)
        try:
            service = Service(workers, spool, offered, limits=limits, monitor=monitor)
            app = build(service, keys=keys, allowed_origins=allowed_origins, page=page)
            if keys is None and not _is_loopback(listener.getsockname()[0]):
                tell(
                    f"Whoever reaches {host} can ask this server: --api-key-file FILE would ask "
                    "for a key."
                )

            async def ready() -> None:
                await workers.wait_ready()
                where = _address(host, listener.getsockname()[1])
                what = "the page, and" if page else "no page,"
                tell(f"{where} is ready: {what} the API ({where}/openapi.json). Ctrl-C ends it.")

            serve(app, listener, limits=limits, watched=ready)
        finally:
            spool.close()


def _is_loopback(address: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    return False


def _address(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):  # every address of this machine
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
