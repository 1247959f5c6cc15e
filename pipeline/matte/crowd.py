"""The persons in the frames of a store, and what is reported of those that were removed."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from avatar.data.layout import Tables
from avatar.data.reader import FrameStore
from pipeline.common.gate import Quality
from pipeline.detect import persons
from pipeline.detect.clips import clips
from pipeline.detect.face_mesh import FaceFinder, quiet_stderr
from pipeline.detect.persons import Persons

REMOVED = 0.002  # of a frame; less is the noise of a border
PAUSE = 1.0  # s between two stretches; shorter ones are one


def persons_of(frames: Path, leave_out: set[int]) -> dict[int, Persons]:
    """The persons in each row of clips that show others beside the subject.

    Args:
        frames: the frame store.
        leave_out: rows whose clips need no look.
    """
    found: dict[int, Persons] = {}
    with FrameStore(frames) as store:
        sequence, index = store.sequence[store.timestep], store.index[store.timestep]
        finder = FaceFinder()
        for rows in clips(store.camera, sequence, index):
            if leave_out.isdisjoint(rows):
                with quiet_stderr():
                    several = persons.in_clip(
                        store.image, rows, store.time[store.timestep[rows]], finder
                    )
                found |= zip(rows, several or [], strict=False)
        finder.close()
    return found


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
            f"{longest['last']}: look at it"
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
