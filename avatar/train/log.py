"""The log of a run: averages of every few images, `train_log.csv`."""

import csv
import io
import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

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
        sums: of every term over the images since the last row, each image counting once; where
            training runs, since reading them there would hold up every step.
        written: images when the last row was finished.
    """

    rows: list[LogRow] = field(default_factory=list)
    sums: dict[str, Tensor] = field(default_factory=dict)
    written: int = 0

    def note(self, values: dict[str, Float[Tensor, ""]], images: int) -> None:
        """Add a step over so many images: `loss`, `error` (mean square), and its terms."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.double() * images

    def write(self, step: int, images: int, gaussians: int, last: bool) -> bool:
        """Finish a row if it is due, or the run's last; returns whether it did."""
        count = images - self.written
        if count == 0 or (count < EVERY and not last):
            return False
        mean = {name: float(value) / count for name, value in self.sums.items()}
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
        return float(self.sums["loss"]) / count, _psnr(float(self.sums["error"]) / count)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, from which `from_json` builds the same log, bit for bit."""
        sums = {name: float(value) for name, value in self.sums.items()}
        return {"rows": [asdict(row) for row in self.rows], "sums": sums, "written": self.written}

    @classmethod
    def from_json(cls, value: dict[str, Any], device: torch.device | str = "cpu") -> "TrainLog":
        """The log that `to_json` described; its sums on a device."""
        sums = {
            name: torch.tensor(total, dtype=torch.float64, device=device)
            for name, total in value["sums"].items()
        }
        return cls([LogRow(**row) for row in value["rows"]], sums, value["written"])

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
