"""Accuracy of the track by `track.hold_out`: python -m benchmarks.hold_out

For every setting the demo is tracked in a temporary folder, and its parameters are compared with
the truth, separately at training and at held-out timesteps.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as pipeline.track does; before NumPy is loaded

import numpy as np
import torch

from avatar.data.split import default_timesteps
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import POSES
from benchmarks import report
from benchmarks.track import SOURCES, score
from pipeline.track.run import track_subject
from pipeline.track.settings import HoldOut, TrackSettings
from pipeline.track.solve.held_out import WORDS


def some(params: RigParams, chosen: np.ndarray) -> RigParams:
    """A track at some of its timesteps."""
    rows = torch.from_numpy(np.flatnonzero(chosen))
    per_timestep = ("sequence", "index", "time", "valid")
    arrays = {name: getattr(params, name)[chosen] for name in per_timestep}
    poses = {name: getattr(params, name)[rows] for name in POSES}
    return replace(params, **poses, **arrays)


def tracked(home: Path, rig: Path, setting: HoldOut) -> RigParams:
    """The track of a subject with a setting of `hold_out`."""
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / home.name
        other.mkdir()
        for part in ("ingest", "matte"):
            (other / part).symlink_to((home / part).resolve())
        track_subject(other, rig, TrackSettings(hold_out=setting))
        return RigParams.load(other / "track" / "params.npz")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("results/demo"))
    parser.add_argument("--rig", type=Path, default=Path("results/rigs/anny.npz"))
    report.add_option(parser)
    args = parser.parse_args()
    rig = HeadRig.load(args.rig)
    truth = RigParams.load(args.home / "truth" / "params.npz")
    verts = np.load(args.home / "truth" / "verts.npy")
    held = default_timesteps(truth.sequence, np.ones(len(truth), bool))
    rows = []
    for setting in WORDS:
        params = tracked(args.home, args.rig, setting)
        for words, chosen in (("training", ~held), ("held out", held)):
            got = score(rig, some(params, chosen), some(truth, chosen), verts[chosen])
            mean = np.mean(list(got.correlations.values()))
            figures = (got.face_mm, got.rotation_degrees, mean)
            rows.append([setting, words, *(f"{figure:.2f}" for figure in figures)])
    header = [
        "track.hold_out", "timesteps", "face error, mm", "rotation, degrees", "mean correlation"
    ]  # fmt: skip
    body = report.table(header, rows)
    report.publish("docs/quality.md", "hold_out_track", body, SOURCES, args.write)


if __name__ == "__main__":
    main()
