"""Scoreboard of held-out quality: python -m benchmarks.holdout --clips FOLDER --demo

The workflow makes the avatar of every capture (preset `quick`) in `results/holdout/`: what
Snakemake finds made there stays, so a run that was stopped goes on. A capture of which a stage
fails becomes a row with the reason. PSNR is over white, mean of the frames:

- training: frames of the training part, evenly spread, rendered with the avatar's parameters.
- held out: `self_reenactment`; refined: `self_reenactment_refined`; new view: `novel_view`.
- near, far: held-out frames at most and more than 5 degrees from the nearest training pose.
- gain: against `BEFORE`, the protocol `self_reenactment` of an earlier commit, refined or not.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from avatar.base import cli, files, made
from avatar.base.errors import UserError
from avatar.base.version import code_version
from avatar.data.dataset import Dataset
from avatar.data.frames import composite
from avatar.data.layout import TRAIN
from avatar.evaluate.metrics import psnr, squared_error
from avatar.evaluate.renders import render_rows
from avatar.evaluate.scores import map_regions, rig_regions
from avatar.gaussians.avatar_file import Avatar, load_avatar
from avatar.rig import HeadRig
from benchmarks import report, stages
from benchmarks.held_out_yaw import run_workflow
from pipeline.graph.captures import DEMO
from pipeline.media import SUFFIXES

SETTINGS = {"train": {"preset": "quick"}}
SOURCES = ["avatar", "pipeline", "workflow"]
SPREAD = 40  # frames of the training part
WHITE = np.ones(3, np.float32)
# PSNR of self_reenactment at commit d067a4a, preset quick: full, mask and head, where measured.
# The address and the demo are means of all held-out frames, the others of 40 spread over them.
BEFORE: dict[str, dict[str, float]] = {
    "address": {"full": 21.20, "mask": 19.00},
    "black_hair_woman_512": {"full": 19.07, "mask": 17.30, "head": 18.44},
    "demo": {"full": 28.17, "mask": 26.54},
    "dim_light_man_480": {"full": 24.62, "mask": 23.51, "head": 22.77},
    "facekit": {"full": 22.61, "mask": 22.13, "head": 21.52},
    "glasses_512x480": {"full": 23.35, "mask": 22.57, "head": 22.67},
    "long_hair_woman_512": {"full": 17.96, "mask": 19.42, "head": 18.71},
}
HELD, NEW = "self_reenactment", "novel_view"
REFINED = "self_reenactment_refined"
# The columns of each table: title, and name in the measurements.
FULL = {
    "n": "n",
    "distance, degrees": "distance",
    "training": "training full",
    "held out": f"{HELD} full",
    "gain": f"gain {HELD} full",
    "near": f"{HELD} full_near",
    "far": f"{HELD} full_far",
    "refined": f"{REFINED} full",
    "refined, gain": f"gain {REFINED} full",
    "refined, near": f"{REFINED} full_near",
    "refined, far": f"{REFINED} full_far",
    "new view": f"{NEW} full",
}


def of_region(region: str) -> dict[str, str]:
    """The columns of one region."""
    return {
        "training": f"training {region}",
        "held out": f"{HELD} {region}",
        "gain": f"gain {HELD} {region}",
        "refined": f"{REFINED} {region}",
        "refined, gain": f"gain {REFINED} {region}",
    }


HEAD, MASK = of_region("head"), of_region("mask") | {"new view": f"{NEW} mask"}
PARTS = {
    f"{region}: {title}": f"{protocol} {region}"
    for region in ("torso", "mouth", "eyes")
    for title, protocol in (("training", "training"), ("held out", HELD), ("refined", REFINED))
}
SECONDS = {stage: f"seconds {stage}" for stage in (*made.STAGES, "all")}
TABLES = {
    "Full frame": FULL, "Foreground (alpha of at least one half)": MASK, "Head": HEAD,
    "Other regions": PARTS, "Wall time of the last run of each stage, seconds": SECONDS,
}  # fmt: skip
FORMATS = {"n": ".0f", "distance": ".1f", "gain": "+.2f", "seconds": ".0f"}


def label(capture: Path) -> str:
    """What a capture is called: its file or folder, without the name of a person."""
    name = capture.absolute().parent.name if capture.name == "capture" else capture.stem
    return "address" if name.endswith("_address") else name


def videos(folder: Path) -> list[Path]:
    """Every video file of a folder.

    Raises:
        UserError: there is none.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"--clips {folder} has no video file: name a folder of videos")
    return found


