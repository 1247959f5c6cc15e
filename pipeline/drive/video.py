"""A video as a driver: the stages that track it, and those that refine its motion.

They write into `results/<subject>/drive/<name of the video>/`, with the stages' default settings. A
stage whose inputs are unchanged is kept (`avatar.base.made`), also one of an interrupted run.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from avatar.animate.loaded import HeadAvatar
from avatar.base import locks, made, names
from avatar.base.errors import UserError
from avatar.base.folders import replacing
from avatar.data.dataset import Dataset
from avatar.refine.through import refine_capture
from avatar.train.refined import PARAMS, QUALITY
from pipeline.common.gate import Quality
from pipeline.graph import configuration, plan
from pipeline.graph.fingerprint import contents
from pipeline.ingest.run import ingest
from pipeline.matte.run import matte
from pipeline.pack.run import pack
from pipeline.track.run import track_subject

log = logging.getLogger(__name__)


class VideoDriver:
    """A video, and what the stages made of it.

    Args:
        video: a file; its name without the suffix is that of the folder.
        subject: `results/<subject>` of the avatar.
        avatar: of the subject.
        rig: the rig's npz file.
    Raises:
        UserError: no such file, or a name that is none of a folder.
    """

    def __init__(self, video: Path, subject: Path, avatar: HeadAvatar, rig: Path) -> None:
        if not video.is_file():
            raise UserError(f"{video} is no file: expected a video: correct its path")
        self.video, self.avatar, self.rig = video, avatar, rig
        self.home = subject / "drive" / names.check_name(video.stem, "video")

    def track(self) -> Path:
        """Ingest, matte and track the video; returns the file of the track.

        Raises:
            UserError: no video, no face, or a track that fails its gate.
        """
        home = self.home
        with self._stages() as run:
            run("ingest", lambda: ingest(self.video, home / "ingest"))
            run("matte", lambda: matte(home / "ingest", home / "matte", self.video))
            run("track", lambda: track_subject(home, self.rig))
        quality = Quality.load(home / "track/quality.json")
        if quality.status == "fail":
            raise UserError(
                f"{self.video}: tracking failed: {'; '.join(quality.messages)}: see "
                f"{home}/track/overlay.mp4, and film the face larger, sharper or less covered"
            )
        return home / "track/params.npz"

    def refined(self) -> Path:
        """Refine the motion of the tracked video through the avatar, which shows the same person.

        Returns:
            The file of the motion; it has the avatar's identity.
        Raises:
            UserError: too few frames with a face.
        """
        home = self.home
        with self._stages() as run:
            run("pack", lambda: pack(home, self.rig))
            run("refine", self._refine)
        return home / "refine" / PARAMS

    def _refine(self) -> None:
        with Dataset(self.home / "dataset.h5") as dataset:
            params = refine_capture(self.avatar.avatar, self.avatar.rig, dataset)
        with replacing(self.home / "refine") as new:
            params.save(new / PARAMS)
            Quality().save(new / QUALITY)

    @contextmanager
    def _stages(self) -> Iterator[Callable[[str, Callable[[], object]], None]]:
        """What runs a stage that is not done with the present inputs; other processes wait."""
        about = self.avatar.avatar.about
        extra = {
            "track": self.avatar.rig.sha256,
            "refine": [about.get("tensors_sha256"), about.get("files_sha256")],
        }
        config = configuration.check({}, "default settings")
        made_from = plan.made_from(config, plan.VERSIONS, contents(self.video), extra)

        def run(stage: str, work: Callable[[], object]) -> None:
            if made.stamp(self.home, stage, made_from[stage]).exists():
                log.info("%s of %s: done before", stage, self.video.name)
                return
            log.info("%s of %s", stage, self.video.name)
            made.clear(self.home, stage)
            work()
            made.write(self.home, stage, made_from[stage])

        with locks.lock(self.home / "locks/drive.lock"):
            plan.tidy(self.home)
            yield run
