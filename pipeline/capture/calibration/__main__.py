"""Convert a calibration made elsewhere into `cameras.json`.

headsplat calibrate colmap SPARSE/0 --metres 1.0 --out cameras.json
headsplat calibrate nersemble params.json --size 1100 1604 --out cameras.json
headsplat calibrate transforms transforms.json --out cameras.json
"""

import argparse
import sys
from pathlib import Path

from avatar.base import cli


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("calibrate", __doc__)
    parser.add_argument("kind", choices=("colmap", "nersemble", "transforms"))
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="cameras.json to write")
    parser.add_argument("--metres", type=float, default=1.0, help="length of COLMAP's unit")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="of NeRSemble's frames"
    )
    args = parser.parse_args(argv)
    return cli.run_command(args, lambda: _convert(args))


def _convert(args: argparse.Namespace) -> None:
    from pipeline.capture.calibration import colmap, convert, nersemble

    if args.kind == "colmap":
        cameras = colmap.read_colmap(args.source, args.metres)
    elif args.kind == "nersemble":
        size = tuple(args.size or nersemble.CALIBRATED_SIZE)
        cameras = convert.read_nersemble(args.source, size)
    else:
        cameras = convert.read_transforms(args.source)
    cameras.save(args.out)
    print(f"{args.out}: {len(cameras)} cameras: {', '.join(cameras.ids)}")


if __name__ == "__main__":
    sys.exit(main())