def make(work: Path, captures: list[Path], demo: bool, cores: str) -> None:
    """Let the workflow make every subject; what is made stays, and one that fails stops no other.

    Raises:
        UserError: two captures have the same name; or the workflow failed, and no subject did.
    """
    subjects = [*map(label, captures), *([DEMO] if demo else [])]
    if len(set(subjects)) < len(subjects):
        raise UserError(f"two captures have the same name: rename one of {', '.join(subjects)}")
    (work / "captures").mkdir(parents=True, exist_ok=True)
    for path in captures:
        link = work / "captures" / f"{label(path)}{path.suffix if path.is_file() else ''}"
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
    ended = run_workflow(work, SETTINGS, "--keep-going", "--cores", cores, *subjects)
    if ended.returncode and not any(failure(work / "results" / name) for name in subjects):
        raise UserError("the workflow failed, though every subject is made: see its lines above")


def failure(home: Path) -> str:
    """Why a subject is not finished; empty if it is."""
    if made.stamps(home, "evaluate"):
        return ""
    records = sorted((home / "failures").glob("*.json"))
    reasons = [f"{path.stem}: {files.read_json(path)['error']}" for path in records]
    return "; ".join(reasons).replace("|", "\\|") or "no evaluation, and no error line"


def measure(home: Path, rig: HeadRig) -> dict[str, float]:
    """The figures of a finished subject, by column."""
    summary = files.read_json(home / "eval" / "summary.json")
    found = {
        f"{protocol} {region}": scores["psnr"]
        for protocol, of_protocol in summary["protocols"].items()
        for region, scores in of_protocol["regions"].items()
    }
    frames = pd.read_csv(home / "eval" / "metrics.csv")
    held = frames[(frames.protocol == HELD) & (frames.region == "full")]
    found |= {"n": len(held), "distance": held.pose_distance.mean()}
    avatar = load_avatar(home / "avatar", rig)
    with Dataset(home / "dataset.h5") as dataset:
        return found | training_scores(avatar, rig, dataset)


def training_scores(avatar: Avatar, rig: HeadRig, dataset: Dataset) -> dict[str, float]:
    """PSNR by region of frames spread over the training part."""
    rows = dataset.rows(TRAIN)
    rows = rows[np.lexsort((dataset.camera[rows], dataset.timestep[rows]))]
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), SPREAD)).astype(int)]
    scores: dict[str, list[float]] = {}
    for frame in render_rows(avatar, rig, dataset, rows, WHITE):
        alpha, camera = dataset.alpha(frame.row), int(dataset.camera[frame.row])
        truth = composite(dataset.image(frame.row), alpha, WHITE)
        error = squared_error(frame.image, truth)
        regions = {"full": np.full(alpha.shape, True), "mask": alpha >= 128}
        regions |= map_regions(dataset.region(frame.row))
        regions |= rig_regions(rig, frame.verts, dataset.cameras, camera)
        for region, inside in regions.items():
            scores.setdefault(f"training {region}", []).append(psnr(float(error[inside].mean())))
    return {name: float(np.mean(values)) for name, values in scores.items()}


