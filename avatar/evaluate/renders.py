"""Renders of a trained avatar, as frames of its dataset show it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float, Int

from avatar.data.dataset import Dataset
from avatar.data.frames import camera_tensors
from avatar.evaluate.protocols import PROTOCOLS
from avatar.gaussians.avatar_file import Avatar
from avatar.refine.through import refine_through
from avatar.render import Views, render
from avatar.rig import HeadRig

_BATCH = 8  # images rendered at a time


@dataclass(frozen=True)
class RenderedFrame:
    """A frame's render, how much of each pixel it covers, and the mesh it was driven by."""

    row: int
    image: Float[np.ndarray, "H W 3"]
    coverage: Float[np.ndarray, "H W"]
    verts: Float[np.ndarray, "V 3"]


def protocol_rows(dataset: Dataset, protocol: str) -> Int[np.ndarray, "R"]:
    """The frames of a protocol, by timestep, then camera."""
    rows = dataset.rows(PROTOCOLS[protocol].split)
    if last := PROTOCOLS[protocol].last:
        rows = rows[np.isin(dataset.timestep[rows], np.unique(dataset.timestep[rows])[-last:])]
    return rows[np.lexsort((dataset.camera[rows], dataset.timestep[rows]))]


def as_driven(avatar: Avatar, rig: HeadRig, dataset: Dataset, protocol: str) -> Avatar:
    """The avatar with the parameters that drive it in a protocol.

    Only a refined protocol looks at frames: those of its own timesteps. The Gaussians stay as they
    are.
    """
    if not PROTOCOLS[protocol].refined:
        return avatar
    timesteps = np.unique(dataset.timestep[protocol_rows(dataset, protocol)])
    return replace(avatar, params=refine_through(avatar, rig, dataset, timesteps))


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
                views = Views(*camera_tensors(dataset.cameras, dataset.camera[chosen]))
                output = render(world, views.to(device), behind)
                images, covers = output.rgb.clamp(0, 1).cpu(), output.alpha[..., 0].cpu()
                for row, image, cover in zip(chosen, images.numpy(), covers.numpy(), strict=True):
                    yield RenderedFrame(int(row), image, cover, verts.numpy())
