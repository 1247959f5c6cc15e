"""A trained avatar with its rig: pose it by name, render it to NumPy."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avatar.animate import motion, views
from avatar.base import names
from avatar.gaussians.avatar_file import PARAMS, Avatar, load_avatar
from avatar.render import Views, render
from avatar.rig import HeadRig, RigParams
from avatar.rig.rotations import axis_angle_to_matrix

BATCH = 8  # timesteps rendered together, at most
BATCH_PIXELS = 1 << 21  # of all their images
T = TypeVar("T")

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class HeadAvatar:
    """An avatar that can be posed and rendered; `avatar.load` makes it."""

    rig: HeadRig
    avatar: Avatar

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names that `pose` takes."""
        return motion.names_of(self.rig)

    @property
    def recorded(self) -> RigParams:
        """The motion of the capture that the avatar was made from."""
        return self.avatar.params

    def pose(
        self, head: tuple[float, float, float] = (0.0, 0.0, 0.0), **strengths: float
    ) -> RigParams:
        """One pose: torso at rest, the face neutral but for the named expressions.

        Args:
            head: the head's turn against its mean pose, axis-angle (rad): +x lowers the chin, +y
                turns to the subject's left, +z tilts to the subject's right.
            strengths: expressions by name, 0..1 for facial actions.
        Raises:
            UserError: an expression that the rig does not have, or a number that is not finite.
        """
        poses = motion.named_poses(self.rig, strengths, 1)
        turn = axis_angle_to_matrix(torch.tensor([head], dtype=torch.float64))
        poses["neck_pose"] = motion.turned_neck(motion.resting(self.recorded), turn)
        return motion.moved(self.recorded, poses, np.zeros(1))

    def front(self, size: tuple[int, int], count: int = 1) -> Views:
        """The camera before the face, for images of (width, height) pixels."""
        return views.front(self.rig, self.recorded, *size, count)

    def render(
        self, driven: RigParams, size: tuple[int, int] = (512, 512), cameras: Views | None = None
    ) -> UInt8[np.ndarray, "T H W 3"]:
        """Images of all timesteps of a motion, before white.

        Args:
            driven: what `pose` or `recorded` gives, or other parameters of this rig.
            size: width and height of the image, pixels, where no cameras are given.
            cameras: one for each timestep, `viewmats` [T,1,4,4]; from the front if None.
        """
        cameras = self.front(size, len(driven)) if cameras is None else cameras
        frames = [to_bytes(rgb) for rgb, _ in self.frames(driven, cameras, WHITE)]
        return np.concatenate(frames)

    def frames(
        self, driven: RigParams, cameras: Views, background: tuple[float, float, float]
    ) -> Iterator[tuple[Float[Tensor, "B H W 3"], Float[Tensor, "B H W 1"]]]:
        """Colours over the background and coverage, a batch of timesteps at a time, on the CPU.

        Args:
            driven: parameters of this rig, T timesteps.
            cameras: one for each timestep.
            background: RGB 0..1.
        """
        return self.mapped(driven, cameras, background, lambda rgb, alpha: (rgb, alpha))

    def mapped(
        self,
        driven: RigParams,
        cameras: Views,
        background: tuple[float, float, float],
        make: Callable[[Float[Tensor, "B H W 3"], Float[Tensor, "B H W 1"]], T],
        threads: int = 1,
    ) -> Iterator[T]:
        """What `make` makes of each batch of `frames`, in order.

        Args:
            make: of colours and coverage; may change them.
            threads: that render batches side by side, ahead of the caller. With several, give
                torch one thread each: `torch.set_num_threads(1)`.
        """
        work = partial(self._batch, replace(self.avatar, params=driven), cameras, background)
        size = max(1, min(BATCH, BATCH_PIXELS // (cameras.width * cameras.height)))
        batches = torch.arange(len(driven)).split(size)
        if threads == 1:
            yield from (make(*work(steps)) for steps in batches)
            return
        with ThreadPoolExecutor(threads) as pool:
            ahead: deque[Future[T]] = deque()
            for steps in batches:
                ahead.append(pool.submit(lambda steps: make(*work(steps)), steps))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _batch(
        self,
        moving: Avatar,
        cameras: Views,
        background: tuple[float, float, float],
        steps: Int[Tensor, "B"],
    ) -> tuple[Float[Tensor, "B H W 3"], Float[Tensor, "B H W 1"]]:
        device = moving.gaussians.binding.device
        at = cameras._replace(viewmats=cameras.viewmats[steps], Ks=cameras.Ks[steps]).to(device)
        with torch.no_grad():
            _, gaussians = moving.pose_batch(self.rig, steps)
            shown = render(gaussians, at, torch.tensor(background, device=device))
            return shown.rgb[:, 0].clamp_(0, 1).cpu(), shown.alpha[:, 0].clamp_(0, 1).cpu()


def load(
    home: str | Path, device: torch.device | str = "cpu", rig: str | Path | None = None
) -> HeadAvatar:
    """Read `results/<subject>` with a trained avatar.

    Args:
        home: the subject's folder of results.
        device: where it is rendered, `cpu` or `cuda`.
        rig: the rig's npz file; the one in `rigs/` beside the subject if None.
    Raises:
        UserError: a file is absent, damaged, of another avatar or of another rig.
    """
    loaded = HeadRig.load(rig or rig_file(home))
    return HeadAvatar(loaded, load_avatar(Path(home) / "avatar", loaded, device))


def rig_file(home: str | Path) -> Path:
    """The file of the rig that the avatar of `results/<subject>` has, in `rigs/` beside it.

    Raises:
        UserError: no avatar.
    """
    name = RigParams.load(Path(home) / "avatar" / PARAMS, "train the subject first").rig
    return Path(home).parent / "rigs" / f"{names.check_name(name, 'rig')}.npz"


def to_bytes(image: Float[Tensor, "..."]) -> UInt8[np.ndarray, "..."]:
    """0..1 as 0..255, rounded; the image itself is changed, which spares memory."""
    return image.mul_(255).add_(0.5).to(torch.uint8).numpy()
