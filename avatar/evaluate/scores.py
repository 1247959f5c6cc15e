"""Metrics of renders against their frames: all pixels, the foreground, and the rig's regions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from avatar.data.cameras import Cameras
from avatar.data.layout import HEAD, TORSO
from avatar.evaluate.metrics import flip, mask_iou, ms_ssim, region_scores, squared_error, ssim
from avatar.evaluate.pixels import Pair
from avatar.render.mesh import rasterize_mesh
from avatar.rig import HeadRig

MAP_REGIONS = {"head": HEAD, "torso": TORSO}  # of the dataset's region map
RIG_REGIONS = ("mouth", "eyes")  # masks of the rig, measured in the box around them
Box = tuple[slice, slice]  # rows and columns
_MARGIN = 0.1  # of the box's size, on each side
_MIN_PIXELS = 16  # a region of which less is seen is not measured


def map_regions(regions: UInt8[np.ndarray, "H W"]) -> dict[str, Bool[np.ndarray, "H W"]]:
    """Head and torso of a region map; the neck belongs to neither. Absent where little is seen."""
    found = {name: regions == value for name, value in MAP_REGIONS.items()}
    return {name: mask for name, mask in found.items() if mask.sum() >= _MIN_PIXELS}


def rig_regions(
    rig: HeadRig, verts: Float[np.ndarray, "V 3"], cameras: Cameras, camera: int
) -> dict[str, Bool[np.ndarray, "H W"]]:
    """Boxes around what a camera sees of the rig's mouth and eyes; absent where it sees none.

    Args:
        verts: the posed mesh, metres, world frame.
    """
    width, height = (int(v) for v in cameras.sizes[camera])
    return filled(rig_boxes(rig, verts, cameras, camera), height, width)


def filled(boxes: dict[str, Box], height: int, width: int) -> dict[str, Bool[np.ndarray, "H W"]]:
    """Masks that are true inside boxes."""
    regions = {name: np.zeros((height, width), bool) for name in boxes}
    for name, box in boxes.items():
        regions[name][box] = True
    return regions


def rig_boxes(
    rig: HeadRig, verts: Float[np.ndarray, "V 3"], cameras: Cameras, camera: int
) -> dict[str, Box]:
    """The boxes of `rig_regions`."""
    width, height = (int(v) for v in cameras.sizes[camera])
    faces = rig.faces.numpy()
    ids, _, _ = rasterize_mesh(
        verts, faces, cameras.viewmats[camera], cameras.Ks[camera], width, height
    )
    boxes = {}
    for name in RIG_REGIONS:
        if name not in rig.masks:
            continue
        inside = rig.masks[name].numpy()[faces].all(1)
        y, x = np.nonzero((ids >= 0) & inside[ids])
        if len(y) >= _MIN_PIXELS:
            boxes[name] = _box(x, y)
    return boxes


def _box(x: Int[np.ndarray, "P"], y: Int[np.ndarray, "P"]) -> Box:
    x0, x1, y0, y1 = x.min(), x.max() + 1, y.min(), y.max() + 1
    margin = round(_MARGIN * max(x1 - x0, y1 - y0))
    return slice(max(0, y0 - margin), y1 + margin), slice(max(0, x0 - margin), x1 + margin)


@dataclass(frozen=True)
class FrameScores:
    """One frame's metrics by region, and what they were computed from.

    Attributes:
        flip: FLIP at every pixel, if it was asked for.
    """

    row: int
    scores: dict[str, dict[str, float]]
    truth: Float[np.ndarray, "H W 3"]
    image: Float[np.ndarray, "H W 3"]
    flip: Float[np.ndarray, "H W"] | None


def score_frame(
    pair: Pair,
    regions: dict[str, Bool[np.ndarray, "H W"]],
    costly: bool = True,
    before: Float[np.ndarray, "H W 3"] | None = None,
) -> FrameScores:
    """Compare a render with its frame.

    Args:
        regions: beside `full` (all pixels) and `mask` (alpha of at least one half).
        costly: whether FLIP and MS-SSIM are measured.
        before: the difference of render and truth one frame earlier; without it there is no
            flicker.
    """
    maps = {"error": squared_error(pair.image, pair.truth), "ssim": ssim(pair.image, pair.truth)}
    if before is not None:
        maps["change"] = squared_error(pair.difference, before)
    if costly:
        maps["flip"] = flip(pair.image, pair.truth)
    everywhere = {"full": np.ones(pair.alpha.shape, bool), "mask": pair.alpha >= 0.5}
    scores = region_scores(maps, everywhere | regions)
    if pair.coverage is not None:
        scores["full"]["mask_iou"] = mask_iou(pair.alpha, pair.coverage)
    if costly:
        scores["full"]["ms_ssim"] = ms_ssim(pair.image, pair.truth)
    return FrameScores(pair.row, scores, pair.truth, pair.image, maps.get("flip"))
