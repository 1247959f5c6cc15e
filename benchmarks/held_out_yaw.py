"""Avatar at poses far from its training: python -m benchmarks.held_out_yaw

Draws a variant of the demo whose truth is known: one video of 300 frames of 256x256 pixels from a
camera in front, without calibration; light and shoulders are still, the neck turns the head. In
the training part (the first 210 frames) the head's yaw stays within 10 degrees; in the held-out
part it stays there at first, then sweeps 25 to 45 degrees to either side. The expressions are the
same in both parts, so what is lost from near to far held-out frames is lost by the pose.

The workflow makes the avatar (preset `quick`) in `results/held_out_yaw/<commit>/`; a finished one
is not made again. The columns:

- distance: mean angle between the true head and the nearest one of training.
- PSNR: as the protocols measure it, and on the true head.
- head, torso, degrees: mean angle between the rotation that drives the avatar and the true one,
  after the constant rotation that fits best on the training frames.
- torso, pixels: mean distance of the projected vertices of the shoulders from the true ones, after
  the constant shift of each vertex that fits best on the training frames.
- holes: share of the true head (alpha of at least 0.9) where the render's alpha is below a half.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, UInt8

from avatar.base import files
from avatar.data.cameras import Cameras
from avatar.data.dataset import Dataset
from avatar.data.frames import camera_tensors, composite
from avatar.data.layout import HEAD, TEST, TRAIN
from avatar.data.split import FRACTION
from avatar.evaluate.metrics import psnr, squared_error
from avatar.gaussians.avatar_file import Avatar, load_avatar
from avatar.render import Views, render
from avatar.render.mesh import project
from avatar.rig import HeadRig, RigParams
from benchmarks import report
from benchmarks.neck import shoulders
from benchmarks.track import head_turn
from pipeline.demo import motion
from pipeline.demo.capture import DemoSettings, make_demo
from pipeline.ingest.framing import Framing
from pipeline.pack.regions import RegionMaps
from pipeline.track.solve import rotations

SUBJECT = "yaw"
FRAMES, TRAINING = 300, 1 - FRACTION  # and the share that the default split trains on
NEAR, FAR = 15.0, 25.0  # degrees of yaw to either side: at most, at least
MOST_LOST = 3.0  # dB from near to far poses: the target
SURE, HOLE = 0.9, 0.5  # alphas: of the truth's head, of a hole in the render
ROUNDS = 3  # of the expressions in the training part; the held-out part has one
# Frame and degrees.
YAW = [
    (0, 0), (30, 10), (75, -10), (120, 9), (160, -9), (195, 8), (209, 5), (219, -7), (228, 8),
    (238, 25), (248, 45), (258, 25), (274, -25), (284, -45), (294, -25), (299, -14),
]  # fmt: skip
PITCH = [
    (0, 2), (40, -5), (90, 6), (140, -6), (180, 4), (209, 0), (235, 5), (262, -4), (284, 4),
    (299, 0),
]  # fmt: skip
ROLL = [(0, 0), (50, 3), (100, -3), (150, 2), (209, 0), (250, -2), (299, 2)]
SETTINGS = {
    "ingest": {"size_mono": 256},
    "pack": {"gate": "warn"},
    "train": {"preset": "quick"},
}
SOURCES = ["avatar", "pipeline", "workflow"]
Turns = Float[np.ndarray, "T 3 3"]


def script() -> motion.Script:
    """The demo's talking, several times over, on shoulders that keep still."""
    parts = [*np.linspace(0, TRAINING, ROUNDS + 1), 1.0]
    talk = motion.SEQUENCES["a_talk"]
    acts = {name: repeated(talk[name], parts) for name in talk if name not in motion.POSES}
    gaze = {name: repeated(talk[name], parts) for name in ("gaze_side", "gaze_down")}
    heads = {"neck_yaw": YAW, "neck_pitch": PITCH, "neck_roll": ROLL}
    head: dict[str, motion.Track] = {
        name: [(frame / (FRAMES - 1), degrees) for frame, degrees in track]
        for name, track in heads.items()
    }
    return motion.Script({"main": acts | gaze | head}, sway=0.0)


def repeated(track: motion.Track, parts: list[float]) -> motion.Track:
    """A track once in each of the parts between the given times."""
    return [
        (begin + time * (end - begin), value)
        for begin, end in pairwise(parts)
        for time, value in track
    ]


def make(work: Path, rig: Path) -> None:
    """Draw the capture, and let the workflow make its avatar; what is finished stays."""
    if not (work / "film" / "capture" / "cameras.json").exists():
        film = DemoSettings(cameras=1, timesteps=FRAMES)
        make_demo(work / "film", HeadRig.load(rig), film, script())
    (work / "captures").mkdir(exist_ok=True)
    shutil.copy2(work / "film/capture/main/cam_00.mp4", work / "captures" / f"{SUBJECT}.mp4")
    (work / "results/rigs").mkdir(parents=True, exist_ok=True)
    shutil.copy2(rig, work / "results/rigs/anny.npz")
    run_workflow(work, SETTINGS, "--cores", "all", SUBJECT).check_returncode()


