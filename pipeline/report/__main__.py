"""Write the report of an evaluated subject: results/<subject>/report.html.

One file that needs no other and no network: pictures of the best, median and worst held-out
frames, metrics over time, the training curve, the quality of the stages, provenance.
"""

import sys
from pathlib import Path

from avatar.base import cli, made


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("report", __doc__)
    parser.add_argument("subject", help="the subject's name")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument("--rig", type=Path, help="the rig's npz file, if not in results/rigs/")
    parser.add_argument(
        "--made-from", default=made.BY_HAND, help="hash of the inputs; the workflow passes it"
    )
    args = parser.parse_args(argv)

    def work() -> None:
        from pipeline.report.run import write_report

        print(write_report(args.subject, args.results, args.rig))

    return cli.run_stage("report", args, work)


if __name__ == "__main__":
    sys.exit(main())
