"""Video files in and out: true presentation times, frames as a viewer would see them.

A path names a plain file, never a network address, a playlist or a device. What is read is
decoded in a process of its own with limits (`worker`): a file that crashes or fools a decoder costs
one error line, not the run. Only this package knows PyAV.
"""

from pipeline.media.ask import start
from pipeline.media.info import SUFFIXES, VideoInfo, Window
from pipeline.media.read import frame_times, probe, read_video, sample_frames
from pipeline.media.write import write_alpha_video, write_video

__all__ = [
    "SUFFIXES",
    "VideoInfo",
    "Window",
    "frame_times",
    "probe",
    "read_video",
    "sample_frames",
    "start",
    "write_alpha_video",
    "write_video",
]
