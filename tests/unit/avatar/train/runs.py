"""Runs of training for tests: presets that use everything, and runs cut short."""

import torch

from avatar.data.dataset import Dataset
from avatar.rig import HeadRig
from avatar.train.checkpoint import Snapshot
from avatar.train.presets import QUICK, Preset, override
from avatar.train.trainer import Trainer

KEY = {"dataset": "a", "preset": "b", "seed": "0", "code": "c"}
# Three training cameras and four timesteps; steps of four images. Densified at 40, 60, 80; reset
# at 64; degree 1 from 32 on; a basis, corrected cameras and every optional loss.
EVERYTHING = override(
    QUICK,
    {
        "images": 96,
        "sh_degree": 1,
        "sh_interval": 32,
        "start": {"color_frames": 2},
        "batch": {"background": "random"},
        "loss": {"opacity": 0.01, "alpha": 0.1},
        "density": {
            "interval": 20,
            "first": 20,
            "last": 100,
            "reset_interval": 64,
            "most": 900,
            "gradient": 1e-6,
        },
        "basis": {"size": 3},
        "correct_colors": True,
    },
)
BUDGET = override(
    EVERYTHING,
    {"density": {"kind": "budget", "noise": 1000.0, "min_opacity": 0.4, "reset_interval": 0}},
)


def a_snapshot(images: int, value: float = 1.0) -> Snapshot:
    """A small one."""
    return Snapshot({"x": torch.full((3,), value)}, {"images": images, "share": 0.1 + 0.2})


def advance(trainer: Trainer, images: int) -> None:
    """Train until so many images are done."""
    for _ in trainer.steps():
        if trainer.images >= images:
            return


def assert_same(one: Trainer, two: Trainer) -> None:
    """All that the next step depends on is equal, bit for bit."""
    first, second = one.snapshot(), two.snapshot()
    assert first.numbers == second.numbers
    assert first.tensors.keys() == second.tensors.keys()
    for name, value in first.tensors.items():
        assert torch.equal(value, second.tensors[name]), name


_runs: dict[str, Trainer] = {}


def finished(dataset: Dataset, rig: HeadRig, preset: Preset) -> Trainer:
    """The uninterrupted run, once for each kind."""
    kind = preset.density.kind
    if kind not in _runs:
        _runs[kind] = Trainer(dataset, dataset.params, rig, preset)
        for _ in _runs[kind].steps():
            pass
        assert len(_runs[kind].gaussians) > len(rig.faces)
    return _runs[kind]
