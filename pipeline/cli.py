"""The command line `headsplat`: a verb calls the `main` of the module that does it.

A module is imported only when its verb is called, so `--help` loads nothing heavy.
"""

import sys
from collections.abc import Callable
from importlib import import_module

import avatar
from avatar.base import cli

VERBS = {
    "inspect": ("pipeline.capture.inspect", "report how a capture is understood"),
    "doctor": ("pipeline.doctor.__main__", "check that this machine has what a run needs"),
    "calibrate": ("pipeline.capture.calibration.__main__", "convert a calibration made elsewhere"),
    "ingest": ("pipeline.ingest.__main__", "decode, align and store the frames of a capture"),
    "matte": ("pipeline.matte.__main__", "separate the person from the background"),
    "track": ("pipeline.track.__main__", "fit the head rig to every frame"),
    "pack": ("pipeline.pack.__main__", "write the dataset that a trainer needs"),
    "refine": ("avatar.refine.__main__", "refine the poses of all frames through an avatar"),
    "train": ("avatar.train.__main__", "train the avatar"),
    "evaluate": ("pipeline.evaluate.__main__", "measure the avatar on held-out frames"),
    "tables": ("pipeline.evaluate.tables", "write the tables of all subjects"),
    "status": ("pipeline.status.__main__", "how far every subject is, and why one failed"),
    "compare": ("pipeline.evaluate.compare", "compare two evaluated runs, frame by frame"),
    "report": ("pipeline.report.__main__", "write the report of a subject, one HTML file"),
    "rig": ("pipeline.rigs.__main__", "bake a head rig"),
    "demo": ("pipeline.demo.__main__", "render the demo capture"),
    "drive": ("pipeline.drive.__main__", "render an avatar in another motion"),
    "nersemble-zip": (
        "pipeline.drive.nersemble_zip",
        "write the submission to NeRSemble's monocular benchmark",
    ),
    "view": ("avatar.viewer.__main__", "watch an avatar in a browser, live"),
    "export": ("avatar.export.__main__", "write an avatar as files for other programs"),
    "dataset": ("avatar.data.__main__", "verify, describe or export a subject's HDF5 files"),
}


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    width = max(map(len, VERBS))
    listing = "\n".join(f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items())
    parser = cli.Parser(
        "headsplat",
        "From head-capture video to an animatable 3D Gaussian head avatar.",
        usage="headsplat VERB [options]",
        epilog=f"verbs:\n{listing}\n\n'headsplat VERB --help' describes one.",
    )
    parser.add_argument("--version", action="version", version=f"headsplat {avatar.__version__}")
    arguments = sys.argv[1:] if argv is None else argv
    parser.parse_args(arguments if arguments[:1] and arguments[0].startswith("-") else [])
    if not arguments:
        parser.error("no verb given")
    verb, *rest = arguments
    if verb not in VERBS:
        parser.error(f"no verb is called {verb!r}: expected one of {', '.join(VERBS)}")
    return find(verb)(rest)


def find(verb: str) -> Callable[[list[str] | None], int]:
    """The `main` behind a verb."""
    return import_module(VERBS[verb][0]).main
