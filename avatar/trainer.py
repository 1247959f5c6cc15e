"""Training an avatar: frames in, Gaussians and tuned rig parameters out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar import density, losses
from avatar.binding import face_frames
from avatar.dataset import TRAIN, Dataset
from avatar.errors import UserError
from avatar.frames import FrameCache, FrameOrder, camera_tensors
from avatar.gaussians import RiggedGaussians, color_to_sh
from avatar.initial import face_colors
from avatar.optimiser import Optimiser
from avatar.presets import Preset
from avatar.render import RenderOutput, render
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import POSES

_LOG_IMAGES = 200  # images that one line of the log averages
_ORDER, _BACKGROUND, _SPLIT = range(3)  # what randomness is for


@dataclass(frozen=True)
class LogRow:
    """Averages over the images since the last row."""

    step: int
    images: int
    loss: float
    terms: dict[str, float]
    psnr: float
    gaussians: int


class Trainer:
    """All that a run holds. Everything random comes from `(seed, step)`, so nothing is hidden.

    Attributes:
        gaussians: the current Gaussians.
        extent: metres; the unit of the means' rate and of density control's sizes.
        log: one row per 200 images.
    """

    def __init__(self, dataset: Dataset, rig: HeadRig, preset: Preset, seed: int = 0) -> None:
        """Decode the frames and put a Gaussian on every face.

        Raises:
            UserError: the dataset has no training frames, or is of another rig.
        """
        check_rig(dataset.params, rig, "dataset.h5")
        self._dataset, self._rig, self._preset, self._seed = dataset, rig, preset, seed
        self._params = dataset.params
        rows = training_rows(dataset)
        batch = preset.batch
        self._order = FrameOrder(dataset, rows, batch.timesteps, batch.views, seed)
        self._rows = rows
        self._frames: FrameCache | None = None
        self._shrink = 0
        self.extent = scene_extent(preset, rig, dataset)
        self._face_scale = neutral_face_scale(rig, self._params)
        self._optimiser = Optimiser(
            self._start(), self._rig_values(), preset.rates, preset.rig, self.extent,
            torch.from_numpy(np.unique(dataset.timestep[rows])).long(),
        )  # fmt: skip
        self._stats = density.DensityStats.empty(len(self.gaussians))
        self.step = self.images = 0
        self.log: list[LogRow] = []
        self._sums: dict[str, float] = {}
        self._logged = self._reset_done = 0

    @property
    def gaussians(self) -> RiggedGaussians:
        return self._optimiser.gaussians

    @property
    def batch_size(self) -> int:
        """Images of one step."""
        return self._order.rows(0).size

    def steps(self) -> Iterator[int]:
        """Train to the end; yields the images of every step as it is done."""
        while self.images < self._preset.images:
            rows = self._order.rows(self.step)
            self._advance(rows)
            self.step += 1
            self.images += rows.size
            self._control_density(rows.size)
            self._write_log()
            yield rows.size

    def _advance(self, rows: Int[np.ndarray, "B C"]) -> None:
        """One step: render, compare, step along the gradient."""
        preset = self._preset
        self._optimiser.schedule(self.images / preset.images, self.images >= preset.rig.from_image)
        backgrounds = self._backgrounds(rows.shape)
        shrink = self._current_shrink()
        truth = self._frames_at(shrink).composite(rows, backgrounds)
        output = self._render(rows, backgrounds, shrink)
        seen = losses.appearance(output.rgb, truth, preset.loss.ssim)
        visible = (output.radii > 0).all(-1).flatten(0, -2).any(0)
        terms = self._regularisers(visible)
        loss = torch.stack([seen.loss, *terms.values()]).sum()
        values = {"loss": loss.item(), "l1": seen.l1, "ssim": seen.ssim}
        values |= {name: term.item() for name, term in terms.items()}
        self._note(values | {"error": seen.squared_error}, rows.size)
        loss.backward()
        if self._preset.density.interval:
            height, width = truth.shape[-3:-1]
            assert output.means2d.grad is not None
            self._stats.add(output.means2d.grad, output.radii, width, height)
        self._optimiser.step()

    def _render(
        self, rows: Int[np.ndarray, "B C"], backgrounds: Float[np.ndarray, "B C 3"], shrink: int
    ) -> RenderOutput:
        timesteps = torch.from_numpy(self._dataset.timestep[rows[:, 0]].astype(np.int64))
        poses = self._params.poses(timesteps)
        poses |= {name: value[timesteps] for name, value in self._optimiser.rig.items()}
        verts = self._rig(**poses)
        views, Ks, width, height = camera_tensors(
            self._dataset.cameras, self._dataset.camera[rows], shrink
        )
        world = self.gaussians.activate(verts, self._rig.faces, self._sh_degree())
        return render(world, views, Ks, width, height, torch.from_numpy(backgrounds))

    def _regularisers(self, visible: Tensor) -> dict[str, Tensor]:
        weights, gaussians = self._preset.loss, self.gaussians
        terms = {
            "position": weights.position
            * losses.position_loss(
                gaussians.means_local, visible, weights.position_limit, weights.form
            ),
            "scale": weights.scale
            * losses.scale_loss(gaussians.log_scales, visible, weights.scale_limit, weights.form),
        }
        if weights.opacity:
            terms["opacity"] = weights.opacity * losses.opacity_loss(
                gaussians.opacity_logits, visible
            )
        return terms

    def _backgrounds(self, shape: tuple[int, ...]) -> Float[np.ndarray, "B C 3"]:
        kind = self._preset.batch.background
        if kind == "random":
            return self._random(_BACKGROUND).random((*shape, 3), np.float32)
        return np.full((*shape, 3), 1.0 if kind == "white" else 0.0, np.float32)

    def _random(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self.step, purpose])

    def _current_shrink(self) -> int:
        batch = self._preset.batch
        pixels = int(self._dataset.cameras.sizes.prod(1).max())
        coarse = self.images < batch.coarse_images and pixels > batch.coarse_above
        return 2 if coarse else 1

    def _frames_at(self, shrink: int) -> FrameCache:
        if self._frames is None or shrink != self._shrink:
            self._shrink = shrink
            self._frames = FrameCache(self._dataset, self._rows, self._preset.cache_mib, shrink)
        return self._frames

    def _sh_degree(self) -> int:
        interval = self._preset.sh_interval
        return min(self._preset.sh_degree, self.images // interval) if interval else 0

    def _control_density(self, images: int) -> None:
        """Densify, prune and reset whenever an interval of images has been passed."""
        settings = self._preset.density
        if not settings.interval or not settings.first <= self.images <= settings.last:
            return
        if self.images // settings.interval != (self.images - images) // settings.interval:
            self._densify_and_prune()
        if settings.reset_interval and self.images // settings.reset_interval > self._reset_done:
            self._reset_done = self.images // settings.reset_interval
            self._optimiser.set_opacities(
                density.reset_opacity(self.gaussians, settings.reset_opacity)
            )

    def _densify_and_prune(self) -> None:
        settings, stats = self._preset.density, self._stats
        generator = torch.Generator().manual_seed(int(self._random(_SPLIT).integers(2**62)))
        change = density.densify(
            self.gaussians, stats.mean_gradient(), self._face_scale, settings.gradient,
            settings.split_share * self.extent, settings.most, generator,
        )  # fmt: skip
        self._optimiser.apply(change)
        radius = torch.where(change.fresh, 0, stats.radius[change.source])
        after_reset = self._reset_done > 0
        unwanted = density.unwanted(
            self.gaussians, radius, self._face_scale, settings.min_opacity,
            settings.max_radius if after_reset else None,
            settings.max_share * self.extent if after_reset else None,
        )  # fmt: skip
        self._optimiser.apply(density.prune(self.gaussians, unwanted))
        self._stats = density.DensityStats.empty(len(self.gaussians))

    def _start(self) -> RiggedGaussians:
        start = self._preset.start
        gaussians = RiggedGaussians.on_faces(
            len(self._rig.faces), self._preset.sh_degree, start.opacity
        )
        gaussians.log_scales += math.log(start.scale)
        if start.color_frames:
            chosen = np.linspace(0, len(self._rows) - 1, start.color_frames).astype(int)
            colors = face_colors(self._dataset, self._rig, np.unique(self._rows[chosen]))
            gaussians.sh_dc[:, 0] = color_to_sh(torch.from_numpy(colors))
        return gaussians

    def _rig_values(self) -> dict[str, Tensor]:
        return {name: getattr(self._params, name) for name in POSES}

    def tuned_params(self) -> RigParams:
        """The rig's parameters, tuned where training saw them."""
        tuned: dict[str, Any] = {
            name: value.detach().clone() for name, value in self._optimiser.rig.items()
        }
        return replace(self._params, **tuned)

    def _note(self, values: dict[str, float], images: int) -> None:
        """Add a step to the running sums of the log."""
        if not math.isfinite(values["loss"]):
            bad = ", ".join(name for name, value in values.items() if not math.isfinite(value))
            raise UserError(
                f"training diverged after {self.images} images: {bad} is not finite: lower "
                "train.overrides.rates, or look at the track's overlay for a broken timestep"
            )
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * images

    def _write_log(self) -> None:
        count = self.images - self._logged
        if count < _LOG_IMAGES and self.images < self._preset.images:
            return
        mean = {name: value / count for name, value in self._sums.items()}
        psnr = -10 * math.log10(max(mean.pop("error"), 1e-10))
        loss = mean.pop("loss")
        self.log.append(LogRow(self.step, self.images, loss, mean, psnr, len(self.gaussians)))
        self._sums, self._logged = {}, self.images


