"""Command line: `python -m pipeline.rigs`."""

from pipeline.rigs.run import main

raise SystemExit(main())
