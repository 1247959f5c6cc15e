"""Track: from frames (and cameras, where known) to rig parameters at every timestep."""

from pipeline.track.settings import Gate, TrackSettings
from pipeline.track.subject import track_subject

__all__ = ["Gate", "TrackSettings", "track_subject"]
