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

    def observe(self, output: RenderOutput) -> None:
        """Look at a step's render after `backward`."""

    def act(
        self, optimiser: Optimiser, images: int, before: int, generator: torch.Generator
    ) -> None:
        """Change the Gaussians after a step that took the count of images from `before`."""

    def tensors(self) -> dict[str, Tensor]:
        """All that the next step depends on."""

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take `tensors` back."""


def make_control(
    settings: Density, extent: float, face_scale: Float[Tensor, "F"]
) -> DensityControl:
    """The control that the settings name.

    Args:
        extent: the scene's size, metres.
        face_scale: k of every face on the subject's neutral mesh, metres.
    """
    kind = AdaptiveControl if settings.kind == "adaptive" else BudgetControl
    return kind(settings, extent, face_scale)


def _passed(interval: int, before: int, images: int) -> bool:
    """Whether a multiple of the interval was passed; never for an interval of zero."""
    return interval > 0 and images // interval != before // interval


class AdaptiveControl:
    """Clone, split, prune and reset: `avatar.train.density.adaptive`."""

    def __init__(self, settings: Density, extent: float, face_scale: Float[Tensor, "F"]) -> None:
        self._settings, self._extent, self._face_scale = settings, extent, face_scale
        self._stats: DensityStats | None = None
        self._was_reset = False

    def observe(self, output: RenderOutput) -> None:
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
        if not settings.first <= images <= settings.last:
            return
        if _passed(settings.interval, before, images):
            self._densify_and_prune(optimiser, generator)
        if _passed(settings.reset_interval, before, images):
            self._was_reset = True
            optimiser.set_opacities(
                adaptive.reset_opacity(optimiser.gaussians, settings.reset_opacity)
            )

    def _densify_and_prune(self, optimiser: Optimiser, generator: torch.Generator) -> None:
        settings, stats = self._settings, self._stats
        assert stats is not None
        change = adaptive.densify(
            optimiser.gaussians, stats.mean_gradient(), self._face_scale, settings.gradient,
            settings.split_share * self._extent, settings.most, generator,
        )  # fmt: skip
        optimiser.apply(change)
        radius = torch.where(change.fresh, 0, stats.radius[change.source])
        unwanted = adaptive.unwanted(
            optimiser.gaussians, radius, self._face_scale, settings.min_opacity,
            settings.max_radius if self._was_reset else None,
            settings.max_share * self._extent if self._was_reset else None,
        )  # fmt: skip
        optimiser.apply(adaptive.prune(optimiser.gaussians, unwanted))
        self._stats = None

    def tensors(self) -> dict[str, Tensor]:
        stats = {} if self._stats is None else vars(self._stats)
        return {"was_reset": torch.tensor(self._was_reset), **stats}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        stats = dict(tensors)
        self._was_reset = bool(stats.pop("was_reset"))
        self._stats = DensityStats(**stats) if stats else None


class BudgetControl:
    """Relocation, growth up to the cap, and noise: `avatar.train.density.budget`."""

    def __init__(self, settings: Density, extent: float, face_scale: Float[Tensor, "F"]) -> None:
        self._settings, self._extent, self._face_scale = settings, extent, face_scale

    def observe(self, output: RenderOutput) -> None:
        """Nothing to see: opacities tell all."""

    def act(
        self, optimiser: Optimiser, images: int, before: int, generator: torch.Generator
    ) -> None:
        settings = self._settings
        if settings.first <= images <= settings.last and _passed(settings.interval, before, images):
            faint = settings.min_opacity
            optimiser.apply(budget.relocate(optimiser.gaussians, faint, generator))
            room = (settings.most or len(optimiser.gaussians)) - len(optimiser.gaussians)
            count = max(0, min(int(_GROWTH * len(optimiser.gaussians)), room))
            optimiser.apply(budget.grow(optimiser.gaussians, count, faint, generator))
        if settings.noise:
            strength = settings.noise * optimiser.means_rate / self._extent
            optimiser.move_means(
                budget.noise(optimiser.gaussians, self._face_scale, strength, generator)
            )

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        assert not tensors
