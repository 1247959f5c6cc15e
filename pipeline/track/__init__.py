"""Track: from frames (and cameras, where known) to rig parameters at every timestep."""
