"""Pack frames, alphas, cameras and rig parameters into results/<subject>/dataset.h5."""

import sys
from pathlib import Path

from avatar.base import cli
from pipeline.pack.settings import PackSettings


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.stage_parser("pack", __doc__, PackSettings)
    parser.add_argument("--rig", type=Path, required=True, help="the rig's npz file")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = cli.read_settings("pack", args)
        from pipeline.pack.run import pack

        pack(args.results / args.subject, args.rig, settings)

    return cli.run_stage("pack", args, work)


if __name__ == "__main__":
    sys.exit(main())
