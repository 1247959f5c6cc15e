"""Training end to end on a toy scene, and what it refuses."""

import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.data.frames import composite
from avatar.data.layout import TRAIN
from avatar.evaluate.metrics import psnr, squared_error
from avatar.evaluate.renders import protocol_rows, render_rows
from avatar.gaussians.avatar_file import load_avatar, save_avatar
from avatar.gaussians.model import SH_C0
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import POSES
from avatar.train.__main__ import main
from avatar.train.presets import QUICK, override
from avatar.train.trainer import Trainer
from tests.networks import random_weights
from tests.scenes import pass_on

TINY = override(
    QUICK,
    {
        "images": 320,
        "start": {"color_frames": 4},
        "density": {"interval": 80, "first": 0, "last": 320, "most": 800, "gradient": 1e-5},
        "rates": {"means_first": 5e-4},
        "rig": {"expr": 3e-4, "pose": 2e-4, "translation": 1e-4, "centred": True},
    },
)


def _train(scene: Path, rig: HeadRig, preset=TINY, seed: int = 0) -> Trainer:
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, dataset.params, rig, preset, seed)
        for _ in trainer.steps():
            pass
    return trainer


def _score(scene: Path, rig: HeadRig, trainer: Trainer, protocol: str) -> float:
    avatar = trainer.avatar({})
    white = np.ones(3, np.float32)
    with Dataset(scene) as dataset:
        rows = protocol_rows(dataset, protocol)
        return float(
            np.mean(
                [
                    psnr(
                        float(
                            squared_error(
                                r.image,
                                composite(dataset.image(r.row), dataset.alpha(r.row), white),
                            ).mean()
                        )
                    )
                    for r in render_rows(avatar, rig, dataset, rows, white)
                ]
            )
        )


def test_it_learns_the_scene_and_renders_what_it_never_saw(scene: Path, rig: HeadRig) -> None:
    trainer = _train(scene, rig)
    untrained = _train(scene, rig, override(TINY, {"images": 4}))
    assert trainer.images == 320
    assert trainer.log.rows[-1].psnr > trainer.log.rows[0].psnr + 2
    assert (
        _score(scene, rig, trainer, "novel_view") > _score(scene, rig, untrained, "novel_view") + 3
    )
    assert _score(scene, rig, trainer, "self_reenactment") > 21
    assert len(trainer.gaussians) > len(rig.faces)
    assert trainer.gaussians.binding.unique().numel() == len(rig.faces)


def test_the_same_seed_gives_the_same_bits(scene: Path, rig: HeadRig) -> None:
    preset = override(TINY, {"images": 88})
    one, two = (_train(scene, rig, preset) for _ in range(2))
    for name, value in one.gaussians.tensors().items():
        assert torch.equal(value, getattr(two.gaussians, name)), name
    for name in ("expr", "rotation", "translation"):
        assert torch.equal(getattr(one.tuned_params(), name), getattr(two.tuned_params(), name))
    other = _train(scene, rig, preset, seed=1)
    assert not torch.equal(one.gaussians.sh_dc[:100], other.gaussians.sh_dc[:100])


def test_evidence_is_counted_in_pixels(scene: Path, rig: HeadRig) -> None:
    """Half of a step: a pixel's error, all of one sign, seen through all of its colour."""
    with Dataset(scene) as dataset:
        trainer = Trainer(
            dataset, dataset.params, rig, override(TINY, {"rates": {"color_evidence": 1.0}})
        )
        images, pixels = trainer._order.rows(0).size, int(dataset.cameras.sizes[0].prod())
        coefficient = torch.zeros(1, requires_grad=True)
        shown = torch.zeros(images * pixels * 3)
        shown[0] = 1.0
        image = (0.5 + SH_C0 * coefficient) * shown
        ((1 - TINY.loss.ssim) * (image - 2 * shown).abs().mean()).backward()
    assert coefficient.grad is not None
    assert trainer._color_eps() == pytest.approx(coefficient.grad.abs().item(), rel=1e-4)


def test_only_training_timesteps_are_tuned(scene: Path, rig: HeadRig) -> None:
    trainer = _train(scene, rig, override(TINY, {"images": 40}))
    tuned = trainer.tuned_params()
    with Dataset(scene) as dataset:
        trained = np.unique(dataset.timestep[dataset.rows(TRAIN)])
        tracked = dataset.params
    rest = np.setdiff1d(np.arange(len(tracked)), trained)
    for name in set(POSES) - {"soft_offset"}:
        before, after = getattr(tracked, name), getattr(tuned, name)
        assert torch.equal(before[rest], after[rest]), name
        assert not torch.equal(before[trained], after[trained]), name
    for name in ("shape", "static_offset", "soft_offset"):
        assert torch.equal(getattr(tracked, name), getattr(tuned, name))


def test_opacities_are_reset_on_time(scene: Path, rig: HeadRig) -> None:
    density = {"interval": 1000, "first": 0, "last": 1000, "reset_interval": 40}
    preset = override(TINY, {"images": 80, "density": density})
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, dataset.params, rig, preset)
        highest = {}
        for _ in trainer.steps():
            highest[trainer.images] = (
                trainer.gaussians.opacity_logits.detach().sigmoid().max().item()
            )
    assert highest[36] > 0.4
    assert highest[40] <= 0.0101
    assert highest[80] > highest[40]  # the last image resets nothing: no step would follow it


