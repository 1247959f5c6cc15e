"""Command line: `python -m pipeline` is `headsplat`."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
