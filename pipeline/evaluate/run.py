"""Measure a trained avatar: results/<subject>/{dataset.h5,avatar/} -> results/<subject>/eval/.

Writes metrics.csv (a row per frame and region), summary.json (means per protocol and region) and
comparison.mp4 (truth, render and FLIP error side by side).
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, UInt8

from avatar.base import cli, files
from avatar.base.errors import UserError
from avatar.base.folders import replacing
from avatar.base.version import code_version
from avatar.data.dataset import Dataset
from avatar.data.digest import dataset_sha256
from avatar.data.layout import TEST, UNUSED
from avatar.evaluate.metrics import PIXELS_PER_DEGREE, flip
from avatar.evaluate.pixels import Pair, show
from avatar.evaluate.poses import pose_distances
from avatar.evaluate.protocols import PROTOCOLS, Protocol
from avatar.evaluate.renders import as_driven, protocol_rows
from avatar.evaluate.scores import Box, FrameScores, filled, map_regions, rig_boxes, score_frame
from avatar.gaussians.avatar_file import Avatar, load_avatar
from avatar.losses.lpips import Lpips, load_lpips
from avatar.render import default_device
from avatar.rig import HeadRig
from pipeline.common.parallel import threaded
from pipeline.evaluate.landmarks import LandmarkDistance
from pipeline.evaluate.measures import METRICS, SPREAD, spread
from pipeline.evaluate.settings import EvaluateSettings
from pipeline.media import write_video

log = logging.getLogger(__name__)

# Of the avatar's metadata, repeated in summary.json.
OF_AVATAR = (
    *("rig", "seed", "overrides_hash", "images", "seconds", "gaussians"),
    *("code_version", "torch_version", "dataset_sha256", "date"),
)
NEAR = 5.0  # degrees from the nearest training pose, at most
# A frame, whether the costly metrics are measured, and the difference one frame earlier.
Job = tuple[Pair, bool, Float[np.ndarray, "H W 3"] | None]
_BAND = 20  # pixels of caption above the video


def evaluate(
    subject: str, results: Path, rig_path: Path, group: str, settings: EvaluateSettings
) -> dict[str, Any]:
    """Evaluate one subject; writes `results/<subject>/eval/` and returns the summary.

    Raises:
        UserError: the dataset or the avatar is absent, damaged, of another rig, or the avatar was
            trained on another dataset; LPIPS's weights are absent or others. The former `eval/`
            stays until the new one is complete.
    """
    torch.set_num_threads(1)  # each thread measures a frame; see `threaded`
    cv2.setNumThreads(1)
    home = results / subject
    lpips = None if settings.lpips is None else load_lpips(settings.lpips)
    rig = HeadRig.load(rig_path)
    avatar = load_avatar(home / "avatar", rig, default_device())
    with Dataset(home / "dataset.h5") as dataset, replacing(home / "eval") as folder:
        check_origin(avatar.about, dataset, home / "avatar")
        job = _Evaluation(dataset, avatar, rig, settings, lpips)
        measured = [
            protocol
            for name, protocol in PROTOCOLS.items()
            if len(protocol_rows(dataset, name))
            and (settings.refined or not protocol.refined)
            and protocol.fits(avatar.torso)
        ]
        if not measured:
            raise UserError(f"{home / 'dataset.h5'} holds out no timestep: set pack.split")
        write_video(
            folder / "comparison.mp4",
            (frame for protocol in measured for frame in job.measure(protocol)),
            playback_rate(dataset),
            preset="superfast",
        )
        about = {"subject": subject, "group": group} | describe(avatar)
        about |= {
            "background": settings.background,
            "flip_pixels_per_degree": PIXELS_PER_DEGREE,
            "near_degrees": NEAR,
            "costly_frames": settings.costly_frames,
            "lpips_backbone": settings.lpips.backbone if settings.lpips else None,
            "unused_frames": len(dataset.rows(UNUSED)),
        }
        table = pd.DataFrame(job.rows)
        table.insert(0, "preset", about["preset"])
        table.insert(0, "subject", subject)
        described = {p.name: p.describe(settings.background) for p in measured}
        found = summarise(table)
        protocols = {name: described[name] | found[name] for name in described}
        summary = about | {"protocols": protocols}
        with files.atomic(folder / "metrics.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
        files.write_json(folder / "summary.json", summary)
    return summary


def check_origin(about: dict[str, Any], dataset: Dataset, folder: Path) -> None:
    """Refuse an avatar that was trained on another dataset; warn if the code was another.

    Raises:
        UserError: the hashes of both datasets.
    """
    trained, present = str(about.get("dataset_sha256")), dataset_sha256(dataset)
    if trained != present:
        raise UserError(
            f"{folder} was trained on another dataset ({trained[:12]}), "
            f"{dataset.path} is {present[:12]}: train the subject again"
        )
    if about["code_version"] != code_version():
        log.warning(
            "%s was trained by code %s, this is %s", folder, about["code_version"], code_version()
        )


def describe(avatar: Avatar) -> dict[str, Any]:
    """What a summary repeats of its avatar's metadata."""
    about = {name: avatar.about[name] for name in OF_AVATAR}
    return {"preset": avatar.about["preset"]["name"], "torso": avatar.torso} | about


