"""When density control acts: by images, whatever the size of a step."""

from dataclasses import replace

import pytest
import torch

from avatar.gaussians.model import RiggedGaussians
from avatar.render import RenderOutput
from avatar.train.density.control import AdaptiveControl, BudgetControl, make_control
from avatar.train.optimiser import Optimiser
from avatar.train.presets import Density, Rates, RigTuning

FACES = 6
SCALE = torch.full((FACES,), 0.01)


def _optimiser(opacity: float = 0.5) -> Optimiser:
    start = RiggedGaussians.on_faces(FACES, opacity=opacity)
    rig: dict[str, torch.Tensor] = {}
    return Optimiser(start, rig, Rates(), RigTuning(), 0.1, torch.tensor([0]))


def _output(gradient: float, n: int = FACES) -> RenderOutput:
    """A render of 20x10 pixels in which all are visible and pulled as strongly."""
    means2d = torch.zeros(1, 1, n, 2)
    means2d.grad = torch.full_like(means2d, gradient)
    radii = torch.ones(1, 1, n, 2, dtype=torch.int32)
    image = torch.zeros(1, 1, 10, 20, 3)
    return RenderOutput(image, image[..., :1], None, means2d, radii)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


SETTINGS = Density(
    interval=20, first=40, last=80, gradient=1e-3, reset_interval=0, min_opacity=0.005
)


@pytest.mark.parametrize("step", [1, 4, 5])
def test_rounds_come_at_every_interval_between_first_and_last(step: int) -> None:
    control = make_control(SETTINGS, 0.1, SCALE)
    optimiser = _optimiser()
    grown_at, before = [], FACES
    for images in range(step, 121, step):
        control.observe(_output(1.0, len(optimiser.gaussians)))
        control.act(optimiser, images, images - step, _generator())
        if len(optimiser.gaussians) != before:
            grown_at.append(images)
            before = len(optimiser.gaussians)
    assert grown_at == [40, 60, 80]


def test_an_interval_of_zero_is_never() -> None:
    control = make_control(replace(SETTINGS, interval=0), 0.1, SCALE)
    optimiser = _optimiser()
    for images in range(4, 121, 4):
        control.observe(_output(1.0))
        control.act(optimiser, images, images - 4, _generator())
    assert len(optimiser.gaussians) == FACES


def test_statistics_start_anew_after_a_round() -> None:
    control = AdaptiveControl(SETTINGS, 0.1, SCALE)
    optimiser = _optimiser()
    control.observe(_output(1.0))
    control.act(optimiser, 40, 39, _generator())
    grown = len(optimiser.gaussians)
    assert grown == 2 * FACES
    control.observe(_output(0.0, grown))
    control.act(optimiser, 60, 59, _generator())
    assert len(optimiser.gaussians) == grown


def test_size_prunes_only_after_a_reset() -> None:
    """A Gaussian of 10 mm against a limit of 10 % of the extent of 0.05 m: 5 mm."""
    settings = replace(SETTINGS, gradient=1e9, reset_interval=60)
    control = AdaptiveControl(settings, 0.05, SCALE)
    optimiser = _optimiser()
    two = torch.arange(FACES).repeat(2)
    doubled = {name: value[two] for name, value in optimiser.gaussians.tensors().items()}
    optimiser = Optimiser(
        RiggedGaussians(**doubled), {}, Rates(), RigTuning(), 0.05, torch.tensor([0])
    )
    for images, expected in ((40, 12), (60, 12), (80, 6)):
        control.observe(_output(1e-6, len(optimiser.gaussians)))
        control.act(optimiser, images, images - 20, _generator())
        assert len(optimiser.gaussians) == expected, images
        if images == 60:
            logits = optimiser.gaussians.opacity_logits
            assert logits.sigmoid().max().item() == pytest.approx(0.01, rel=1e-5)


def test_the_budget_grows_by_a_twentieth_up_to_its_cap() -> None:
    settings = replace(SETTINGS, kind="budget", most=107, first=20, last=80)
    start = RiggedGaussians.on_faces(100)
    optimiser = Optimiser(start, {}, Rates(), RigTuning(), 0.1, torch.tensor([0]))
    scale = torch.full((100,), 0.01)
    control = make_control(settings, 0.1, scale)
    assert isinstance(control, BudgetControl)
    counts = []
    for images in range(10, 91, 10):
        control.observe(_output(0.0, len(optimiser.gaussians)))
        control.act(optimiser, images, images - 10, _generator())
        counts.append(len(optimiser.gaussians))
    assert counts == [100, 105, 105, 107, 107, 107, 107, 107, 107]
    assert optimiser.gaussians.binding.unique().numel() == 100


def test_the_budgets_noise_follows_the_means_rate() -> None:
    settings = replace(SETTINGS, kind="budget", noise=10.0, interval=0)
    moved = []
    for share in (0.0, 1.0):
        optimiser = _optimiser(opacity=0.004)
        optimiser.schedule(share)
        BudgetControl(settings, 0.1, SCALE).act(optimiser, 4, 0, _generator())
        moved.append(optimiser.gaussians.means_local.detach().norm())
    rates = Rates()
    assert (moved[1] / moved[0]).item() == pytest.approx(rates.means_last / rates.means_first)
    assert moved[0] > 0


@pytest.mark.parametrize("kind", ["adaptive", "budget"])
def test_what_it_knows_can_be_put_away(kind: str) -> None:
    settings = replace(SETTINGS, kind=kind, reset_interval=40)
    control = make_control(settings, 0.1, SCALE)
    control.observe(_output(1.0))
    if kind == "adaptive":
        control.act(_optimiser(), 40, 36, _generator())
        control.observe(_output(0.5, 12))
    other = make_control(settings, 0.1, SCALE)
    other.restore(control.tensors())
    for name, value in control.tensors().items():
        assert torch.equal(value, other.tensors()[name]), name
