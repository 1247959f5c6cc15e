"""The rig parameters that an avatar is trained with: `results/<subject>/refine/`."""

from pathlib import Path

import numpy as np

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.data.digest import dataset_sha256
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import check_rig

PARAMS, QUALITY = "params.npz", "quality.json"


def refined_params(home: Path, dataset: Dataset, rig: HeadRig) -> RigParams:
    """What the stage refine made of the dataset's parameters.

    Args:
        home: `results/<subject>`.
    Raises:
        UserError: absent, damaged, of another rig, or made from another dataset.
    """
    path = home / "refine" / PARAMS
    again = f"run 'snakemake {home.name} --forcerun refine'"
    params = RigParams.load(path, again)
    check_rig(params, rig, str(path))
    if misfit := params.misfit(rig, len(dataset.sequence)):
        raise UserError(f"{path}: {misfit}: {again}")
    same = [np.array_equal(getattr(params, n), getattr(dataset, n)) for n in ("sequence", "index")]
    if not all(same) or _made_from(path.with_name(QUALITY)) != dataset_sha256(dataset):
        raise UserError(f"{path} was made from another {dataset.path.name}: {again}")
    return params


def _made_from(path: Path) -> str:
    """Hash of the dataset that the stage read; empty where the file is damaged."""
    try:
        return str(files.read_json(path)["metrics"]["dataset_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
