"""A bare toy head, and its alpha in toy cameras, for the tests of outlines."""

from pathlib import Path

import numpy as np
import torch

from avatar.data.cameras import Cameras
from avatar.data.reader import AlphaStore
from avatar.render.mesh import rasterize_mesh
from avatar.rig import HeadRig, RigParams
from avatar.rig.controls import CONTROLS
from tests.rigs import toy_rig
from tests.unit.pipeline.track.capture import SIZE, cameras, write_store


def bare_rig() -> HeadRig:
    """Bare all over, so that outlines count both ways."""
    rig = toy_rig()
    rig.masks["face"] = rig.masks["skin"] & ~rig.masks["neck"]
    return rig


def toy_cameras(count: int) -> Cameras:
    Ks, viewmats = cameras(count)
    names = [str(camera) for camera in range(count)]
    sizes = np.full((count, 2), SIZE)
    return Cameras(names, Ks, viewmats, sizes, np.zeros((count, 5)), np.zeros(count))


def still(rig: HeadRig, shape: list[float]) -> RigParams:
    """One timestep of an identity, the head turned a little."""
    zero = torch.zeros(1, 3)
    return RigParams(
        torch.tensor(shape), torch.zeros(rig.num_verts, 3), torch.zeros(1, 4),
        torch.tensor([[0.05, 0.2, 0.0]]), zero, zero, torch.zeros(1, 6), zero, zero,
        torch.zeros(1, 3 * CONTROLS),
        np.array(["main"]), np.array([0]), np.array([0.0]), np.array([True]), "toy", rig.sha256,
    )  # fmt: skip


def alphas_of(folder: Path, rig: HeadRig, params: RigParams, rigged: Cameras) -> AlphaStore:
    """The alpha of a mesh at every timestep."""
    with torch.no_grad():
        posed = rig(**params.poses(torch.arange(len(params)))).double().numpy()
    alphas = [
        (255 * (rasterize_mesh(verts, rig.faces.numpy(), view, K, SIZE, SIZE)[0] >= 0))
        for view, K in zip(rigged.viewmats, rigged.Ks, strict=True)
        for verts in posed
    ]
    frames = [alpha.astype(np.uint8) for alpha in alphas]
    write_store(folder / "alpha.h5", frames, cams=len(rigged), timesteps=len(params))
    return AlphaStore(folder / "alpha.h5")
