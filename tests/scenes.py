"""A small dataset of the toy rig: a painted mesh seen by a few cameras, as `dataset.h5`."""

from pathlib import Path

import numpy as np
import torch

from avatar.data import jpeg, png
from avatar.data.cameras import Cameras
from avatar.data.layout import ALPHA, HEAD, IMAGE, REGION, TEST, TORSO, TRAIN, VAL, Tables
from avatar.data.writer import create
from avatar.refine.run import refine
from avatar.refine.settings import RefineSettings
from avatar.render.mesh import interpolate, rasterize_mesh
from avatar.rig import HeadRig, RigParams
from avatar.rig.controls import CONTROLS
from avatar.rig.params import POSES

SIZE = 48
TRAIN_STEPS, TEST_STEPS = 4, 2


def ring_of_cameras(count: int, size: int = SIZE) -> Cameras:
    """Cameras 0.5 m from the origin, over 100 degrees of the front, looking at it."""
    focal = 1.6 * size
    viewmats = []
    for angle in np.linspace(-0.87, 0.87, count) if count > 1 else [0.0]:
        centre = 0.5 * np.array([np.sin(angle), 0.0, np.cos(angle)])
        forward = -centre / np.linalg.norm(centre)
        down = np.array([0.0, -1.0, 0.0])
        turn = np.stack([np.cross(down, forward), down, forward])
        viewmat = np.eye(4)
        viewmat[:3, :3], viewmat[:3, 3] = turn, -turn @ centre
        viewmats.append(viewmat)
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return Cameras(
        [f"{i:02d}" for i in range(count)],
        np.repeat(K[None], count, 0),
        np.stack(viewmats),
        np.full((count, 2), size),
        np.zeros((count, 5)),
        np.zeros(count),
    )


def moving_params(rig: HeadRig, timesteps: int, seed: int = 0) -> RigParams:
    """Small random poses and expressions; a training sequence `a` and a held-out one `b`."""
    random = np.random.default_rng(seed)

    def normal(width: int, size: float) -> torch.Tensor:
        return torch.tensor(random.normal(0, size, (timesteps, width)), dtype=torch.float32)

    sequence = np.where(np.arange(timesteps) < TRAIN_STEPS, "a", "b")
    index = np.where(sequence == "a", np.arange(timesteps), np.arange(timesteps) - TRAIN_STEPS)
    return RigParams(
        shape=torch.zeros(rig.num_shape),
        static_offset=torch.zeros(rig.num_verts, 3),
        expr=normal(rig.num_expr, 1.0),
        rotation=normal(3, 0.1),
        neck_pose=normal(3, 0.05),
        jaw_pose=normal(3, 0.05),
        eyes_pose=normal(6, 0.05),
        translation=normal(3, 0.003),
        neck_shift=normal(3, 0.002),
        soft_offset=normal(3 * CONTROLS, 0.0003),
        sequence=sequence,
        index=index,
        time=index / 25,
        valid=np.ones(timesteps, bool),
        rig=rig.name,
        rig_sha256=rig.sha256,
    )


def paint(rig: HeadRig) -> np.ndarray:
    """A smooth colour [V,3] for every vertex."""
    waves = rig.v_template.numpy() @ np.random.default_rng(1).normal(0, 40, (3, 3))
    return 0.5 + 0.4 * np.sin(waves)


def pass_on(home: Path, rig_path: Path) -> None:
    """`results/<subject>/refine` as the stage leaves it where it is switched off."""
    refine(home.name, home.parent, rig_path, RefineSettings(enabled=False))


def write_scene(path: Path, rig: HeadRig, cameras: int = 4, seed: int = 0) -> Path:
    """`dataset.h5` with 4 training and 2 test timesteps; camera C//2 is held out if C >= 4."""
    steps = TRAIN_STEPS + TEST_STEPS
    views, params, colors = ring_of_cameras(cameras), moving_params(rig, steps, seed), paint(rig)
    faces = rig.faces.numpy()
    parts = np.where(rig.masks["neck"].numpy()[faces].all(1), TORSO, HEAD)
    camera = np.repeat(np.arange(cameras), steps)
    timestep = np.tile(np.arange(steps), cameras)
    held = cameras // 2 if cameras >= 4 else -1
    split = np.where(camera == held, VAL, TRAIN)
    split[timestep >= TRAIN_STEPS] = TEST
    with create(path) as writer:
        for c, t in zip(camera, timestep, strict=True):
            verts = rig(**params.poses(torch.tensor([t])))[0].detach().numpy()
            ids, weights, _ = rasterize_mesh(
                verts, faces, views.viewmats[c], views.Ks[c], SIZE, SIZE
            )
            image = interpolate(colors, faces, ids, weights)
            writer.append(IMAGE, jpeg.encode((image * 255).astype(np.uint8)))
            writer.append(ALPHA, png.encode(((ids >= 0) * 255).astype(np.uint8)))
            writer.append(REGION, png.encode(np.where(ids >= 0, parts[ids], 0).astype(np.uint8)))
        writer.write_tables(
            Tables(
                views.ids, views.sizes, params.sequence, params.index, params.time,
                camera, timestep,
            )
        )  # fmt: skip
        writer.write_arrays("cameras", {"K": views.Ks, "viewmat": views.viewmats})
        writer.write_arrays("timesteps", {"valid": params.valid})
        writer.write_arrays("frames", {"split": split.astype(np.uint8)})
        names = ("shape", "static_offset", *POSES)
        writer.write_arrays("rig", {name: getattr(params, name).numpy() for name in names})
        writer.write_attributes({"rig": rig.name, "rig_sha256": rig.sha256, "subject": "toy"})
    return path
