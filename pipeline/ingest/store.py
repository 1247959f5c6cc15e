"""Decode, frame and encode the wanted frames of a capture, and number their timesteps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from avatar.base import cli, files
from avatar.data import jpeg
from avatar.data.layout import IMAGE, Tables
from avatar.data.writer import StoreWriter
from pipeline.capture.clip import Clip
from pipeline.capture.model import Capture
from pipeline.common.parallel import threaded
from pipeline.ingest.continuity import Continuity, thumbnail
from pipeline.ingest.framing import Framing
from pipeline.ingest.sync import Plan

_SAMPLES = 128  # thumbnails kept of a clip


@dataclass
class StoredClip:
    """What was stored of one clip.

    Attributes:
        clip: the clip.
        frames: number of each stored frame in the clip.
        places: of their timesteps in the plan of the sequence.
        continuity: cuts and repeated frames; `cuts` count in `frames`.
        samples: thumbnails spread over the longest part without a cut.
    """

    clip: Clip
    frames: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    continuity: Continuity = field(default_factory=Continuity)
    samples: UInt8[np.ndarray, "N side side 3"] | None = None

    def measure(self, thumbnails: list[np.ndarray]) -> None:
        """Measure the thumbnails of all its frames."""
        stack = np.stack(thumbnails)
        self.continuity = Continuity.of(stack)
        part = stack[self.continuity.longest(len(stack))]
        self.samples = part[:: -(-len(part) // _SAMPLES)].copy()


def count_frames(plans: dict[str, Plan]) -> int:
    """How many frames will be stored."""
    return sum(len(wanted) for plan in plans.values() for wanted in plan.wanted.values())


def store(
    capture: Capture,
    plans: dict[str, Plan],
    framings: dict[str, Framing],
    writer: StoreWriter,
    remark: Callable[[str], None],
) -> list[StoredClip]:
    """Decode, frame and encode every wanted frame; blobs go to the file in order."""
    cv2.setNumThreads(1)
    stored: list[StoredClip] = []
    thumbnails: list[np.ndarray] = []

    def encode(job: tuple[Clip, int, int, np.ndarray]) -> tuple[Clip, int, int, bytes, np.ndarray]:
        clip, number, place, image = job
        framing = framings[clip.camera]
        cut = framing.early is not None
        framed = framing.finish(image) if cut else framing.apply(image, str(clip.source))
        return clip, number, place, jpeg.encode(framed), thumbnail(framed)

    done = threaded(encode, _wanted_frames(capture, plans, framings, remark))
    for clip, number, place, blob, small in cli.progress(done, "ingest", count_frames(plans)):
        if not stored or stored[-1].clip is not clip:
            if stored:
                stored[-1].measure(thumbnails)
            stored.append(StoredClip(clip))
            thumbnails = []
        writer.append(IMAGE, blob)
        thumbnails.append(small)
        stored[-1].frames.append(number)
        stored[-1].places.append(place)
    if stored:
        stored[-1].measure(thumbnails)
    return stored


def _wanted_frames(
    capture: Capture,
    plans: dict[str, Plan],
    framings: dict[str, Framing],
    remark: Callable[[str], None],
) -> Iterator[tuple[Clip, int, int, UInt8[np.ndarray, "H W 3"]]]:
    """Clip, number in it, timestep's place and image of every frame to store."""
    for clip in capture.clips:
        wanted = plans[clip.sequence].wanted[clip.camera]
        window = framings[clip.camera].early
        for number, image in clip.frames(sorted(wanted), window, remark):
            yield clip, number, wanted[number], image


def tabulate(
    stored: list[StoredClip], plans: dict[str, Plan], framings: dict[str, Framing]
) -> Tables:
    """Number the timesteps that have a frame, once over all sequences."""
    rows = [(part.clip, place) for part in stored for place in part.places]
    steps = sorted({(clip.sequence, place) for clip, place in rows})
    number = {step: timestep for timestep, step in enumerate(steps)}
    of_sequence = np.array([name for name, _ in steps])
    starts = {name: int(np.argmax(of_sequence == name)) for name in set(of_sequence)}
    ids = sorted(framings)
    return Tables(
        camera_ids=ids,
        sizes=np.array([framings[name].size for name in ids], np.int64),
        sequence=of_sequence,
        index=np.array([t - starts[name] for t, (name, _) in enumerate(steps)], np.int64),
        time=np.array([plans[name].times[place] for name, place in steps]),
        camera=np.array([ids.index(clip.camera) for clip, _ in rows], np.int64),
        timestep=np.array([number[clip.sequence, place] for clip, place in rows], np.int64),
    )


def index_of(
    capture: Capture, framings: dict[str, Framing], tables: Tables, stored: list[StoredClip]
) -> dict[str, Any]:
    """The value of `index.json`.

    For every camera the way back to the source's pixels; for every clip its source and how many
    frames that has, and its stored frames' timesteps, their times on the source's clock and their
    numbers (from 0) there.
    """
    clips = []
    first = 0
    for part in stored:
        clip, times = part.clip, part.clip.times()
        rows = slice(first, first + len(part.frames))
        first = rows.stop
        clips.append(
            {
                "sequence": clip.sequence,
                "camera": clip.camera,
                "source": str(clip.source),
                "sha256": None if clip.source.is_dir() else files.sha256(clip.source),
                "timesteps": tables.timestep[rows].tolist(),
                "source_times": times[part.frames].round(6).tolist(),
                "source_frames": part.frames,
                "source_length": len(times),
            }
        )
    cameras = {name: framing.to_json() for name, framing in framings.items()}
    return {"version": 1, "capture": str(capture.path), "cameras": cameras, "clips": clips}
