"""When a run writes a checkpoint, and when it has to stop."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 0.02  # of the time that checkpoints may take
FIRST = 10.0  # seconds to the first checkpoint, which shows what one takes
MARGIN = 15.0  # seconds to leave between the last checkpoint and the end of the job
JOB_END = "the end of its job's time"  # what stopped a training


class Clock:
    """Time of a run.

    Checkpoints come as often as their share of the time allows, at least every `longest` seconds.
    """

    def __init__(self, longest: float, end: float | None) -> None:
        """Start it.

        Args:
            longest: seconds between two checkpoints, at most.
            end: when the job is ended, seconds since 1970; None: never.
        """
        self._longest, self._end = longest, end
        self._interval = min(longest, FIRST)
        self._took = 0.0
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._saved > self._interval

    def is_over(self) -> bool:
        """Whether the job ends so soon that its last checkpoint has to be written now."""
        return self._end is not None and time.time() > self._end - MARGIN - 2 * self._took

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure what writing a checkpoint takes."""
        before = time.monotonic()
        yield
        self._saved = time.monotonic()
        self._took = self._saved - before
        self._interval = min(self._longest, self._took / SHARE)
