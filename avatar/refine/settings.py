"""The settings of refine."""

from dataclasses import dataclass

from avatar.base.settings import NO_OTHER_KEYS


@dataclass(frozen=True)
class RefineSettings:
    """The `refine` part of the configuration.

    Attributes:
        enabled: whether poses and expressions are refined; if not, the tracker's are passed on.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    enabled: bool = True
