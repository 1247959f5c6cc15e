"""Accuracy of the tracker's solver alone: python -m benchmarks.solver

Instead of detections it is given the demo's true landmarks (the embedding on the true vertices)
with white noise, so that what remains is the error of solver, priors and rig. The measures are
those of `benchmarks.track`, for all cameras and for one uncalibrated camera; for the person as it
is, and for the person projected into the rig (true parameters without static offsets).
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as pipeline.track does; before NumPy is loaded

import numpy as np
import torch
from jaxtyping import Float

from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from avatar.render.mesh import project
from avatar.rig import HeadRig, RigParams
from benchmarks import report
from benchmarks.track import score
from pipeline.track.evidence import observe
from pipeline.track.settings import Priors, TrackSettings
from pipeline.track.solve import joint_fit
from pipeline.track.solve.observations import Observations

DISTANCE = 1.15  # m, about; of the demo's cameras
# White noise is independent, so with known cameras every landmark has full weight. The guessed
# focal length of one camera is an error that all landmarks share.
EVIDENCE = {True: 1.0, False: 0.4}
SHAPE = {True: 1.0, False: 0.7}


def observed(
    rig: HeadRig,
    ids: np.ndarray,
    verts: Float[np.ndarray, "T V 3"],
    store: FrameStore,
    cameras: Cameras,
    noise: float,
) -> Observations:
    """True landmarks in every camera, with noise (px)."""
    assert rig.landmarks is not None
    points = rig.landmarks.points(torch.from_numpy(verts).double(), rig.faces).numpy()
    points = points[:, np.isin(rig.landmarks.ids.numpy(), ids)]
    pixels = np.stack(
        [
            [
                project(at, viewmat, K)
                for viewmat, K in zip(cameras.viewmats, cameras.Ks, strict=True)
            ]
            for at in points
        ]
    )
    pixels = pixels + noise * np.random.default_rng(0).normal(size=pixels.shape)
    clip = np.unique(store.sequence, return_inverse=True)[1]
    seen = np.ones(pixels.shape[:2], bool)
    return Observations(pixels, seen, cameras.Ks, cameras.viewmats, store.time, clip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("results/demo"))
    parser.add_argument("--rig", type=Path, default=Path("results/rigs/anny.npz"))
    parser.add_argument("--noise", type=float, default=2.0, help="pixels of a frame of 512")
    parser.add_argument("--camera", default="03", help="which camera is also fitted alone")
    report.add_option(parser)
    args = parser.parse_args()
    rig = HeadRig.load(args.rig)
    assert rig.landmarks is not None
    nothing = torch.zeros_like(rig.landmarks.response)
    rig.landmarks = replace(rig.landmarks, response=nothing)
    model = joint_fit.landmark_model(rig)
    truth = RigParams.load(args.home / "truth" / "params.npz")
    plain = replace(truth, static_offset=torch.zeros_like(truth.static_offset))
    with torch.no_grad():
        shown = rig(**plain.poses(torch.arange(len(plain)))).numpy()
    people = {
        "as it is": np.load(args.home / "truth" / "verts.npy"),
        "projected into the rig": shown,
    }
    focal = TrackSettings().focal
    with FrameStore(args.home / "ingest" / "frames.h5") as store:
        given, _ = observe.cameras(args.home / "ingest", store, focal)
        noise = args.noise * float(store.sizes.max()) / 512
        metres = noise * DISTANCE / float(given.Ks[:, 0, 0].mean())
        rows = []
        for name, verts in people.items():
            true = observed(rig, model.ids, verts, store, given, noise)
            number = given.ids.index(args.camera)
            alone = replace(true, seen=true.seen & (np.arange(len(given)) == number))
            for cameras, points in ((len(given), true), (1, alone)):
                known = cameras > 1
                priors = Priors(EVIDENCE[known], metres, shape=SHAPE[known], bias=0.01)
                track = joint_fit.by_landmarks(rig, model, points, known, priors)
                got = score(rig, track.params(store), truth, verts)
                rows.append([
                    name, cameras, f"{got.face_mm:.2f}", f"{got.mean_head_mm:.2f}",
                    f"{got.rotation_degrees:.2f}",
                    f"{np.mean(list(got.correlations.values())):.2f}",
                ])  # fmt: skip
    header = [
        "person", "cameras", "face error, mm", "mean head, mm", "rotation, degrees",
        "mean correlation",
    ]  # fmt: skip
    sources = ["pipeline/track/solve", "avatar/rig"]
    body = report.table(header, rows)
    report.publish("docs/quality.md", "solver", body, sources, args.write)


if __name__ == "__main__":
    main()
