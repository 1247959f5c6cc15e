"""Command line: `python -m pipeline.pack`."""

from pipeline.pack.run import main

raise SystemExit(main())
