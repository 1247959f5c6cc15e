"""The preflight: does this machine have what a run needs? See `headsplat doctor --help`."""