class _Evaluation:
    """Frames of one protocol after the other: measured in threads, shown in order."""

    def __init__(
        self,
        dataset: Dataset,
        avatar: Avatar,
        rig: HeadRig,
        settings: EvaluateSettings,
        lpips: Lpips | None,
    ) -> None:
        self._dataset, self._avatar, self._rig = dataset, avatar, rig
        self._settings, self._lpips = settings, lpips
        held = dataset.rows(TEST)
        self._distance = np.full(len(dataset), np.nan)
        self._distance[held] = pose_distances(avatar.params, dataset, held)
        self._landmarks = LandmarkDistance()
        self._boxes: dict[tuple[int, bool], dict[str, Box]] = {}
        self.rows: list[dict[str, Any]] = []

    def measure(self, protocol: Protocol) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Add a protocol's scores to the table; yields the frames of its video."""
        name = protocol.name
        chosen = protocol_rows(self._dataset, name)
        costly = evenly_spread(chosen, self._settings.costly_frames)
        # A cut away torso is the same in all frames: those of the costly metrics show enough.
        offered = chosen if protocol.part == "all" else costly
        limit = self._settings.video_frames
        in_video = set(video_rows(self._dataset.camera, offered, limit).tolist())

        def score(job: Job) -> tuple[FrameScores, UInt8[np.ndarray, "_ _ 3"] | None]:
            frame = self._score(protocol, *job)
            return frame, comparison(frame, name) if frame.row in in_video else None

        jobs = self._jobs(protocol, chosen, set(costly.tolist()))
        for frame, picture in cli.progress(threaded(score, jobs), name, total=len(chosen)):
            if frame.flip is not None:
                frame.scores["full"] |= self._perceived(frame)
            self.rows += self._table_rows(name, frame)
            if picture is not None:
                yield picture

    def _jobs(
        self, protocol: Protocol, chosen: Int[np.ndarray, "R"], costly: set[int]
    ) -> Iterator[Job]:
        """The frames of a protocol, by timestep, then camera."""
        dataset, rig = self._dataset, self._rig
        avatar = as_driven(self._avatar, rig, dataset, protocol.name)
        last: dict[int, tuple[int, Float[np.ndarray, "H W 3"]]] = {}  # by camera: timestep, error
        # HDF5 is read here, not in the threads: it lets one in at a time.
        for pair in show(avatar, rig, dataset, protocol, chosen, self._settings.background):
            row, camera = pair.row, int(dataset.camera[pair.row])
            timestep = int(dataset.timestep[row])
            before, difference = last.get(camera, (-1, None))
            follows = before == timestep - 1 and dataset.index[timestep] > 0
            last[camera] = timestep, pair.difference
            yield pair, row in costly, difference if follows else None

    def _score(
        self,
        protocol: Protocol,
        pair: Pair,
        costly: bool,
        before: Float[np.ndarray, "H W 3"] | None,
    ) -> FrameScores:
        regions = map_regions(pair.regions) | self._rig_regions(protocol, pair)
        if protocol.part != "all":
            regions.pop("torso", None)
        return score_frame(pair, regions, costly, before)

    def _rig_regions(self, protocol: Protocol, pair: Pair) -> dict[str, Bool[np.ndarray, "H W"]]:
        """As `scores.rig_regions`; protocols with the same parameters show the same mesh."""
        mesh = pair.row, protocol.refined
        if mesh not in self._boxes:
            cameras, camera = self._dataset.cameras, int(self._dataset.camera[pair.row])
            self._boxes[mesh] = rig_boxes(self._rig, pair.verts, cameras, camera)
        return filled(self._boxes[mesh], *pair.alpha.shape)

    def _perceived(self, frame: FrameScores) -> dict[str, float]:
        """What networks see in the whole frame: landmarks and LPIPS, one frame at a time."""
        found = {"landmarks": self._landmarks(_bytes(frame.image), _bytes(frame.truth))}
        if self._lpips is not None:
            with torch.no_grad():
                pictures = (torch.from_numpy(v).float() for v in (frame.image, frame.truth))
                found["lpips"] = float(self._lpips(*pictures))
        return found

    def _table_rows(self, protocol: str, frame: FrameScores) -> list[dict[str, Any]]:
        dataset = self._dataset
        timestep = int(dataset.timestep[frame.row])
        where = {
            "sequence": str(dataset.sequence[timestep]),
            "timestep": timestep,
            "camera": dataset.camera_ids[dataset.camera[frame.row]],
            "pose_distance": self._distance[frame.row],
        }
        return [
            {"protocol": protocol, "region": region, **where}
            | {name: scores.get(name, np.nan) for name in METRICS}
            for region, scores in frame.scores.items()
        ]


