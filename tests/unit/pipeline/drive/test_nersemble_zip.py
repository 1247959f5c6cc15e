"""The benchmark's zip from generated avatars and tracks: what is in it, and what is refused."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import avatar
from avatar.data.layout import Tables
from avatar.gaussians.avatar_file import Avatar, save_avatar
from avatar.gaussians.model import RiggedGaussians
from avatar.rig import HeadRig
from pipeline.drive import nersemble_zip as command
from pipeline.media import read_video
from pipeline.rigs.flame import bake
from pipeline.track.external.assemble import Part, flame_params
from pipeline.track.external.flame import read_rows
from tests import flames
from tests.flame_tracks import at, euler, moves, write_benchmark
from tests.hard_cases import encode, pictures
from tests.rigs import toy_rig

TRACKS = "tracking/flame2023_tracking_v2.npz"
TRAINED, SCALE = "SEN-01-cramp_small_danger", 1.1
COUNTS = dict(zip(command.SEQUENCES, (1, 2, 1, 2), strict=True))


def write_person(folder: Path, seed: int) -> None:
    """A participant: a calibration, a filmed sequence with tracks, and tracks of the others."""
    encode(folder / f"sequences/{TRAINED}/images/cam_222200037.mp4", pictures(2, 64, 64))
    person = moves(2, seed)
    for sequence, count in ({TRAINED: 2} | COUNTS).items():
        given = moves(count, seed + 10) | {"shape": person["shape"]}
        given["rotation"], given["translation"] = 0.1 * given["rotation"], np.zeros((count, 3))
        write_benchmark(folder / "sequences" / sequence / TRACKS, given, SCALE)
    viewmat = [[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 1.2], [0, 0, 0, 1]]
    K = [[1500.0, 0, 256], [0, 1500, 256], [0, 0, 1]]
    params = {
        "world_2_cam": dict.fromkeys(command.CAMERAS, viewmat),
        "intrinsics": dict.fromkeys(command.CAMERAS, K),
    }
    (folder / "calibration").mkdir()
    (folder / "calibration/camera_params.json").write_text(json.dumps(params))


def write_avatar(home: Path, folder: Path, rig: HeadRig) -> None:
    """What training leaves of the sequence with frames."""
    rows = read_rows(folder / "sequences" / TRAINED / TRACKS, rig)
    none, steps = np.zeros(1, int), np.arange(2)
    tables = Tables(["0"], np.array([[64, 64]]), np.full(2, "a"), steps, steps / 25, none, none)
    params, _ = flame_params(rig, [Part("a", rows, steps, np.eye(4))], tables, [])
    home.joinpath("avatar").mkdir(parents=True)
    save_avatar(home / "avatar", Avatar(RiggedGaussians.on_faces(len(rig.faces), 0), params, {}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`captures/` and `results/` of the five persons."""
    folder = tmp_path_factory.mktemp("benchmark")
    rig, _ = bake.bake(flames.save_npz(folder / "flame.npz"))
    wide = torch.zeros(42, 3, 1 + rig.num_shape + rig.num_expr + 9)
    rig.landmarks = replace(toy_rig().landmarks, response=wide)  # a file has some; none is used
    rig.save(folder / "results/rigs/flame.npz")
    for seed, name in enumerate(command.PERSONS):
        write_person(folder / "captures" / name, seed)
        write_avatar(folder / "results" / name, folder / "captures" / name, rig)
    return folder


def run(folder: Path) -> int:
    places = ["--captures", str(folder / "captures"), "--results", str(folder / "results")]
    return command.main([*places, "--output", str(folder / "mono.zip"), "-q"])


def test_the_zip_is_as_the_benchmark_has_it(folder: Path, tmp_path: Path) -> None:
    assert run(folder) == 0
    with zipfile.ZipFile(folder / "mono.zip") as archive:
        assert sorted(archive.namelist()) == sorted(
            f"{person}/{sequence}/cam_{serial}.mp4"
            for person in ("393", "404", "461", "477", "486")
            for sequence in (
                "EMO-1-shout+laugh", "FREE", "SEN-09-frown_events_bad", "SEN-10-port_strong_smokey",
            )
            for serial in ("220700191", "222200037", "222200039", "222200046")
        )  # fmt: skip
        archive.extractall(tmp_path)
    for path in tmp_path.rglob("*.mp4"):
        assert b"crf=14.0" in path.read_bytes()  # x264 tells its settings
        with av.open(str(path)) as video:
            stream = video.streams.video[0]
            assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
            assert (stream.width, stream.height) == (512, 512)
            assert float(stream.average_rate) == pytest.approx(24.3)
            assert sum(1 for _ in video.decode(video=0)) == COUNTS[path.parent.name]
    (one,) = (
        image for _, image in read_video(tmp_path / "393/EMO-1-shout+laugh/cam_222200037.mp4")
    )
    assert one[:20, :20].min() > 250, "white beside the head"
    assert one[200:312, 200:312].mean() < 250


def test_the_head_is_where_the_tracks_have_it(folder: Path) -> None:
    """FLAME's own vertices, by the benchmark's convention, in the world of its cameras."""
    person = command.read_person("404", folder / "captures", folder / "results")
    driven, rig = person.motion("FREE"), person.of.rig
    given = moves(2, 11) | {"shape": moves(2, 1)["shape"]}
    for frame in range(2):
        alone = at(given, frame) | {"rotation": np.zeros(3)}
        turned = flames.vertices(**alone) @ euler(0.1 * given["rotation"][frame]).T
        got = rig(**driven.poses(torch.tensor([frame])))[0, : len(turned)].numpy()
        np.testing.assert_allclose(SCALE * got, SCALE * turned, atol=1e-4)
    assert person.cameras.viewmats[0, 2, 3] == pytest.approx(1.2 / SCALE)


def test_what_cannot_be_submitted_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mono.zip").unlink(missing_ok=True)

    def refused() -> str:
        assert run(folder) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert not (folder / "mono.zip").exists()
        return line

    tracks = folder / "captures/393/sequences/FREE" / TRACKS
    moved = tracks.rename(tracks.with_name("flame2023_tracking.npz"))
    assert "v2.npz does not exist: download version 2 of the benchmark's tracks" in refused()
    moved.rename(tracks)
    trained = folder / "captures/393/sequences" / TRAINED / TRACKS
    moved = trained.rename(trained.with_name("flame2023_tracking.npz"))
    assert "is superseded: download flame2023_tracking_v2.npz, and train 393 again" in refused()
    moved.rename(trained)

    home = folder / "results/393"
    of = avatar.load(home)
    other = replace(of.avatar, params=replace(of.recorded, shape=of.recorded.shape + 0.1))
    save_avatar(home / "avatar", other)
    assert "results of 393: the avatar has another identity than" in refused()
    (home / "avatar").rename(home / "gone")
    assert "train the subject first" in refused()
    (home / "gone").rename(home / "avatar")
    save_avatar(home / "avatar", of.avatar)
    (folder / "captures/393").rename(folder / "captures/394")
    assert "captures/393 does not exist" in refused()