def run_workflow(
    work: Path, settings: dict[str, Any], *arguments: str
) -> subprocess.CompletedProcess[bytes]:
    """Run Snakemake in another folder by this repository's workflow, with settings of its own."""
    files.write_json(work / "config/config.yaml", settings)
    snakemake = str(Path(sys.executable).with_name("snakemake"))
    command = [snakemake, "--snakefile", str(report.ROOT / "workflow/Snakefile"), *arguments]
    paths = os.pathsep.join([str(report.ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.run(command, cwd=work, env=environment, check=False)


@dataclass(frozen=True)
class Posed:
    """Parameters, their mesh, and the camera in pixels of the stored frames."""

    params: RigParams
    verts: Float[np.ndarray, "T V 3"]
    cameras: Cameras

    @property
    def head(self) -> Turns:
        """The head's rotation in the camera's axes: the tracker has a world of its own."""
        return self.cameras.viewmats[0, :3, :3] @ head_turn(self.params)

    @property
    def torso(self) -> Turns:
        """The torso's rotation in the camera's axes."""
        root = rotations.exp(self.params.rotation.double().numpy())
        return self.cameras.viewmats[0, :3, :3] @ root

    def pixels(self, chosen: Bool[np.ndarray, "V"]) -> Float[np.ndarray, "T P 2"]:
        """Projected vertices, stored pixels."""
        view, K = self.cameras.viewmats[0], self.cameras.Ks[0]
        return np.stack([project(verts, view, K) for verts in self.verts[:, chosen]])


def posed(rig: HeadRig, params: RigParams, cameras: Cameras) -> Posed:
    """The rig moved by parameters."""
    with torch.no_grad():
        verts = rig(**params.poses(torch.arange(len(params)))).double().numpy()
    return Posed(params, verts, cameras)


def truth(film: Path, framing: Framing) -> Posed:
    """What was drawn."""
    cameras = Cameras.load(film / "capture" / "cameras.json")
    cameras.Ks[0] = framing.matrix @ cameras.Ks[0]
    cameras.sizes[0] = framing.size
    verts = np.load(film / "truth" / "verts.npy").astype(np.float64)
    return Posed(RigParams.load(film / "truth" / "params.npz"), verts, cameras)


def yaw(params: RigParams) -> Float[np.ndarray, "T"]:
    """Degrees to the subject's left of where the head looks; 0 is along the world's z."""
    ahead = head_turn(params)[:, :, 2]
    return np.degrees(np.arctan2(ahead[:, 0], ahead[:, 2]))


def angles(turns: Float[np.ndarray, "*B 3 3"]) -> Float[np.ndarray, "*B"]:
    """Degrees of rotations."""
    return np.degrees(np.linalg.norm(rotations.log(turns), axis=-1))


def distances(turns: Turns, training: Bool[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """Degrees from each rotation to the nearest one of training."""
    known = turns[training]
    return np.array([angles(known.swapaxes(1, 2) @ turn).min() for turn in turns])


def turn_errors(got: Turns, true: Turns, training: Bool[np.ndarray, "T"]) -> np.ndarray:
    """Degrees between rotations [T], after the constant one that fits best on training frames."""
    off = got.swapaxes(1, 2) @ true
    left, _, right = np.linalg.svd(off[training].mean(0))
    return angles((left @ right).T @ off)


def shifts(
    got: Float[np.ndarray, "T P 2"],
    true: Float[np.ndarray, "T P 2"],
    training: Bool[np.ndarray, "T"],
) -> Float[np.ndarray, "T"]:
    """Mean distance of points after the shift of each that fits best (median) on training."""
    off = got - true
    return np.linalg.norm(off - np.median(off[training], 0), axis=2).mean(1)


def holes(alpha: Float[np.ndarray, "H W"], head: Bool[np.ndarray, "H W"]) -> float:
    """Share of the head's pixels that a render of this alpha does not cover."""
    return float((alpha[head] < HOLE).mean())


def kinds(
    yaws: Float[np.ndarray, "T"], training: Bool[np.ndarray, "T"], held: Bool[np.ndarray, "T"]
) -> dict[str, Bool[np.ndarray, "T"]]:
    """The frames of each row of the table."""
    return {
        "training": training,
        "held out, all": held,
        "held out, near": held & (np.abs(yaws) <= NEAR),
        "held out, far": held & (np.abs(yaws) >= FAR),
    }


def stored_alphas(film: Path, framing: Framing) -> Iterator[UInt8[np.ndarray, "H W"]]:
    """The true alphas as ingest frames the images."""
    x, y, width, height = framing.window
    with np.load(film / "truth" / "alpha" / "main" / "cam_00.npz") as archive:
        for alpha in archive["alpha"]:
            yield framing.finish(alpha[y : y + height, x : x + width])


def measure_frames(
    avatar: Avatar, rig: HeadRig, dataset: Dataset, true: Posed, alphas: list[np.ndarray]
) -> pd.DataFrame:
    """PSNR and holes of every timestep, driven by the avatar's parameters."""
    white = np.ones(3, np.float32)
    region = RegionMaps(rig, true.params, true.cameras)
    views = Views(*camera_tensors(dataset.cameras, np.array([0])))
    rows = []
    for row, step in enumerate(dataset.timestep):
        with torch.no_grad():
            output = render(avatar.pose(rig, int(step))[1], views, torch.ones(3))
        image = output.rgb[0].clamp(0, 1).numpy()
        matte, alpha = dataset.alpha(row), alphas[step]
        error = squared_error(image, composite(dataset.image(row), matte, white))
        head = (region(int(step), 0, alpha) == HEAD) & (alpha >= 255 * SURE)
        areas = {"full": np.full(head.shape, True), "mask": matte >= 128, "face": head}
        scores = {name: psnr(float(error[area].mean())) for name, area in areas.items()}
        rows.append(scores | {"holes": 100 * holes(output.alpha[0, ..., 0].numpy(), head)})
    return pd.DataFrame(rows, dataset.timestep)


def measure_track(
    rig: HeadRig, got: Posed, true: Posed, training: Bool[np.ndarray, "T"]
) -> pd.DataFrame:
    """Distance from training, and the track's errors, of every timestep."""
    chosen = shoulders(rig)
    inside = true.pixels(chosen)[0]
    size = true.cameras.sizes[0]
    chosen[chosen] = ((inside >= 0) & (inside < size)).all(1)
    return pd.DataFrame({
        "distance": distances(true.head, training),
        "head": turn_errors(got.head, true.head, training),
        "torso": turn_errors(got.torso, true.torso, training),
        "shift": shifts(got.pixels(chosen), true.pixels(chosen), training),
    })  # fmt: skip


def table(frames: pd.DataFrame, rows: dict[str, Bool[np.ndarray, "T"]]) -> str:
    """Means by kind of frame, and what is lost from near to far."""
    decimals = {"distance": 1, "full": 2, "mask": 2, "face": 2, "head": 1, "torso": 1, "shift": 1}
    decimals |= {"holes": 2}
    means = {name: frames[chosen].mean() for name, chosen in rows.items()}
    body = [
        [name, int(rows[name].sum()), *(f"{found[key]:.{n}f}" for key, n in decimals.items())]
        for name, found in means.items()
    ]
    header = [
        "frames", "n", "distance, degrees", "PSNR", "mask PSNR", "head PSNR", "head, degrees",
        "torso, degrees", "torso, pixels", "holes, %",
    ]  # fmt: skip
    lost = means["held out, near"] - means["held out, far"]
    verdict = "met" if max(lost["full"], lost["mask"]) <= MOST_LOST else "missed"
    words = (
        f"Lost from near to far: {lost['full']:.2f} dB, mask {lost['mask']:.2f} dB "
        f"(target: at most {MOST_LOST} dB, {verdict})."
    )
    return f"{report.table(header, body)}\n\n{words}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--rig", type=Path, default=Path("results/rigs/anny.npz"))
    report.add_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    work = args.results / "held_out_yaw" / report.git("rev-parse", "--short", "HEAD")
    make(work, args.rig)
    home, rig = work / "results" / SUBJECT, HeadRig.load(args.rig)
    avatar = load_avatar(home / "avatar", rig)
    index = files.read_json(home / "ingest" / "index.json")
    framing = Framing.from_json(index["cameras"]["0"], None, 0)
    true = truth(work / "film", framing)
    with Dataset(home / "dataset.h5") as dataset:
        training, held = (
            np.isin(np.arange(FRAMES), dataset.timestep[dataset.rows(split)])
            for split in (TRAIN, TEST)
        )
        got = posed(rig, avatar.params, dataset.cameras)
        alphas = list(stored_alphas(work / "film", framing))
        frames = measure_track(rig, got, true, training).join(
            measure_frames(avatar, rig, dataset, true, alphas)
        )
    focal = [float(side.cameras.Ks[0, 0, 0]) for side in (got, true)]
    words = "Focal length found: {:.0f} pixels, true: {:.0f}.".format(*focal)
    body = f"{table(frames, kinds(yaw(true.params), training, held))} {words}"
    report.publish("docs/quality.md", "held_out_yaw", body, SOURCES, args.write)


if __name__ == "__main__":
    main()
