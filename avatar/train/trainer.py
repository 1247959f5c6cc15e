"""Training an avatar: frames in, Gaussians and tuned rig parameters out."""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.data.frames import FrameFeed, FrameOrder, camera_tensors
from avatar.gaussians import camera_colors
from avatar.gaussians.avatar_file import Avatar
from avatar.gaussians.basis import ExpressionSpace
from avatar.gaussians.initial import (
    first_colors,
    neutral_frames,
    scene_extent,
    training_rows,
)
from avatar.gaussians.model import SH_C0, RiggedGaussians
from avatar.losses.lpips import load_lpips
from avatar.losses.objective import objective
from avatar.render import RenderOutput, Views, render
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import POSES, check_rig
from avatar.train.checkpoint import Snapshot
from avatar.train.density.control import make_control
from avatar.train.identity import Identity
from avatar.train.log import TrainLog
from avatar.train.optimiser import Optimiser
from avatar.train.presets import Preset

_BACKGROUND, _DENSITY, _TRACKED = 1, 2, 3  # streams of random numbers; the frame order has another


class Trainer:
    """The state of a run. Everything random follows from `(seed, step)`: there is no hidden state.

    Attributes:
        params: what the timesteps start from; may be replaced between two steps.
        shrink: frames this many times smaller are trained on; None: as the preset has it.
        step, images: what has been done; an image counts as often as it is seen.
        seconds: spent in steps, those before a resume among them.
        extent: metres; the unit of density control's sizes.
        space: what drives the basis; None without one.
        log: a row every few images.
    """

    def __init__(
        self,
        dataset: Dataset,
        params: RigParams,
        rig: HeadRig,
        preset: Preset,
        seed: int = 0,
        device: torch.device | str = "cpu",
        rows: Int[np.ndarray, "R"] | None = None,
    ) -> None:
        """Put a Gaussian on every face; frames are decoded when they are needed.

        Args:
            params: of the dataset's timesteps; tuned on those that are trained on.
            rows: frames to train on; all of the training part if None.
        Raises:
            UserError: the dataset has no training frames, or the parameters are of another rig.
        """
        check_rig(params, rig, f"the track of {dataset.path}")
        self._dataset, self._preset, self._seed = dataset, preset, seed
        self._device = torch.device(device)
        # A copy: a module's `to` works in place, and the rig is the caller's.
        self._rig = copy.deepcopy(rig).to(self._device)
        self.params = params.to(self._device)
        rows = training_rows(dataset) if rows is None else rows
        batch = preset.batch
        self._order = FrameOrder(dataset, rows, batch.timesteps, batch.views, seed)
        self._feed: FrameFeed | None = None
        self.shrink: int | None = None
        self._shrink = 0
        spread = preset.extent == "cameras"
        trained = dataset.cameras.viewmats[np.unique(dataset.camera[rows])]
        self.extent = scene_extent(rig, trained if spread else None)
        timesteps = torch.from_numpy(np.unique(dataset.timestep[rows])).long()
        size = preset.basis.size
        self.space = ExpressionSpace.fit(params, timesteps, size) if size else None
        if self.space is not None:
            self.space = self.space.to(self._device)
        colors = None
        if preset.correct_colors:
            colors = camera_colors.identity(len(dataset.camera_ids)).to(self._device)
        self._identity = Identity(self._rig, self.params, preset.rig)
        self._optimiser = Optimiser(
            self._first_gaussians(params, rig, rows).to(self._device),
            {name: getattr(self.params, name) for name in POSES},
            preset.rates,
            preset.rig,
            self.extent if spread else 1.0,
            timesteps.to(self._device),
            colors,
            self._identity.leaves,
            self._color_eps(),
        )
        face_scale = neutral_frames(self._rig, self.params).scale
        white = batch.background == "white"
        self._density = make_control(preset.density, self.extent, face_scale, white)
        self._lpips = None
        if preset.loss.lpips:
            assert preset.lpips is not None, "presets are checked when they are resolved"
            self._lpips = load_lpips(preset.lpips).to(self._device)
        self.step = self.images = 0
        self.seconds = 0.0
        self.log = TrainLog()

    def _first_gaussians(
        self, params: RigParams, rig: HeadRig, rows: Int[np.ndarray, "R"]
    ) -> RiggedGaussians:
        """One on every face, as the preset starts them."""
        preset, start = self._preset, self._preset.start
        gaussians = RiggedGaussians.on_faces(
            len(rig.faces), preset.sh_degree, start.opacity, preset.basis.size, start.scale,
            start.thickness,
        )  # fmt: skip
        if start.color_frames:
            frames = start.color_frames
            gaussians.sh_dc = first_colors(self._dataset, params, rig, rows, frames)
        return gaussians

    def _color_eps(self) -> float:
        """The gradient of a colour coefficient that the preset's evidence gives, for Adam."""
        preset = self._preset
        pixels = int(self._dataset.cameras.sizes.prod(1).max()) * self._order.rows(0).size
        l1 = (1 - preset.loss.ssim) / (3 * pixels)  # of a value's error, by the value
        return preset.rates.color_evidence * l1 * SH_C0

    @property
    def gaussians(self) -> RiggedGaussians:
        return self._optimiser.gaussians

    @property
    def total_steps(self) -> int:
        """Steps of the whole run, if all are as large as the first."""
        return -(-self._preset.images // self._order.rows(0).size)

    def steps(self) -> Iterator[int]:
        """Train to the end; yields the images of every step as it is done.

        Raises:
            UserError: the loss is not finite, nothing is visible, or a frame is damaged.
        """
        while self.images < self._preset.images:
            began = time.monotonic()
            rows = self._order.rows(self.step)
            self._advance(rows)
            before, self.images = self.images, self.images + rows.size
            self.step += 1
            if self.images < self._preset.images:  # no step would train the result
                seed = int(self._random(_DENSITY).integers(2**62))
                generator = torch.Generator().manual_seed(seed)
                self._density.act(self._optimiser, self.images, before, generator)
            self._write_log()
            self.seconds += time.monotonic() - began
            yield rows.size
        self._close_feed()

    def _advance(self, rows: Int[np.ndarray, "B C"]) -> None:
        """One step: render, compare, update by the gradient."""
        preset, optimiser = self._preset, self._optimiser
        optimiser.schedule(self.images / preset.images)
        behind = self._backgrounds(rows.shape)
        shrink = self._current_shrink()
        truth = self._feed_at(shrink).at(self.step, behind)
        backgrounds = self._on_device(behind)
        output = self._render(rows, backgrounds, shrink)
        colors = optimiser.camera_colors
        if colors is not None:
            colors = colors[self._on_device(self._dataset.camera[rows]).long()]
        found = objective(
            preset.loss, output, truth, backgrounds, self.gaussians, colors, self._lpips
        )
        self.log.note(found.values, rows.size)
        found.loss.backward()
        self._density.observe(output, self.images)
        optimiser.step()

    def _render(
        self, rows: Int[np.ndarray, "B C"], backgrounds: Float[Tensor, "B C 3"], shrink: int
    ) -> RenderOutput:
        timesteps = self._on_device(self._dataset.timestep[rows[:, 0]]).long()
        poses = self.params.poses(timesteps)
        if self._random(_TRACKED).random() >= self._preset.rig.tracked_share:
            poses |= {name: value[timesteps] for name, value in self._optimiser.rig.items()}
        poses |= self._identity.of(self.params)
        weights = None
        if self.space is not None:
            weights = self.space.weights(poses["expr"], poses["jaw_pose"])
        world = self.gaussians.activate(
            self._rig(**poses), self._rig.faces, self._sh_degree(), weights
        )
        views = Views(*camera_tensors(self._dataset.cameras, self._dataset.camera[rows], shrink))
        return render(world, views.to(self._device), backgrounds)

    def _backgrounds(self, shape: tuple[int, ...]) -> Float[np.ndarray, "B C 3"]:
        kind = self._preset.batch.background
        if kind == "random":
            return self._random(_BACKGROUND).random((*shape, 3), np.float32)
        return np.full((*shape, 3), 1.0 if kind == "white" else 0.0, np.float32)

    def _random(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self.step, purpose])

    def _on_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    def _current_shrink(self) -> int:
        if self.shrink is not None:
            return self.shrink
        batch = self._preset.batch
        pixels = int(self._dataset.cameras.sizes.prod(1).max())
        coarse = self.images < batch.coarse_images and pixels > batch.coarse_above
        return 2 if coarse else 1

    def _feed_at(self, shrink: int) -> FrameFeed:
        if self._feed is None or shrink != self._shrink:
            self._close_feed()
            self._shrink = shrink
            self._feed = FrameFeed(
                self._dataset, self._order, self._preset.cache_mib, shrink, self._device
            )
        return self._feed

    def _close_feed(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def _sh_degree(self) -> int:
        most, interval = self._preset.sh_degree, self._preset.sh_interval
        return min(most, self.images // interval) if interval else most

    def avatar(self, about: dict[str, Any]) -> Avatar:
        """What has been trained, on the CPU."""
        gaussians = self.gaussians.detached().to("cpu")
        space = None if self.space is None else self.space.to("cpu")
        return Avatar(gaussians, self.tuned_params(), about, space)

    def tuned_params(self) -> RigParams:
        """The rig's parameters on the CPU, tuned where training saw them."""
        tuned: dict[str, Any] = {
            name: value.detach().clone()
            for name, value in (self._optimiser.rig | self._identity.of(self.params)).items()
        }
        return replace(self.params, **tuned).to("cpu")

    def snapshot(self) -> Snapshot:
        """All that the next step depends on: the tensors themselves, which that step changes.

        Raises:
            UserError: a value is not finite; such a state is no checkpoint.
        """
        tensors = {f"optimiser.{k}": v for k, v in self._optimiser.tensors().items()}
        bad = [name for name, value in tensors.items() if not bool(value.isfinite().all())]
        if bad:
            raise UserError(self._diverged(bad))
        tensors |= {f"density.{k}": v for k, v in self._density.tensors().items()}
        numbers = {
            "step": self.step,
            "images": self.images,
            "of": self._preset.images,
            "log": self.log.to_json(),
        }
        about = {"images": self.images, "seconds": round(self.seconds, 3), "unfinished": True}
        return Snapshot(tensors, numbers, self.seconds, self.avatar(about))

    def restore(self, snapshot: Snapshot) -> None:
        """Continue where a snapshot of the same run was taken."""
        for part, holder in (("optimiser.", self._optimiser), ("density.", self._density)):
            values = {
                name.removeprefix(part): value.to(self._device)
                for name, value in snapshot.tensors.items()
                if name.startswith(part)
            }
            holder.restore(values)
        self.step, self.images = snapshot.numbers["step"], snapshot.numbers["images"]
        self.seconds = snapshot.seconds
        self.log = TrainLog.from_json(snapshot.numbers["log"], self._device)

    def _diverged(self, names: list[str]) -> str:
        return (
            f"training diverged after {self.images} images: {', '.join(names)} is not finite: "
            "lower train.overrides.rates, or look at the track's overlay for a broken timestep"
        )

    def _write_log(self) -> None:
        last = self.images >= self._preset.images
        images = self.images - self.log.written
        if not self.log.write(self.step, self.images, len(self.gaussians), last):
            return
        row = self.log.rows[-1]
        values = {"loss": row.loss, **row.terms}
        if bad := [name for name, value in values.items() if not math.isfinite(value)]:
            raise UserError(self._diverged(bad))
        if row.terms["visible"] == 0:
            raise UserError(
                f"nothing was visible in the last {images} of {self.images} images: no Gaussian "
                "lies in any camera's view: look at the track's overlay, and at K and viewmat of "
                "the cameras"
            )
