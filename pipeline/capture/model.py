"""What every layout of a capture is read into: clips, plates, cameras, colours."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from avatar.data.cameras import Cameras
from pipeline.capture.clip import Clip
from pipeline.capture.colour import ColourCorrection

PREFIX = "cam_"  # of the names of clips and plates
LONG_GAP = 3.0  # frames; longer gaps within a clip are reported


@dataclass(frozen=True)
class FlameTracks:
    """Files of FLAME's parameters over time, made by another tracker.

    Attributes:
        files: sequence to one file with a row for every frame of its clips, or to the file of
            each frame by its number (`Clip.numbers`).
        worlds: sequence to the matrix that carries its own world to the cameras' world (a rigid
            motion, metres); the same world where there is none.
    """

    files: dict[str, Path | dict[int, Path]]
    worlds: dict[str, Float[np.ndarray, "4 4"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Capture:
    """A capture, whatever its layout.

    Attributes:
        path: the folder or file.
        clips: by sequence, then camera, both in lexicographic order.
        plates: camera to the image of its empty scene.
        cameras: calibration of exactly the cameras that have clips, or None.
        colours: camera to its colour correction, where there is one.
        params, flame: tracks that came with it, of headsplat and of FLAME, or None.
        layout: name of the layout, for people.
        remarks: what a user should know, one sentence each.
    """

    path: Path
    clips: list[Clip]
    plates: dict[str, Path]
    cameras: Cameras | None
    colours: dict[str, ColourCorrection] = field(default_factory=dict)
    params: Path | None = None
    flame: FlameTracks | None = None
    layout: str = "headsplat"
    remarks: list[str] = field(default_factory=list)

    @property
    def camera_ids(self) -> list[str]:
        """Names of the cameras, lexicographic."""
        return sorted({clip.camera for clip in self.clips})

    @property
    def sequences(self) -> list[str]:
        """Names of the sequences, lexicographic."""
        return sorted({clip.sequence for clip in self.clips})
