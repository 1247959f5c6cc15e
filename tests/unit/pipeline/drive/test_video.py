"""A video as a driver: a drawn person's motion arrives, and nothing is done twice or mixed up."""

from pathlib import Path

import numpy as np
import pytest
import torch

import avatar
from avatar.base.errors import UserError
from avatar.rig import HeadRig, RigParams
from pipeline import media
from pipeline.common.gate import Quality
from pipeline.demo import motion
from pipeline.demo.capture import DemoSettings, make_demo
from pipeline.drive import drivers
from pipeline.drive.run import Look, drive
from pipeline.drive.video import VideoDriver
from tests.unit.avatar.export.subjects import save_subject

STEPS = 12
OPENING: motion.Track = [(0, 0), (0.5, 0.8), (1, 0)]


@pytest.fixture(scope="module")
def film(anny_rig: HeadRig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `talk.mp4`, its truth, and `results/toy` with an avatar."""
    folder = tmp_path_factory.mktemp("film")
    script = motion.Script({"main": {"jawOpen": OPENING}}, sway=0.0)
    make_demo(folder, anny_rig, DemoSettings(cameras=1, timesteps=STEPS, size=160), script)
    (folder / "capture/main/cam_00.mp4").rename(folder / "talk.mp4")
    save_subject(folder / "results", anny_rig)
    return folder


def driver(film: Path, video: Path) -> VideoDriver:
    home = film / "results/toy"
    return VideoDriver(video, home, avatar.load(home), film / "results/rigs/anny.npz")


def stamps(film: Path) -> dict[str, int]:
    made = (film / "results/toy/drive/talk/made").iterdir()
    return {path.name.partition("-")[0]: path.stat().st_mtime_ns for path in made}


@pytest.mark.slow
def test_a_video_drives_and_is_tracked_once(film: Path) -> None:
    look = Look(size=(48, 48))
    path = drive("toy", film / "results", str(film / "talk.mp4"), look)
    assert path == film / "results/toy/drive/talk.mp4"
    assert len([*media.read_video(path)]) == STEPS
    jaw = RigParams.load(film / "results/toy/drive/talk/track/params.npz").jaw_pose[:, 0]
    truth = RigParams.load(film / "truth/params.npz").jaw_pose[:, 0]
    assert np.corrcoef(jaw, truth)[0, 1] > 0.9
    first = stamps(film)
    assert first.keys() == {"ingest", "matte", "track"}
    drive("toy", film / "results", str(film / "talk.mp4"), look)
    assert stamps(film) == first

    # The same person's is refined through the avatar, whose identity it has then.
    found = drivers.of_video(driver(film, film / "talk.mp4"), same_person=True)
    own = avatar.load(film / "results/toy").recorded
    assert torch.equal(found.shape, own.shape)
    assert torch.equal(found.static_offset, own.static_offset)
    assert found.soft_offset.any()
    second = stamps(film)
    assert second.keys() == first.keys() | {"pack", "refine"}
    assert second.items() >= first.items()

    # A track that failed its gate drives nothing, and is not made again.
    home = film / "results/toy/drive/talk"
    quality = Quality()
    quality.fail("the face is too small")
    quality.save(home / "track/quality.json")
    with pytest.raises(UserError, match=r"talk.mp4: tracking failed: the face is too small: see"):
        driver(film, film / "talk.mp4").track()
    assert stamps(film) == second

    # Another video of the same name: nothing of the first is left over.
    (film / "other").mkdir()
    (film / "other/talk.mp4").write_text("this is no video")
    with pytest.raises(UserError, match=r"talk.mp4 is not a video"):
        driver(film, film / "other/talk.mp4").track()
    assert stamps(film) == {}


def test_files_that_cannot_drive(film: Path) -> None:
    with pytest.raises(UserError, match=r"absent.mp4 is no file: expected a video"):
        driver(film, film / "absent.mp4")
    (film / "my talk.mp4").touch()
    with pytest.raises(UserError, match="video name 'my talk' is not allowed"):
        driver(film, film / "my talk.mp4")
    with pytest.raises(UserError, match="is the driver"):
        drive("toy", film / "results", str(film / "a.mp4"), Look(), path=film / "a.mp4")
