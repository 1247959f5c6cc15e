"""Watch a trained avatar in a browser: results/<subject>/avatar/ -> http://127.0.0.1:8080.

Sliders for expressions, jaw, neck, gaze and the recorded motion. Only this machine can connect.
docs/viewer.md describes the controls.
"""

import argparse
import sys
from pathlib import Path

from avatar.base import cli

PORT = 8080
MOST_PORT = 65535


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("view", __doc__)
    parser.add_argument("subject", help="the avatar's subject")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument("--rig", type=Path, help="the rig's npz file, if not in results/rigs/")
    parser.add_argument(
        "--port", type=_port, default=PORT, help=f"default {PORT}; 0: any that is free"
    )
    args = parser.parse_args(argv)

    def work() -> None:
        from avatar.viewer.view import view

        view(args.subject, args.results, args.port, args.rig)

    return cli.run_command(args, work)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:6]) > MOST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0 to {MOST_PORT}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
