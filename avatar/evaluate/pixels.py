"""What a protocol shows of a frame and of its render.

- `all`: both as they are, over the same background.
- `head`: the truth without its torso (Zielonka et al., INSTA, 2023, and those who measure alike),
  over black; the render of an avatar that was trained without torso, or whose torso is black. Black
  Gaussians hide what lies behind them, as the torso does in the frame. The cut through the truth is
  not made in the render: what the avatar shows beyond it is an error.
- `above_neck`: in both, the background below a line through the neck's lower edge (Qian et al.,
  GaussianAvatars, 2024).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from avatar.data.cameras import Cameras
from avatar.data.dataset import Dataset
from avatar.data.frames import composite
from avatar.data.head_only import without_torso
from avatar.data.layout import NECK, TORSO
from avatar.data.regions import face_regions
from avatar.evaluate.protocols import Part, Protocol
from avatar.evaluate.renders import RenderedFrame, render_rows
from avatar.gaussians.avatar_file import Avatar
from avatar.gaussians.model import color_to_sh
from avatar.rig import HeadRig

BLUR = 0.03  # of the width
STEEPEST = 1.0  # slope of the line; from the side, the edge's ends lie one behind the other


@dataclass(frozen=True)
class Pair:
    """A frame and its render, as a protocol shows them.

    Attributes:
        row: of the dataset.
        truth, image: RGB 0..1 over the same background.
        alpha: of the truth, 0..1.
        coverage: of the render, 0..1; None where a black torso covers what it should not.
        regions: the dataset's region map.
        verts: the mesh that drove the render, metres, world frame.
    """

    row: int
    truth: Float[np.ndarray, "H W 3"]
    image: Float[np.ndarray, "H W 3"]
    alpha: Float[np.ndarray, "H W"]
    coverage: Float[np.ndarray, "H W"] | None
    regions: UInt8[np.ndarray, "H W"]
    verts: Float[np.ndarray, "V 3"]

    @property
    def difference(self) -> Float[np.ndarray, "H W 3"]:
        """Render minus truth."""
        return self.image - self.truth


def shown_gaussians(avatar: Avatar, rig: HeadRig, part: Part) -> Avatar:
    """The avatar as a part is rendered: for `head` the Gaussians of a torso are black."""
    if part != "head" or not avatar.torso:
        return avatar
    binding = avatar.gaussians.binding
    torso = torch.from_numpy(face_regions(rig) == TORSO).to(binding.device)[binding]
    black = {"sh_dc": float(color_to_sh(torch.zeros(3))[0]), "sh_rest": 0.0, "basis_colors": 0.0}
    painted = {
        name: torch.where(torso[:, None, None], value, getattr(avatar.gaussians, name))
        for name, value in black.items()
    }
    return replace(avatar, gaussians=replace(avatar.gaussians, **painted))


def show(
    avatar: Avatar,
    rig: HeadRig,
    dataset: Dataset,
    protocol: Protocol,
    rows: Int[np.ndarray, "R"],
    background: float,
) -> Iterator[Pair]:
    """What a protocol shows of frames and of their renders, in the order of the rows.

    Args:
        avatar: with the parameters that drive it, see `renders.as_driven`.
        rows: of the protocol, those of one timestep together.
        background: grey level of the settings.
    """
    behind = np.full(3, protocol.grey(background), np.float32)
    pairs = Pairs(protocol.part, rig, dataset.cameras, behind, avatar.torso)
    shown = shown_gaussians(avatar, rig, protocol.part)
    for frame in render_rows(shown, rig, dataset, rows, behind):
        stored = (dataset.image(frame.row), dataset.alpha(frame.row), dataset.region(frame.row))
        yield pairs(frame, *stored, int(dataset.camera[frame.row]))


class Pairs:
    """Makes the pairs of a part.

    Args:
        background: RGB 0..1; the renders are over the same one.
        torso: whether the avatar has one.
    """

    def __init__(
        self,
        part: Part,
        rig: HeadRig,
        cameras: Cameras,
        background: Float[np.ndarray, "3"],
        torso: bool = True,
    ) -> None:
        self._part, self._cameras, self._background = part, cameras, background
        self._covers = part != "head" or not torso
        self._edge = neck_edge(rig) if part == "above_neck" else None

    def __call__(
        self,
        rendered: RenderedFrame,
        image: UInt8[np.ndarray, "H W 3"],
        alpha: UInt8[np.ndarray, "H W"],
        regions: UInt8[np.ndarray, "H W"],
        camera: int,
    ) -> Pair:
        """The pair of a frame: its image, alpha and region map as they are stored."""
        if self._part == "head":
            alpha = without_torso(alpha, regions)
        pair = Pair(
            rendered.row,
            composite(image, alpha, self._background),
            rendered.image,
            alpha / np.float32(255),
            rendered.coverage if self._covers else None,
            regions,
            rendered.verts,
        )
        if self._edge is None:
            return pair
        points = project(rendered.verts[self._edge], self._cameras, camera)
        kept = above_line(points, *alpha.shape)
        truth, image = (
            self._background + kept[..., None] * (picture - self._background)
            for picture in (pair.truth, pair.image)
        )
        alpha, coverage = kept * pair.alpha, kept * rendered.coverage
        return replace(pair, truth=truth, image=image, alpha=alpha, coverage=coverage)


def neck_edge(rig: HeadRig) -> Int[np.ndarray, "3"]:
    """Vertices of the border of neck and torso: the subject's leftmost, rightmost, foremost.

    Raises:
        ValueError: the rig has no such border.
    """
    regions, faces = face_regions(rig), rig.faces.cpu().numpy()
    edge = np.intersect1d(faces[regions == TORSO], faces[regions == NECK])
    if not len(edge):
        raise ValueError(f"rig {rig.name}: no vertex lies between neck and torso")
    x, _, z = rig.v_template[edge].cpu().numpy().T
    return edge[[x.argmax(), x.argmin(), z.argmax()]]


def project(
    points: Float[np.ndarray, "P 3"], cameras: Cameras, camera: int
) -> Float[np.ndarray, "P 2"]:
    """Pixels of points (metres, world frame) in a camera's frames."""
    viewmat = cameras.viewmats[camera]
    seen = (points @ viewmat[:3, :3].T + viewmat[:3, 3]) @ cameras.Ks[camera].T
    return seen[:, :2] / seen[:, 2:]


def above_line(
    edge: Float[np.ndarray, "3 2"], height: int, width: int
) -> Float[np.ndarray, "{height} {width}"]:
    """1 above a line and 0 below, blurred between by a Gaussian of `BLUR` of the width.

    Args:
        edge: pixels of two points, to whose connection the line is parallel, and of one on it.
    """
    (dx, dy), (x, y) = edge[0] - edge[1], edge[2]
    slope = np.clip(dy / dx if dx else 0.0, -STEEPEST, STEEPEST)
    line = y + slope * (np.arange(width) + 0.5 - x)
    kept = (np.arange(height)[:, None] + 0.5 < line).astype(np.float32)
    size = int(BLUR * width) // 2 * 2 + 1
    blurred: Float[np.ndarray, "H W"] = cv2.GaussianBlur(
        kept, (size, size), size, borderType=cv2.BORDER_REPLICATE
    )
    return blurred
