"""How good a stage's own result is: `quality.json {status, metrics, messages}`."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avatar.base import files
from avatar.base.errors import UserError

STATUSES = ("pass", "warn", "fail")


@dataclass
class Quality:
    """Gathers a stage's measures and remarks; the status is the worst remark's.

    Attributes:
        metrics: name to number (or a list of numbers, or text); NaN becomes null in the file.
        messages: one sentence each, for the user.
        status: `pass`, `warn` or `fail`.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    status: str = "pass"

    def warn(self, message: str) -> None:
        """Add a warning."""
        self._note("warn", message)

    def fail(self, message: str) -> None:
        """Add an error that makes the result unfit for training."""
        self._note("fail", message)

    def _note(self, status: str, message: str) -> None:
        self.messages.append(message)
        self.status = max(self.status, status, key=STATUSES.index)

    def save(self, path: str | Path) -> None:
        """Write `quality.json`, atomically."""
        metrics = {name: _finite(value) for name, value in self.metrics.items()}
        files.write_json(
            path, {"status": self.status, "metrics": metrics, "messages": self.messages}
        )

    @classmethod
    def load(cls, path: str | Path) -> "Quality":
        """Read `quality.json`.

        Raises:
            UserError: absent or not such a file.
        """
        again = "run its stage again"
        try:
            value = files.read_json(path)
            quality = cls(value["metrics"], value["messages"], value["status"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError, UserError):
            raise UserError(f"{path} is absent or damaged: {again}") from None
        if quality.status not in STATUSES:
            raise UserError(f"{path}: status is {quality.status!r}, expected one of {STATUSES}")
        texts = isinstance(quality.messages, list) and all(
            isinstance(message, str) for message in quality.messages
        )
        if not (texts and isinstance(quality.metrics, dict)):
            raise UserError(f"{path} is absent or damaged: {again}")
        return quality


def _finite(value: Any) -> Any:
    """JSON has no NaN; NumPy's numbers become Python's."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
