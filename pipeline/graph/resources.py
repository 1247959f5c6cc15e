"""Memory and time that a stage's job asks a scheduler for.

They grow with the stored images (frames x cameras), of ingest with the bytes of the capture, and
after an attempt that had too little. On one machine they limit nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from avatar.base import files


@dataclass(frozen=True)
class Cost:
    """What a job of a small subject takes, and what every thousand images (ingest: GB) add.

    Attributes:
        memory, memory_per: MB.
        minutes, minutes_per: of wall time on two cores.
        memory_thread: MB that each thread beyond two adds.
    """

    memory: int
    minutes: int
    memory_per: float = 0.0
    minutes_per: float = 0.0
    memory_thread: int = 50


# At least twice what docs/performance.md has measured.
COSTS = {
    "ingest": Cost(3000, 30, minutes_per=20),
    "matte": Cost(3000, 30, minutes_per=10, memory_thread=500),  # a process each, as in track
    "track": Cost(4000, 30, memory_per=100, minutes_per=10, memory_thread=500),
    "pack": Cost(3000, 30, memory_per=10, minutes_per=2),
    "refine": Cost(8000, 120, memory_per=20, minutes_per=10),
    "train": Cost(8000, 720, memory_per=20),
    "evaluate": Cost(4000, 60, memory_per=20, minutes_per=20),
    "report": Cost(3000, 30, minutes_per=1),
}


def ask(
    stage: str, amount: float, scale: tuple[int, int] = (1, 1), threads: int = 2
) -> tuple[int, int]:
    """Memory (MB) and time (minutes) of a job.

    Args:
        amount: thousands of stored images, of ingest GB of the capture.
        scale: by how much more of either, after attempts that had too little.
        threads: of the job.
    """
    cost = COSTS[stage]
    memory = cost.memory + cost.memory_per * amount + cost.memory_thread * max(0, threads - 2)
    minutes = cost.minutes + cost.minutes_per * amount
    return round(memory) * scale[0], round(minutes) * scale[1]


def thousands_of_images(home: Path) -> float:
    """How many images are stored, once ingest is done; before, 0.

    Args:
        home: `results/<subject>`.
    """
    index = home / "ingest" / "index.json"
    try:
        return _count(index, index.stat().st_mtime_ns) / 1000
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


@cache
def _count(index: Path, changed: int) -> int:
    clips: Sequence[dict[str, Sequence[int]]] = files.read_json(index)["clips"]
    return sum(len(clip["timesteps"]) for clip in clips)
