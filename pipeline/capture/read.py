"""Understand a capture: find out which layout it has and read that.

A layout is one small module of `pipeline.capture.layouts`; each gives the same `Capture`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from avatar.base.errors import UserError
from pipeline.capture.clip import Clip
from pipeline.capture.layouts import headsplat, nersemble, transforms
from pipeline.capture.layouts.headsplat import PARAMS_FILE
from pipeline.capture.model import Capture


class Layout(Protocol):
    """How some project lays its recordings out; a module of `pipeline.capture.layouts` each."""

    def matches(self, folder: Path) -> bool:
        """Whether a folder is laid out so; looks at names only."""

    def read(self, folder: Path, image_fps: float) -> Capture:
        """Read such a folder; raises UserError where it breaks the layout's rules."""


# The first that matches; our own matches everything and reports what it expects.
LAYOUTS: tuple[Layout, ...] = (nersemble, transforms, headsplat)


def read_capture(path: str | Path, image_fps: float = 30.0) -> Capture:
    """Understand a capture folder, or a video file alone.

    Args:
        path: a video, or a folder in one of the layouts of `pipeline.capture.layouts`.
        image_fps: frames per second of numbered images.
    Raises:
        UserError: absent, empty, laid out otherwise, a bad name, a plate or calibration that does
            not fit, or several cameras without calibration.
    """
    path = Path(path)
    try:
        present, folder = path.exists(), path.is_dir()
    except OSError as problem:
        raise UserError(f"capture {path} cannot be read ({problem.strerror})") from None
    if not present:
        raise UserError(f"capture {path} does not exist: put a video or a folder there")
    if not folder:
        return Capture(path, [Clip("main", "0", path)], {}, None, layout="one video")
    try:
        capture = next(layout for layout in LAYOUTS if layout.matches(path)).read(path, image_fps)
        params = path / PARAMS_FILE  # of headsplat, whatever the layout
        return replace(capture, params=params) if params.is_file() else capture
    except OSError as problem:
        name = problem.filename or path
        raise UserError(f"{name} cannot be read ({problem.strerror}): check its rights") from None
