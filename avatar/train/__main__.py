"""Train the avatar of a subject: results/<subject>/{dataset.h5,refine/} -> its avatar/.

SIGTERM, SIGUSR1, Ctrl-C and the end of a Slurm job's time leave a checkpoint in
results/<subject>/checkpoints/ and end with exit code 75; the next call continues from it.
"""

import sys
from pathlib import Path

from avatar.base import cli, gpus
from avatar.train.presets import TrainSettings


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.stage_parser("train", __doc__, TrainSettings)
    parser.add_argument("--rig", type=Path, required=True, help="the rig's npz file")
    parser.add_argument(
        "--viewer", action="append_const", dest="assignments", const="viewer=true",
        help="watch the run in a browser on this machine; same as --set viewer=true",
    )  # fmt: skip
    parser.add_argument(
        "--port", action="append", dest="assignments", type="port={}".format, metavar="N",
        help="of the viewer, default 8080; same as --set port=N",
    )  # fmt: skip
    args = parser.parse_args(argv)

    def work() -> None:
        settings = cli.read_settings("train", args)
        with gpus.own_gpu():
            from avatar.train.run import train

            train(args.subject, args.results, args.rig, settings)

    return cli.run_stage("train", args, work)


if __name__ == "__main__":
    sys.exit(main())
