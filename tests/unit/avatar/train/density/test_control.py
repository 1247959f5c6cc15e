"""When density control acts: by images, whatever the size of a step."""

import math
from dataclasses import replace

import pytest
import torch

from avatar.gaussians.model import RiggedGaussians
from avatar.render import RenderOutput
from avatar.train.density.control import AdaptiveControl, BudgetControl, _due, make_control
from avatar.train.optimiser import Optimiser
from avatar.train.presets import PAPER, Density, Rates, RigTuning

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
    return RenderOutput(image, image[..., :1], means2d, radii)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


SETTINGS = Density(
    interval=20, first=20, last=100, gradient=1e-3, reset_interval=0, min_opacity=0.005
)


@pytest.mark.parametrize("step", [1, 4, 5])
def test_rounds_come_at_every_interval_between_first_and_last(step: int) -> None:
    control = make_control(SETTINGS, 0.1, SCALE, white=False)
    optimiser = _optimiser()
    grown_at, before = [], FACES
    for images in range(step, 121, step):
        control.observe(_output(1.0, len(optimiser.gaussians)), images - step)
        control.act(optimiser, images, images - step, _generator())
        if len(optimiser.gaussians) != before:
            grown_at.append(images)
            before = len(optimiser.gaussians)
    assert grown_at == [40, 60, 80]


def test_an_interval_of_zero_is_never() -> None:
    control = make_control(replace(SETTINGS, interval=0), 0.1, SCALE, white=False)
    optimiser = _optimiser()
    for images in range(4, 121, 4):
        control.observe(_output(1.0), images - 4)
        control.act(optimiser, images, images - 4, _generator())
    assert len(optimiser.gaussians) == FACES


def test_statistics_start_anew_after_a_round() -> None:
    control = AdaptiveControl(SETTINGS, 0.1, SCALE, white=False)
    optimiser = _optimiser()
    control.observe(_output(1.0), 39)
    control.act(optimiser, 40, 39, _generator())
    grown = len(optimiser.gaussians)
    assert grown == 2 * FACES
    control.observe(_output(0.0, grown), 59)
    control.act(optimiser, 60, 59, _generator())
    assert len(optimiser.gaussians) == grown


@pytest.mark.fault("4.5")
@pytest.mark.parametrize("white", [False, True])
def test_size_prunes_only_after_a_reset(white: bool) -> None:
    """On each face one of 10 mm and one of 1 mm; the limit is 10 % of the extent of 0.05 m, 5 mm.

    The reset on white, when densification starts, does not count.
    """
    settings = replace(SETTINGS, gradient=1e9, reset_interval=60)
    control = AdaptiveControl(settings, 0.05, SCALE, white)
    optimiser = _optimiser()
    two = torch.arange(FACES).repeat(2)
    doubled = {name: value[two] for name, value in optimiser.gaussians.tensors().items()}
    doubled["log_scales"][FACES:] = math.log(0.1)
    optimiser = Optimiser(
        RiggedGaussians(**doubled), {}, Rates(), RigTuning(), 0.05, torch.tensor([0])
    )
    for images, expected in ((40, 12), (60, 12), (80, 6)):
        control.observe(_output(1e-6, len(optimiser.gaussians)), images - 20)
        control.act(optimiser, images, images - 20, _generator())
        assert len(optimiser.gaussians) == expected, images
        if images == 60:
            logits = optimiser.gaussians.opacity_logits
            assert logits.sigmoid().max().item() == pytest.approx(0.01, rel=1e-5)


@pytest.mark.fault("4.5")
def test_the_papers_rounds_begin_after_10000_images_and_end_before_600000() -> None:
    due = [
        images
        for images in range(2000, 600_001, 2000)
        if _due(2000, PAPER.density.first, PAPER.density.last, images - 1, images)
    ]
    assert (due[0], due[-1]) == (12_000, 598_000)
    # A step of several images that passes 10,000 belongs to 10,000.
    assert not _due(2000, 10_000, 600_000, 9998, 10_002)
    assert _due(2000, 10_000, 600_000, 11_998, 12_002)


@pytest.mark.fault("4.5")
@pytest.mark.parametrize(
    ("white", "interval", "expected"),
    [(True, 60, [20, 60]), (False, 60, [60]), (True, 0, [])],
    ids=["white", "other background", "no resets"],
)
def test_on_white_opacities_are_reset_when_densification_starts(
    white: bool, interval: int, expected: list[int]
) -> None:
    settings = replace(SETTINGS, gradient=1e9, reset_interval=interval)
    control = make_control(settings, 0.1, SCALE, white)
    reset = []
    for images in range(4, 121, 4):
        optimiser = _optimiser(opacity=0.5)
        control.observe(_output(0.0), images - 4)
        control.act(optimiser, images, images - 4, _generator())
        if optimiser.gaussians.opacity_logits.sigmoid().max() < 0.011:
            reset.append(images)
    assert reset == expected  # 120 is not below `last`


def test_statistics_end_with_the_last_round() -> None:
    control = AdaptiveControl(SETTINGS, 0.1, SCALE, white=False)
    control.observe(_output(1.0), 76)
    assert control.tensors()
    control.act(_optimiser(), 80, 76, _generator())  # the last round
    control.observe(_output(1.0), 80)
    assert not control.tensors()


def test_the_budget_grows_by_a_twentieth_up_to_its_cap() -> None:
    settings = replace(SETTINGS, kind="budget", most=107, first=0, last=100)
    start = RiggedGaussians.on_faces(100)
    optimiser = Optimiser(start, {}, Rates(), RigTuning(), 0.1, torch.tensor([0]))
    scale = torch.full((100,), 0.01)
    control = make_control(settings, 0.1, scale, white=True)
    assert isinstance(control, BudgetControl)
    counts = []
    for images in range(10, 91, 10):
        control.observe(_output(0.0, len(optimiser.gaussians)), images - 10)
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
        BudgetControl(settings, SCALE).act(optimiser, 4, 0, _generator())
        moved.append(optimiser.gaussians.means_local.detach().norm())
    rates = Rates()
    assert (moved[1] / moved[0]).item() == pytest.approx(rates.means_last / rates.means_first)
    assert moved[0] > 0


@pytest.mark.parametrize("kind", ["adaptive", "budget"])
def test_what_it_knows_can_be_put_away(kind: str) -> None:
    settings = replace(SETTINGS, kind=kind, reset_interval=40)
    control = make_control(settings, 0.1, SCALE, white=False)
    control.observe(_output(1.0), 36)
    if kind == "adaptive":
        control.act(_optimiser(), 40, 36, _generator())
        control.observe(_output(0.5, 12), 40)
        assert control.tensors()
    other = make_control(settings, 0.1, SCALE, white=False)
    other.restore(control.tensors())
    for name, value in control.tensors().items():
        assert torch.equal(value, other.tensors()[name]), name
