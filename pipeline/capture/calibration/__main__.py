"""Command line: `python -m pipeline.capture.calibration`."""

from pipeline.capture.calibration.convert import main

raise SystemExit(main())
