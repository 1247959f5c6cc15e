"""Track one subject: landmarks, then rig parameters, cameras, overlay and quality.

Reads `ingest/` and, where it exists, `matte/`; writes `track/`. External tracks that the capture
brings replace the fit. A track that fails its gate is no error here: the subject keeps its overlay,
and pack enforces the gate.
"""

import os
import sys
from pathlib import Path

from avatar.base import cli
from pipeline.track.settings import TrackSettings


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    # The solver's matrices are small: BLAS threads get in each other's way (3-5 times slower).
    # OpenBLAS reads this when NumPy loads it, hence the late import below.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    parser = cli.stage_parser("track", __doc__, TrackSettings)
    parser.add_argument("--rig", type=Path, required=True, help="the rig's npz file")
    parser.add_argument("--capture", type=Path, help="capture, for tracks that it brings")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = cli.read_settings("track", args)
        from pipeline.track.run import track_subject

        track_subject(args.results / args.subject, args.rig, settings, args.capture)

    return cli.run_stage("track", args, work)


if __name__ == "__main__":
    sys.exit(main())
