from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from avatar.data import jpeg, png
from avatar.data.__main__ import main
from avatar.data.dataset import Dataset
from avatar.data.layout import ALPHA, IMAGE, attributes_crc32
from avatar.data.writer import create
from tests.subject import Subject
from tests.unit.avatar.data import stores
from tests.unit.avatar.data.stores import extents, flip


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return stores.packed(tmp_path)


def test_the_command_line(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(packed)]) == 0
    assert "every byte matches" in capsys.readouterr().out
    assert main(["info", str(packed)]) == 0
    shown = capsys.readouterr().out
    assert "8 frames" in shown
    assert "camera c1: 12 x 8, 4 frames" in shown
    assert "splits: train 6, val 0, test 2, unused 0" in shown
    assert main(["export", str(packed), str(tmp_path / "out")]) == 0
    with Dataset(packed) as data:
        file = tmp_path / "out/main/cam_c1/image/000002.jpg"
        assert file.read_bytes() == data.blob(IMAGE, data.row(2, 1)).tobytes()
    listing = (tmp_path / "out/frames.csv").read_text().splitlines()
    assert listing[0] == "sequence,index,time,camera,split,file"
    assert listing[7] == "main,2,0.08,c1,train,main/cam_c1/image/000002.jpg"
    assert len(listing) == 9
    assert main(["export", str(packed), str(tmp_path / "out")]) == 2
    flip(packed, extents(packed)["blobs/image"][0][0] + 3, 1)
    assert main(["verify", str(packed)]) == 2
    assert "image of frame 0" in capsys.readouterr().err


def test_cutouts_carry_no_old_background(tmp_path: Path) -> None:
    """A red disk filmed before green: laid over blue, its rim holds no green."""
    y, x = np.mgrid[:48, :48]
    cover = np.clip((20 - np.hypot(x - 24, y - 24)) / 4 + 0.5, 0, 1)[..., None]
    image = np.rint(cover * [200, 30, 30] + (1 - cover) * [20, 220, 20]).astype(np.uint8)
    alpha = np.rint(255 * cover[..., 0]).astype(np.uint8)
    subject = Subject(tmp_path)
    subject.pack()
    with Dataset(subject.home / "dataset.h5") as old, create(tmp_path / "d.h5") as writer:
        for _ in range(len(old)):
            writer.append(IMAGE, jpeg.encode(image))
            writer.append(ALPHA, png.encode(alpha))
        writer.write_tables(replace(old.tables, sizes=np.full((2, 2), 48)))
        for group, names in (
            ("cameras", ["K", "viewmat"]),
            ("timesteps", ["valid"]),
            ("frames", ["split"]),
            ("rig", old.arrays("rig")),
        ):
            writer.write_arrays(group, {name: old.array(group, name) for name in names})
        writer.write_attributes({name: str(old.attrs[name]) for name in ("rig", "rig_sha256")})
    assert main(["export", str(tmp_path / "d.h5"), str(tmp_path / "out"), "--cutouts"]) == 0
    cutout = np.asarray(Image.open(tmp_path / "out/main/cam_c1/cutout/000002.png"))
    assert cutout.shape == (48, 48, 4)
    np.testing.assert_array_equal(cutout[..., 3], alpha)
    rim = (alpha > 40) & (alpha < 215)
    assert cutout[rim][:, 1].max() < 60  # green; 30 is the disk's own
    assert image[rim][:, 1].max() > 150


@pytest.mark.fault("H13")
@pytest.mark.parametrize("name", ["../../../up", "/tmp/up", "a\x1b[2Jb"])
@pytest.mark.parametrize("place", ["timesteps/sequence", "cameras/id"])
def test_nothing_is_written_outside_the_folder(
    packed: Path, tmp_path: Path, name: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(packed, "a") as file:
        names = file[place][()].astype("U64")
        names[-1] = name
        del file[place]
        file.create_dataset(place, data=names.astype("S"), chunks=True, fletcher32=True)
    before = sorted(tmp_path.rglob("*"))
    assert main(["export", str(packed), str(tmp_path / "a/b/out"), "--cutouts"]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "is not allowed" in lines[0]
    assert "\x1b" not in lines[0]


@pytest.mark.fault("L6")
def test_codes_for_the_terminal_in_attributes_are_shown_as_text(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(packed, "a") as file:
        file.attrs["subject"] = np.bytes_(b"ann\x1b[2J\nerror: fine")
        file.attrs["attributes_crc32"] = attributes_crc32(file.attrs)
    assert main(["info", str(packed)]) == 0
    shown = capsys.readouterr().out
    assert "subject: ann\\x1b[2J\\nerror: fine\n" in shown
    assert "\x1b" not in shown


@pytest.mark.fault("M14")
def test_a_channel_that_nobody_knows_is_left_alone(packed: Path, tmp_path: Path) -> None:
    with h5py.File(packed, "a") as file:
        file.create_dataset("blobs/../../up", data=np.zeros(3, np.uint8))
        file.create_dataset("blobs/depth", data=np.zeros(3, np.uint8))
    assert main(["info", str(packed)]) == 0
    assert main(["export", str(packed), str(tmp_path / "out")]) == 0
    assert not list((tmp_path / "out").rglob("depth"))
