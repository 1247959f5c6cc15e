"""The settings of refine."""

from dataclasses import dataclass

from avatar.base.settings import NO_OTHER_KEYS, PositiveInt


@dataclass(frozen=True)
class RefineSettings:
    """The `refine` part of the configuration.

    Attributes:
        enabled: whether poses and expressions are refined; if not, the tracker's are passed on.
        images: that the coarse avatar is trained with.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    enabled: bool = True
    images: PositiveInt = 4000
