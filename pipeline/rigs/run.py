"""Bake a head rig and its landmark embedding into one file, shared by all subjects."""

import logging
from dataclasses import replace
from pathlib import Path

from avatar.base.errors import UserError
from pipeline.rigs import detector_response
from pipeline.rigs.anny import bake as anny_bake
from pipeline.rigs.flame import bake as flame_bake
from pipeline.rigs.landmark_embedding import NoFace, embed

log = logging.getLogger(__name__)
NAMES = ("anny", "flame")


def bake_rig(name: str, out: str | Path, flame: str | Path | None = None) -> None:
    """Write the rig `name` to `out`, atomically; the same file every time.

    Args:
        flame: the user's FLAME file, for the rig of that name.
    Raises:
        UserError: there is no rig of that name, or its source is not installed, or the FLAME file
            is absent, damaged or no head.
    """
    # A rig without landmarks, and a painted face to find them on.
    if name == "anny":
        rig, texture = anny_bake.bake()
    elif name == "flame" and flame:
        rig, texture = flame_bake.bake(flame)
    elif name == "flame":
        raise UserError("the rig flame is made from your FLAME file: give its path as `flame:` in "
                        "config/config.yaml")  # fmt: skip
    else:
        raise UserError(f"no rig is called {name!r}: expected one of {', '.join(NAMES)}")
    try:
        rig.landmarks = embed(rig, texture)
        rig.landmarks = replace(rig.landmarks, response=detector_response.learn(rig, texture))
    except NoFace as problem:
        raise UserError(f"{flame or name}: {problem}: is it a head?") from None
    rig.save(out)
    log.info(
        "rig %s: %d vertices, %d faces, %d shapes, %d expressions, %d landmarks",
        name, rig.num_verts, len(rig.faces), rig.num_shape, rig.num_expr, len(rig.landmarks.ids),
    )  # fmt: skip
