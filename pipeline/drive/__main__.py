"""Render a trained avatar in another motion: results/<subject>/avatar/ -> a video or images.

headsplat drive anna --by bella            by another tracked subject's motion
headsplat drive anna --by talk.mp4         by a video, which is tracked first
headsplat drive anna --by motion.csv       by coefficients: Live Link Face, or JSON
headsplat drive anna --by sweep            each expression in turn
headsplat drive anna --by bella --measure  how well it follows, for the tables

docs/drive.md describes drivers and outputs.
"""

import argparse
import math
import re
import sys
from pathlib import Path

from avatar.base import cli

COLOURS = {"white": "#ffffff", "black": "#000000", "grey": "#808080", "green": "#00ff00"}
TRANSPARENT = "transparent"
MOST_PIXELS, MOST_FPS = 8192, 240.0


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("drive", __doc__)
    parser.add_argument("subject", help="the avatar's subject")
    parser.add_argument(
        "--by", required=True, help="a subject, a video, motion.csv, motion.json or sweep"
    )
    parser.add_argument(
        "--same-person",
        action="store_true",
        help="the driver shows the avatar's person; a video's motion is refined through the avatar",
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument("--rig", type=Path, help="the rig's npz file, if not in results/rigs/")
    parser.add_argument(
        "--output", type=Path, help="NAME.mp4, NAME.mov (alpha), or a folder for PNG images; "
        "default: in results/<subject>/drive/",
    )  # fmt: skip
    parser.add_argument(
        "--camera", default="front", help="front, orbit or a cameras.json; default front"
    )
    parser.add_argument("--size", type=_size, metavar="N|WxH", help="pixels, default 512x512")
    parser.add_argument(
        "--background", type=_background, default="white", metavar="COLOUR",
        help=f"{', '.join(COLOURS)}, #rrggbb or {TRANSPARENT}; default white",
    )  # fmt: skip
    parser.add_argument("--fps", type=_fps, help="frames per second, default as the driver")
    parser.add_argument(
        "--measure", action="store_true", help="also measure how well the avatar follows another "
        "person and stays itself (protocol cross_reenactment, docs/protocols.md)",
    )  # fmt: skip
    args = parser.parse_args(argv)

    def work() -> None:
        from pipeline.drive.measure import check_driver, write_summary
        from pipeline.drive.run import Look, drive

        look = Look(args.camera, args.size, args.background, args.fps)
        named = (args.subject, args.results, args.by)
        if args.measure:
            check_driver(args.subject, args.by, args.same_person)
        print(drive(*named, look, args.same_person, args.output, args.rig))
        if args.measure:
            print(write_summary(*named, args.rig))

    return cli.run_command(args, work)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    width, height = (int(part or match[1]) for part in match.groups()) if match else (0, 0)
    if not (16 <= width <= MOST_PIXELS and 16 <= height <= MOST_PIXELS):
        raise argparse.ArgumentTypeError(f"{text!r}: expected 512 or 512x768, 16 to {MOST_PIXELS}")
    return width, height


def _background(text: str) -> tuple[float, float, float] | None:
    if text == TRANSPARENT:
        return None
    match = re.fullmatch(
        "#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", COLOURS.get(text, text).lower()
    )
    if match is None:
        known = ", ".join(COLOURS)
        raise argparse.ArgumentTypeError(f"{text!r}: expected {known}, #rrggbb or {TRANSPARENT}")
    red, green, blue = (int(part, 16) / 255 for part in match.groups())
    return red, green, blue


def _fps(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= MOST_FPS:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 to {MOST_FPS:g}")
    return value


if __name__ == "__main__":
    sys.exit(main())
