"""What the stages of a subject left, as its report shows it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from avatar.base import made
from avatar.data.dataset import Dataset
from pipeline.common.gate import Quality
from pipeline.common.stage_files import read_json, read_table
from pipeline.evaluate.measures import METRICS
from pipeline.evaluate.summaries import state

PLACE = ("protocol", "region", "sequence", "timestep", "camera")
_CURVES = ("images", "loss", "psnr", "gaussians")


@dataclass(frozen=True)
class Record:
    """One subject.

    Attributes:
        subject: its name.
        summary: `eval/summary.json`.
        state: empty where the avatar is the one that was measured, see `summaries.state`.
        metrics: `eval/metrics.csv`, a row per frame and region.
        log: `avatar/train_log.csv`.
        quality: of the stages that wrote one, in the order of the data.
        stages: what the stamp of each stage tells: `date`, and `seconds`, `peak_mib` and `node`
            unless it was made by an earlier version; absent where it has no stamp.
        clips: sequence, camera, source and sha256 of each clip of the capture.
    """

    subject: str
    summary: dict[str, Any]
    state: str
    metrics: pd.DataFrame
    log: pd.DataFrame
    quality: dict[str, Quality]
    stages: dict[str, dict[str, Any]]
    clips: list[dict[str, Any]]


def read_record(home: Path, dataset: Dataset) -> Record:
    """Read what `results/<subject>` has.

    Raises:
        UserError: the subject is not evaluated, or a file is damaged.
    """
    again = "evaluate the subject again"
    summary = read_json(home / "eval/summary.json", "evaluate the subject first")
    paths = {stage: home / stage / "quality.json" for stage in made.STAGES}
    stamps = {stage: made.stamps(home, stage) for stage in made.STAGES}
    return Record(
        subject=home.name,
        summary=summary,
        state=state(home, summary),
        metrics=read_table(home / "eval/metrics.csv", PLACE, ("pose_distance", *METRICS), again),
        log=read_table(home / "avatar/train_log.csv", (), _CURVES, "train the subject again"),
        quality={stage: Quality.load(path) for stage, path in paths.items() if path.exists()},
        stages={
            stage: read_json(found[-1], "run its stage again")
            for stage, found in stamps.items()
            if found
        },
        clips=_clips(dataset),
    )


def _clips(dataset: Dataset) -> list[dict[str, Any]]:
    """The clips of the capture, as the dataset names them; empty where it does not."""
    try:
        clips = json.loads(dataset.attrs["sources_json"])["clips"]
        return [dict(clip) for clip in clips]
    except (ValueError, KeyError, TypeError):
        return []
