"""How well mesh and alpha cover each other: the head, the head without hair, the shoulders."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.data.cameras import Cameras
from avatar.data.reader import AlphaStore
from avatar.render.mesh import cover, facing
from avatar.rig import HeadRig, RigParams
from pipeline.track.outline import silhouette

ENOUGH = 128  # pixels of the head's height: of finer frames every second, third ... is looked at
MARGIN = 0.1  # of the head's height: how far its surroundings reach


@dataclass(frozen=True)
class Overlap:
    """Intersections over unions of mesh and alpha, each a mean over frames, 0 where none shows it.

    Attributes:
        head: in the head's surroundings above the chin, where neither neck nor clothes are. Hair
            counts, which is no part of the mesh.
        bare: the part of it that is nearest to the face or an ear, not to scalp or neck: hair above
            and behind does not count, hair that hangs beside cheek or ear does.
        shoulders: the band below the head that is half as high as it.
    """

    head: float
    bare: float
    shoulders: float

    def metrics(self) -> dict[str, float]:
        """For quality.json."""
        return {
            "silhouette_iou": self.head,
            "silhouette_iou_without_hair": self.bare,
            "silhouette_iou_shoulders": self.shoulders,
        }


def measure(
    rig: HeadRig,
    params: RigParams,
    cameras: Cameras,
    alphas: AlphaStore,
    rows: Int[np.ndarray, "R"],
) -> Overlap:
    """Overlaps in the given frames."""
    timesteps, place = np.unique(alphas.timestep[rows], return_inverse=True)
    posed, turns = silhouette.pose(rig, params, timesteps)
    ratios = [
        _of_frame(
            rig, posed[at], turns[at, 1], cameras.viewmats[camera], cameras.Ks[camera],
            alphas.alpha(int(row)) >= 128,
        )
        for row, at, camera in zip(rows, place, alphas.camera[rows], strict=True)
    ]  # fmt: skip
    known = [[ratio for ratio in part if np.isfinite(ratio)] for part in zip(*ratios, strict=True)]
    return Overlap(*(float(np.mean(part)) if part else 0.0 for part in known))


def _of_frame(
    rig: HeadRig,
    verts: Float[np.ndarray, "V 3"],
    turn: Float[np.ndarray, "3 3"],
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
    person: Bool[np.ndarray, "H W"],
) -> tuple[float, float, float]:
    """The three ratios of one frame, NaN where there is nothing to compare.

    Args:
        turn: of the head.
    """
    faces, pixels = rig.faces.numpy(), silhouette.project(verts, viewmat, K)[0]
    if not np.isfinite(pixels).all():
        return np.nan, np.nan, np.nan
    of_head = ~rig.masks["neck"].numpy()[faces].any(1)
    step = max(1, int(np.ptp(pixels[faces[of_head], 1]) / ENOUGH))
    person, pixels = person[::step, ::step], (pixels - 0.5) / step + 0.5
    height, width = person.shape
    head = cover(pixels, faces[of_head], width, height)
    drawn = head | cover(pixels, faces[~of_head], width, height)
    if not head.any():
        return np.nan, np.nan, np.nan
    above = _above_chin(rig, pixels, viewmat[:2, :3] @ -turn[:, 1], head) & (head | ~drawn)
    return (
        _ratio(drawn, person, above),
        _ratio(drawn, person, above & _near_skin(rig, pixels, head, drawn)),
        _ratio(drawn, person, _below(head)),
    )


def _ratio(
    drawn: Bool[np.ndarray, "H W"],
    person: Bool[np.ndarray, "H W"],
    region: Bool[np.ndarray, "H W"],
) -> float:
    union = ((drawn | person) & region).sum()
    return float((drawn & person & region).sum() / union) if union else np.nan


def _above_chin(
    rig: HeadRig,
    pixels: Float[np.ndarray, "V 2"],
    down: Float[np.ndarray, "2"],
    head: Bool[np.ndarray, "H W"],
) -> Bool[np.ndarray, "H W"]:
    """Pixels in the drawn head's box, a little enlarged, and above the face's lowest point."""
    rows, columns = (np.flatnonzero(head.any(axis)) for axis in (1, 0))
    margin = MARGIN * (rows[-1] - rows[0])
    y, x = (np.arange(side) + 0.5 for side in head.shape)
    inside = [
        abs(centres - (filled[0] + filled[-1] + 1) / 2) < (filled[-1] - filled[0]) / 2 + margin
        for centres, filled in ((y, rows), (x, columns))
    ]
    lowest = (pixels[rig.masks["face"].numpy()] @ down).max()
    return np.logical_and.outer(*inside) & (np.add.outer(down[1] * y, down[0] * x) < lowest)


def _below(head: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    rows = np.flatnonzero(head.any(1))
    region = np.zeros_like(head)
    region[rows[-1] + 1 : rows[-1] + 1 + len(rows) // 2] = True
    return region


def _near_skin(
    rig: HeadRig,
    pixels: Float[np.ndarray, "V 2"],
    head: Bool[np.ndarray, "H W"],
    drawn: Bool[np.ndarray, "H W"],
) -> Bool[np.ndarray, "H W"]:
    """Pixels whose nearest pixel of the drawn mesh shows the face or an ear."""
    skin = rig.masks["face"]
    if "ears" in rig.masks:
        skin = skin | rig.masks["ears"]
    faces = rig.faces.numpy()[skin.numpy()[rig.faces].any(1)]
    height, width = head.shape
    shown = cover(pixels, faces[facing(pixels, faces)], width, height) & head
    _, nearest = cv2.distanceTransformWithLabels(
        (~drawn).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    is_skin = np.zeros(nearest.max() + 1, bool)
    is_skin[nearest[shown]] = True
    return is_skin[nearest]
