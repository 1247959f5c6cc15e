"""Refine the poses of a subject: results/<subject>/dataset.h5 -> results/<subject>/refine/.

Writes params.npz, the rig parameters of all timesteps that training uses, and quality.json. The
folder is swapped in when it is complete.
"""

import logging
import math
from pathlib import Path

import torch

from avatar.base import files
from avatar.base.folders import replacing
from avatar.base.memory import keep_freed_memory
from avatar.data.dataset import Dataset
from avatar.data.digest import dataset_sha256
from avatar.refine.poses import refine_poses
from avatar.refine.settings import RefineSettings
from avatar.render import default_device
from avatar.rig import HeadRig
from avatar.rig.params import check_rig
from avatar.train.refined import PARAMS, QUALITY
from avatar.train.run import memory_errors

log = logging.getLogger(__name__)

SEED = 0
_LESS_MEMORY = "end other programs, or set refine.enabled to false"


def refine(subject: str, results: Path, rig_path: Path, settings: RefineSettings) -> None:
    """Refine the parameters of one subject and write `results/<subject>/refine/`.

    Raises:
        UserError: no dataset, another rig than the dataset's, or too little memory.
    """
    # Numba's kernels use the cores; torch's thread pool would only wait.
    torch.set_num_threads(1)
    keep_freed_memory()
    home = results / subject
    rig = HeadRig.load(rig_path)
    with memory_errors(_LESS_MEMORY), Dataset(home / "dataset.h5") as dataset:
        params, metrics = dataset.params, dict[str, float]()
        check_rig(params, rig, str(dataset.path))
        if settings.enabled:
            params, metrics = refine_poses(dataset, rig, settings, SEED, default_device())
        assert (misfit := params.misfit(rig, len(dataset.sequence))) is None, misfit
        measures: dict[str, float | str | None] = {"dataset_sha256": dataset_sha256(dataset)}
        measures |= {name: v if math.isfinite(v) else None for name, v in metrics.items()}
        with replacing(home / "refine") as new:
            params.save(new / PARAMS)
            quality = {"status": "pass", "metrics": measures, "messages": []}
            files.write_json(new / QUALITY, quality)
    shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    log.info("%s: %s", home / "refine", shown or "the tracker's parameters, unchanged")
