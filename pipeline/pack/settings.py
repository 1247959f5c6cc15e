"""The settings of pack."""

from dataclasses import dataclass, field
from typing import Literal

from avatar.base.made import NO_EFFECT
from avatar.base.settings import NO_OTHER_KEYS, ProperShare


@dataclass
class SplitSettings:
    """What is held out.

    Attributes:
        camera: the held-out camera; null: the middle one of four or more, else none.
        sequence: the held-out sequence; null: the last of two or more that show a face, else
            `fraction`.
        fraction: of a single sequence, the share of its valid timesteps that is held out, at its
            end.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    camera: str | None = None
    sequence: str | None = None
    fraction: ProperShare = 0.3


@dataclass
class PackSettings:
    """The `pack` part of the configuration.

    Attributes:
        gate: `strict` refuses a subject whose tracking failed, `warn` packs it all the same.
        split: what is held out.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    gate: Literal["strict", "warn"] = field(default="strict", metadata=NO_EFFECT)
    split: SplitSettings = field(default_factory=SplitSettings)
