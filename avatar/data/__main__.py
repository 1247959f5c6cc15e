"""Look into the HDF5 files of a subject: dataset.h5, ingest/frames.h5, matte/alpha.h5."""

import argparse
import sys
from pathlib import Path

from avatar.base import cli


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("dataset", __doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, prog="headsplat dataset")
    check = verbs.add_parser("verify", help="read every byte", description="Read every byte.")
    check.add_argument("file", type=Path, nargs="+")
    verbs.add_parser("info", help="what is in a file").add_argument("file", type=Path)
    unpack = verbs.add_parser("export", help="write a dataset as plain files")
    unpack.add_argument("file", type=Path)
    unpack.add_argument("folder", type=Path, help="a new folder")
    unpack.add_argument(
        "--cutouts", action="store_true", help="also RGBA images without the old background"
    )
    args = parser.parse_args(argv)
    return cli.run_command(args, lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    from avatar.data import tools
    from avatar.data.verify import verify

    if args.verb == "verify":
        for path in args.file:
            verify(path)
            print(f"{path}: every byte matches its checksum")
    elif args.verb == "info":
        print(tools.describe(args.file))
    else:
        tools.export(args.file, args.folder, args.cutouts)


if __name__ == "__main__":
    sys.exit(main())
