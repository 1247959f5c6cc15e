"""When density control acts, by the images that have been seen."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.render import RenderOutput
from avatar.train.density import adaptive, budget
from avatar.train.density.adaptive import DensityStats
from avatar.train.optimiser import Optimiser
from avatar.train.presets import Density

_GROWTH = 0.05  # share by which a round of the fixed budget grows towards its cap


@runtime_checkable
class DensityControl(Protocol):
    """One kind of control. Everything random comes from the generator it is given."""

    def observe(self, output: RenderOutput, images: int) -> None:
        """Gather statistics of a step's render after `backward`; `images` were seen before it."""

    def act(
        self, optimiser: Optimiser, images: int, before: int, generator: torch.Generator
    ) -> None:
        """Change the Gaussians after a step that took the count of images from `before`."""

    def tensors(self) -> dict[str, Tensor]:
        """All that the next step depends on."""

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take `tensors` back."""


def make_control(
    settings: Density, extent: float, face_scale: Float[Tensor, "F"], white: bool
) -> DensityControl:
    """The control that the settings name.

    Args:
        extent: the scene's size, metres.
        face_scale: k of every face on the subject's neutral mesh, metres.
        white: whether training composites over white.
    """
    if settings.kind == "budget":
        return BudgetControl(settings, face_scale)
    return AdaptiveControl(settings, extent, face_scale, white)


def _due(interval: int, above: int, below: int, before: int, images: int) -> bool:
    """Whether a step reached a multiple of the interval between two bounds, both exclusive."""
    if interval == 0:
        return False
    multiple = images // interval * interval
    return before < multiple and above < multiple < below


class AdaptiveControl:
    """Clone, split, prune and reset: `avatar.train.density.adaptive`."""

    def __init__(
        self, settings: Density, extent: float, face_scale: Float[Tensor, "F"], white: bool
    ) -> None:
        self._settings, self._extent, self._face_scale = settings, extent, face_scale
        self._white = white
        self._stats: DensityStats | None = None
        interval = max(settings.interval, 1)
        last = (settings.last - 1) // interval * interval
        self._last_round = last if settings.interval and last > settings.first else 0

    def observe(self, output: RenderOutput, images: int) -> None:
        if images >= self._last_round:  # no round will use it
            return
        gradient = output.means2d.grad
        assert gradient is not None, "observe comes after backward"
        if self._stats is None:
            self._stats = DensityStats.empty(gradient.shape[-2], gradient.device)
        height, width = output.rgb.shape[-3:-1]
        self._stats.add(gradient, output.radii, width, height)

    def act(
        self, optimiser: Optimiser, images: int, before: int, generator: torch.Generator
    ) -> None:
        settings = self._settings
        if _due(settings.interval, settings.first, settings.last, before, images):
            self._densify_and_prune(optimiser, images, generator)
        if self._resets(before, images):
            optimiser.set_opacities(
                adaptive.reset_opacity(optimiser.gaussians, settings.reset_opacity)
            )

    def _resets(self, before: int, images: int) -> bool:
        """At every multiple of the interval; on white also when densification starts."""
        settings = self._settings
        starts = self._white and before < settings.first <= images
        regular = _due(settings.reset_interval, 0, settings.last, before, images)
        return regular or (starts and settings.reset_interval > 0)

    def _densify_and_prune(
        self, optimiser: Optimiser, images: int, generator: torch.Generator
    ) -> None:
        settings, stats = self._settings, self._stats
        assert stats is not None
        change = adaptive.densify(
            optimiser.gaussians,
            stats.mean_gradient(),
            self._face_scale,
            threshold=settings.gradient,
            split_above=settings.split_share * self._extent,
            cap=settings.most,
            generator=generator,
        )
        optimiser.apply(change)
        sized = 0 < settings.reset_interval < images // settings.interval * settings.interval
        largest = settings.max_share * self._extent if sized else None
        unwanted = adaptive.unwanted(
            optimiser.gaussians, self._face_scale, settings.min_opacity, largest
        )
        optimiser.apply(adaptive.prune(optimiser.gaussians, unwanted))
        self._stats = None

    def tensors(self) -> dict[str, Tensor]:
        return {} if self._stats is None else dict(vars(self._stats))

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self._stats = DensityStats(**tensors) if tensors else None


class BudgetControl:
    """Relocation, growth up to the cap, and noise: `avatar.train.density.budget`."""

    def __init__(self, settings: Density, face_scale: Float[Tensor, "F"]) -> None:
        self._settings, self._face_scale = settings, face_scale

    def observe(self, output: RenderOutput, images: int) -> None:
        """Needs no statistics: opacities decide."""

    def act(
        self, optimiser: Optimiser, images: int, before: int, generator: torch.Generator
    ) -> None:
        settings = self._settings
        if _due(settings.interval, settings.first, settings.last, before, images):
            faint = settings.min_opacity
            optimiser.apply(budget.relocate(optimiser.gaussians, faint, generator))
            room = (settings.most or len(optimiser.gaussians)) - len(optimiser.gaussians)
            count = max(0, min(int(_GROWTH * len(optimiser.gaussians)), room))
            optimiser.apply(budget.grow(optimiser.gaussians, count, faint, generator))
        if settings.noise:
            strength = settings.noise * optimiser.means_rate
            optimiser.move_means(
                budget.noise(optimiser.gaussians, self._face_scale, strength, generator)
            )

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        assert not tensors