def test_density_control_rests_at_the_last_image(scene: Path, rig: HeadRig) -> None:
    """As in `paper`, where the last round and the last reset would fall on it."""
    density = {"interval": 20, "first": 0, "last": 60, "gradient": 0.0, "reset_interval": 40}
    trainer = _train(scene, rig, override(TINY, {"images": 40, "density": density}))
    assert len(trainer.gaussians) == TINY.density.most  # the round at 20 images took place
    assert trainer.gaussians.opacity_logits.sigmoid().max() > 0.1
    longer = override(TINY, {"images": 44, "density": density | {"most": None}})
    shorter = override(longer, {"images": 40})
    assert len(_train(scene, rig, longer).gaussians) > len(_train(scene, rig, shorter).gaussians)


def test_a_saved_avatar_is_the_trained_one(scene: Path, rig: HeadRig, tmp_path: Path) -> None:
    """With its basis: the world's Gaussians at a training timestep, before and after the files."""
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, dataset.params, rig, override(TINY, {"images": 24}))
        for _ in trainer.steps():
            pass
    assert trainer.gaussians.basis_means.abs().max() > 0
    assert trainer.space is not None
    trained = trainer.avatar({"x": 1})
    save_avatar(tmp_path, trained)
    read = load_avatar(tmp_path, rig)
    plain = replace(trained, space=None)
    for timestep in (0, 3):
        verts, world = trained.pose(rig, timestep)
        verts_read, world_read = read.pose(rig, timestep)
        assert torch.equal(verts, verts_read)
        assert torch.equal(world.means, world_read.means)
        assert torch.equal(world.sh_coeffs, world_read.sh_coeffs)
        assert not torch.equal(world.means, plain.pose(rig, timestep)[1].means)


def test_harmonics_gain_a_degree_at_every_interval(scene: Path, rig: HeadRig) -> None:
    preset = override(TINY, {"images": 60, "sh_degree": 3, "sh_interval": 20})
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, dataset.params, rig, preset)
        reached = {}
        for _ in trainer.steps():
            used = trainer.gaussians.sh_rest.detach().abs().amax((0, 2)) > 0
            reached[trainer.images] = int(used.sum())
    # The degree counts the images before a step: 3 coefficients of degree 1, 8 of 2, 15 of 3.
    assert [reached[n] for n in (20, 24, 40, 44, 60)] == [0, 3, 3, 8, 8]


def test_steps_that_see_what_was_tracked_tune_nothing(scene: Path, rig: HeadRig) -> None:
    tuned = []
    for share in (0.0, 1.0):
        preset = override(TINY, {"images": 16, "rig": {"tracked_share": share}})
        with Dataset(scene) as dataset:
            trainer = Trainer(dataset, dataset.params, rig, preset)
            for _ in trainer.steps():
                pass
            tuned.append((trainer.tuned_params().expr - dataset.params.expr).abs().max())
    assert tuned[0] > 0
    assert tuned[1] == 0


