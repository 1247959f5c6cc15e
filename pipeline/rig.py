"""Bake a head rig and its landmark embedding into one file, shared by all subjects.

python -m pipeline.rig --name anny --out results/rigs/anny.npz
"""

import argparse
import logging
import sys
from pathlib import Path

from avatar import cli
from avatar.errors import UserError
from pipeline import anny_bake
from pipeline.embedding import embed

log = logging.getLogger(__name__)
# name -> function that makes the rig without landmarks and a painted face to find them on
SOURCES = {"anny": anny_bake.bake}


def bake_rig(name: str, out: str | Path) -> None:
    """Write the rig `name` to `out`, atomically; the same file every time.

    Raises:
        UserError: there is no rig of that name, or its source is not installed.
    """
    if name not in SOURCES:
        raise UserError(f"no rig is called {name!r}: expected one of {', '.join(SOURCES)}")
    rig, texture = SOURCES[name]()
    rig.landmarks = embed(rig, texture)
    rig.save(out)
    log.info(
        "rig %s: %d vertices, %d faces, %d shapes, %d expressions, %d landmarks",
        name, rig.num_verts, len(rig.faces), rig.num_shape, rig.num_expr, len(rig.landmarks.ids),
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="anny", help="which rig: " + ", ".join(SOURCES))
    parser.add_argument("--out", type=Path, required=True, help="the npz file to write")
    args = parser.parse_args(argv)
    return cli.run_command(lambda: bake_rig(args.name, args.out))


if __name__ == "__main__":
    sys.exit(main())
