"""Effect of the torso's rotation: python -m benchmarks.neck --subject demo [--truth DIR]

Reads a finished track (`track/`, `matte/`) and compares the neck as it was solved with a neck that
takes no part, half and all of the head's rotation (the head stays the same in all four):

- gap: mean deviation of the distance between the outline of neck and shoulders and the alpha's edge
  from its median at each vertex, in mm. Clothes have a thickness, but it is constant in time: a
  torso that moves as the person's does keeps the gap constant.
- overlap of the shoulders' band and of the head, as in quality.json.
- with a truth: distance of the vertices of the neck, and of those 8 cm and more below its joint
  (the shoulders), from the true ones, in mm.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from avatar.data.cameras import Cameras
from avatar.data.reader import AlphaStore
from avatar.rig import HeadRig, RigParams
from avatar.rig.head_rig import NECK, ROOT
from benchmarks import report
from benchmarks.track import head_turn
from pipeline.track.outline import overlap, silhouette, torso
from pipeline.track.solve import rotations

SIGHTINGS = 8  # of a vertex, from which on its median is used
SHOULDERS = 0.08  # m below the neck's joint


def with_nod(rig: HeadRig, params: RigParams, nod: Float[np.ndarray, "T 3"]) -> RigParams:
    """The same head on a torso against which it is turned by other angles."""
    joints = rig.joints(params.shape, params.expr).double().numpy()
    shift = params.neck_shift.double().numpy()
    arm = (joints[..., NECK, :] - joints[..., ROOT, :] + shift)[..., None]
    old = rotations.exp(params.rotation.double().numpy())
    new = head_turn(params) @ rotations.exp(nod).swapaxes(1, 2)
    moved = params.translation.double().numpy() + ((old - new) @ arm)[..., 0]
    arrays = {"rotation": rotations.log(new), "neck_pose": nod, "translation": moved}
    tensors: dict[str, Any] = {
        name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()
    }
    return replace(params, **tensors)


def gap(rig: HeadRig, params: RigParams, cameras: Cameras, alphas: AlphaStore) -> float:
    """Mean deviation (mm) of the gap between outline and alpha from each vertex's median."""
    rows = silhouette.choose_rows(alphas, params.valid)
    rim = silhouette.measure(rig, params, cameras, alphas, rows).on(rig.masks["neck"].numpy())
    deviations = [
        np.abs(gaps - np.median(gaps))
        for vertex in np.unique(rim.vertices)
        if len(gaps := rim.distances[rim.vertices == vertex]) >= SIGHTINGS
    ]
    return 1e3 * float(np.concatenate(deviations).mean()) if deviations else np.nan


def misses(rig: HeadRig, params: RigParams, truth: Path) -> tuple[float, float]:
    """Mean distance from the true vertices (mm): of the neck, of the shoulders."""
    true = np.load(truth / "verts.npy").astype(np.float64)
    with torch.no_grad():
        got = rig(**params.poses(torch.arange(len(params)))).double().numpy()
    off = 1e3 * np.linalg.norm(got - true, axis=2).mean(0)
    low = shoulders(rig)
    return float(off[rig.masks["neck"].numpy() & ~low].mean()), float(off[low].mean())


def shoulders(rig: HeadRig) -> Bool[np.ndarray, "V"]:
    """The vertices far below the neck's joint."""
    low = rig.v_template[:, 1] < float(rig.joint_template[NECK, 1]) - SHOULDERS
    return (rig.masks["neck"] & low).numpy()


def main() -> None:
    parser = report.subject_parser(__doc__)
    parser.add_argument("--truth", type=Path)
    args = parser.parse_args()
    home = args.results / args.subject
    rig = HeadRig.load(args.rig)
    params = RigParams.load(home / "track" / "params.npz")
    cameras = Cameras.load(home / "track" / "cameras.json")
    clip = np.unique(params.sequence, return_inverse=True)[1]
    heading = torso.Heading.of(head_turn(params), clip)
    necks = {f"share {share}": heading.nod(share) for share in (0.0, 0.5, 1.0)}
    rows = []
    with AlphaStore(home / "matte" / "alpha.h5") as alphas:
        for name, nod in {**necks, "solved": params.neck_pose.double().numpy()}.items():
            turned = with_nod(rig, params, nod)
            chosen = silhouette.choose_rows(alphas, params.valid)
            shown = overlap.measure(rig, turned, cameras, alphas, chosen)
            overlaps = (shown.shoulders, shown.head, shown.bare)
            off = misses(rig, turned, args.truth) if args.truth else ()
            rows.append([
                name, f"{gap(rig, turned, cameras, alphas):.2f}",
                *(f"{value:.3f}" for value in overlaps), *(f"{value:.2f}" for value in off),
            ])  # fmt: skip
    header = ["neck", "gap, mm", "overlap of the shoulders", "of the head", "without hair"]
    header += ["error of the neck, mm", "of the shoulders, mm"] if args.truth else []
    body = f"Subject {args.subject}.\n\n{report.table(header, rows)}"
    report.publish("docs/quality.md", "neck", body, ["pipeline/track", "avatar/rig"], args.write)


if __name__ == "__main__":
    main()
