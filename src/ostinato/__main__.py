"""``python -m ostinato`` is the command ``ostinato``."""

from ostinato.cli.main import main

main()
