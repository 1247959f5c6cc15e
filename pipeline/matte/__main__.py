"""Compute one alpha per frame: results/<subject>/ingest/ -> results/<subject>/matte/."""

import sys
from pathlib import Path

from avatar.base import cli
from pipeline.matte.settings import MatteSettings


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.stage_parser("matte", __doc__, MatteSettings)
    parser.add_argument("--capture", type=Path, help="capture, for its clean plates")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = cli.read_settings("matte", args)
        from pipeline.matte.run import matte

        home = args.results / args.subject
        matte(home / "ingest", home / "matte", args.capture, settings)

    return cli.run_stage("matte", args, work)


if __name__ == "__main__":
    sys.exit(main())
