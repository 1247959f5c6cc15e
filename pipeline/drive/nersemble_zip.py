"""The submission to NeRSemble's monocular benchmark, of finished avatars: nersemble_mono.zip

headsplat nersemble-zip

captures/393, 404, 461, 477 and 486 are the benchmark's folders of these persons, results/393 and so
on their avatars, trained with rig flame and the benchmark's own tracks. Every avatar is rendered,
before white, in the four sequences that the benchmark holds out, driven by their tracks
(flame2023_tracking_v2.npz), as four cameras see it: 80 videos of 512x512 pixels. docs/protocols.md
describes the settings to train with, and what is not known of the benchmark.
"""

import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import avatar
from avatar.animate.loaded import WHITE, HeadAvatar
from avatar.base import cli, files
from avatar.base.cores import cores
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.frames import camera_tensors
from avatar.data.layout import Tables
from avatar.render import Views, default_device
from avatar.rig import HeadRig, RigParams
from pipeline.capture.calibration.nersemble import read_cameras
from pipeline.capture.layouts.nersemble import PARAMS, TRACKING, TRACKS
from pipeline.capture.read import read_capture
from pipeline.drive import output
from pipeline.media import write_video
from pipeline.track.external.assemble import Part, flame_params
from pipeline.track.external.flame import BENCHMARK, FlameRows, read_rows

PERSONS = ("393", "404", "461", "477", "486")
SEQUENCES = (
    "EMO-1-shout+laugh", "FREE", "SEN-09-frown_events_bad", "SEN-10-port_strong_smokey",
)  # fmt: skip
CAMERAS = ("222200037", "220700191", "222200039", "222200046")
SIZE, FPS, CRF = (512, 512), 24.3, 14
SAME = 1e-4  # entries of two identities that agree


@dataclass(frozen=True)
class Person:
    """One of the benchmark's persons.

    Attributes:
        folder: of the benchmark's data.
        of: the avatar.
        rows: tracks of the sequence that gave the avatar its identity and scale.
        cameras: `CAMERAS`, in the avatar's world.
    """

    folder: Path
    of: HeadAvatar
    rows: FlameRows
    cameras: Cameras

    def motion(self, sequence: str) -> RigParams:
        """The avatar's parameters in a sequence that is held out, a timestep a row of its tracks.

        Raises:
            UserError: the tracks are absent, damaged or of another kind.
        """
        rows = benchmark_rows(self.folder, sequence, self.of.rig)
        part = Part(sequence, rows, np.arange(len(rows)), np.eye(4))
        params, _ = flame_params(self.of.rig, [part], _tables(len(rows)), [], self.rows)
        own = self.of.recorded
        return replace(params, shape=own.shape, static_offset=own.static_offset)

    def views(self, serial: str, count: int) -> Views:
        """A camera, so many times."""
        row = np.full((count, 1), self.cameras.ids.index(serial))
        return Views(*camera_tensors(self.cameras, row))


def benchmark_rows(folder: Path, sequence: str, rig: HeadRig) -> FlameRows:
    """The benchmark's tracks of a sequence.

    Raises:
        UserError: absent, damaged, or of another kind.
    """
    path = folder / "sequences" / sequence / TRACKING / TRACKS
    if not path.is_file():
        raise UserError(f"{path} does not exist: download version 2 of the benchmark's tracks")
    rows = read_rows(path, rig)
    if rows.kind != BENCHMARK:
        raise UserError(f"{path} holds parameters of {rows.kind}, expected {BENCHMARK}")
    return rows


def read_person(name: str, captures: Path, results: Path) -> Person:
    """A person's avatar, and what is needed to drive it in the benchmark's world.

    Raises:
        UserError: something is absent, or the avatar was not trained with the benchmark's tracks.
    """
    folder = captures / name
    capture = read_capture(folder)
    if capture.layout != "NeRSemble" or capture.flame is None:
        raise UserError(f"{folder} is no participant of the benchmark with {TRACKS}: download it")
    of = avatar.load(results / name, str(default_device()))
    first = sorted(capture.flame.files)[0]
    source = capture.flame.files[first]
    assert isinstance(source, Path), "the benchmark has a file a sequence"
    if source.name != TRACKS:
        raise UserError(f"{source} is superseded: download {TRACKS}, and train {name} again")
    rows = read_rows(source, of.rig)
    if not np.allclose(of.recorded.shape, rows.shape, atol=SAME):
        raise UserError(
            f"results of {name}: the avatar has another identity than {source}: train it with "
            "rig flame, track.external auto and no rate of rig.shape"
        )
    cameras = read_cameras(folder / PARAMS, dict.fromkeys(CAMERAS, SIZE))
    viewmats = cameras.viewmats.copy()
    viewmats[:, :3, 3] /= rows.scale  # the unit of the avatar's world
    return Person(folder, of, rows, replace(cameras, viewmats=viewmats))


def write_zip(captures: Path, results: Path, path: Path) -> None:
    """Render all videos and pack them as `<person>/<sequence>/cam_<serial>.mp4`.

    Raises:
        UserError: a person, a track or an avatar is absent or unfit; nothing is written then.
    """
    torch.set_num_threads(1)
    persons = {name: read_person(name, captures, results) for name in PERSONS}
    motions = {
        (name, sequence): person.motion(sequence)
        for name, person in persons.items()
        for sequence in SEQUENCES
    }
    videos = [(*where, serial) for where in motions for serial in CAMERAS]
    with (
        files.atomic(path) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
        tempfile.TemporaryDirectory() as folder,
    ):
        video = Path(folder) / "video.mp4"
        for name, sequence, serial in cli.progress(videos, "videos"):
            frames = _frames(persons[name], motions[name, sequence], serial)
            write_video(video, frames, FPS, crf=CRF)
            archive.write(video, f"{name}/{sequence}/cam_{serial}.mp4")


def _frames(person: Person, driven: RigParams, serial: str) -> Iterator[output.Frame]:
    device = person.of.avatar.gaussians.binding.device
    threads = 1 if device.type == "cuda" else cores()
    views = person.views(serial, len(driven))
    return output.each(person.of.mapped(driven, views, WHITE, output.opaque, threads))


def _tables(count: int) -> Tables:
    """One sequence of so many timesteps."""
    first = np.zeros(1, int)
    steps = np.arange(count)
    sequence = np.full(count, "held_out")
    return Tables(["0"], np.array([SIZE]), sequence, steps, steps / FPS, first, first)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("nersemble-zip", __doc__)
    parser.add_argument(
        "--captures", type=Path, default=Path("captures"), help="folder of the benchmark's persons"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument(
        "--output", type=Path, default=Path("nersemble_mono.zip"), help="the file to write"
    )
    args = parser.parse_args(argv)

    def work() -> None:
        write_zip(args.captures, args.results, args.output)
        print(args.output)

    return cli.run_command(args, work)


if __name__ == "__main__":
    sys.exit(main())
