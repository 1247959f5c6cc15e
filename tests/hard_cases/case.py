"""One hard input, and the list of all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NO_FACE = "no face was found"


@dataclass(frozen=True)
class Case:
    """One hard input.

    Attributes:
        name: what the table calls it.
        build: fills a folder and returns the capture's path.
        outcome: `error`, `warn` or `pass`.
        message: part of the error line or of a quality message.
        quick: whether the tests run it.
        settings: of ingest.
        plain_user: whether root must give up its right to read everything.
    """

    name: str
    build: Callable[[Path], Path]
    outcome: str
    message: str = ""
    quick: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    plain_user: bool = False


CASES: list[Case] = []


def case(
    name: str, outcome: str, message: str = "", **options: Any
) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    def register(build: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CASES.append(Case(name, build, outcome, message, **options))
        return build

    return register
