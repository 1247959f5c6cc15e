"""Report the layout and clips of a capture, and what is wrong with it.

headsplat inspect captures/anna

Exit code 2 where something would stop ingest, else 0.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avatar.base import cli
from avatar.base.errors import UserError, printable
from pipeline.capture.clip import Clip
from pipeline.capture.images import read_image
from pipeline.capture.lens import check_distortion
from pipeline.capture.model import LONG_GAP, Capture
from pipeline.capture.read import read_capture
from pipeline.media import VideoInfo

COLUMNS = ("sequence", "camera", "frames", "seconds", "fps", "size", "codec", "rotation", "gaps")


@dataclass
class Inspection:
    """What was found.

    Attributes:
        capture: None where its layout is not known.
        rows: a line of the table per clip, in the order of COLUMNS.
        errors: what stops ingest.
        warnings: what does not.
    """

    capture: Capture | None = None
    rows: list[tuple[str, ...]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def inspect(path: str | Path, image_fps: float = 30.0) -> Inspection:
    """Inspect a capture, decoding at most a frame a clip; errors are collected, not raised."""
    found = Inspection()
    try:
        capture = found.capture = read_capture(path, image_fps)
    except UserError as problem:
        found.errors.append(str(problem))
        return found
    found.warnings += capture.remarks
    sizes: dict[str, tuple[int, int]] = {}
    for clip in capture.clips:
        try:
            info = clip.info()
        except UserError as problem:
            found.errors.append(str(problem))
            continue
        found.rows.append(_row(clip, info))
        found.warnings += [f"{clip.source}: {remark}" for remark in info.remarks]
        _check_size(found, capture, clip, (info.width, info.height), sizes)
    _check_lenses(found, capture)
    for camera, plate in capture.plates.items():
        try:
            height, width = read_image(plate).shape[:2]
        except UserError as problem:
            found.errors.append(str(problem))
            continue
        if sizes.get(camera, (width, height)) != (width, height):
            found.errors.append(
                f"{plate} is {width} x {height}, the clips of its camera are "
                "{} x {}: give a plate of their size".format(*sizes[camera])
            )
    return found


def _row(clip: Clip, info: VideoInfo) -> tuple[str, ...]:
    steps = np.diff(info.times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    gaps = steps[steps > LONG_GAP * usual]
    return (
        clip.sequence,
        clip.camera,
        str(len(info.times)),
        f"{info.times[-1] - info.times[0] + usual:.2f}",
        f"{info.fps:.3g}" + (" varying" if len(steps) and np.ptp(steps) > 0.5 * usual else ""),
        f"{info.width}x{info.height}",
        f"{info.codec} {info.pixel_format}",
        info.turn,
        f"{len(gaps)}, longest {gaps.max():.2f} s" if len(gaps) else "none",
    )


def _check_size(
    found: Inspection,
    capture: Capture,
    clip: Clip,
    size: tuple[int, int],
    sizes: dict[str, tuple[int, int]],
) -> None:
    """All clips of a camera have the size of its calibration, or else of its first clip."""
    if capture.cameras is not None:
        width, height = capture.cameras.sizes[capture.cameras.ids.index(clip.camera)]
        sizes[clip.camera] = (int(width), int(height))
    expected = sizes.setdefault(clip.camera, size)
    if size != expected:
        found.errors.append(
            "{}: frames are {} x {}, expected {} x {} as its camera has: "
            "convert it or fix the calibration".format(clip.source, *size, *expected)
        )


def _check_lenses(found: Inspection, capture: Capture) -> None:
    """Undistorting leaves a picture."""
    if capture.cameras is None:
        return
    for place in range(len(capture.cameras)):
        try:
            if warning := check_distortion(capture.cameras, place, str(capture.path)):
                found.warnings.append(warning)
        except UserError as problem:
            found.errors.append(str(problem))


def report(found: Inspection) -> str:
    """What was found, for people."""
    lines = []
    if found.capture is not None:
        capture = found.capture
        lines.append(
            f"{capture.path}: layout {capture.layout}, {len(capture.sequences)} sequences x "
            f"{len(capture.camera_ids)} cameras, {len(capture.plates)} clean plates, "
            f"{'calibrated' if capture.cameras else 'no calibration'}, "
            f"{len(capture.colours)} colour matrices, {_tracks(capture)}"
        )
        table = [COLUMNS, *found.rows]
        widths = [max(len(row[k]) for row in table) for k in range(len(COLUMNS))]
        lines += ["  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)) for r in table]
    lines += [f"warning: {text}" for text in found.warnings]
    lines += [f"error: {text}" for text in found.errors]
    return "\n".join(printable(line.rstrip()) for line in lines)


def _tracks(capture: Capture) -> str:
    if capture.params is not None:
        return f"external tracks in {capture.params.name}"
    if capture.flame is not None:
        return f"FLAME tracks of {len(capture.flame.files)} sequences"
    return "no external tracks"


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("inspect", __doc__)
    parser.add_argument("capture", type=Path, help="capture folder or video")
    parser.add_argument("--image-fps", type=float, default=30.0, help="of numbered images")
    args = parser.parse_args(argv)
    found = Inspection()

    def run() -> None:
        nonlocal found
        found = inspect(args.capture, args.image_fps)
        print(report(found))

    return cli.run_command(args, run) or (UserError.exit_code if found.errors else 0)


if __name__ == "__main__":
    sys.exit(main())
