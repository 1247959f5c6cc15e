"""A picture of `quality.json`: where in time a track is good, and where not."""

from pathlib import Path

import numpy as np

from avatar.base import files
from avatar.data.reader import FrameStore
from pipeline.track.report.quality import Measures
from pipeline.track.settings import Gate

NONE, OUTLIER, FOUND = (0.82, 0.3, 0.25), (0.95, 0.75, 0.2), (0.35, 0.7, 0.4)
SHOWN = 6  # coefficients, those most often at their limit


def write_plot(
    path: str | Path, measures: Measures, store: FrameStore, actions: list[str], gate: Gate
) -> None:
    """Write `quality.png`: faces, reprojection per camera, jitter and saturation over time.

    Args:
        actions: names of the expression coefficients.
        gate: its limits are drawn as lines, warn dashed and fail solid.
    """
    from matplotlib.figure import Figure  # takes a second to load

    names, count = store.camera_ids, len(measures.valid)
    figure = Figure(figsize=(11, 7.5 + 0.12 * len(names)), layout="constrained")
    at_limit = measures.saturated.mean(0)
    most = [i for i in np.argsort(-at_limit)[:SHOWN] if at_limit[i] > 0]
    heights = [0.4 + 0.12 * len(names), 2, 1.4, 0.3 + 0.2 * len(most)]
    faces, errors, shake, limits = figure.subplots(4, sharex=True, height_ratios=heights)
    image = np.ones((len(names), count, 3))
    for flags, colour in (
        (measures.frames & ~measures.found, NONE),
        (measures.outliers, OUTLIER),
        (measures.found, FOUND),
    ):
        image[flags.T] = colour
    faces.imshow(image, aspect="auto", interpolation="nearest", extent=(0, count, len(names), 0))
    faces.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=7)
    faces.set_ylabel("camera")
    faces.set_title("face: found green, outliers yellow, none red", fontsize=9, loc="left")
    middle = np.arange(count) + 0.5
    for camera, name in enumerate(names):
        errors.plot(middle, measures.per_cent[:, camera], lw=0.8, label=name)
        shake.plot(middle, 1000 / np.sqrt(6) * measures.shake[:, camera], ".-", lw=0.8, ms=3)
    errors.legend(fontsize=7, ncols=8, title="camera", title_fontsize=7)
    errors.set_ylabel("reprojection,\n% of eye distance")
    shake.set_ylabel("jitter where still,\n‰ of eye distance")
    for place, action in enumerate(most):
        flags = np.where(measures.saturated[:, action], float(place), np.nan)
        limits.plot(middle, flags, "|", ms=6)
    limits.set_yticks(range(len(most)), [f"{actions[i]} {at_limit[i]:.0%}" for i in most])
    limits.set_ylim(len(most) or 1, -1)
    limits.set_title(
        "blendshapes at their limit" + ("" if most else ": none"), fontsize=9, loc="left"
    )
    limits.set_xlabel("timestep")
    for axes, pair in ((errors, gate.reprojection), (shake, gate.jitter)):
        axes.set_ylim(bottom=0, top=1.2 * max(axes.get_ylim()[1], pair[0]))
        for limit, style in zip(pair, ("--", "-"), strict=True):
            if limit < axes.get_ylim()[1]:
                axes.axhline(limit, color="grey", lw=0.8, ls=style)
    starts = np.flatnonzero(store.sequence[1:] != store.sequence[:-1]) + 1
    for axes in (faces, errors, shake, limits):
        for start in starts:
            axes.axvline(start, color="black", lw=0.6)
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=100)