def training_rows(dataset: Dataset) -> Int[np.ndarray, "R"]:
    """Rows to train on.

    Raises:
        UserError: there are none.
    """
    rows = dataset.rows(TRAIN)
    if len(rows) == 0:
        raise UserError(
            f"dataset.h5 has no training frames (of {len(dataset)}; {int(dataset.valid.sum())} of "
            f"{len(dataset.valid)} timesteps show a face): pack the subject again"
        )
    return rows


def check_rig(params: RigParams, rig: HeadRig, where: str) -> None:
    """Refuse parameters of another rig: the same numbers would mean another face.

    Raises:
        UserError: name and hashes of both.
    """
    if params.rig_sha256 != rig.sha256:
        raise UserError(
            f"{where} was made with rig {params.rig} ({params.rig_sha256[:12]}), given is "
            f"{rig.name} ({rig.sha256[:12]}): give that rig, or track the subject again"
        )


def neutral_face_scale(rig: HeadRig, params: RigParams) -> Float[Tensor, "F"]:
    """k (m) of every face on the subject's unposed, expressionless mesh."""
    verts = rig.rest(params.shape, torch.zeros(rig.num_expr), params.static_offset)
    return face_frames(verts, rig.faces).scale


def scene_extent(preset: Preset, rig: HeadRig, dataset: Dataset) -> float:
    """The scene's size in metres: the head's radius or, if asked for, the cameras' spread.

    `cameras`: 1.1 x the largest distance of a camera from the mean of all, where at least two
    stand apart, and never less than the head; one static camera would make it zero.
    """
    if preset.extent == "head":
        return rig.head_radius
    viewmats = dataset.cameras.viewmats
    centres = -np.einsum("cji,cj->ci", viewmats[:, :3, :3], viewmats[:, :3, 3])
    spread = 1.1 * float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    return max(spread, rig.head_radius)
