"""Command line: `python -m avatar.data`."""

from avatar.data.tools import main

raise SystemExit(main())
