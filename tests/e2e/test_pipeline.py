"""From captures to tables by the real graph, on small but real input."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from avatar.data.dataset import Dataset
from avatar.evaluate.protocols import PROTOCOLS
from avatar.rig import HeadRig
from pipeline.demo.capture import DemoSettings, make_demo
from pipeline.media import probe, read_video
from tests import outputs
from tests.workflow.conftest import ROOT, Run

CLIP = ROOT.parent / "shared/data/talking_heads/obama_address.mp4"
OUTPUTS = [
    "track/overlay.mp4", "dataset.h5", "refine/params.npz", "refine/quality.json",
    "avatar/avatar.safetensors", "avatar/local_frame.ply", "avatar/rig_params.npz",
    "avatar/train_log.csv", "eval/metrics.csv", "eval/summary.json", "eval/comparison.mp4",
    "report.html", "thumbnail.webp",
]  # fmt: skip


# On the page of outputs, but not of a run of a capture with the rig `anny`.
NOT_OF_A_RUN = {
    *(outputs.SUBJECT + name for name in ("avatar/flame_param.npz", "checkpoints/<run>/")),
    *(outputs.SUBJECT + name for name in ("export/", "drive/", "tensorboard/<run>/")),
    outputs.SUBJECT + "cross_reenactment/<driver>.json",
    *("results/demo/capture/", "results/demo/truth/", "results/status.csv", "results/status.html"),
}


def _configure(project: Path, **stages: dict) -> None:
    path = project / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(config | stages))


def _stamps(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and "tables" not in path.parts and "logs" not in path.parts
    }


@pytest.mark.slow
def test_a_good_subject_is_finished_beside_a_bad_one(baked: Path, snakemake: Run) -> None:
    film = DemoSettings(cameras=4, timesteps=24, size=192)
    make_demo(baked / "made", HeadRig.load(baked / "results/rigs/anny.npz"), film)
    shutil.copytree(baked / "made/capture", baked / "captures/good")
    (baked / "captures/bad.mp4").write_text("this is no video")
    # The demo's two sequences in 24 steps each move too fast for the gate's smooth motion.
    quick = {"preset": "quick", "overrides": {"images": 400}}
    _configure(baked, pack={"gate": "warn"}, refine={"images": 200}, train=quick)

    first = snakemake("--cores", "2", "--keep-going")
    assert first.returncode == 1, first.stdout + first.stderr
    assert first.stderr.rstrip().splitlines()[-1].startswith("bad/ingest: ")
    assert "Traceback" not in first.stdout + first.stderr
    for name in OUTPUTS:
        assert (baked / "results/good" / name).stat().st_size > 0, name
    assert not (baked / "results/bad/eval").exists()

    table = pd.read_csv(baked / "results/tables/metrics.csv")
    assert table.protocol.tolist() == list(PROTOCOLS)
    assert (table.subject == "good").all()
    assert (table.psnr[:3] > 15).all()
    assert "bad" in (baked / "results/tables/metrics.md").read_text()
    index = (baked / "results/index.html").read_text()
    assert '"state":"evaluated","subject":"good"' in index
    assert '"state":"failed","subject":"bad"' in index

    with Dataset(baked / "results/good/dataset.h5") as data:
        counts = np.bincount(data.split, minlength=4)
    assert counts.tolist() == [3 * 24, 24, 4 * 24, 0]

    _check_page(baked)

    before = _stamps(baked / "results/good")
    again = snakemake("--cores", "2", "good")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
    assert snakemake("--cores", "2", "tables").returncode == 0
    assert _stamps(baked / "results/good") == before


def _check_page(project: Path) -> None:
    """docs/outputs.md lists the files of a run, and what is in the most important ones."""
    page = outputs.listed()
    left = [
        str(path.relative_to(project)) for path in project.glob("results/**/*") if path.is_file()
    ]
    used = {name: [path for path in left if shape.fullmatch(path)] for name, shape in page.items()}
    assert set(left) - {path for paths in used.values() for path in paths} == set()
    assert {name for name, paths in used.items() if not paths} == NOT_OF_A_RUN

    home, files = project / "results/good", outputs.rows(outputs.SUBJECT)
    with np.load(home / "track/params.npz") as params:
        parameters = set(params.files)
    assert parameters == outputs.words(files["track/params.npz"])
    logged = set(pd.read_csv(home / "avatar/train_log.csv"))
    assert logged > outputs.words(files["avatar/train_log.csv"]) > {"step", "images", "psnr"}
    columns = outputs.section("eval/metrics.csv").split("\n\n")[0]
    assert set(pd.read_csv(home / "eval/metrics.csv")) == outputs.words(columns)
    described = outputs.rows("dataset.h5")
    with h5py.File(home / "dataset.h5") as dataset:
        assert set(dataset.attrs) == outputs.words(described["attributes"])
        assert {f"/{name}" for name in dataset} == {name for name in described if name[0] == "/"}
        for name in ("cameras", "timesteps", "frames", "blobs"):
            assert set(dataset[name]) == outputs.words(described[f"/{name}"]), name
        assert set(dataset["rig"]) < parameters


@pytest.mark.slow
@pytest.mark.skipif(not CLIP.exists(), reason="the real clips of ../shared are not here")
def test_a_real_talking_head_becomes_an_avatar(baked: Path, snakemake: Run) -> None:
    shutil.copy(CLIP, baked / "captures/address.mp4")
    _configure(
        baked,
        ingest={"duration": 2.4, "size_mono": 256},
        refine={"images": 800},
        train={"preset": "quick", "overrides": {"images": 1600}},
    )
    answer = snakemake("--cores", "2", "address")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    home = baked / "results/address"
    for name in OUTPUTS:
        assert (home / name).stat().st_size > 0, name

    table = pd.read_csv(baked / "results/tables/metrics.csv")
    held_out = ["self_reenactment", "self_reenactment_refined", "head", "neck_line"]
    assert table.protocol.tolist() == held_out
    assert table.n[0] == 18  # the last 30 % of 60 frames
    assert table.psnr[0] > 17  # the whole clip reaches 18 dB: docs/quality.md

    assert probe(home / "eval/comparison.mp4").width > probe(home / "eval/comparison.mp4").height
    frames = np.stack([frame for _, frame in read_video(home / "eval/comparison.mp4")])
    render = frames[:, :, frames.shape[2] // 3 : 2 * frames.shape[2] // 3].astype(float)
    assert render.std() > 20  # a picture, not a flat field
    assert np.abs(np.diff(render, axis=0)).mean() > 0.1  # that moves
