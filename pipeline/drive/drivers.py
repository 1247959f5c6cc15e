"""What drives: where a motion comes from, and what it is for the avatar."""

from pathlib import Path

import numpy as np

from avatar.animate import motion_file, transfer
from avatar.animate.loaded import HeadAvatar
from avatar.animate.sweep import sweep
from avatar.base import names
from avatar.base.errors import UserError
from avatar.rig import RigParams
from avatar.rig.params import check_rig
from pipeline.drive.video import VideoDriver

SWEEP = "sweep"
FPS = 25.0  # of a sweep, where none is asked for
FILES = (".csv", ".json")
MOST_BRIDGED = 1.0  # seconds of a track without a face; more is a gap
TRACKS = ("refine/params.npz", "track/params.npz")  # of results/<subject>, the best first


def motion_by(
    by: str, driven: HeadAvatar, home: Path, rig: Path, same_person: bool, fps: float | None
) -> RigParams:
    """The avatar's parameters that a driver asks for.

    Args:
        by: `SWEEP`, a motion file, a video, or the name of a subject in the same results.
        home: `results/<subject>` of the avatar.
        rig: the rig's npz file.
        same_person: whether a subject's track or a video shows the avatar's person.
        fps: of a sweep.
    Raises:
        UserError: no such driver, or one that does not fit the avatar.
    """
    if by == SWEEP:
        return sweep(driven.recorded, driven.rig, fps or FPS)
    if Path(by).suffix.lower() in FILES:
        recording = motion_file.read(Path(by))
        return motion_file.to_motion(recording, driven.recorded, driven.rig)
    if by == home.name:
        return driven.recorded
    _, track = tracked(by, driven, home, rig, same_person)
    if same_person:
        return transfer.own_motion(driven.recorded, track)
    return transfer.transferred(driven.recorded, track, driven.rig)


def tracked(
    by: str, driven: HeadAvatar, home: Path, rig: Path, same_person: bool = False
) -> tuple[Path, RigParams]:
    """The folder of a driver that has frames, with `ingest/` and `track/`, and its motion.

    Args:
        by: a video, or the name of a subject in the same results.
        same_person: whether a video shows the avatar's person; its motion is then refined.
    Raises:
        UserError: no such driver, or one that does not fit the avatar.
    """
    if Path(by).suffix:
        video = VideoDriver(Path(by), home, driven, rig)
        return video.home, of_video(video, same_person)
    driver = home.parent / names.check_name(by, "subject")
    return driver, read_track(driver, driven)


def read_track(home: Path, driven: HeadAvatar) -> RigParams:
    """The motion of a tracked subject.

    Raises:
        UserError: it is not tracked, tracked with another rig, or without a face for long.
    """
    path = next((home / name for name in TRACKS if (home / name).is_file()), None)
    if path is None:
        raise UserError(
            f"{home.name!r} is no tracked subject in {home.parent}, no video, no motion file and "
            f"not {SWEEP!r}: run 'snakemake {home.name} --until track', or give the path of a file"
        )
    params = RigParams.load(path)
    check_rig(params, driven.rig, str(path))
    if (wrong := params.misfit(driven.rig, len(params))) is not None:
        raise UserError(f"{path}: {wrong}: track {home.name} again")
    check_gaps(params, path)
    return params


def of_video(video: VideoDriver, same_person: bool) -> RigParams:
    """The motion of a video; for the avatar's person refined through the avatar.

    Raises:
        UserError: no video, no face in it for long, or a track that fails its gate.
    """
    path = video.track()
    params = RigParams.load(path)
    check_gaps(params, path)
    return RigParams.load(video.refined()) if same_person else params


def check_gaps(params: RigParams, path: Path) -> None:
    """Refuse a track that has no face for longer than `MOST_BRIDGED`.

    Raises:
        UserError: the sequence, and where it has none.
    """
    for sequence in dict.fromkeys(params.sequence.tolist()):
        rows = np.flatnonzero(params.sequence == sequence)
        seen = params.time[rows[params.valid[rows]]]
        ends = np.concatenate([params.time[rows[:1]], seen, params.time[rows[-1:]]])
        gaps = np.diff(ends)
        if gaps.max() > MOST_BRIDGED:
            start = ends[int(gaps.argmax())]
            raise UserError(
                f"{path}: no face for {gaps.max():.1f} s from {start:.1f} s of sequence "
                f"{sequence!r}, at most {MOST_BRIDGED:g} s may: cut it there"
            )
