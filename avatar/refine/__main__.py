"""Refine the poses of a subject: results/<subject>/dataset.h5 -> results/<subject>/refine/.

Poses and expressions of all frames are refined through a coarse avatar of the training frames.
Writes params.npz and quality.json. SIGTERM, SIGUSR1 and Ctrl-C end with exit code 75; the next
call starts afresh.
"""

import sys
from pathlib import Path

from avatar.base import cli, gpus
from avatar.refine.settings import RefineSettings


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.stage_parser("refine", __doc__, RefineSettings)
    parser.add_argument("--rig", type=Path, required=True, help="the rig's npz file")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = cli.read_settings("refine", args)
        with gpus.own_gpu():
            from avatar.refine.run import refine

            refine(args.subject, args.results, args.rig, settings)

    return cli.run_stage("refine", args, work)


if __name__ == "__main__":
    sys.exit(main())
