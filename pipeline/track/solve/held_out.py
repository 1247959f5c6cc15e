"""What is kept from the unknowns that all frames share."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from avatar.data import split
from avatar.data.reader import AlphaStore, FrameStore
from pipeline.detect.landmarks import Detections
from pipeline.track.settings import HoldOut

WORDS: dict[HoldOut, str] = {
    "none": "all frames, those that the split holds out included",
    "camera": "all frames but those of the held-out camera",
    "sequence": "the training timesteps",
}


@dataclass(frozen=True)
class HeldOut:
    """A camera (-1: none) and timesteps that may not teach what all frames share."""

    camera: int
    timesteps: Bool[np.ndarray, "T"]

    @classmethod
    def by(cls, setting: str, store: FrameStore, found: Bool[np.ndarray, "M"]) -> "HeldOut":
        """What the default split holds out.

        Args:
            setting: `none`, `camera` or `sequence`.
            found: rows of the store with a face.
        """
        camera = split.default_camera(len(store.camera_ids)) if setting == "camera" else -1
        timesteps = np.zeros(len(store.sequence), bool)
        if setting == "sequence":
            valid = timesteps.copy()
            valid[store.timestep[found]] = True
            timesteps = split.default_timesteps(store.sequence, valid)
        return cls(camera, timesteps)

    @classmethod
    def nothing(cls, count: int) -> "HeldOut":
        """Of so many timesteps none."""
        return cls(-1, np.zeros(count, bool))

    def unseen(self, found: Detections, camera: Int[np.ndarray, "M"]) -> Detections:
        """Detections without those of the held-out camera; `camera` of every row."""
        kept = camera != self.camera
        points = np.where(kept[:, None, None], found.points, np.nan).astype(found.points.dtype)
        return Detections(points, found.found & kept)

    def training(self, valid: Bool[np.ndarray, "T"]) -> Int[np.ndarray, "K"] | None:
        """Places of training timesteps among the valid ones; None: all are."""
        held = self.timesteps[valid]
        return np.flatnonzero(~held) if held.any() and not held.all() else None

    def rows(self, alphas: AlphaStore, rows: Int[np.ndarray, "R"]) -> Int[np.ndarray, "K"]:
        """Rows without those of the held-out camera."""
        return rows[alphas.camera[rows] != self.camera]
