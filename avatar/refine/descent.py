"""Descent on the motion of an avatar: each timestep's parameters until its render is its frame."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.base import cli
from avatar.base.cores import cores
from avatar.gaussians.avatar_file import Avatar
from avatar.losses.charbonnier import charbonnier
from avatar.refine import motion
from avatar.refine.targets import Targets
from avatar.render import Views, render
from avatar.rig import HeadRig, RigParams

_BATCH = 8  # images rendered at a time
_SOFT = 0.05  # residual (0..1) below which the error is quadratic
_MOMENTS = (0.8, 0.95)  # of Adam: a descent has a dozen steps, not thousands


@dataclass(frozen=True)
class Round:
    """Some steps of a descent.

    Attributes:
        longer: longer side of the compared images, pixels; None: as they are stored.
        steps: how many.
        rate: of a step, in the units of `motion.UNITS`.
    """

    longer: int | None
    steps: int
    rate: float


class Descent:
    """Adam (Kingma and Ba, 2015) on the motion of some timesteps, all at once.

    Its steps are those of head and torso as two bodies (`avatar.refine.bodies`).

    Attributes:
        values: the parameters as they are, stacked as `motion.stack` does.
    """

    def __init__(self, values: Float[Tensor, "S D"], params: RigParams, rig: HeadRig) -> None:
        """Start at the given parameters; `params` are those that they were stacked from."""
        self.values, self._params, self._rig = values.clone(), params, rig
        self._units = motion.units(params)
        self._first, self._second = torch.zeros_like(values), torch.zeros_like(values)
        self._count = 0

    def step(self, gradient: Float[Tensor, "S D"], rate: float) -> None:
        """One step against the gradient, `rate` units long at first."""
        self._count += 1
        jacobian = motion.body_jacobian(self.values, self._params, self._rig)
        gradient = motion.body_gradient(gradient, jacobian) * self._units
        gradient = motion.conjugate(gradient, self._params)
        first, second = _MOMENTS
        self._first.lerp_(gradient, 1 - first)
        self._second.lerp_(gradient.square(), 1 - second)
        mean = self._first / (1 - first**self._count)
        squares = motion.evened(self._second, self._params)
        size = (squares / (1 - second**self._count)).sqrt()
        step = rate * self._units * mean / (size + 1e-12)
        self.values = self.values - motion.chain_step(step, jacobian)

    def run(
        self,
        avatar: Avatar,
        targets: Targets,
        timesteps: Int[np.ndarray, "S"],
        part: Round,
    ) -> list[float]:
        """Take the steps of a round; returns the mean error before each of them."""
        errors = []
        for _ in cli.progress(range(part.steps), "motion"):
            error, gradient = residual(avatar, self._rig, targets, timesteps, self.values)
            self.step(gradient, part.rate)
            self.values = motion.within_range(self.values, self._params, self._rig)
            errors.append(float(error.mean()))
        return errors


def residual(
    avatar: Avatar,
    rig: HeadRig,
    targets: Targets,
    timesteps: Int[np.ndarray, "S"],
    values: Float[Tensor, "S D"],
) -> tuple[Float[Tensor, "S"], Float[Tensor, "S D"]]:
    """Error of each timestep's renders, and its gradient with respect to the parameters.

    The error is that of `avatar.losses.charbonnier` over all pixels of all views.

    Args:
        avatar: its Gaussians, identity and static offsets; its own motion is not used.
        values: of the timesteps, as `motion.stack`.
    """
    rows = targets.rows(timesteps)
    count = max(1, _BATCH // rows.shape[1])

    def of_batch(first: int) -> tuple[Tensor, Tensor]:
        part = values[first : first + count].clone().requires_grad_()
        shown = rows[first : first + count]
        images = _render(avatar, rig, targets.views(shown), part)
        error, pull = charbonnier(images, targets.images(shown), _SOFT)
        (gradient,) = torch.autograd.grad(images, part, pull)
        return error, gradient

    # A batch a core: half of the work is in torch, which uses one. On a GPU batches would add up
    # in its memory.
    on_gpu = avatar.gaussians.binding.device.type == "cuda"
    with ThreadPoolExecutor(1 if on_gpu else cores()) as pool:
        found = list(pool.map(of_batch, range(0, len(rows), count)))
    errors, gradients = zip(*found, strict=True)
    return torch.cat(errors), torch.cat(gradients)


def _render(
    avatar: Avatar, rig: HeadRig, views: Views, values: Float[Tensor, "B D"]
) -> Float[Tensor, "B C H W 3"]:
    """Renders over white; the mesh is posed on the CPU, the Gaussians are where they are."""
    params, device = avatar.params, avatar.gaussians.binding.device
    poses = motion.split(values, params)
    weights = None
    if avatar.space is not None:
        weights = avatar.space.weights(poses["expr"], poses["jaw_pose"]).to(device)
    verts = rig(shape=params.shape, static_offset=params.static_offset, **poses).to(device)
    world = avatar.gaussians.activate(verts, rig.faces.to(device), None, weights)
    return render(world, views.to(device), torch.ones(3, device=device)).rgb.cpu()
