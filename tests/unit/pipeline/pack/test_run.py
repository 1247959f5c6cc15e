import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.dataset import Dataset
from avatar.data.layout import ALPHA, IMAGE, TEST
from avatar.data.reader import AlphaStore, FrameStore
from avatar.data.verify import verify
from pipeline.common.gate import Quality
from pipeline.pack.__main__ import main
from pipeline.pack.settings import PackSettings, SplitSettings
from tests.subject import Subject, tables


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(tmp_path)


def test_the_dataset_holds_everything_unchanged(subject: Subject) -> None:
    subject.pack(PackSettings(split=SplitSettings(fraction=0.5)))
    path = subject.home / "dataset.h5"
    verify(path)
    with (
        Dataset(path) as packed,
        FrameStore(subject.home / "ingest/frames.h5") as frames,
        AlphaStore(subject.home / "matte/alpha.h5") as alphas,
    ):
        for row in range(len(frames)):
            assert packed.blob(IMAGE, row).tobytes() == frames.blob(IMAGE, row).tobytes()
            assert packed.blob(ALPHA, row).tobytes() == alphas.blob(ALPHA, row).tobytes()
            assert packed.image(row).shape == (8, 12, 3)
            assert packed.alpha(row).shape == (8, 12)
            assert ((packed.region(row) > 0) == (packed.alpha(row) > 0)).all()
        for name, value in vars(subject.params).items():
            np.testing.assert_array_equal(getattr(packed.params, name), value, err_msg=name)
        np.testing.assert_array_equal(packed.cameras.Ks, subject.cameras.Ks)
        np.testing.assert_array_equal(packed.cameras.viewmats, subject.cameras.viewmats)
        assert packed.split.tolist() == [0, 0, 2, 2] * 2
        assert packed.rows(TEST).tolist() == [2, 3, 6, 7]
        assert packed.attrs["subject"] == "ann"
        assert json.loads(packed.attrs["config_json"])["pack"]["split"]["fraction"] == 0.5
        assert json.loads(packed.attrs["sources_json"])["clips"][0]["source"] == "a.mp4"


def test_a_failed_track_is_refused_with_its_reasons(subject: Subject) -> None:
    quality = Quality()
    quality.fail("a face was found in 3 of 90 frames")
    quality.save(subject.home / "track/quality.json")
    arguments = ["--subject", "ann", "--results", str(subject.home.parent)]
    assert main([*arguments, "--rig", str(subject.rig_path)]) == 2
    record = json.loads((subject.home / "failures/pack.json").read_text())
    assert "a face was found in 3 of 90 frames" in record["error"]
    assert not (subject.home / "dataset.h5").exists()
    settings = ["--settings", '{"gate": "warn"}']
    assert main([*arguments, *settings, "--rig", str(subject.rig_path)]) == 0
    assert (subject.home / "dataset.h5").exists()
    assert not (subject.home / "failures/pack.json").exists()


def longer_clip(subject: Subject) -> None:
    for name, value in vars(subject.params).items():
        if name in ("sequence", "index", "time", "valid"):
            setattr(subject.params, name, np.concatenate([value, value[:2]]))
        elif isinstance(value, torch.Tensor) and name not in ("shape", "static_offset"):
            setattr(subject.params, name, torch.cat([value, value[:2]]))


def more_coefficients(subject: Subject) -> None:
    subject.params.expr = torch.zeros(4, 99)


def other_rig(subject: Subject) -> None:
    subject.params.rig_sha256 = "0" * 64


def nan_pose(subject: Subject) -> None:
    subject.params.jaw_pose[2, 0] = torch.nan


def other_sequence(subject: Subject) -> None:
    subject.params.sequence = np.array(["talk"] * 4)


def other_cameras(subject: Subject) -> None:
    cameras = subject.cameras
    subject.cameras = Cameras(["x", "y"], *list(vars(cameras).values())[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (longer_clip, r"expr has shape \(6, 4\), expected \(4, 4\)"),
        (more_coefficients, r"expr has shape \(4, 99\), expected \(4, 4\)"),
        (other_rig, r"was tracked with the rig .* 000000000000"),
        (nan_pose, "jaw_pose holds NaN"),
        (other_sequence, "sequence differs"),
        (other_cameras, "other cameras or sizes"),
    ],
)
def test_stages_that_disagree_are_named(subject: Subject, change, message: str) -> None:
    change(subject)
    subject.save()
    with pytest.raises(UserError, match=message) as caught:
        subject.pack()
    assert "re-run 'snakemake ann --forcerun track'" in str(caught.value)
    assert not (subject.home / "dataset.h5").exists()


def test_an_old_matte_is_named(subject: Subject) -> None:
    subject.write_store("matte/alpha.h5", ALPHA, tables({"main": 3}, 2))
    with pytest.raises(UserError, match="--forcerun matte"):
        subject.pack()


def test_a_damaged_frame_stops_the_packing(subject: Subject) -> None:
    path = subject.home / "ingest/frames.h5"
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xd8\xff") + 200
    data[place] ^= 4
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"frames\.h5: image of frame 0"):
        subject.pack()
    assert [p.name for p in subject.home.glob("*dataset*")] == []


def test_a_killed_packing_leaves_nothing_under_the_final_name(subject: Subject) -> None:
    """SIGKILL at random moments: either no dataset.h5 or a whole one, and then it goes on."""
    table = tables({"main": 150}, 2)
    subject.lengthen(table)
    path = subject.home / "dataset.h5"
    command = [
        *(sys.executable, "-m", "pipeline.pack", "--subject", "ann", "--rig", subject.rig_path),
        *("--results", subject.home.parent),
    ]
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - start
    verify(path)
    path.unlink()
    random = np.random.default_rng(0)
    killed = 0
    for _ in range(6):
        # Most of the time goes by before the file is begun.
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and not list(subject.home.glob(".dataset.*")):
            time.sleep(0.005)
        time.sleep(float(random.uniform(0, 0.4 * whole)))
        os.killpg(process.pid, signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if path.exists():
            verify(path)
            path.unlink()
    assert killed >= 1
    subprocess.run(command, check=True, capture_output=True)
    verify(path)
    assert not list(subject.home.glob(".dataset.*"))  # what was killed is cleared away
