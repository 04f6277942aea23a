"""``python -m wafer2token`` is ``w2t``."""

from wafer2token.cli.main import main

main()
