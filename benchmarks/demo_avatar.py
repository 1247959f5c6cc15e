"""Quality of the demo's avatar: python -m benchmarks.demo_avatar [--subject demo]

Needs a trained subject (make demo). Three tables:
1. both protocols by region, from eval/summary.json, against their targets;
2. the loss in mouth and eyes when the same avatar is driven by another timestep's parameters;
3. the same frames drawn by the bare rig mesh with its best per-vertex colours (least squares over
   the training frames, z-buffer).
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix, identity
from scipy.sparse.linalg import cg

from avatar.base import files
from avatar.data.dataset import Dataset
from avatar.data.frames import composite
from avatar.data.layout import TRAIN
from avatar.evaluate.metrics import psnr, squared_error
from avatar.evaluate.protocols import WHOLE
from avatar.evaluate.renders import protocol_rows, render_rows
from avatar.evaluate.scores import rig_regions
from avatar.gaussians.avatar_file import Avatar, load_avatar
from avatar.render.mesh import interpolate, rasterize_mesh
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import POSES
from benchmarks import report

WHITE = np.ones(3, np.float32)
# (protocol, region) -> PSNR in dB at 256x256
TARGETS = {
    ("novel_view", "full"): 29.0,
    ("novel_view", "mask"): 27.5,
    ("self_reenactment", "full"): 27.0,
    ("self_reenactment", "mask"): 25.5,
}
EXPRESSION = ("expr", "jaw_pose", "eyes_pose")
MARGIN = 2.0  # dB: loss when driven by other parameters, and lead over the bare mesh
PAGE = "docs/quality.md"
SOURCES = ["avatar", "pipeline"]


def protocols(home: Path) -> str:
    """Table of the protocols by region."""
    rows = []
    for protocol, found in files.read_json(home / "eval/summary.json")["protocols"].items():
        for region, scores in found["regions"].items():
            target = TARGETS.get((protocol, region))
            verdict = "" if target is None else f"{target}, {_verdict(scores['psnr'] >= target)}"
            rows.append([
                protocol, region, scores["n"], f"{scores['psnr']:.2f}", f"{scores['ssim']:.3f}",
                f"{scores['flip']:.3f}", verdict,
            ])  # fmt: skip
    header = ["protocol", "region", "frames", "PSNR", "SSIM", "FLIP", "target for PSNR"]
    return report.table(header, rows)


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def shuffled_drivers(count: int, rows_steps: np.ndarray) -> np.ndarray:
    """For each held-out timestep another one, a third of the sequence away."""
    steps = np.unique(rows_steps)
    drivers = np.arange(count)
    drivers[steps] = np.roll(steps, len(steps) // 3)
    return drivers


def exchanged(avatar: Avatar, rig: HeadRig, dataset: Dataset) -> str:
    """Table with all parameters exchanged, and with only those of mouth and eyes exchanged."""
    rows = protocol_rows(dataset, "self_reenactment")
    drivers = torch.from_numpy(shuffled_drivers(len(avatar.params), dataset.timestep[rows]))
    right = _region_scores(avatar, rig, dataset, rows, avatar)
    lines = []
    for what, names in (("everything", POSES), ("expression, jaw and gaze", EXPRESSION)):
        swapped = RigParams(**vars(avatar.params))
        for name in names:
            setattr(swapped, name, getattr(avatar.params, name)[drivers])
        wrong = Avatar(avatar.gaussians, swapped, avatar.about)
        other = _region_scores(wrong, rig, dataset, rows, avatar)
        for region in ("mouth", "eyes", "mask"):
            loss = right[region] - other[region]
            verdict = "" if region == "mask" else f"{MARGIN}, {_verdict(loss >= MARGIN)}"
            figures = (right[region], other[region], loss)
            lines.append([what, region, *(f"{figure:.2f}" for figure in figures), verdict])
    header = ["exchanged", "region", "PSNR, own parameters", "exchanged", "loss", "target"]
    return report.table(header, lines)


def _region_scores(
    avatar: Avatar, rig: HeadRig, dataset: Dataset, rows: np.ndarray, true: Avatar
) -> dict[str, float]:
    """Mean PSNR; regions lie where the true parameters put them."""
    scores: dict[str, list[float]] = {}
    for frame in render_rows(avatar, rig, dataset, rows, WHITE):
        camera, step = int(dataset.camera[frame.row]), int(dataset.timestep[frame.row])
        verts = _verts(rig, true.params, step)
        alpha = dataset.alpha(frame.row)
        regions = rig_regions(rig, verts, dataset.cameras, camera) | {"mask": alpha >= 128}
        error = squared_error(frame.image, composite(dataset.image(frame.row), alpha, WHITE))
        for name, mask in regions.items():
            scores.setdefault(name, []).append(psnr(float(error[mask].mean())))
    return {name: float(np.mean(values)) for name, values in scores.items()}


def _verts(rig: HeadRig, params: RigParams, timestep: int) -> np.ndarray:
    with torch.no_grad():
        return rig(**params.poses(torch.tensor([timestep])))[0].numpy()


def vertex_colors(rig: HeadRig, params: RigParams, dataset: Dataset) -> np.ndarray:
    """Colours [V,3] that minimise the squared error over all training pixels on the mesh."""
    faces = rig.faces.numpy()
    count = rig.num_verts
    normal, right = csr_matrix((count, count)), np.zeros((count, 3))
    for row in dataset.rows(TRAIN):
        ids, weights, _ = _raster(rig, params, dataset, int(row))
        seen = ids >= 0
        corners, weight = faces[ids[seen]], weights[seen].astype(np.float64)
        pixels = np.repeat(np.arange(len(corners)), 3)
        design = coo_matrix(
            (weight.ravel(), (pixels, corners.ravel())), (len(corners), count)
        ).tocsr()
        truth = composite(dataset.image(int(row)), dataset.alpha(int(row)), WHITE)[seen]
        normal = normal + design.T @ design
        right += design.T @ truth
    damped = normal + 1e-3 * identity(count)  # vertices that no frame shows
    return np.stack([cg(damped, right[:, c], rtol=1e-6)[0] for c in range(3)], 1).clip(0, 1)


def _raster(rig: HeadRig, params: RigParams, dataset: Dataset, row: int):
    camera = int(dataset.camera[row])
    width, height = (int(v) for v in dataset.cameras.sizes[camera])
    return rasterize_mesh(
        _verts(rig, params, int(dataset.timestep[row])), rig.faces.numpy(),
        dataset.cameras.viewmats[camera], dataset.cameras.Ks[camera], width, height,
    )  # fmt: skip


def bare_mesh(avatar: Avatar, rig: HeadRig, dataset: Dataset, picture: Path | None) -> str:
    """Table for the whole mask, and for where the mesh is: it has no hair."""
    colors = vertex_colors(rig, avatar.params, dataset)
    lines = []
    for protocol in WHOLE:
        rows = protocol_rows(dataset, protocol)
        found: dict[str, list[list[float]]] = {"mask": [], "mask, on the mesh": []}
        for count, frame in enumerate(render_rows(avatar, rig, dataset, rows, WHITE)):
            alpha = dataset.alpha(frame.row)
            truth = composite(dataset.image(frame.row), alpha, WHITE)
            ids, weights, _ = _raster(rig, avatar.params, dataset, frame.row)
            mesh = interpolate(colors, rig.faces.numpy(), ids, weights)
            mesh[ids < 0] = 1.0
            inside = alpha >= 128
            for name, where in zip(found, (inside, inside & (ids >= 0)), strict=True):
                errors = (squared_error(image, truth)[where] for image in (frame.image, mesh))
                found[name].append([psnr(float(error.mean())) for error in errors])
            if picture is not None and count == len(rows) // 2:
                strip = np.concatenate([truth, frame.image, mesh], 1)[..., ::-1]
                cv2.imwrite(str(picture / f"{protocol}.png"), strip * 255)
        for name, pairs in found.items() if len(rows) else ():
            ours, theirs = np.mean(pairs, 0)
            figures = [f"{figure:.2f}" for figure in (ours, theirs, ours - theirs)]
            verdict = f"{MARGIN}, {_verdict(ours - theirs >= MARGIN)}"
            lines.append([name, protocol, *figures, verdict])
    header = ["where", "protocol", "PSNR, avatar", "mesh", "lead", "target"]
    return report.table(header, lines)


def main() -> None:
    parser = report.subject_parser(__doc__)
    parser.add_argument("--pictures", type=Path, help="folder for truth | avatar | mesh")
    args = parser.parse_args()
    torch.set_num_threads(1)
    home = args.results / args.subject
    rig = HeadRig.load(args.rig)
    avatar = load_avatar(home / "avatar", rig)
    bodies = {"demo_protocols": protocols(home)}
    with Dataset(home / "dataset.h5") as dataset:
        bodies["demo_exchanged"] = exchanged(avatar, rig, dataset)
        bodies["demo_mesh"] = bare_mesh(avatar, rig, dataset, args.pictures)
    for name, body in bodies.items():
        report.publish(PAGE, name, body, SOURCES, args.write)


if __name__ == "__main__":
    main()
