"""The persons in the frames of a store, and what is reported of those that were removed."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.layout import Tables
from avatar.data.reader import FrameStore
from pipeline.common.gate import Quality
from pipeline.detect import persons
from pipeline.detect.clips import clips
from pipeline.detect.face_mesh import FaceFinder, quiet_stderr
from pipeline.detect.landmarks import Boxes
from pipeline.detect.persons import Persons

REMOVED = 0.002  # of a frame; less is the noise of a border
PAUSE = 1.0  # s between two stretches; shorter ones are one


def persons_of(ingested: Path, leave_out: set[int]) -> dict[int, Persons]:
    """The persons in each row of clips that show others beside the subject.

    Args:
        ingested: folder that ingest wrote.
        leave_out: rows whose clips are left out.
    """
    found: dict[int, Persons] = {}
    with FrameStore(ingested / "frames.h5") as store:
        unseen = _unseen(ingested / "index.json", store)
        sequence, index = store.sequence[store.timestep], store.index[store.timestep]
        finder = FaceFinder()
        for rows in clips(store.camera, sequence, index):
            if leave_out.isdisjoint(rows):
                with quiet_stderr():
                    several = persons.in_clip(
                        store.image,
                        rows,
                        store.time[store.timestep[rows]],
                        finder,
                        unseen[store.camera[rows[0]]],
                    )
                found |= zip(rows, several or [], strict=False)
        finder.close()
    return found


def _unseen(index: Path, store: FrameStore) -> list[Boxes]:
    """Of each camera, other persons' faces outside its stored frames (px of these).

    Raises:
        UserError: the index is absent or damaged.
    """
    try:
        entries = [files.read_json(index)["cameras"][name] for name in store.camera_ids]
        faces = [np.array(entry["other_faces"], float).reshape(-1, 4) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{index} is absent or damaged: run ingest again") from None
    middles = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in faces]
    return [
        boxes[((middle < 0) | (middle >= size)).any(1)]
        for boxes, middle, size in zip(faces, middles, store.sizes, strict=True)
    ]


def report_removed(
    quality: Quality, tables: Tables, found: dict[int, Persons], removed: Float[np.ndarray, "M"]
) -> None:
    """Report how many persons a subject's frames show and where others were removed.

    Args:
        found: the persons of each row that shows others.
        removed: of each row, how much of the frame was other persons, 0..1.
    """
    quality.metrics["persons"] = 1 + max((len(row.others) for row in found.values()), default=0)
    stretches = [
        stretch
        for rows in clips(
            tables.camera, tables.sequence[tables.timestep], tables.index[tables.timestep]
        )
        for stretch in _stretches(tables, np.array(rows), removed)
    ]
    quality.metrics["stretches_with_others_removed"] = stretches
    if stretches:
        longest = max(stretches, key=lambda stretch: stretch["frames"])
        quality.warn(
            f"{quality.metrics['persons']} persons: all but the one with the tracked face were "
            f"removed from the alpha in {len(stretches)} stretches, the longest of camera "
            f"{longest['camera']}, sequence {longest['sequence']}, frames {longest['first']} to "
            f"{longest['last']}: check it"
        )


def _stretches(
    tables: Tables, rows: np.ndarray, removed: Float[np.ndarray, "M"]
) -> list[dict[str, Any]]:
    """Frames of one clip, one after the other, in which something was removed."""
    timestep = tables.timestep[rows]
    touched = np.flatnonzero(removed[rows] > REMOVED)
    breaks = np.flatnonzero(np.diff(tables.time[timestep[touched]]) > PAUSE) + 1
    return [
        {
            "sequence": str(tables.sequence[timestep[part[0]]]),
            "camera": tables.camera_ids[int(tables.camera[rows[0]])],
            "first": int(tables.index[timestep[part[0]]]),
            "last": int(tables.index[timestep[part[-1]]]),
            "frames": len(part),
            "share_of_frame": float(removed[rows[part]].mean()),
        }
        for part in np.split(touched, breaks)
        if len(part)
    ]
