"""Renders of a trained avatar for frames of its dataset, and how well they agree with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from avatar.data.cameras import Cameras
from avatar.data.dataset import Dataset
from avatar.data.frames import camera_tensors, composite
from avatar.data.layout import TEST, VAL
from avatar.evaluate.metrics import all_maps, region_scores
from avatar.export.files import load_gaussians
from avatar.gaussians.basis import ExpressionSpace
from avatar.gaussians.initial import check_rig
from avatar.gaussians.model import RiggedGaussians
from avatar.render import WorldGaussians, render
from avatar.render.mesh import rasterize_mesh
from avatar.rig import HeadRig, RigParams

PROTOCOLS = {"novel_view": VAL, "self_reenactment": TEST}
RIG_REGIONS = ("mouth", "eyes")  # masks of the rig, measured in the box around them
_MARGIN = 0.1  # of the box's size, on each side
_MIN_PIXELS = 16  # a region of which less is seen is not measured
_BATCH = 8  # images rendered at a time


@dataclass(frozen=True)
class Avatar:
    """What training left behind.

    Attributes:
        gaussians: raw parameters in their triangles' frames; on the device that is to render.
        params: rig parameters, tuned on the training timesteps and as tracked elsewhere.
        about: rig, preset and extent, as `save_gaussians` was told.
        space: what drives the Gaussians' basis, if they have one.
    """

    gaussians: RiggedGaussians
    params: RigParams
    about: dict[str, Any]
    space: ExpressionSpace | None = None

    def pose(self, rig: HeadRig, timestep: int) -> tuple[Float[Tensor, "V 3"], WorldGaussians]:
        """The mesh at a timestep (m), and the Gaussians it carries, on their device."""
        poses = self.params.poses(torch.tensor([timestep]))
        weights = None
        if self.space is not None:
            weights = self.space.weights(poses["expr"], poses["jaw_pose"])[0]
        verts = rig(**poses)[0]
        device = self.gaussians.binding.device
        if weights is not None:
            weights = weights.to(device)
        return verts, self.gaussians.activate(verts.to(device), rig.faces.to(device), None, weights)


def load_avatar(folder: Path, rig: HeadRig, device: torch.device | str = "cpu") -> Avatar:
    """Read `results/<subject>/avatar/`.

    Args:
        device: where the Gaussians are rendered; all else stays on the CPU.

    Raises:
        UserError: files are absent or damaged, or of another rig.
    """
    gaussians, about, space = load_gaussians(folder / "avatar.safetensors")
    params = RigParams.load(folder / "rig_params.npz")
    check_rig(params, rig, str(folder / "rig_params.npz"))
    return Avatar(gaussians.to(device), params, about, space)


@dataclass(frozen=True)
class RenderedFrame:
    """A frame's render, and the mesh it was driven by."""

    row: int
    image: Float[np.ndarray, "H W 3"]
    verts: Float[np.ndarray, "V 3"]


def protocol_rows(dataset: Dataset, protocol: str) -> Int[np.ndarray, "R"]:
    """The frames of a protocol, by timestep, then camera."""
    rows = dataset.rows(PROTOCOLS[protocol])
    return rows[np.lexsort((dataset.camera[rows], dataset.timestep[rows]))]


def render_rows(
    avatar: Avatar,
    rig: HeadRig,
    dataset: Dataset,
    rows: Int[np.ndarray, "R"],
    background: Float[np.ndarray, "3"],
    drivers: Int[np.ndarray, "T"] | None = None,
) -> Iterator[RenderedFrame]:
    """Render the avatar as the frames show it.

    Args:
        rows: frames, those of one timestep together.
        background: RGB 0..1.
        drivers: timestep whose parameters drive each timestep; its own if None.
    Yields:
        One image per row, in order.
    """
    device = avatar.gaussians.binding.device
    behind = torch.from_numpy(np.asarray(background, np.float32)).to(device)

    def kind(row: int) -> tuple[int, ...]:
        return int(dataset.timestep[row]), *dataset.cameras.sizes[dataset.camera[row]].tolist()

    for (timestep, *_), group in groupby((int(row) for row in rows), kind):
        same = np.array(list(group))
        driver = timestep if drivers is None else int(drivers[timestep])
        with torch.no_grad():
            verts, world = avatar.pose(rig, driver)
            for first in range(0, len(same), _BATCH):
                chosen = same[first : first + _BATCH]
                views, Ks, width, height = camera_tensors(dataset.cameras, dataset.camera[chosen])
                views, Ks = views.to(device), Ks.to(device)
                images = render(world, views, Ks, width, height, behind).rgb.clamp(0, 1).cpu()
                for row, image in zip(chosen, images.numpy(), strict=True):
                    yield RenderedFrame(int(row), image, verts.numpy())


def rig_regions(
    rig: HeadRig, verts: Float[np.ndarray, "V 3"], cameras: Cameras, camera: int
) -> dict[str, Bool[np.ndarray, "H W"]]:
    """Boxes around what a camera sees of the rig's mouth and eyes; absent where it sees none.

    Args:
        verts: the posed mesh, metres, world frame.
    """
    width, height = (int(v) for v in cameras.sizes[camera])
    faces = rig.faces.numpy()
    ids, _, _ = rasterize_mesh(
        verts, faces, cameras.viewmats[camera], cameras.Ks[camera], width, height
    )
    regions = {}
    for name in RIG_REGIONS:
        if name not in rig.masks:
            continue
        inside = rig.masks[name].numpy()[faces].all(1)
        y, x = np.nonzero((ids >= 0) & inside[ids])
        if len(y) >= _MIN_PIXELS:
            regions[name] = _box(x, y, width, height)
    return regions


def _box(
    x: Int[np.ndarray, "P"], y: Int[np.ndarray, "P"], width: int, height: int
) -> Bool[np.ndarray, "{height} {width}"]:
    mask = np.zeros((height, width), bool)
    x0, x1, y0, y1 = x.min(), x.max() + 1, y.min(), y.max() + 1
    margin = round(_MARGIN * max(x1 - x0, y1 - y0))
    mask[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin] = True
    return mask


@dataclass(frozen=True)
class FrameScores:
    """One frame's metrics by region, and what they were computed from."""

    row: int
    scores: dict[str, dict[str, float]]
    truth: Float[np.ndarray, "H W 3"]
    image: Float[np.ndarray, "H W 3"]
    flip: Float[np.ndarray, "H W"]


def score_frame(
    rendered: RenderedFrame,
    image: UInt8[np.ndarray, "H W 3"],
    alpha: UInt8[np.ndarray, "H W"],
    background: Float[np.ndarray, "3"],
    regions: dict[str, Bool[np.ndarray, "H W"]],
) -> FrameScores:
    """Compare a render with its frame, composited over the same background.

    Args:
        regions: beside `full` (all pixels) and `mask` (alpha of at least one half).
    """
    truth = composite(image, alpha, background)
    maps = all_maps(rendered.image, truth)
    everywhere = {"full": np.ones(alpha.shape, bool), "mask": alpha >= 128}
    scores = region_scores(maps, everywhere | regions)
    return FrameScores(rendered.row, scores, truth, rendered.image, maps["flip"])