def test_training_opens_no_port(scene: Path, rig: HeadRig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a port was opened")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    _train(scene, rig, override(TINY, {"images": 8}))


def test_a_perceptual_loss_is_part_of_the_sum(scene: Path, rig: HeadRig, tmp_path: Path) -> None:
    weights = tmp_path / "alex.safetensors"
    safetensors.torch.save_file(random_weights("alex"), weights)
    network = {"weights": str(weights), "sha256": files.sha256(weights), "backbone": "alex"}
    preset = override(TINY, {"images": 8, "loss": {"lpips": 0.1}, "lpips": network})
    trainer = _train(scene, rig, preset)
    row = trainer.log.rows[-1]
    assert row.terms["lpips"] > 0
    parts = 0.8 * row.terms["l1"] + 0.2 * (1 - row.terms["ssim"])
    parts += sum(row.terms[name] for name in ("position", "scale", "lpips"))
    assert row.loss == pytest.approx(parts, rel=1e-4)


@pytest.mark.fault("4.5")
def test_the_extent_of_paper_is_that_of_the_training_cameras(scene: Path, rig: HeadRig) -> None:
    """Of four cameras the third is held out; the others stand at -0.87, -0.29 and 0.87 rad."""
    angles = np.array([-0.87, -0.29, 0.87])
    centres = 0.5 * np.stack([np.sin(angles), 0 * angles, np.cos(angles)], 1)
    spread = 1.1 * np.linalg.norm(centres - centres.mean(0), axis=1).max()
    with Dataset(scene) as dataset:
        asked = {"extent": "cameras", "start": {"color_frames": 0}}
        trainer = Trainer(dataset, dataset.params, rig, override(TINY, asked))
        assert trainer.extent == pytest.approx(spread, rel=1e-6)
        assert Trainer(dataset, dataset.params, rig, TINY).extent == rig.head_radius


def test_a_loss_that_is_not_finite_stops_with_one_line(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, dataset.params, rig, TINY)
        trainer.gaussians.sh_dc.data[:] = torch.nan
        with pytest.raises(UserError, match="training diverged after 200 images: loss"):
            list(trainer.steps())


def test_the_given_parameters_are_trained_with_not_the_datasets(scene: Path, rig: HeadRig) -> None:
    """Poses, first colours, the basis' space and what the avatar keeps."""
    preset = override(TINY, {"images": 4, "basis": {"size": 2}, "rig": {"tracked_share": 1.0}})
    with Dataset(scene) as dataset:
        tracked = dataset.params
        other = replace(tracked, expr=tracked.expr.flip(1) + 0.5, rotation=tracked.rotation + 0.2)
        one, two = (Trainer(dataset, params, rig, preset) for params in (tracked, other))
        for trainer in (one, two):
            next(trainer.steps())
    rest = torch.arange(4, 6)
    assert torch.equal(two.tuned_params().rotation[rest], other.rotation[rest])
    assert one.space is not None
    assert two.space is not None
    assert not torch.allclose(one.space.mean, two.space.mean)
    assert not torch.allclose(one.gaussians.sh_dc, two.gaussians.sh_dc, atol=0.05)


def test_nothing_visible_is_one_line(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        away = dataset.params.translation + torch.tensor([100.0, 0, 0])
        params = replace(dataset.params, translation=away)
        trainer = Trainer(
            dataset, params, rig, override(TINY, {"images": 400, "basis": {"size": 0}})
        )
        with pytest.raises(UserError, match="nothing was visible in the last 200 of 200 images"):
            for _ in trainer.steps():
                pass


def test_another_rig_and_no_frames_are_refused(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        params = replace(dataset.params, rig="flame", rig_sha256="0" * 64)
        with pytest.raises(UserError, match=r"made with rig flame \(000000000000\), given is toy"):
            Trainer(dataset, params, rig, TINY)
    with Dataset(scene) as dataset:
        dataset.split[:] = 3
        with pytest.raises(UserError, match="no training frames"):
            Trainer(dataset, dataset.params, rig, TINY)


def test_the_command_writes_the_avatar(scene: Path, rig: HeadRig, tmp_path: Path) -> None:
    rig.save(tmp_path / "toy.npz")
    home = tmp_path / "results/anna"
    home.mkdir(parents=True)
    (home / "dataset.h5").write_bytes(scene.read_bytes())
    pass_on(home, tmp_path / "toy.npz")
    arguments = ["--subject", "anna", "--results", str(tmp_path / "results")]
    arguments += ["--rig", str(tmp_path / "toy.npz")]
    settings = '{"preset": "quick", "overrides": {"images": 24}}'
    assert main([*arguments, "--settings", settings]) == 0
    avatar = load_avatar(home / "avatar", rig)
    about = avatar.about
    assert len(avatar.gaussians) == len(rig.faces)
    assert about["preset"]["images"] == 24
    assert about["rig_sha256"] == rig.sha256
    assert about["extent"] == rig.head_radius
    assert len(RigParams.load(home / "avatar/rig_params.npz")) == 6
    log = (home / "avatar/train_log.csv").read_text().splitlines()
    assert log[0] == "step,images,loss,l1,ssim,position,scale,visible,psnr,gaussians"
    assert log[-1].split(",")[1] == "24"
    assert (home / "avatar/local_frame.ply").stat().st_size > 63 * 4 * len(rig.faces)


def test_a_bad_setting_is_one_line(
    tmp_path: Path, rig: HeadRig, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.save(tmp_path / "toy.npz")
    (tmp_path / "results/anna").mkdir(parents=True)
    (tmp_path / "results/anna/dataset.h5").write_bytes(scene.read_bytes())
    pass_on(tmp_path / "results/anna", tmp_path / "toy.npz")
    arguments = ["--subject", "anna", "--results", str(tmp_path / "results")]
    arguments += ["--rig", str(tmp_path / "toy.npz"), "--settings", '{"overrides": {"imagse": 1}}']
    assert main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "train.overrides.imagse" in errors[0]
    assert (tmp_path / "results/anna/failures/train.json").exists()


@pytest.mark.gpu
def test_gpu_training_and_the_band_of_its_resume(scene: Path, rig: HeadRig) -> None:
    """Gradients are summed by atomics there: a resumed run is near the other, not equal to it."""
    scores = []
    for stop in (None, 160):
        with Dataset(scene) as dataset:
            trainer = Trainer(dataset, dataset.params, rig, TINY, device="cuda")
            for _ in trainer.steps():
                if trainer.images == stop:
                    snapshot = trainer.snapshot()
                    trainer = Trainer(dataset, dataset.params, rig, TINY, device="cuda")
                    trainer.restore(snapshot)
                    break
            for _ in trainer.steps():
                pass
        scores.append(trainer.log.rows[-1].psnr)
    print(f"PSNR of the last images: whole {scores[0]:.3f}, resumed {scores[1]:.3f} dB")
    assert min(scores) > 21
    assert abs(scores[0] - scores[1]) < 0.5
