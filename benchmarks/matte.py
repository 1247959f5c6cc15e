"""Accuracy of each matting backend against the demo's true alpha.

    make demo && python -m benchmarks.matte

A table of the backends: mean absolute error; gradient error (Rhemann et al. 2009: squared
difference of the alphas' gradient magnitudes, Gaussian derivatives of 1.4 pixels, summed over a
frame, thousands); flicker as dtSSD (Erofeev et al. 2015: root mean square of the difference of the
alphas' changes from frame to frame, per cent), without and with the temporal filter; CPU time per
frame. And a table of colours at partly covered pixels, root mean square error of 255: of the
camera's colour and of the estimated foreground against the person's true colour (weighted by
alpha), and of their composites over white against the person drawn over white. Exit code 1 where a
mean absolute error is above its limit.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from avatar.base.files import read_json
from avatar.data.foreground import foreground
from avatar.data.reader import FrameStore
from avatar.rig import HeadRig
from benchmarks import report
from pipeline.capture.images import read_image
from pipeline.capture.read import read_capture
from pipeline.demo import motion
from pipeline.demo.capture import DemoSettings
from pipeline.demo.draw import draw
from pipeline.demo.person import make_person
from pipeline.ingest.framing import Framing
from pipeline.matte.backends import Choice, start
from pipeline.matte.temporal import Steady

LIMITS = {"plate": 0.01, "mediapipe": 0.03, "pymatting": 0.03}
SIGMA = 1.4
SOURCES = ["pipeline/matte", "pipeline/ingest", "pipeline/demo", "avatar/data/foreground.py"]


def gradient(alpha: np.ndarray) -> np.ndarray:
    """Magnitude of the Gaussian derivative."""
    radius = 6
    x = np.arange(-radius, radius + 1)
    smooth = np.exp(-(x**2) / (2 * SIGMA**2))
    smooth /= smooth.sum()
    slope = -x / SIGMA**2 * smooth
    dx = cv2.sepFilter2D(alpha, cv2.CV_32F, slope, smooth, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.sepFilter2D(alpha, cv2.CV_32F, smooth, slope, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(dx, dy)


def measures(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean absolute error, gradient error, dtSSD of one clip's alphas [T,H,W], 0..1."""
    grads = [
        ((gradient(a) - gradient(b)) ** 2).sum() / 1000 for a, b in zip(found, truth, strict=True)
    ]
    change = np.diff(found, axis=0) - np.diff(truth, axis=0)
    flicker = np.sqrt((change**2).mean((1, 2))).mean()
    return np.array([np.abs(found - truth).mean(), np.mean(grads), 100 * flicker])