def summarise(table: pd.DataFrame) -> dict[str, Any]:
    """Means over frames, per protocol and region, and of parts of the frames where there are both.

    `full_near` and `full_far`: test frames at most and above `NEAR` degrees from training;
    `full_seen_cameras` and `full_new_camera`: of cameras that training has and has not.
    """
    new = set(table.camera[table.protocol == "novel_view"])
    protocols: dict[str, Any] = {}
    for protocol, of_protocol in table.groupby("protocol", sort=False):
        parts = {str(region): part for region, part in of_protocol.groupby("region", sort=False)}
        full = parts["full"]
        parts |= _both(full, {"full_near": full.pose_distance <= NEAR,
                              "full_far": full.pose_distance > NEAR})  # fmt: skip
        parts |= _both(full, {"full_seen_cameras": ~full.camera.isin(new),
                              "full_new_camera": full.camera.isin(new)})  # fmt: skip
        regions = {region: _scores(part) for region, part in parts.items()}
        protocols[str(protocol)] = {"regions": regions}
    return protocols


def _scores(part: pd.DataFrame) -> dict[str, float | None]:
    """Number of frames; of each metric its mean, or None, and its spread (`measures.SPREAD`)."""
    scores: dict[str, float | None] = {"n": len(part)}
    for name in METRICS:
        values = part[name].dropna().to_numpy(float)
        found = spread(values) if len(values) else {}
        scores[name] = found.get("mean")
        scores |= {f"{name}_{key}": found[key] for key in SPREAD if found}
    return scores


def _both(full: pd.DataFrame, chosen: dict[str, pd.Series]) -> dict[str, pd.DataFrame]:
    """The chosen rows by name; nothing where one of them has none."""
    return (
        {k: full[v] for k, v in chosen.items()} if all(map(pd.Series.any, chosen.values())) else {}
    )


def evenly_spread(rows: Int[np.ndarray, "R"], count: int) -> Int[np.ndarray, "S"]:
    """At most so many of the rows, the first and the last among them."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def video_rows(
    camera: Int[np.ndarray, "M"], rows: Int[np.ndarray, "R"], limit: int
) -> Int[np.ndarray, "S"]:
    """The frames to show: one camera (the middle one), evenly thinned to the limit."""
    cameras = np.unique(camera[rows])
    middle = rows[camera[rows] == cameras[len(cameras) // 2]]
    return middle[:: max(1, -(-len(middle) // limit))]


def playback_rate(dataset: Dataset) -> float:
    """Frames per second of the capture, 5 to 30."""
    steps = np.diff(dataset.time)
    steps = steps[steps > 0]
    return float(np.clip(1 / np.median(steps), 5, 30)) if len(steps) else 25.0


def pictures(frame: FrameScores) -> dict[str, UInt8[np.ndarray, "H W 3"]]:
    """A frame as `truth`, `render` and `error`: FLIP from 0 (black) to 1 (bright yellow), magma."""
    difference = flip(frame.image, frame.truth) if frame.flip is None else frame.flip
    error = cv2.applyColorMap(_bytes(difference), cv2.COLORMAP_MAGMA)[..., ::-1]
    return {"truth": _bytes(frame.truth), "render": _bytes(frame.image), "error": error}


def comparison(frame: FrameScores, protocol: str) -> UInt8[np.ndarray, "H W 3"]:
    """Its `pictures` side by side under a caption."""
    images = np.concatenate(list(pictures(frame).values()), 1)
    band = np.full((_BAND, images.shape[1], 3), 255, np.uint8)
    psnr = frame.scores["full"]["psnr"]
    for column, text in enumerate(("truth", f"{protocol} {psnr:.1f} dB", "FLIP")):
        left = 4 + column * images.shape[1] // 3
        cv2.putText(
            band, text, (left, _BAND - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA
        )
    return np.concatenate([band, images])


def _bytes(image: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def report(summary: dict[str, Any]) -> str:
    """The means of a summary, a line per protocol and region."""
    return "\n".join(
        f"{protocol:24} {region:9} n {scores['n']:4}  "
        + "  ".join(f"{m} {scores[m]:.3f}" for m in METRICS if scores[m] is not None)
        for protocol, found in summary["protocols"].items()
        for region, scores in found["regions"].items()
    )
