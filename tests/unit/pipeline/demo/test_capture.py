import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.render.mesh import project
from avatar.rig import HeadRig, RigParams
from pipeline.demo import __main__ as command
from pipeline.demo.capture import DemoSettings, make_demo
from pipeline.demo.motion import Script
from pipeline.detect.landmarks import detect_images
from pipeline.media import read_video
from tests.rigs import toy_rig

TINY = DemoSettings(cameras=2, timesteps=3, size=128, texture=512)


@pytest.fixture(scope="module")
def demo(anny_rig: HeadRig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    make_demo(out, anny_rig, TINY)
    return out


def clip(demo: Path, sequence: str, camera: str) -> np.ndarray:
    video = demo / "capture" / sequence / f"cam_{camera}.mp4"
    return np.stack([image for _, image in read_video(video)])


def digest(demo: Path) -> str:
    """Hash of everything decoded."""
    result = hashlib.sha256()
    for path in sorted(demo.rglob("*")):
        result.update(path.relative_to(demo).as_posix().encode())
        if path.suffix == ".npz":
            with np.load(path) as archive:
                for key in sorted(archive.files):
                    result.update(archive[key].tobytes())
        elif path.suffix == ".mp4":
            for _, image in read_video(path):
                result.update(image.tobytes())
        elif path.is_file():
            result.update(path.read_bytes())
    return result.hexdigest()


def test_files_are_an_ordinary_capture_and_its_truth(demo: Path):
    files = {p.relative_to(demo).as_posix() for p in demo.rglob("*") if p.is_file()}
    clips = {f"{s}/cam_{c}" for s in ("a_talk", "b_faces") for c in ("00", "01")}
    assert files == (
        {"capture/cameras.json", "truth/params.npz", "truth/verts.npy"}
        | {f"capture/{name}.mp4" for name in clips}
        | {f"truth/alpha/{name}.npz" for name in clips}
        | {f"capture/plates/cam_{c}.png" for c in ("00", "01")}
    )
    cameras = Cameras.load(demo / "capture/cameras.json")
    assert cameras.ids == ["00", "01"]
    assert clip(demo, "a_talk", "00").shape == (3, 128, 128, 3)
    params = RigParams.load(demo / "truth/params.npz")
    assert params.sequence.tolist() == ["a_talk"] * 3 + ["b_faces"] * 3
    np.testing.assert_allclose(params.time, [0, 0.04, 0.08] * 2)


def test_the_same_again(demo: Path, anny_rig: HeadRig, tmp_path: Path):
    make_demo(tmp_path, anny_rig, TINY)
    assert digest(tmp_path) == digest(demo)


def test_truth_agrees_with_itself(demo: Path):
    """Every vertex lies inside the coverage of every camera and timestep, up to a pixel."""
    cameras = Cameras.load(demo / "capture/cameras.json")
    verts = np.load(demo / "truth/verts.npy")
    for number, camera in enumerate(cameras.ids):
        with np.load(demo / f"truth/alpha/b_faces/cam_{camera}.npz") as archive:
            alpha = archive["alpha"]
        assert 0.25 < (alpha > 127).mean() < 0.75
        for timestep in range(3):
            pixels = project(verts[3 + timestep], cameras.viewmats[number], cameras.Ks[number])
            inside = ((pixels >= 0) & (pixels < 128)).all(1)
            near = cv2.dilate((alpha[timestep] > 0).astype(np.uint8), np.ones((3, 3)))
            column, row = pixels[inside].astype(int).T
            assert near[row, column].mean() > 0.999


def test_the_head_fills_the_picture_and_the_plate_is_the_rest(demo: Path):
    with np.load(demo / "truth/alpha/a_talk/cam_01.npz") as archive:
        alpha = archive["alpha"][0]
    top = np.flatnonzero(alpha.max(1) > 127)[0]
    verts = np.load(demo / "truth/verts.npy")[0]
    cameras = Cameras.load(demo / "capture/cameras.json")
    mouth = project(verts, cameras.viewmats[1], cameras.Ks[1])
    assert 0 < top < 0.2 * 128
    assert mouth[:, 1].max() > 0.95 * 128, "the shirt reaches the lower edge"
    plate = cv2.imread(str(demo / "capture/plates/cam_01.png"))[..., ::-1].astype(float)
    frame = clip(demo, "a_talk", "01")[0].astype(float)
    far = cv2.dilate(alpha, np.ones((9, 9))) == 0
    shadow = (frame - plate)[far].mean()
    assert -25 < shadow < 1, "the wall, at most darkened by the shadow"


def test_the_face_is_outside_the_rig_but_near_it(demo: Path, anny_rig: HeadRig):
    params = RigParams.load(demo / "truth/params.npz")
    with torch.no_grad():
        fitted = anny_rig(**params.poses(torch.arange(len(params))))
        free = anny_rig(**(params.poses(torch.arange(len(params))) | {"static_offset": 0.0}))
    truth = torch.from_numpy(np.load(demo / "truth/verts.npy"))
    head = ~anny_rig.masks["neck"]
    with_offsets = (fitted - truth)[:, head].norm(dim=-1)
    without = (free - truth)[:, head].norm(dim=-1)
    assert float(with_offsets.mean()) < 0.001
    assert float(without.mean()) > 1.2 * float(with_offsets.mean())
    assert float(params.shape.abs().max()) < 5


def test_a_script_of_its_own_turns_the_head_on_a_still_torso(anny_rig: HeadRig, tmp_path: Path):
    script = Script({"main": {"neck_yaw": [(0, 0), (1, 40)]}}, sway=0.0)
    make_demo(tmp_path, anny_rig, DemoSettings(1, timesteps=3, size=64, texture=256), script)
    assert clip(tmp_path, "main", "00").shape == (3, 64, 64, 3)
    moved = np.abs(np.diff(np.load(tmp_path / "truth/verts.npy"), axis=0)).max((0, 2))
    torso = (anny_rig.skin_weights[:, 0] > 0.999).numpy()
    assert moved[torso].max() < 0.001
    assert moved[anny_rig.masks["face"].numpy()].max() > 0.02


def test_mediapipe_finds_the_face(anny_rig: HeadRig, tmp_path: Path):
    make_demo(tmp_path, anny_rig, DemoSettings(cameras=1, timesteps=3, size=192, texture=1024))
    frames = [*clip(tmp_path, "a_talk", "00"), *clip(tmp_path, "b_faces", "00")]
    found = detect_images(frames)
    assert found.found.all()
    height = np.ptp(found.points[..., 1], axis=1)
    assert (height > 0.35 * 192).all()


def test_another_rig_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UserError, match="'anny', got 'toy'"):
        make_demo(tmp_path, toy_rig(), TINY)
    assert command.main(["--out", str(tmp_path), "--rig", str(tmp_path / "none.npz")]) == 2
    assert capsys.readouterr().err.startswith("error:")
