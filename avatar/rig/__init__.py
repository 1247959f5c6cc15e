"""Parametric head rigs: one FLAME-shaped class, its parameters, its file."""

from avatar.rig.head_rig import HeadRig
from avatar.rig.landmarks import Landmarks
from avatar.rig.params import RigParams

__all__ = ["HeadRig", "Landmarks", "RigParams"]
