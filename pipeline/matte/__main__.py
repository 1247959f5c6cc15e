"""Command line: `python -m pipeline.matte`."""

from pipeline.matte.run import main

raise SystemExit(main())
