"""Command line: `python -m pipeline.evaluate`."""

from pipeline.evaluate.run import main

raise SystemExit(main())
