"""Effect of the track on the avatar: python -m benchmarks.tracks [--compare hold_out]

Tracks an ingested and matted subject in several ways, packs each, trains the preset `quick` on the
same images in the same order, and measures PSNR and SSIM of held-out frames over white. Finished
variants are kept under `results/tracks/<subject>/<commit>/` and not run again.

`--compare evidence`: landmarks, with static offsets, with photometric refinement.
`--compare hold_out`: what the tracker may see of the held-out frames (`track.hold_out`).
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from avatar.base import files
from avatar.base.memory import keep_freed_memory
from avatar.data.dataset import Dataset
from avatar.evaluate.protocols import WHOLE
from avatar.gaussians.avatar_file import Avatar
from avatar.rig import HeadRig, RigParams
from avatar.train.presets import TrainSettings, resolve
from avatar.train.trainer import Trainer
from benchmarks import report
from benchmarks.ablation import measure
from pipeline.pack.run import pack
from pipeline.pack.settings import PackSettings
from pipeline.track.run import track_subject
from pipeline.track.settings import TrackSettings

# Of each variant: whether static offsets are kept, and its settings.
VARIANTS: dict[str, dict[str, tuple[bool, dict[str, Any]]]] = {
    "evidence": {
        "landmarks": (False, {"photometric": False}),
        "and offsets": (True, {"photometric": False}),
        "and colours": (True, {}),
    },
    "hold_out": {name: (True, {"hold_out": name}) for name in ("none", "camera", "sequence")},
}


def run(
    home: Path, folder: Path, rig_path: Path, offsets: bool, settings: dict[str, Any], images: int
) -> dict[str, dict[str, float]]:
    """Track, pack, train and measure in one way."""
    for stage in ("ingest", "matte"):
        if not (folder / stage).exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / stage).symlink_to((home / stage).resolve())
    track_subject(folder, rig_path, TrackSettings(external="fit", **settings))
    params = RigParams.load(folder / "track" / "params.npz")
    if not offsets:
        nothing = torch.zeros_like(params.static_offset)
        replace(params, static_offset=nothing).save(folder / "track" / "params.npz")
    pack(folder, rig_path, PackSettings(gate="warn"))
    rig = HeadRig.load(rig_path)
    with Dataset(folder / "dataset.h5") as dataset:
        cameras = len(set(dataset.camera.tolist()))
        asked = TrainSettings("quick", {"images": images} if images else {})
        trainer = Trainer(dataset, dataset.params, rig, resolve(asked, False, cameras), 0)
        for _ in trainer.steps():
            pass
        avatar = Avatar(trainer.gaussians.detached(), trainer.tuned_params(), {}, trainer.space)
        return {protocol: measure(avatar, rig, dataset, protocol) for protocol in WHOLE}


def main() -> None:
    parser = report.subject_parser(__doc__)
    parser.add_argument("--compare", choices=list(VARIANTS), default="evidence")
    parser.add_argument("--images", type=int, default=0, help="shorten the trainings, for a trial")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = []
    for name, (offsets, settings) in VARIANTS[args.compare].items():
        place = args.results / "tracks" / args.subject / report.git("rev-parse", "--short", "HEAD")
        folder = place / f"{args.compare}-{args.images}" / name.replace(" ", "_")
        if not (folder / "scores.json").is_file():
            home = args.results / args.subject
            scores = run(home, folder, args.rig, offsets, settings, args.images)
            files.write_json(folder / "scores.json", scores)
        for protocol, found in json.loads((folder / "scores.json").read_text()).items():
            if found["n"]:
                rows.append([
                    name, protocol, f"{found['psnr']:.2f}", f"{found['ssim']:.4f}",
                    f"{found['psnr_mask']:.2f}", f"{found['ssim_mask']:.4f}",
                ])  # fmt: skip
                print(*rows[-1], flush=True)
    first = {"evidence": "track by", "hold_out": "track.hold_out"}[args.compare]
    header = [first, "protocol", "PSNR", "SSIM", "mask PSNR", "mask SSIM"]
    body = f"Subject {args.subject}.\n\n{report.table(header, rows)}"
    report.publish("docs/quality.md", args.compare, body, ["avatar", "pipeline"], args.write)


if __name__ == "__main__":
    main()
