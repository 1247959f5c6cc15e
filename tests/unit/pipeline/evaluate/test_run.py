import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from avatar.base import files
from avatar.data.dataset import Dataset
from avatar.data.digest import dataset_sha256
from avatar.data.layout import TORSO
from avatar.data.regions import face_regions
from avatar.evaluate.poses import pose_distances
from avatar.gaussians.avatar_file import Avatar, load_avatar
from avatar.rig import HeadRig, RigParams
from avatar.train.__main__ import main as train
from pipeline.evaluate.__main__ import main
from pipeline.evaluate.measures import METRICS
from pipeline.evaluate.run import evenly_spread, summarise, video_rows
from pipeline.media import probe
from tests.networks import random_weights
from tests.rigs import toy_rig
from tests.scenes import SIZE, pass_on, write_scene


@pytest.fixture(scope="module")
def rig() -> HeadRig:
    return toy_rig()


def _trained(folder: Path, rig: HeadRig, cameras: int, *options: str) -> list[str]:
    """A subject trained for a moment; the arguments of its stages."""
    rig.save(folder / "toy.npz")
    write_scene(folder / "results/anna/dataset.h5", rig, cameras)
    pass_on(folder / "results/anna", folder / "toy.npz")
    arguments = ["--subject", "anna", "--results", str(folder / "results")]
    arguments += ["--rig", str(folder / "toy.npz")]
    settings = '{"preset": "quick", "overrides": {"images": 24}}'
    assert train([*arguments, "--settings", settings, *options]) == 0
    return arguments


def test_an_avatar_without_torso_is_measured_as_a_head_only(tmp_path: Path, rig: HeadRig) -> None:
    arguments = _trained(tmp_path, rig, 4, "--set", "torso=false", "--set", "overrides.images=240")
    assert main(arguments) == 0
    home = tmp_path / "results/anna"
    summary = files.read_json(home / "eval/summary.json")
    assert not summary["torso"]
    assert set(summary["protocols"]) == {"head"}
    full = summary["protocols"]["head"]["regions"]["full"]
    assert full["n"] == 8
    assert full["mask_iou"] > 0.7, "its coverage is that of the head"
    avatar = load_avatar(home / "avatar", rig)
    torso = face_regions(rig)[avatar.gaussians.binding.numpy()] == TORSO
    opacity = avatar.gaussians.opacity_logits.sigmoid()
    assert opacity[torso].mean() < opacity[~torso].mean() / 2


