"""The log of a run: averages of every few images, `train_log.csv`."""

import csv
import io
import math
from dataclasses import asdict, dataclass, field
from typing import Any

EVERY = 200  # images that one row averages


@dataclass(frozen=True)
class LogRow:
    """Averages over the images since the last row."""

    step: int
    images: int
    loss: float
    terms: dict[str, float]
    psnr: float
    gaussians: int


@dataclass
class TrainLog:
    """Rows so far, and the sums of the row to come.

    Attributes:
        rows: finished rows.
        sums: of every term over the images since the last row, each image counting once.
        written: images when the last row was finished.
    """

    rows: list[LogRow] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    written: int = 0

    def note(self, values: dict[str, float], images: int) -> None:
        """Add a step over so many images: `loss`, `error` (mean square), and its terms."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * images

    def write(self, step: int, images: int, gaussians: int, last: bool) -> bool:
        """Finish a row if it is due, or the run's last; returns whether it did."""
        count = images - self.written
        if count == 0 or (count < EVERY and not last):
            return False
        mean = {name: value / count for name, value in self.sums.items()}
        psnr = _psnr(mean.pop("error"))
        self.rows.append(LogRow(step, images, mean.pop("loss"), mean, psnr, gaussians))
        self.sums, self.written = {}, images
        return True

    def latest(self, images: int) -> tuple[float, float] | None:
        """Loss and PSNR of the last row; of the images so far while there is none.

        Args:
            images: seen so far.
        """
        if self.rows:
            return self.rows[-1].loss, self.rows[-1].psnr
        if images == self.written:
            return None
        count = images - self.written
        return self.sums["loss"] / count, _psnr(self.sums["error"] / count)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, from which `from_json` builds the same log, bit for bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TrainLog":
        """The log that `to_json` described."""
        return cls([LogRow(**row) for row in value["rows"]], value["sums"], value["written"])

    def table(self, first: int = 0) -> str:
        """`train_log.csv`: step, images, loss, its terms, psnr, gaussians.

        Args:
            first: the row to begin with; the names of the columns come before row 0.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if first == 0:
            writer.writerow(["step", "images", "loss", *self.rows[0].terms, "psnr", "gaussians"])
        for row in self.rows[first:]:
            values = [row.loss, *row.terms.values(), row.psnr]
            writer.writerow(
                [row.step, row.images, *(f"{value:.6g}" for value in values), row.gaussians]
            )
        return text.getvalue()


def _psnr(error: float) -> float:
    """In dB, of a mean square error."""
    return -10 * math.log10(max(error, 1e-10))
