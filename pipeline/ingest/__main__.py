"""Ingest a capture: decode, align in time, crop or scale, store: results/<subject>/ingest/."""

import sys
from pathlib import Path

from avatar.base import cli
from pipeline.ingest.settings import IngestSettings


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.stage_parser("ingest", __doc__, IngestSettings)
    parser.add_argument("--capture", type=Path, required=True, help="capture folder or video")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = cli.read_settings("ingest", args)
        from pipeline.ingest.run import ingest

        ingest(args.capture, args.results / args.subject / "ingest", settings)

    return cli.run_stage("ingest", args, work)


if __name__ == "__main__":
    sys.exit(main())
