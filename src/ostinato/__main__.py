"""``python -m ostinato``, and the command ``ostinato``: the first line that runs."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback from its first moment on."""
    try:
        from ostinato.cli.main import main as run

        run()
    except KeyboardInterrupt:  # while all of that was imported
        sys.exit(130)
    except ImportError as error:  # what compiled packages make of it as they start
        if isinstance(error.__cause__, KeyboardInterrupt):
            sys.exit(130)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
