"""The preflight: does this machine have what a run needs? `python -m pipeline.doctor -h`."""
