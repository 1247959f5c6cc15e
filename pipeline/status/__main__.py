"""How far every subject is: results/status.{csv,html}, and a line for each subject.

Reads the files that stages leave, and asks Slurm about their jobs where there is one; so it can be
run at any time, on any machine that sees the results.
"""

import sys
import time
from pathlib import Path

from avatar.base import cli
from pipeline.status.page import lines, write
from pipeline.status.read import BUSY, read_status


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("status", __doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument(
        "--follow", action="store_true", help="again and again, while any job runs or waits"
    )
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks")
    args = parser.parse_args(argv)

    def work() -> None:
        while True:
            found = read_status(args.results)
            write(args.results, found)
            if args.follow and sys.stdout.isatty():
                print("\x1b[H\x1b[J", end="")
            print("\n".join(lines(found)), flush=True)
            if not args.follow or not any(stage.state in BUSY for stage in found):
                return
            time.sleep(args.every)

    return cli.run_command(args, work)


if __name__ == "__main__":
    sys.exit(main())