def test_a_subject_is_measured(
    tmp_path: Path, rig: HeadRig, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = _trained(tmp_path, rig, cameras=4)
    assert main([*arguments, "--group", "dev"]) == 0
    home = tmp_path / "results/anna/eval"
    table = pd.read_csv(home / "metrics.csv", dtype={"camera": str})
    assert list(table.columns) == [
        "subject", "preset", "protocol", "region", "sequence", "timestep", "camera",
        "pose_distance", *METRICS,
    ]  # fmt: skip
    full = table[table.region == "full"]
    counts = {"novel_view": 4, "self_reenactment": 8, "self_reenactment_refined": 8, "head": 8,
              "neck_line": 8, "neck_line_novel_view": 4}  # fmt: skip
    assert full.groupby("protocol").size().to_dict() == counts
    assert set(table.region) == {"full", "mask", "head", "torso", "mouth", "eyes"}
    assert "torso" not in set(table[table.protocol.isin(["head", "neck_line"])].region)
    novel = full.protocol.isin(["novel_view", "neck_line_novel_view"])
    assert full[novel].pose_distance.isna().all()
    held = full[~novel]
    with Dataset(tmp_path / "results/anna/dataset.h5") as dataset:
        rows = [dataset.row(t, int(c)) for t, c in zip(held.timestep, held.camera, strict=True)]
        params = RigParams.load(tmp_path / "results/anna/avatar/rig_params.npz")
        expected = pose_distances(params, dataset, np.array(rows))
    assert held.pose_distance.to_numpy() == pytest.approx(expected, rel=1e-4)
    assert set(full[full.protocol == "novel_view"].camera) == {"02"}
    assert set(full[full.protocol == "self_reenactment"].sequence) == {"b"}
    assert full.flip.between(0, 1).all()
    assert full[full.protocol != "head"].mask_iou.between(0.5, 1).all()
    assert full[full.protocol == "head"].mask_iou.isna().all()
    # The second held-out timestep follows the first, in all cameras and regions.
    assert set(held.timestep[held.flicker.notna()]) == {5}
    assert (
        (full.flicker.notna().groupby(full.protocol).sum() == 4)
        .drop(["novel_view", "neck_line_novel_view"])
        .all()
    )
    assert table[["lpips", "ms_ssim"]].isna().all(axis=None)  # no weights; frames of 48 pixels

    summary = files.read_json(home / "summary.json")
    assert (summary["subject"], summary["group"], summary["preset"]) == ("anna", "dev", "quick")
    assert summary["background"] == 1.0
    assert {n: p["background"] for n, p in summary["protocols"].items()} == dict.fromkeys(
        counts, 1.0
    ) | {"head": 0.0}
    assert summary["protocols"]["neck_line"]["frames"] == "held-out timesteps, all cameras"
    held_regions = summary["protocols"]["self_reenactment"]["regions"]
    assert held_regions["full_new_camera"]["n"] == 2
    assert held_regions["full_seen_cameras"]["n"] == 6
    means = summary["protocols"]["novel_view"]["regions"]["full"]
    assert means["n"] == 4
    assert means["lpips"] is None
    assert means["psnr_n"] == 4
    assert means["psnr_lo"] <= means["psnr"] <= means["psnr_hi"]
    for metric in ("psnr", "ssim", "flip"):
        expected = full[full.protocol == "novel_view"][metric].mean()
        assert means[metric] == pytest.approx(expected, rel=1e-4)

    video = probe(home / "comparison.mp4")
    assert video.width == 3 * SIZE
    assert video.height > SIZE
    assert len(video.times) == 4 + 2 + 2 + 2 + 2 + 4  # one camera of each protocol
    assert "novel_view" in capsys.readouterr().out


def test_costly_metrics_are_those_of_spread_frames(tmp_path: Path, rig: HeadRig) -> None:
    """LPIPS too, where its weights are given."""
    arguments = _trained(tmp_path, rig, cameras=4)
    weights = tmp_path / "alex.safetensors"
    safetensors.torch.save_file(random_weights("alex"), weights)
    lpips = {"weights": str(weights), "sha256": files.sha256(weights), "backbone": "alex"}
    settings = {"costly_frames": 3, "refined": False, "lpips": lpips}
    assert main([*arguments, "--settings", json.dumps(settings)]) == 0
    table = pd.read_csv(tmp_path / "results/anna/eval/metrics.csv")
    full = table[(table.region == "full") & (table.protocol == "self_reenactment")]
    measured = [0, 3, 7]  # of 8 frames
    assert np.flatnonzero(full.flip.notna()).tolist() == measured
    assert np.flatnonzero(full.lpips.notna()).tolist() == measured
    assert (full.lpips.dropna() > 0).all()
    summary = files.read_json(tmp_path / "results/anna/eval/summary.json")
    assert summary["lpips_backbone"] == "alex"
    assert summary["protocols"]["self_reenactment"]["regions"]["full"]["lpips_n"] == 3


def test_other_weights_than_those_named_are_refused_before_anything_is_measured(
    tmp_path: Path, rig: HeadRig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.save(tmp_path / "toy.npz")
    weights = tmp_path / "vgg16.pth"
    weights.write_bytes(b"weights")
    lpips = {"weights": str(weights), "sha256": "0" * 64}
    arguments = ["--subject", "anna", "--results", str(tmp_path / "results")]
    arguments += ["--rig", str(tmp_path / "toy.npz"), "--settings", json.dumps({"lpips": lpips})]
    assert main(arguments) == 2
    (line,) = [v for v in capsys.readouterr().err.splitlines() if v.startswith("error:")]
    assert line.startswith(f"error: {weights}: sha256 is {files.sha256(weights)}, expected 000")


def test_rows_are_spread_evenly() -> None:
    assert evenly_spread(np.arange(10, 20), 4).tolist() == [10, 13, 16, 19]
    assert evenly_spread(np.arange(3), 4).tolist() == [0, 1, 2]


def test_one_camera_has_no_novel_view(tmp_path: Path, rig: HeadRig) -> None:
    assert main(_trained(tmp_path, rig, cameras=1)) == 0
    summary = files.read_json(tmp_path / "results/anna/eval/summary.json")
    held_out = ["self_reenactment", "self_reenactment_refined", "head", "neck_line"]
    assert list(summary["protocols"]) == held_out
    assert summary["protocols"]["self_reenactment"]["regions"]["full"]["n"] == 2


def test_refined_parameters_drive_their_own_protocol_only(
    tmp_path: Path, rig: HeadRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refined to a face that is away: that protocol's figures fall, the other's stay."""

    def away(avatar: Avatar, *_: object) -> RigParams:
        return replace(avatar.params, translation=avatar.params.translation + 1.0)

    arguments, home = _trained(tmp_path, rig, cameras=1), tmp_path / "results/anna"
    assert main([*arguments, "--set", "refined=false"]) == 0
    plain = files.read_json(home / "eval/summary.json")["protocols"]
    assert list(plain) == ["self_reenactment", "head", "neck_line"]
    monkeypatch.setattr("avatar.evaluate.renders.refine_through", away)
    assert main(arguments) == 0
    both = files.read_json(home / "eval/summary.json")["protocols"]
    assert {name: both[name] for name in plain} == plain
    psnr = {name: found["regions"]["full"]["psnr"] for name, found in both.items()}
    assert psnr["self_reenactment_refined"] < psnr["self_reenactment"] - 1
    kept = RigParams.load(home / "avatar/rig_params.npz").translation
    assert float(kept.abs().max()) < 0.5


def test_without_an_avatar_one_line_says_so(
    tmp_path: Path, rig: HeadRig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.save(tmp_path / "toy.npz")
    arguments = ["--subject", "anna", "--results", str(tmp_path / "results")]
    assert main([*arguments, "--rig", str(tmp_path / "toy.npz")]) == 2
    assert "avatar.safetensors does not exist: train" in capsys.readouterr().err
    assert not (tmp_path / "results/anna/eval/summary.json").exists()


def test_summaries_tell_near_from_far_poses_where_there_are_both() -> None:
    rows = [
        {"protocol": protocol, "region": region, "camera": "0", "pose_distance": degrees,
         **dict.fromkeys(METRICS, np.nan), "psnr": psnr}
        for protocol, places in (
            ("novel_view", [(np.nan, 30.0)]),
            ("self_reenactment", [(1.0, 28.0), (5.0, 26.0), (5.1, 20.0), (40.0, 10.0)]),
            ("self_reenactment_refined", [(1.0, 29.0), (4.0, 27.0)]),
        )
        for degrees, psnr in places
        for region in ("full", "head")
    ]  # fmt: skip
    found = summarise(pd.DataFrame(rows))
    held = found["self_reenactment"]["regions"]
    assert list(held) == ["full", "head", "full_near", "full_far"]
    scores = {name: (held[name]["n"], held[name]["psnr"]) for name in held}
    assert scores == {
        "full": (4, 21.0), "head": (4, 21.0), "full_near": (2, 27.0), "full_far": (2, 15.0)
    }  # fmt: skip
    for protocol in ("novel_view", "self_reenactment_refined"):
        assert list(found[protocol]["regions"]) == ["full", "head"]


def test_a_long_video_is_thinned_evenly() -> None:
    camera = np.tile([0, 1, 2], 100)
    chosen = video_rows(camera, np.arange(300), limit=40)
    assert (camera[chosen] == 1).all()
    assert len(chosen) <= 40
    assert len(set(np.diff(chosen))) == 1


@pytest.mark.fault("4.6")
def test_the_summary_states_how_the_avatar_was_made(tmp_path: Path, rig: HeadRig) -> None:
    assert main(_trained(tmp_path, rig, cameras=1)) == 0
    summary = files.read_json(tmp_path / "results/anna/eval/summary.json")
    about = load_avatar(tmp_path / "results/anna/avatar", rig).about
    assert summary["preset"] == "quick"
    assert len(summary["overrides_hash"]) == 8  # 24 images instead of the preset's
    assert summary["images"] == 24
    assert summary["seconds"] > 0
    assert summary["gaussians"] == len(rig.faces)
    assert summary["background"] == 1.0
    assert about["background"] == "white"
    assert summary["torch_version"] == torch.__version__
    with Dataset(tmp_path / "results/anna/dataset.h5") as dataset:
        assert summary["dataset_sha256"] == dataset_sha256(dataset)
    for name in ("overrides_hash", "images", "seconds", "gaussians", "code_version", "date"):
        assert summary[name] == about[name], name


@pytest.mark.fault("4.2")
def test_an_avatar_of_another_dataset_is_refused_and_the_former_figures_stay(
    tmp_path: Path, rig: HeadRig, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = _trained(tmp_path, rig, cameras=1)
    assert main(arguments) == 0
    home = tmp_path / "results/anna"
    before = {path.name: path.read_bytes() for path in (home / "eval").iterdir()}
    assert set(before) == {"metrics.csv", "summary.json", "comparison.mp4"}
    write_scene(home / "dataset.h5", rig, cameras=1, seed=1)
    capsys.readouterr()
    assert main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "was trained on another dataset" in errors[0]
    assert {path.name: path.read_bytes() for path in (home / "eval").iterdir()} == before


@pytest.mark.fault("H12")
def test_an_avatar_with_a_binding_out_of_range_is_one_line(
    tmp_path: Path, rig: HeadRig, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = _trained(tmp_path, rig, cameras=1)
    path = tmp_path / "results/anna/avatar/avatar.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["binding"][7] = 10**9
    save_file(tensors, path, metadata)
    capsys.readouterr()
    assert main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "avatar.safetensors is damaged" in errors[0]
    assert not (tmp_path / "results/anna/eval").exists()
