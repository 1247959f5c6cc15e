"""Feeding frames: which ones a step sees, decoded ahead, composited over a background."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numba import njit, prange
from torch import Tensor

from avatar.base.cores import cores
from avatar.data.cameras import Cameras

AHEAD = 4  # steps whose frames are decoded or being decoded while a step runs
_MOST_WORKERS = 8  # threads; a frame of 802x550 takes one about 5 ms


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
    puts `timesteps` of them into each step; with fewer cameras than `views`, as many more as keep
    the step's images. A group or step left short is filled by repeating its own. Frames of one step
    have one size.
    """

    def __init__(
        self,
        source: FrameSource,
        rows: Int[np.ndarray, "R"],
        timesteps: int,
        views: int,
        seed: int,
    ) -> None:
        self._seed, self._images = seed, timesteps * views
        sizes = source.cameras.sizes[source.camera[rows]]
        kinds = np.unique(sizes, axis=0)
        self._kinds = [
            self._split(rows[(sizes == kind).all(1)], source.timestep, views) for kind in kinds
        ]
        self.steps_per_epoch = sum(
            -(-sum(-(-len(poses) // views) for poses in kind) // self._groups(views))
            for kind, views in self._kinds
        )
        self._plans: dict[int, list[Int[np.ndarray, "B C"]]] = {}

    @staticmethod
    def _split(
        rows: Int[np.ndarray, "R"], timestep: Int[np.ndarray, "M"], views: int
    ) -> tuple[list[Int[np.ndarray, "_"]], int]:
        """Rows of every timestep, and how many views a group can have."""
        poses = [rows[timestep[rows] == t] for t in np.unique(timestep[rows])]
        return poses, min(views, max(len(pose) for pose in poses))

    def _groups(self, views: int) -> int:
        """Groups of so many views in a step."""
        return self._images // views

    def rows(self, step: int) -> Int[np.ndarray, "B C"]:
        """The rows of a step: one timestep a row, its cameras along it."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch not in self._plans:
            # The neighbouring epochs' plans are kept: prefetching alternates between two epochs.
            near = {e: plan for e, plan in self._plans.items() if abs(e - epoch) == 1}
            self._plans = near | {epoch: self._deal(epoch)}
        return self._plans[epoch][place]

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
            order, count = random.permutation(len(groups)), self._groups(views)
            order = np.concatenate([order, np.resize(order, -len(order) % count)])
            steps += list(np.stack(groups)[order].reshape(-1, count, views))
        return [steps[i] for i in random.permutation(len(steps))]


class Frames(NamedTuple):
    """What the images of a step should be."""

    images: Float[Tensor, "B C H W 3"]  # over their backgrounds, RGB 0..1
    alphas: Float[Tensor, "B C H W 1"]  # coverage, 0..1


Decoded = tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]


class FrameFeed:
    """The frames of one step after another, decoded in threads while earlier steps run.

    The first frames decoded are kept, as many as fit the budget. The others live from `AHEAD`
    steps before they are asked for until they have been, so memory is the budget and the frames
    of `AHEAD + 1` steps. Which is which changes no bit of what comes out. Only the first step
    after the start, or after a jump, has to wait for its own frames.
    """

    def __init__(
        self,
        source: FrameSource,
        order: FrameOrder,
        budget_mib: int,
        shrink: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        """Decode nothing yet.

        Args:
            source: read by several threads at once.
            order: which rows a step sees.
            budget_mib: memory for frames that stay decoded.
            shrink: 1, or 2 for frames of half the width and height.
            device: where the frames are composited.
        """
        self._device = torch.device(device)
        self._source, self._order, self._shrink = source, order, shrink
        self._room = budget_mib * 2**20
        self._kept: dict[int, Future[Decoded]] = {}
        self._passing: dict[int, Future[Decoded]] = {}
        # On the CPU the renderer needs the cores as well.
        free = cores() // 2 if self._device.type == "cpu" else cores()
        workers = min(_MOST_WORKERS, max(1, free))
        self._pool = ThreadPoolExecutor(workers, "frames")

    def at(self, step: int, backgrounds: Float[np.ndarray, "B C 3"]) -> Frames:
        """The frames of a step, in the order of `order.rows(step)`; the next are on their way.

        Raises:
            UserError: a frame of this step is damaged.
        """
        rows = self._order.rows(step)
        self._prefetch(step)
        futures = [self._kept.get(row) or self._passing[row] for row in rows.ravel().tolist()]
        found = [future.result() for future in futures]
        self._prefetch(step + 1)
        images, alphas = (np.stack(parts) for parts in zip(*found, strict=True))
        behind = backgrounds.reshape(-1, 3).astype(np.float32)
        if self._device.type == "cpu":
            composited = tuple(torch.from_numpy(v) for v in _composite(images, alphas, behind))
        else:
            # As bytes from pinned memory: a quarter of the traffic, and nobody waits for it.
            sent = (torch.from_numpy(v).pin_memory() for v in (images, alphas, behind))
            composited = over(*(v.to(self._device, non_blocking=True) for v in sent))
        return Frames(*(v.unflatten(0, rows.shape) for v in composited))

    def close(self) -> None:
        """End the threads and drop the frames; also done when the feed is garbage-collected."""
        self._pool.shutdown(cancel_futures=True)
        self._kept, self._passing = {}, {}

    def _prefetch(self, first: int) -> None:
        """Start decoding what the steps from `first` on need; drop what they do not."""
        steps = range(first, first + AHEAD)
        coming = np.concatenate([self._order.rows(step).ravel() for step in steps]).tolist()
        self._passing = {
            row: self._passing.get(row) or self._start(row)
            for row in dict.fromkeys(coming)  # each once, the first needed first
            if row not in self._kept
        }

    def _start(self, row: int) -> Future[Decoded]:
        future = self._pool.submit(_decode, self._source, row, self._shrink)
        width, height = self._source.cameras.sizes[self._source.camera[row]] // self._shrink
        size = 4 * int(width) * int(height)
        if size <= self._room:
            self._room -= size
            self._kept[row] = future
        return future


def _decode(source: FrameSource, row: int, shrink: int) -> Decoded:
    image, alpha = source.image(row), source.alpha(row)
    if shrink > 1:
        size = (image.shape[1] // shrink, image.shape[0] // shrink)
        # What is left over at the far edges goes, so that pixels shrink by just as much as K.
        image, alpha = (v[: size[1] * shrink, : size[0] * shrink] for v in (image, alpha))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    return image, alpha


def composite(
    image: UInt8[np.ndarray, "H W 3"],
    alpha: UInt8[np.ndarray, "H W"],
    background: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "H W 3"]:
    """One frame over a background, RGB 0..1."""
    return _composite(image[None], alpha[None], np.asarray(background, np.float32)[None])[0][0]


def over(
    images: UInt8[Tensor, "N H W 3"],
    alphas: UInt8[Tensor, "N H W"],
    backgrounds: Float[Tensor, "N 3"],
) -> tuple[Float[Tensor, "N H W 3"], Float[Tensor, "N H W 1"]]:
    """Frames over their backgrounds, RGB 0..1, and their coverage: `composite` on any device."""
    covers = alphas[..., None] / 255
    below = backgrounds[:, None, None]
    return below + covers * (images / 255 - below), covers


@njit(parallel=True, cache=True)
def _composite(images, alphas, backgrounds):
    result = np.empty(images.shape, np.float32)
    covers = np.empty((*alphas.shape, 1), np.float32)
    count, height, width = alphas.shape
    byte = np.float32(1.0 / 255.0)
    for task in prange(count * height):
        image, y = task // height, task % height
        for x in range(width):
            cover = alphas[image, y, x] * byte
            covers[image, y, x, 0] = cover
            for c in range(3):
                below = backgrounds[image, c]
                result[image, y, x, c] = below + cover * (images[image, y, x, c] * byte - below)
    return result, covers


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
