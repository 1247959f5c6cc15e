"""Command line: `python -m pipeline.ingest`."""

from pipeline.ingest.run import main

raise SystemExit(main())
