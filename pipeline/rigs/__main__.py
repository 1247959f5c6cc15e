"""Bake a head rig and its landmark embedding into one file, shared by all subjects.

headsplat rig --name anny --out results/rigs/anny.npz
headsplat rig --name flame --flame FLAME2023.pkl --out results/rigs/flame.npz
"""

import sys
from pathlib import Path

from avatar.base import cli


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("rig", __doc__)
    parser.add_argument("--name", default="anny", help="which rig: anny or flame")
    parser.add_argument("--flame", type=Path, help="your FLAME file (pkl or npz), for that rig")
    parser.add_argument("--out", type=Path, required=True, help="the npz file to write")
    args = parser.parse_args(argv)

    def work() -> None:
        from pipeline.rigs.run import bake_rig

        bake_rig(args.name, args.out, args.flame)

    return cli.run_command(args, work)


if __name__ == "__main__":
    sys.exit(main())
