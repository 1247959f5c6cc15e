import json
import math
from dataclasses import asdict, fields, is_dataclass, replace

import pytest

from avatar.base.errors import UserError
from avatar.base.settings import read as read_settings
from avatar.losses.settings import LpipsSettings
from avatar.train.presets import (
    FAST,
    PAPER,
    PRESETS,
    QUICK,
    Preset,
    TrainSettings,
    override,
    resolve,
)


def test_paper_has_the_published_figures() -> None:
    rates, density, loss = PAPER.rates, PAPER.density, PAPER.loss
    assert (PAPER.images, PAPER.sh_degree, PAPER.sh_interval) == (600_000, 3, 1000)
    assert PAPER.batch.timesteps * PAPER.batch.views == 1
    assert (rates.means_first, rates.means_last, rates.eps) == (5e-3, 5e-5, 1e-15)
    assert (rates.sh_dc, rates.sh_rest, rates.opacities) == (2.5e-3, 1.25e-4, 0.05)
    assert (rates.scales, rates.quats, rates.final) == (0.017, 1e-3, 1.0)
    assert rates.color_evidence == 0
    assert (PAPER.rig.expr, PAPER.rig.pose, PAPER.rig.translation) == (1e-3, 1e-5, 1e-6)
    assert (loss.ssim, loss.position, loss.scale) == (0.2, 0.01, 1.0)
    assert (loss.position_limit, loss.scale_limit, loss.form) == (1.0, 0.6, "hinge")
    assert (density.interval, density.first, density.last) == (2000, 10_000, 600_000)
    assert (density.gradient, density.split_share, density.most) == (2e-4, 0.01, None)
    assert (density.min_opacity, density.max_share) == (0.005, 0.1)
    assert (density.reset_interval, density.reset_opacity) == (60_000, 0.01)
    assert (PAPER.start.opacity, PAPER.start.scale, PAPER.start.color_frames) == (0.1, 1.0, 0)
    assert PAPER.extent == "cameras"


def test_auto_is_fast_with_cuda_and_quick_without() -> None:
    assert resolve(TrainSettings(), cuda=True, cameras=8) == FAST
    assert resolve(TrainSettings(), cuda=False, cameras=8) == QUICK
    assert resolve(TrainSettings("paper"), cuda=False, cameras=8) == PAPER


@pytest.mark.parametrize(("preset", "least"), [(QUICK, 1.5), (FAST, 3)], ids=["quick", "fast"])
def test_a_mean_can_travel_some_face_scales(preset: Preset, least: float) -> None:
    """Else Gaussians stay where they were put: the sum of the rates over all steps."""
    rates, batch = preset.rates, preset.batch
    steps = preset.images / (batch.timesteps * batch.views)
    ratio = math.log(rates.means_first / rates.means_last)
    assert steps * (rates.means_first - rates.means_last) / ratio > least


def test_one_camera_has_no_view_dependence_unless_asked_for() -> None:
    single = resolve(TrainSettings("paper"), cuda=False, cameras=1)
    assert (single.sh_degree, single.extent) == (0, "head")
    assert single.start == replace(PAPER.start, thickness=0.15)
    assert single.loss == replace(PAPER.loss, alpha=0.1)
    asked = TrainSettings("paper", {"sh_degree": 2})
    assert resolve(asked, cuda=False, cameras=1).sh_degree == 2


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_every_field_can_be_overridden(preset) -> None:
    def changed(value):
        if is_dataclass(value):
            return {f.name: changed(getattr(value, f.name)) for f in fields(value)}
        choices = {"white": "black", "random": "white", "head": "cameras", "cameras": "head"}
        choices |= {"hinge": "max", "adaptive": "budget", "vgg": "alex"}
        if isinstance(value, bool):
            return not value
        if isinstance(value, str):
            return choices.get(value, value + "x")
        if isinstance(value, float):
            return value / 2 + 0.1
        return 7 if value is None else value - 1 if value > 1 else value + 1

    preset = replace(preset, lpips=LpipsSettings("vgg.safetensors", "0" * 64, "vgg"))
    wanted = changed(preset)
    assert asdict(override(preset, wanted)) == wanted
    for name, value in wanted.items():
        single = asdict(override(preset, {name: value}))
        assert single.pop(name) == value
        assert single == {key: v for key, v in asdict(preset).items() if key != name}


def test_settings_come_as_json() -> None:
    text = json.dumps({"preset": "quick", "overrides": {"images": 5, "rates": {"quats": 0.5}}})
    preset = resolve(read_settings(TrainSettings, text), cuda=False, cameras=2)
    assert (preset.images, preset.rates.quats) == (5, 0.5)
    assert preset.rates.scales == QUICK.rates.scales


def test_without_torso_frames_are_over_black_and_alpha_counts() -> None:
    asked = TrainSettings("quick", torso=False)
    preset = resolve(asked, cuda=False, cameras=8)
    assert (preset.batch.background, preset.loss.alpha) == ("black", 0.1)
    assert preset.batch.timesteps == QUICK.batch.timesteps
    asked = replace(asked, overrides={"batch": {"background": "random"}})
    assert resolve(asked, cuda=False, cameras=8).batch.background == "random"


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"imagse": 5}, "imagse"),
        ({"rates": {"quat": 1.0}}, "rates.quat"),
        ({"loss": {"form": "huber"}}, "loss.form"),
        ({"images": "many"}, "images"),
        ({"batch": 4}, "batch"),
        ({"images": 0}, "images"),
        ({"batch": {"timesteps": 0}}, "batch.timesteps"),
        ({"sh_degree": 4}, "sh_degree"),
        ({"start": {"scale": 0}}, "start.scale"),
        ({"start": {"opacity": 1.5}}, "start.opacity"),
        ({"start": {"color_frames": -1}}, "start.color_frames"),
        ({"rates": {"means_first": 0}}, "rates.means_first"),
        ({"rates": {"scales": float("nan")}}, "rates.scales"),
        ({"basis": {"size": -1}}, "basis.size"),
        ({"rig": {"tracked_share": 2}}, "rig.tracked_share"),
        ({"density": {"first": 9000, "last": 8000}}, "density: first is 9000"),
    ],
)
def test_a_wrong_override_is_named(overrides: dict, named: str) -> None:
    with pytest.raises(UserError, match=f"train.overrides.{named}"):
        override(QUICK, overrides)


def test_a_perceptual_loss_needs_its_network() -> None:
    with pytest.raises(UserError, match=r"train\.overrides\.loss\.lpips needs"):
        override(QUICK, {"loss": {"lpips": 0.1}})


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(UserError, match=r'"best".*auto, paper, fast, quick'):
        read_settings(TrainSettings, '{"preset": "best"}')
