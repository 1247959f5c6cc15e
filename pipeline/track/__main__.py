"""Track one subject: landmarks, then rig parameters, cameras, overlay and quality.

    python -m pipeline.track --subject S --rig results/rigs/anny.npz --capture captures/S

Reads `ingest/` and, where it exists, `matte/`; writes `track/`. Ready tracks that the capture
brings take the fit's place. Ends well even where quality.json says fail: the subject keeps its
overlay, and pack enforces the gate.
"""

import os
import sys
from pathlib import Path

from avatar.base import cli


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    # The solver's matrices are small: BLAS threads get in each other's way (3-5 times slower).
    # OpenBLAS reads this when NumPy loads it, hence the late imports.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from pipeline.track.run import track_subject
    from pipeline.track.settings import TrackSettings

    parser = cli.stage_parser(__doc__)
    parser.add_argument("--rig", type=Path, required=True, help="the rig's npz file")
    parser.add_argument("--capture", type=Path, help="capture, for tracks that it brings")
    args = parser.parse_args(argv)
    return cli.run_stage(
        "track",
        args,
        lambda: track_subject(
            args.results / args.subject,
            args.rig,
            cli.read_settings(TrackSettings, args.settings),
            args.capture,
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
