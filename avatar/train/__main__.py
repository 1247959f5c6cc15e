"""Command line: `python -m avatar.train`."""

from avatar.train.run import main

raise SystemExit(main())
