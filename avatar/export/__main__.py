"""Export a trained avatar: results/<subject>/avatar/ -> files that other programs open.

World: metres, y up, the face at rest looks along z. docs/exports.md describes the files.
"""

import argparse
import sys
from pathlib import Path

from avatar.base import cli

SCENES = {
    "ply": "one timestep as a 3DGS point cloud",
    "spz": "one timestep as a compressed point cloud (SPZ)",
}
PLAYER = {
    "player": "the avatar as one HTML file that moves in a browser",
}
MESHES = {
    "glb": "the mesh with expressions, joints and the recorded motion (glTF)",
    "obj": "the posed mesh, a file for each timestep",
}


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("export", __doc__)
    formats = parser.add_subparsers(dest="what", required=True, prog="headsplat export")
    for what, text in SCENES.items():
        scene = _subject_parser(formats, what, text)
        scene.add_argument("--timestep", type=int, default=0, metavar="N", help="default 0")
    for what, text in (MESHES | PLAYER).items():
        rigged = _subject_parser(formats, what, text)
        rigged.add_argument(
            "--include-licensed-rig",
            action="store_true",
            help="also write data of a rig that has its own licence (FLAME)",
        )
    formats.choices["glb"].add_argument(
        "--timestep", type=int, default=0, metavar="N", help="pose at rest, default 0"
    )
    formats.choices["obj"].add_argument(
        "--timestep", type=int, metavar="N", help="only this one, default all"
    )
    args = parser.parse_args(_joined(sys.argv[1:] if argv is None else argv))
    return cli.run_command(args, lambda: _run(args))


def _subject_parser(
    formats: "argparse._SubParsersAction[cli.Parser]", what: str, text: str
) -> cli.Parser:
    """The parser of one format, with what all take."""
    parser = formats.add_parser(what, help=text, description=f"Write {text}.")
    parser.add_argument("subject", help="the subject's name")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument("--rig", type=Path, help="the rig's npz file, if not in results/rigs/")
    parser.add_argument(
        "--checkpoint",
        action="store_true",
        help="the avatar of the last checkpoint of an unfinished training",
    )
    parser.add_argument("--output", type=Path, help="default: in results/<subject>/export/")
    if what not in PLAYER:
        parser.add_argument(
            "--up", choices=("y", "z", "-y"), default="y", help="axis that is up, default y"
        )
    return parser


def _joined(argv: list[str]) -> list[str]:
    """`--up -y` as one word: argparse takes `-y` for an option."""
    words = list(argv)
    if "--up" in words[:-1]:
        place = words.index("--up")
        words[place : place + 2] = ["=".join(words[place : place + 2])]
    return words


def _run(args: argparse.Namespace) -> None:
    from avatar.export import run
    from avatar.export.subject import Subject

    subject = Subject.load(args.subject, args.results, args.rig, args.checkpoint)
    if args.what in SCENES:
        print(run.export_scene(args.what, subject, args.timestep, args.up, args.output))
        return
    if args.what in PLAYER:
        from avatar.export.player.export import export_player

        print(export_player(subject, args.include_licensed_rig, args.output))
        return
    write = {"glb": run.export_glb, "obj": run.export_objs}[args.what]
    print(write(subject, args.timestep, args.up, args.include_licensed_rig, args.output))


if __name__ == "__main__":
    sys.exit(main())
