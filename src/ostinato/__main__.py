"""``python -m ostinato``, and the command ``ostinato``: the first line that runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress

INTERRUPTED = 128  # and the number of a signal: exit status


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback from its first moment on."""
    try:
        from ostinato.cli.main import main as run

        run()
    except SystemExit as left:
        if isinstance(left.code, int) and left.code > INTERRUPTED and _is_at_work():
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(left.code)  # Python would wait for threads whose results nobody takes
        raise
    except KeyboardInterrupt:  # while all of that was imported
        sys.exit(130)
    except ImportError as error:  # what compiled packages make of it as they start
        if isinstance(error.__cause__, KeyboardInterrupt):
            sys.exit(130)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _is_at_work() -> bool:
    """Whether a thread of :func:`ostinato.inference.many.in_order` still hears a file."""
    return any(thread.name.startswith("ostinato") for thread in threading.enumerate())


if __name__ == "__main__":
    main()
