"""A toy subject on disk: what ingest, matte and track would have left, ready to pack."""

from pathlib import Path

import numpy as np
import torch

from avatar.base import files
from avatar.data import jpeg, png
from avatar.data.cameras import Cameras
from avatar.data.layout import ALPHA, IMAGE, Tables
from avatar.data.writer import create
from avatar.rig import RigParams
from avatar.rig.controls import CONTROLS
from pipeline.common.gate import Quality
from pipeline.pack.run import pack
from pipeline.pack.settings import PackSettings
from tests.rigs import toy_rig

SIZE = (12, 8)


def tables(sequences: dict[str, int], cameras: int) -> Tables:
    """Every camera has a frame at every timestep; rows by sequence, camera, index."""
    names = sorted(sequences)
    index = np.concatenate([np.arange(sequences[name]) for name in names])
    sequence = np.repeat(names, [sequences[name] for name in names])
    rows = [
        (camera, t)
        for name in names
        for camera in range(cameras)
        for t in np.flatnonzero(sequence == name)
    ]
    return Tables(
        camera_ids=[f"c{k}" for k in range(cameras)],
        sizes=np.array([SIZE] * cameras),
        sequence=sequence,
        index=index,
        time=index / 25,
        camera=np.array([camera for camera, _ in rows]),
        timestep=np.array([t for _, t in rows]),
    )


class Subject:
    """A subject's folder with ingest, matte and track done, 4 timesteps and 2 cameras."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "results/ann"
        self.rig_path = folder / "toy.npz"
        self.rig = toy_rig()
        self.rig.save(self.rig_path)
        self.tables = tables({"main": 4}, 2)
        clip = {
            "sequence": "main",
            "camera": "c0",
            "source": "a.mp4",
            "sha256": "0",
            "timesteps": [],
        }
        files.write_json(
            self.home / "ingest/index.json",
            {"version": 1, "capture": "captures/ann", "cameras": {}, "clips": [clip]},
        )
        self.lengthen(self.tables)
        Quality().save(self.home / "track/quality.json")

    def lengthen(self, table: Tables) -> None:
        """Write frames, alphas, parameters and cameras for other tables of two cameras."""
        self.tables = table
        random = np.random.default_rng(0)
        self.write_store("ingest/frames.h5", IMAGE, table)
        self.write_store("matte/alpha.h5", ALPHA, table)
        count = len(table.sequence)

        def noise(*shape: int) -> torch.Tensor:
            return torch.from_numpy(random.normal(size=shape).astype(np.float32))

        self.params = RigParams(
            shape=noise(self.rig.num_shape),
            static_offset=noise(self.rig.num_verts, 3),
            expr=noise(count, self.rig.num_expr),
            rotation=noise(count, 3),
            neck_pose=noise(count, 3),
            jaw_pose=noise(count, 3),
            eyes_pose=noise(count, 6),
            translation=noise(count, 3),
            neck_shift=noise(count, 3),
            soft_offset=noise(count, 3 * CONTROLS),
            sequence=self.tables.sequence,
            index=self.tables.index,
            time=self.tables.time,
            valid=np.ones(count, bool),
            rig=self.rig.name,
            rig_sha256=self.rig.sha256,
        )
        viewmats = np.tile(np.eye(4), (2, 1, 1))
        viewmats[:, 2, 3] = (0.9, 1.1)
        Ks = np.tile(np.array([[20.0, 0, 6], [0, 20, 4], [0, 0, 1]]), (2, 1, 1))
        self.cameras = Cameras(
            self.tables.camera_ids, Ks, viewmats, self.tables.sizes, np.zeros((2, 5)), np.zeros(2)
        )
        self.save()

    def save(self) -> None:
        self.params.save(self.home / "track/params.npz")
        self.cameras.save(self.home / "track/cameras.json")

    def write_store(self, name: str, channel: str, table: Tables) -> None:
        random = np.random.default_rng(1)
        with create(self.home / name) as writer:
            for _ in range(len(table.camera)):
                image = random.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
                blob = jpeg.encode(image) if channel == IMAGE else png.encode(image[..., 0])
                writer.append(channel, blob)
            writer.write_tables(table)

    def pack(self, settings: PackSettings | None = None) -> None:
        pack(self.home, self.rig_path, settings)
