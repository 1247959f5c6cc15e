"""Tracks that another run or another program made, instead of a fit.

`choose` decides by the setting `track.external` and by what the capture brings; `read` gives rig
parameters of the rig in use, in our conventions, at the timesteps that ingest stored:

    params.npz            a plain track of headsplat, by sequence and index, of this very rig
    FLAME's parameters    of GaussianAvatars, VHAP or NeRSemble's benchmark (see `external.flame`)
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from avatar.base import files, npz
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from avatar.rig import HeadRig, RigParams
from pipeline.capture.layouts.headsplat import CAMERAS_FILE, PARAMS_FILE
from pipeline.capture.model import Capture, FlameTracks
from pipeline.capture.read import read_capture
from pipeline.track.external.arrays import REMEDY
from pipeline.track.external.assemble import Part, flame_params
from pipeline.track.external.flame import join, read_rows
from pipeline.track.external.plain import plain_params

__all__ = ["AUTO", "FIT", "Choice", "ExternalTrack", "choose", "read"]

AUTO, FIT = "auto", "fit"  # of the setting track.external; anything else is a path
FLAME = "flame"  # the rig that FLAME's parameters move


@dataclass(frozen=True)
class Choice:
    """Which external track is to be used: exactly one of `params` and `flame` is there.

    Attributes:
        params: a plain track; cameras: those it was fitted with (of the stored frames), or None.
        flame: files of FLAME's parameters.
        capture: of the subject, if known.
    """

    params: Path | None = None
    cameras: Path | None = None
    flame: FlameTracks | None = None
    capture: Capture | None = None


@dataclass(frozen=True)
class ExternalTrack:
    """An external track in our conventions.

    Attributes:
        params: of the rig in use; timesteps without a track are held and not valid.
        cameras: of the stored frames, in the track's world.
        source: what the track is, for people.
        remarks: what is not exact, one sentence each.
    """

    params: RigParams
    cameras: Cameras
    source: str
    remarks: list[str]


def choose(
    setting: str, subject: str, capture_path: str | Path | None, rig: HeadRig, remarks: list[str]
) -> Choice | None:
    """Find the external track to use, or None where the subject is to be fitted.

    Args:
        setting: `auto` takes what the capture brings, `fit` nothing; a path (`{subject}` in it is
            filled in) is of a params.npz, of a folder with that and its cameras.json, of an npz of
            FLAME's parameters, or of a folder with one of these for each `<sequence>.npz`.
        capture_path: None: not known.
        remarks: gets a sentence where the capture brings FLAME tracks and the rig is another.
    Raises:
        UserError: nothing usable at a path, or FLAME tracks by path and another rig.
    """
    if setting == FIT:
        return None
    capture = read_capture(capture_path) if capture_path is not None else None
    if setting != AUTO:
        chosen = _at_path(Path(setting.replace("{subject}", subject)), capture)
    elif capture is not None and (capture.params or capture.flame):
        flame = None if capture.params else capture.flame
        chosen = Choice(capture.params, None, flame, capture)
    else:
        return None
    if chosen.flame is None or rig.name == FLAME:
        return chosen
    if setting == AUTO:
        remarks.append(f"the capture brings FLAME tracks: set rig: {FLAME} to use them")
        return None
    raise UserError(
        f"settings: track.external is {setting!r}, tracks of FLAME, but the rig is {rig.name}: set "
        f"rig: {FLAME}"
    )


def _at_path(path: Path, capture: Capture | None) -> Choice:
    """What lies at the path of the setting; a file is told by its arrays."""
    cameras = path.with_name(CAMERAS_FILE) if path.is_file() else path / CAMERAS_FILE
    beside = cameras if cameras.is_file() else None
    if (path / PARAMS_FILE).is_file():
        return Choice(path / PARAMS_FILE, beside, capture=capture)
    if path.is_file():
        if "rig_sha256" in npz.names_in(path, REMEDY):
            return Choice(path, beside, capture=capture)
        return Choice(flame=FlameTracks({"": path}), capture=capture)
    found: dict[str, Path | dict[int, Path]] = {p.stem: p for p in sorted(path.glob("*.npz"))}
    if not found:
        raise UserError(
            f"settings: track.external is '{path}': expected params.npz, an npz of FLAME's "
            "parameters, or a folder with <sequence>.npz"
        )
    return Choice(flame=FlameTracks(found), capture=capture)


def read(
    chosen: Choice, home: Path, store: FrameStore, rig: HeadRig, given: Cameras, known: bool
) -> ExternalTrack:
    """Read the chosen track.

    Args:
        home: `results/<subject>`, with `ingest/`.
        given: cameras of the stored frames; known: whether they are calibrated.
    Raises:
        UserError: a file is damaged or of another kind, rig, capture or number of frames; or no
            cameras are known.
    """
    remarks: list[str] = []
    cameras = _cameras(chosen, store, given, known)
    if chosen.params is not None:
        params = plain_params(chosen.params, rig, store, remarks)
        return ExternalTrack(params, cameras, f"external tracks: {chosen.params}", remarks)
    parts = _parts(chosen, home / "ingest" / "index.json", store, rig, remarks)
    params, scale = flame_params(rig, parts, store.tables, remarks)
    if scale != 1:
        remarks.append(f"the world is in units of the tracks' scale, {scale:.4g} m")
    viewmats = cameras.viewmats.copy()
    viewmats[:, :3, 3] /= scale
    source = f"external tracks: FLAME's parameters as of {parts[0].rows.kind}"
    return ExternalTrack(params, replace(cameras, viewmats=viewmats), source, remarks)


def _cameras(chosen: Choice, store: FrameStore, given: Cameras, known: bool) -> Cameras:
    """Those that lie beside a track, else the calibration."""
    if chosen.cameras is None:
        if not known:
            raise UserError(
                f"camera {given.ids[0]!r} has no calibration, and an external track means little "
                "without its camera: give a folder with params.npz and the cameras.json of its fit "
                "as track.external, or set track.external: fit"
            )
        return given
    cameras = Cameras.load(chosen.cameras)
    if cameras.ids != store.camera_ids or not np.array_equal(cameras.sizes, store.sizes):
        raise UserError(
            f"{chosen.cameras} has other cameras or sizes than {store.path}: expected those of the "
            "stored frames, as track/cameras.json has them"
        )
    return cameras


def _parts(
    chosen: Choice, index: Path, store: FrameStore, rig: HeadRig, remarks: list[str]
) -> list[Part]:
    """The FLAME tracks of every sequence that has some."""
    assert chosen.flame is not None
    tracks = chosen.flame
    sequences = sorted(set(store.sequence.tolist()))
    tracked = tracks.files
    if "" in tracked:  # one file, of the only sequence
        if len(sequences) > 1:
            raise UserError(
                f"{tracked['']} is one file, but there are {len(sequences)} sequences: give a "
                "folder with <sequence>.npz as track.external"
            )
        tracked = {sequences[0]: tracked[""]}
    place, name, length = _source_frames(index, chosen.capture, len(store.sequence))
    parts = []
    for sequence in sequences:
        found = np.flatnonzero((store.sequence == sequence) & (place >= 0))
        source = tracked.get(sequence, {})
        if isinstance(source, dict):
            found = found[np.array([number in source for number in name[found].tolist()], bool)]
        if not len(found):
            continue
        if isinstance(source, dict):
            rows = join([read_rows(source[number], rig) for number in name[found].tolist()])
        else:
            rows = read_rows(source, rig)
            if len(rows) != length[found[0]]:
                raise UserError(
                    f"{source} has {len(rows)} frames, the clips of sequence {sequence} have "
                    f"{length[found[0]]}: are they of this capture?"
                )
            rows = rows.at(place[found])
        remarks += [r for r in rows.remarks if r not in remarks]
        parts.append(Part(sequence, rows, found, tracks.worlds.get(sequence, np.eye(4))))
    if not parts:
        raise UserError(f"{store.path}: no timestep has an external track: set track.external: fit")
    return parts


def _source_frames(
    index: Path, capture: Capture | None, count: int
) -> tuple[Int[np.ndarray, "T"], Int[np.ndarray, "T"], Int[np.ndarray, "T"]]:
    """Of every timestep the frame's place in its clip, what it is called there, the clip's length.

    -1 where no clip has it. Of several cameras the first that has the timestep counts.
    """
    clips = {(clip.sequence, clip.camera): clip for clip in capture.clips} if capture else {}
    frames = np.full((3, count), -1)
    try:
        for entry in files.read_json(index)["clips"]:
            places = np.array(entry["source_frames"], int)
            steps = np.array(entry["timesteps"], int)
            clip = clips.get((entry["sequence"], entry["camera"]))
            called = clip.numbers()[places] if clip else places
            length = np.full(len(places), entry["source_length"])
            new = frames[0, steps] < 0
            frames[:, steps[new]] = np.stack([places, called, length])[:, new]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        raise UserError(f"{index} does not fit the capture: run ingest again") from None
    return frames[0], frames[1], frames[2]