def run(name: str, home: Path, frames: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Measures of the raw and of the filtered alphas over all clips, CPU ms per frame."""
    capture = read_capture(home / "capture")
    entries = read_json(home / "ingest/index.json")["cameras"]
    raw, steady, spent, count = [], [], 0.0, 0
    with FrameStore(home / "ingest/frames.h5") as store:
        of_row = store.sequence[store.timestep]
        for place, camera in enumerate(store.camera_ids):
            for sequence in sorted(set(of_row)):
                rows = np.flatnonzero((of_row == sequence) & (store.camera == place))[:frames]
                framing = Framing.from_json(entries[camera], capture.cameras, place)
                path = capture.plates[camera]
                choice = Choice(name, framing.apply(read_image(path), str(path)))  # type: ignore[arg-type]
                backend, keep = start(choice), Steady()
                images = [store.image(row) for row in rows]
                backend(images[0])  # libraries load, kernels compile
                before = time.process_time()
                alphas = [backend(image) for image in images]
                spent += time.process_time() - before
                count += len(rows)
                with np.load(home / f"truth/alpha/{sequence}/cam_{camera}.npz") as archive:
                    truth = archive["alpha"][store.index[store.timestep[rows]]]
                truth = truth.astype(np.float32) / 255
                raw.append(measures(np.stack(alphas).astype(np.float32) / 255, truth))
                kept = np.stack([keep(i, a) for i, a in zip(images, alphas, strict=True)])
                steady.append(measures(kept.astype(np.float32) / 255, truth))
    return np.mean(raw, 0), np.mean(steady, 0), 1000 * spent / count


def colours(home: Path, count: int = 16) -> str:
    """Table of the errors of colours at the edge."""
    rig = HeadRig.load(home.parent / "rigs/anny.npz")
    person = make_person(rig, DemoSettings.texture)
    capture = read_capture(home / "capture")
    entries = read_json(home / "ingest/index.json")["cameras"]
    errors: dict[str, list[np.ndarray]] = {"true": [], "plate": [], "mediapipe": []}
    with FrameStore(home / "ingest/frames.h5") as store:
        assert capture.cameras is not None
        params = motion.perform(rig, int(max(store.index)) + 1)
        for row in np.linspace(0, len(store) - 1, count).round().astype(int):
            place, timestep = int(store.camera[row]), int(store.timestep[row])
            camera = store.camera_ids[place]
            width, height = store.sizes[place].tolist()
            rgb, alpha = draw(
                person, *person.pose(params, timestep), capture.cameras.viewmats[place],
                capture.cameras.Ks[place], (width, height),
            )  # fmt: skip
            image, path = store.image(row), capture.plates[camera]
            framing = Framing.from_json(entries[camera], capture.cameras, place)
            plate = framing.apply(read_image(path), str(path))
            for name, each in errors.items():
                found = (alpha * 255 + 0.5).astype(np.uint8)
                if name != "true":
                    found = start(Choice(name, plate))(image)  # type: ignore[arg-type]
                each.append(
                    np.concatenate(
                        [
                            colour_errors(colour, found, rgb, alpha)
                            for colour in (image, foreground(image, found))
                        ]
                    )
                )
    header = [
        "alpha", "colour: camera's", "estimated", "over white: camera's", "estimated"
    ]  # fmt: skip
    rows = []
    for name, each in errors.items():
        of_camera, camera_white, estimated, white = np.sqrt(np.mean(each, 0))
        figures = (of_camera, estimated, camera_white, white)
        rows.append([name, *(f"{figure:.1f}" for figure in figures)])
    return report.table(header, rows)


def colour_errors(
    colour: np.ndarray, found: np.ndarray, rgb: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
    """Mean square error of the colour itself and of its composite over white.

    Args:
        colour: estimate of the person's colour; found: alpha to composite with (bytes).
        rgb: true colour times true alpha, 0..1; alpha: true, 0..1.
    """
    cover = found / 255
    partial = (found > 0) & (found < 255)
    person = 255 * rgb / np.maximum(alpha, 1e-3)[..., None]
    weight = cover * partial * (alpha > 0.1)
    square = ((colour - person) ** 2).mean(2)
    composite = colour * cover[..., None] + 255 * (1 - cover[..., None])
    truth = 255 * (rgb + 1 - alpha[..., None])
    either = partial | ((alpha > 0) & (alpha < 1))
    return np.array(
        [(weight * square).sum() / weight.sum(), ((composite - truth)[either] ** 2).mean()]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path("results/demo"))
    parser.add_argument("--frames", type=int, default=12, help="of every clip, from its start")
    parser.add_argument("--backends", nargs="+", default=list(LIMITS))
    report.add_option(parser)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    good, rows = True, []
    header = [
        "backend", "alpha error", "limit", "gradient error", "dtSSD", "filtered: alpha error",
        "gradient", "dtSSD", "CPU ms",
    ]  # fmt: skip
    for name in args.backends:
        raw, steady, spent = run(name, args.home, args.frames)
        good &= steady[0] <= LIMITS[name]
        figures = [f"{alpha:.4f} {gradient:.3f} {flicker:.2f}".split()
                   for alpha, gradient, flicker in (raw, steady)]  # fmt: skip
        rows.append([
            name, figures[0][0], LIMITS[name], *figures[0][1:], *figures[1], f"{spent:.0f}"
        ])  # fmt: skip
    body = report.table(header, rows)
    report.publish("docs/quality.md", "matte", body, SOURCES, args.write)
    report.publish("docs/quality.md", "matte_colours", colours(args.home), SOURCES, args.write)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
