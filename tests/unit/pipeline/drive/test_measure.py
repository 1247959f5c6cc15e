"""Cross-reenactment of a drawn head: it follows, it is who it is, and others are refused."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import avatar
from avatar.animate import motion
from avatar.animate.loaded import HeadAvatar
from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.gaussians.avatar_file import Avatar, save_avatar
from avatar.gaussians.model import RiggedGaussians, color_to_sh
from avatar.render.mesh import vertex_normals
from avatar.rig import HeadRig, RigParams
from avatar.rig.controls import CONTROLS
from pipeline.drive import __main__ as command
from pipeline.drive import measure
from pipeline.evaluate import tables
from tests.unit.pipeline.track.capture import plain_colours, write_store

STEPS, SIZE = 20, 256
ABOUT: dict[str, Any] = {
    "preset": {"name": "quick"}, "rig": "anny", "seed": 0, "overrides_hash": "", "images": 10,
    "seconds": 1.0, "gaussians": 9, "code_version": "0", "torch_version": "0",
    "dataset_sha256": "ab", "date": "2026-11-29",
}  # fmt: skip


def still(rig: HeadRig, count: int) -> RigParams:
    """A head at rest."""
    return RigParams(
        shape=torch.zeros(rig.num_shape),
        static_offset=torch.zeros(rig.num_verts, 3),
        **{name: torch.zeros(count, 3) for name in ("rotation", "neck_pose", "jaw_pose")},
        expr=torch.zeros(count, rig.num_expr),
        eyes_pose=torch.zeros(count, 6),
        translation=torch.zeros(count, 3),
        neck_shift=torch.zeros(count, 3),
        soft_offset=torch.zeros(count, 3 * CONTROLS),
        sequence=np.full(count, "main"),
        index=np.arange(count),
        time=np.arange(count) / 25,
        valid=np.ones(count, bool),
        rig=rig.name,
        rig_sha256=rig.sha256,
    )


def talking(rig: HeadRig, phase: float) -> RigParams:
    """Jaw and lids that open and close."""
    angle = np.linspace(0, 4 * np.pi, STEPS) + phase
    jaw, lids = 0.3 + 0.3 * np.sin(angle), np.clip(np.sin(0.7 * angle + 1), 0, 1)
    strengths = {"jawOpen": jaw, "eyeBlinkLeft": lids, "eyeBlinkRight": lids}
    poses = motion.named_poses(rig, strengths, STEPS)
    return motion.moved(still(rig, STEPS), poses, np.arange(STEPS) / 25)


def painted(rig: HeadRig) -> RiggedGaussians:
    """A flat opaque Gaussian on every face: a plain head, lit from above."""
    gaussians = RiggedGaussians.on_faces(len(rig.faces), 0, opacity=0.98, scale=0.6, thickness=0.1)
    faces = rig.faces.numpy()
    normals = vertex_normals(rig.v_template.numpy().astype(float), faces)
    lit = 0.35 + 0.65 * np.clip(normals @ (0.3, 0.5, 0.8), 0, 1)
    colours = (plain_colours(rig) * lit[:, None])[faces].mean(1)
    gaussians.sh_dc = color_to_sh(torch.from_numpy(colours.astype(np.float32)))[:, None]
    return gaussians


def filmed(home: Path, of: HeadAvatar, params: RigParams) -> None:
    """What ingest and track leave of a capture in which the avatar itself is seen."""
    views = of.front((SIZE, SIZE))
    images = of.render(params, (SIZE, SIZE))
    write_store(home / "ingest/frames.h5", list(images), 1, len(params), 25)
    Cameras(
        ["0"], views.Ks[0].numpy().astype(float), views.viewmats[0].numpy().astype(float),
        np.array([[SIZE, SIZE]]), np.zeros((1, 5)), np.zeros(1),
    ).save(home / "track/cameras.json")  # fmt: skip
    params.save(home / "track/params.npz")


@pytest.fixture(scope="module")
def results(anny_rig: HeadRig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`anna` with an avatar, and `bella` who moves otherwise and looks the same."""
    folder = tmp_path_factory.mktemp("cross")
    anny_rig.save(folder / "rigs/anny.npz")
    of = HeadAvatar(anny_rig, Avatar(painted(anny_rig), talking(anny_rig, 0.0), ABOUT))
    (folder / "anna/avatar").mkdir(parents=True)
    save_avatar(folder / "anna/avatar", of.avatar)
    filmed(folder / "anna", of, of.recorded)
    filmed(folder / "bella", of, talking(anny_rig, 2.0))
    return folder


def test_an_avatar_follows_its_driver_and_stays_itself(results: Path) -> None:
    path = measure.write_summary("anna", results, "bella")
    assert path == results / "anna/cross_reenactment/bella.json"
    summary = files.read_json(path)
    scores = summary["scores"]
    assert (summary["protocol"], summary["driver"]) == ("cross_reenactment", "bella")
    assert scores["n"] == STEPS
    assert min(scores["jaw"], scores["blink"]) > 0.9
    assert scores["lids"] == pytest.approx(scores["lids_driver"], abs=15)
    assert max(scores["identity"], scores["identity_driver"]) < 2

    tables.make_tables(results)
    row = pd.read_csv(results / "tables/cross_reenactment.csv").iloc[0]
    assert (row.subject, row.driver, row.n) == ("anna", "bella", STEPS)
    assert row.jaw == pytest.approx(scores["jaw"], rel=1e-5)
    assert pd.read_csv(results / "tables/metrics.csv").empty


def test_another_motion_is_not_followed(results: Path) -> None:
    of = avatar.load(results / "anna")
    own = measure.filmed(results / "anna", of.recorded)
    other = measure.filmed(results / "bella", talking(of.rig, 2.0))
    wrong = dataclasses.replace(other, points=own.points)
    assert measure.measure(of, own, wrong)["jaw"] < 0.5


def test_frames_without_a_face_are_one_line(results: Path, tmp_path: Path) -> None:
    params = RigParams.load(results / "bella/track/params.npz")
    grey = [np.full((SIZE, SIZE, 3), 128, np.uint8)] * STEPS
    write_store(tmp_path / "nobody/ingest/frames.h5", grey, 1, STEPS)
    cameras = Cameras.load(results / "bella/track/cameras.json")
    cameras.save(tmp_path / "nobody/track/cameras.json")
    with pytest.raises(UserError, match=r"no face is found in the frames of .*nobody"):
        measure.filmed(tmp_path / "nobody", params)
    write_store(tmp_path / "nobody/ingest/frames.h5", grey[:5], 1, 5)
    with pytest.raises(UserError, match="ingest has 5 timesteps, the track 20"):
        measure.filmed(tmp_path / "nobody", params)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (["sweep"], "--measure: sweep has no frames to compare with"),
        (["a.csv"], "--measure: a.csv has no frames to compare with"),
        (["anna"], "--measure: anna shows anna, expected another person"),
        (["bella", "--same-person"], "--measure: bella shows anna, expected another person"),
        (["flora"], "was made with rig toy"),
        (["carl"], "'carl' is no tracked subject"),
    ],
)
def test_what_is_no_reenactment_is_one_line(
    results: Path, by: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    track = RigParams.load(results / "bella/track/params.npz")
    dataclasses.replace(track, rig="toy", rig_sha256="0" * 64).save(
        results / "flora/track/params.npz"
    )
    arguments = ["anna", "--results", str(results), "--measure", "-q", "--by", *by]
    assert command.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert not (results / "anna/drive").exists()
