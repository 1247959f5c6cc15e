"""How well an avatar follows another person, and stays who it is: protocol `cross_reenactment`.

The avatar is rendered from the front in the driver's motion. A detector looks at the renders and
at the driver's own frames; docs/protocols.md defines what is measured. The neutral face is
rendered once more as the camera of the avatar's capture sees it, and compared with that capture.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

import avatar
from avatar.animate import motion, transfer
from avatar.animate.loaded import WHITE, HeadAvatar, rig_file, to_bytes
from avatar.base import cli, files
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.frames import camera_tensors
from avatar.data.reader import FrameStore
from avatar.evaluate.poses import head_turns
from avatar.evaluate.protocols import CROSS_REENACTMENT
from avatar.render import Views, default_device
from avatar.rig import RigParams
from avatar.rig.params import POSES
from pipeline.detect.landmarks import detect_images
from pipeline.drive import drivers
from pipeline.evaluate import faces
from pipeline.evaluate.run import describe
from pipeline.evaluate.summaries import CROSS_FOLDER

SIZE = (512, 512)


@dataclass(frozen=True)
class Filmed:
    """The frames of a capture that one camera took, and what the detector finds in them.

    Attributes:
        params: the motion, T timesteps.
        camera: that took the frames.
        points: pixels, NaN where there is no frame or no face.
    """

    params: RigParams
    camera: Views
    points: faces.Points

    @property
    def neutral(self) -> Float[np.ndarray, "468 2"]:
        """The neutral face, pixels."""
        return faces.mean_face(self.points[faces.neutral(self.points, turns(self.params))])


def turns(params: RigParams) -> Float[np.ndarray, "T"]:
    """Degrees of the head from its mean pose."""
    rotations = head_turns(params)
    left, _, right = np.linalg.svd(rotations.mean(0))
    cosines = (np.einsum("tij,ij->t", rotations, left @ right) - 1) / 2
    return np.degrees(np.arccos(cosines.clip(-1, 1)))


def detected(
    images: Iterable[UInt8[np.ndarray, "H W 3"]], sequence: np.ndarray, what: str
) -> faces.Points:
    """Landmarks of the frames of a motion, each sequence as a stream.

    Args:
        sequence: of each frame, those of one together.
        what: the frames show, for progress and error.
    Raises:
        UserError: no frame shows a face.
    """
    stream = iter(cli.progress(images, what, len(sequence)))
    counts = [len(list(rows)) for _, rows in groupby(sequence.tolist())]
    parts = [detect_images(islice(stream, count), tracking=True).points for count in counts]
    points = np.concatenate(parts)
    if not np.isfinite(points).any():
        raise UserError(f"no face is found in the frames of {what}: nothing can be measured")
    return points


def filmed(home: Path, params: RigParams) -> Filmed:
    """The frames of a capture, of the camera that sees the face most straight on.

    Args:
        home: with `ingest/` and `track/`.
        params: of its timesteps.
    Raises:
        UserError: frames or cameras are absent or damaged, or no face is found.
    """
    cameras = Cameras.load(home / "track/cameras.json")
    ahead = head_turns(params)[:, :, 2].mean(0)
    camera = int((cameras.viewmats[:, 2, :3] @ ahead).argmin())
    with FrameStore(home / "ingest/frames.h5") as store:
        rows = np.flatnonzero(store.camera == camera)
        rows = rows[np.argsort(store.timestep[rows])]
        steps = store.timestep[rows]
        if len(store.sequence) != len(params):
            raise UserError(
                f"{home}: ingest has {len(store.sequence)} timesteps, the track {len(params)}: "
                f"run 'snakemake {home.name} --until track'"
            )
        images = (store.image(int(row)) for row in rows)
        found = detected(images, params.sequence[steps], str(home))
    points = np.full((len(params), *found.shape[1:]), np.nan, np.float32)
    points[steps] = found
    return Filmed(params, Views(*camera_tensors(cameras, np.array([camera]))), points)


def measure(of: HeadAvatar, own: Filmed, driver: Filmed) -> dict[str, float]:
    """The measures of an avatar in a driver's motion; `n`: frames with a face in both videos.

    Args:
        own: the avatar's capture.
        driver: another person's.
    Raises:
        UserError: no face is found in the renders.
    """
    driven = transfer.transferred(of.recorded, driver.params, of.rig)
    images = _images(of, driven, of.front(SIZE, len(driven)))
    points = detected(images, driven.sequence, "the driven avatar")
    still = faces.neutral(points, turns(driven))
    poses = {pose: getattr(driven, pose)[still] for pose in POSES}
    rest = motion.moved(of.recorded, poses, driven.time[still])
    views = own.camera._replace(
        viewmats=own.camera.viewmats.expand(len(still), 1, 4, 4),
        Ks=own.camera.Ks.expand(len(still), 1, 3, 3),
    )
    # Poses in no order: each picture on its own.
    shown = detect_images(_images(of, rest, views)).points
    if not np.isfinite(shown).any():
        raise UserError("no face is found in the avatar's neutral face: nothing can be measured")
    face = faces.mean_face(shown)
    return {
        "n": int(np.isfinite(points + driver.points)[:, 0, 0].sum()),
        "jaw": faces.correlation(points, driver.points, faces.LIPS),
        "blink": faces.correlation(points, driver.points, faces.LIDS),
        "lids": faces.closed(points),
        "lids_driver": faces.closed(driver.points),
        "identity": faces.difference(face, own.neutral),
        "identity_driver": faces.difference(face, driver.neutral),
    }


def _images(
    of: HeadAvatar, driven: RigParams, views: Views
) -> Iterable[UInt8[np.ndarray, "H W 3"]]:
    """Renders over white, a batch in memory at a time."""
    for rgb, _ in of.frames(driven, views, WHITE):
        yield from to_bytes(rgb)


def check_driver(subject: str, by: str, same_person: bool) -> None:
    """Refuse what is no reenactment by another person.

    Raises:
        UserError: the driver has no frames, or shows the avatar's person.
    """
    if by == drivers.SWEEP or Path(by).suffix.lower() in drivers.FILES:
        raise UserError(
            f"--measure: {by} has no frames to compare with: give --by a subject or a video"
        )
    if same_person or by == subject:
        raise UserError(
            f"--measure: {by} shows {subject}, expected another person: eval/ compares an avatar "
            "with frames of its own"
        )


def write_summary(subject: str, results: Path, by: str, rig: Path | None = None) -> Path:
    """Measure the avatar of `results/<subject>` in another person's motion.

    Args:
        by: another subject of the same results, or a video.
        rig: the rig's npz file; the one in `results/rigs/` if None.
    Returns:
        The path of the summary, `cross_reenactment/<by>.json` in the subject's folder.
    Raises:
        UserError: no avatar, no such driver, one that does not fit the avatar, or no face is found.
    """
    home = results / subject
    rig = rig or rig_file(home)
    of = avatar.load(home, str(default_device()), rig)
    place, track = drivers.tracked(by, of, home, rig)
    own = filmed(home, drivers.read_track(home, of))
    found = measure(of, own, filmed(place, track))
    words = {key: getattr(CROSS_REENACTMENT, key) for key in ("frames", "pixels", "parameters")}
    summary: dict[str, Any] = {"protocol": CROSS_REENACTMENT.name, "subject": subject}
    summary |= {"driver": Path(by).name} | describe(of.avatar) | words
    summary["scores"] = {
        name: value if math.isfinite(value) else None for name, value in found.items()
    }
    path = home / CROSS_FOLDER / f"{Path(by).stem}.json"
    files.write_json(path, summary)
    return path
