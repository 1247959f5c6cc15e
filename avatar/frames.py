"""Feeding frames: which ones a step sees, decoded ahead, composited over a background."""

from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numba import njit, prange
from torch import Tensor

from avatar.cameras import Cameras


@runtime_checkable
class FrameSource(Protocol):
    """What is asked of a dataset: M stored frames, each with its alpha."""

    camera: Int[np.ndarray, "M"]
    timestep: Int[np.ndarray, "M"]

    @property
    def cameras(self) -> Cameras:
        """Cameras of the stored frames."""

    def image(self, row: int) -> UInt8[np.ndarray, "H W 3"]:
        """RGB of one frame."""

    def alpha(self, row: int) -> UInt8[np.ndarray, "H W"]:
        """Coverage of one frame, 255 inside."""


class FrameOrder:
    """The frames of every step, from `(seed, step)` alone: there is no state to keep.

    An epoch deals the cameras of every timestep into groups of `views`, shuffles the groups and
    puts `timesteps` of them into each step. A group or step left short is filled by repeating
    its own. Frames of one step have one size.
    """

    def __init__(
        self,
        source: FrameSource,
        rows: Int[np.ndarray, "R"],
        timesteps: int,
        views: int,
        seed: int,
    ) -> None:
        self._seed, self._timesteps = seed, timesteps
        sizes = source.cameras.sizes[source.camera[rows]]
        kinds = np.unique(sizes, axis=0)
        self._kinds = [
            self._split(rows[(sizes == kind).all(1)], source.timestep, views) for kind in kinds
        ]
        self.steps_per_epoch = sum(
            -(-sum(-(-len(poses) // views) for poses in kind) // timesteps)
            for kind, views in self._kinds
        )
        self._epoch = -1
        self._plan: list[Int[np.ndarray, "B C"]] = []

    @staticmethod
    def _split(
        rows: Int[np.ndarray, "R"], timestep: Int[np.ndarray, "M"], views: int
    ) -> tuple[list[Int[np.ndarray, "_"]], int]:
        """Rows of every timestep, and how many views a group can have."""
        poses = [rows[timestep[rows] == t] for t in np.unique(timestep[rows])]
        return poses, min(views, max(len(pose) for pose in poses))

    def rows(self, step: int) -> Int[np.ndarray, "B C"]:
        """The rows of a step: one timestep a row, its cameras along it."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._deal(epoch)
        return self._plan[place]

    def _deal(self, epoch: int) -> list[Int[np.ndarray, "B C"]]:
        random = np.random.default_rng([self._seed, epoch])
        steps: list[Int[np.ndarray, "B C"]] = []
        for poses, views in self._kinds:
            groups = []
            for pose in poses:
                dealt = random.permutation(pose)
                short = -len(dealt) % views
                dealt = np.concatenate([dealt, np.resize(dealt, short)])
                groups += list(dealt.reshape(-1, views))
            order = random.permutation(len(groups))
            order = np.concatenate([order, np.resize(order, -len(order) % self._timesteps)])
            steps += list(np.stack(groups)[order].reshape(-1, self._timesteps, views))
        return [steps[i] for i in random.permutation(len(steps))]


class FrameCache:
    """Decoded frames, kept within a budget of memory; beyond it decoded as they are asked for."""

    def __init__(
        self, source: FrameSource, rows: Int[np.ndarray, "R"], budget_mib: int, shrink: int = 1
    ) -> None:
        """Decode what fits.

        Args:
            rows: the frames that will be asked for.
            budget_mib: memory for decoded frames.
            shrink: 1, or 2 for frames of half the width and height.
        """
        self._source, self._shrink = source, shrink
        self._frames: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        used = 0
        for row in rows:
            width, height = source.cameras.sizes[source.camera[row]] // shrink
            used += 4 * int(width) * int(height)
            if used > budget_mib * 2**20:
                break
            self._frames[int(row)] = self._decode(int(row))

    def _decode(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        image, alpha = self._source.image(row), self._source.alpha(row)
        if self._shrink > 1:
            size = (image.shape[1] // self._shrink, image.shape[0] // self._shrink)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
        return image, alpha

    def composite(
        self, rows: Int[np.ndarray, "*B"], backgrounds: Float[np.ndarray, "*B 3"]
    ) -> Float[Tensor, "*B H W 3"]:
        """The frames over their backgrounds, RGB 0..1."""
        flat = rows.ravel()
        frames = [self._frames.get(int(row)) or self._decode(int(row)) for row in flat]
        images = np.stack([image for image, _ in frames])
        alphas = np.stack([alpha for _, alpha in frames])
        blended = _composite(images, alphas, backgrounds.reshape(-1, 3).astype(np.float32))
        return torch.from_numpy(blended).unflatten(0, rows.shape)


def composite(
    image: UInt8[np.ndarray, "H W 3"],
    alpha: UInt8[np.ndarray, "H W"],
    background: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "H W 3"]:
    """One frame over a background, RGB 0..1."""
    return _composite(image[None], alpha[None], np.asarray(background, np.float32)[None])[0]


@njit(parallel=True, cache=True)
def _composite(images, alphas, backgrounds):
    result = np.empty(images.shape, np.float32)
    count, height, width = alphas.shape
    byte = np.float32(1.0 / 255.0)
    for task in prange(count * height):
        image, y = task // height, task % height
        for x in range(width):
            cover = alphas[image, y, x] * byte
            for c in range(3):
                below = backgrounds[image, c]
                result[image, y, x, c] = below + cover * (images[image, y, x, c] * byte - below)
    return result


def camera_tensors(
    cameras: Cameras, index: Int[np.ndarray, "*B"], shrink: int = 1
) -> tuple[Float[Tensor, "*B 4 4"], Float[Tensor, "*B 3 3"], int, int]:
    """View matrices, intrinsics, width and height of cameras that share a size.

    Args:
        index: of each image's camera.
        shrink: images this many times smaller: pixel edges divide, so all of K but its last row.
    """
    Ks = cameras.Ks[index].copy()
    Ks[..., :2, :] /= shrink
    width, height = (int(v) // shrink for v in cameras.sizes[index.ravel()[0]])
    viewmats = torch.from_numpy(cameras.viewmats[index].astype(np.float32))
    return viewmats, torch.from_numpy(Ks.astype(np.float32)), width, height
