"""Measure a trained avatar: results/<subject>/{dataset.h5,avatar/} -> results/<subject>/eval/.

Writes metrics.csv (a row per frame and region), summary.json (means per protocol and region) and
comparison.mp4 (truth, render and FLIP error side by side). The checkpoints of training are removed.
"""

import shutil
import sys
from pathlib import Path

from avatar.base import cli
from pipeline.evaluate.settings import EvaluateSettings


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.stage_parser("evaluate", __doc__, EvaluateSettings)
    parser.add_argument("--rig", type=Path, required=True, help="the rig's npz file")
    parser.add_argument("--group", default="", help="group of the subject, for the tables")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = cli.read_settings("evaluate", args)
        from pipeline.evaluate.run import evaluate, report

        print(report(evaluate(args.subject, args.results, args.rig, args.group, settings)))
        # Until now a training that has to be done again could go on from them.
        shutil.rmtree(args.results / args.subject / "checkpoints", ignore_errors=True)

    return cli.run_stage("evaluate", args, work)


if __name__ == "__main__":
    sys.exit(main())