def gains(found: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """What each protocol gained against the figures from before."""
    return {
        f"gain {protocol} {region}": found.get(f"{protocol} {region}", np.nan) - known
        for protocol in (HELD, REFINED)
        for region, known in before.items()
    }


def seconds(logs: Path) -> dict[str, dict[str, float]]:
    """Wall time of each stage's last run, and of all, by subject; from Snakemake's logs."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted(logs.glob("*.log")):
        for job in stages.jobs(path.read_text(encoding="utf-8")):
            if job.rule in made.STAGES:
                found.setdefault(job.subject, {})[f"seconds {job.rule}"] = job.seconds
    return {name: times | {"seconds all": sum(times.values())} for name, times in found.items()}


def cell(column: str, value: float) -> str:
    """A figure as the tables show it; empty where there is none."""
    return "" if np.isnan(value) else f"{value:{FORMATS.get(column.split()[0], '.2f')}}"


def table(frame: pd.DataFrame, columns: dict[str, str], failed: dict[str, str]) -> str:
    """One table: a row a capture, the reason in place of figures where it failed."""
    empty = [""] * (len(columns) - 1)
    rows = [
        [name, *([failed[name], *empty] if name in failed else map(cell, figures.index, figures))]
        for name, figures in frame.reindex(columns=list(columns.values())).iterrows()
    ]
    return report.table(["capture", *columns], rows)


def scoreboard(
    found: dict[str, dict[str, float]], failed: dict[str, str], clips: list[str], others: list[str]
) -> str:
    """All tables; the first names the captures that failed. Last, the mean of the clips.

    Args:
        clips, others: names of the captures of one camera, and of the rest, as rows follow.
    """
    rows = {name: found.get(name, {"n": np.nan}) for name in (*clips, *others)}
    frame = pd.DataFrame.from_dict(rows, orient="index")
    finished = [name for name in clips if name in found]
    if finished:
        means = frame.loc[finished].mean().drop("n")
        frame.loc[f"mean of {len(finished)} of {len(clips)} one-camera clips"] = means
    parts = []
    for title, columns in TABLES.items():
        shown = frame if columns is FULL else frame.drop(index=list(failed))
        parts.append(f"{title}:\n\n{table(shown, columns, failed)}")
    return "\n\n".join(parts)


def other_code(homes: list[Path]) -> str:
    """The subjects whose avatars were kept from other code of the same stage version."""
    versions = {h.name: files.read_json(h / "eval/summary.json")["code_version"] for h in homes}
    others = [name for name, version in versions.items() if version != code_version()]
    return f"\n\nAvatars kept from an earlier commit: {', '.join(others)}." if others else ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, help="folder; each of its videos is a subject")
    parser.add_argument("--captures", type=Path, nargs="+", default=[], help="folders of cameras")
    parser.add_argument("--demo", action="store_true", help="the demo too")
    parser.add_argument("--cores", default="all")
    parser.add_argument("--results", type=Path, default=Path("results"))
    report.add_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips = videos(args.clips) if args.clips else []
    captures = [*clips, *args.captures]
    if not (captures or args.demo):
        parser.error("no capture: give --clips, --captures or --demo")
    work = args.results / "holdout"
    make(work, captures, args.demo, args.cores)
    rig = HeadRig.load(work / "results/rigs/anny.npz")
    single = [label(path) for path in clips]
    others = [*map(label, args.captures), *([DEMO] if args.demo else [])]
    homes = [work / "results" / name for name in (*single, *others)]
    failed = {home.name: reason for home in homes if (reason := failure(home))}
    finished = [home for home in homes if home.name not in failed]
    times = seconds(work / ".snakemake/log")
    found = {}
    for home in cli.progress(finished, "captures"):
        figures = measure(home, rig)
        found[home.name] = figures | gains(figures, BEFORE.get(home.name, {}))
        found[home.name] |= times.get(home.name, {})
    body = scoreboard(found, failed, single, others) + other_code(finished)
    report.publish("docs/held_out.md", "holdout", body, SOURCES, args.write)


if __name__ == "__main__":
    main()
