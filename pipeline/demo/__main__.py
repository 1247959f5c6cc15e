"""Render the demo capture and its truth.

headsplat demo --out results/demo --rig results/rigs/anny.npz
"""

import sys
from pathlib import Path

from avatar.base import cli


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("demo", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for capture/ and truth/")
    parser.add_argument(
        "--rig", type=Path, default=Path("results/rigs/anny.npz"), help="the baked rig 'anny'"
    )
    args = parser.parse_args(argv)

    def work() -> None:
        from avatar.rig import HeadRig
        from pipeline.demo.capture import make_demo

        make_demo(args.out, HeadRig.load(args.rig))

    return cli.run_command(args, work)


if __name__ == "__main__":
    sys.exit(main())
