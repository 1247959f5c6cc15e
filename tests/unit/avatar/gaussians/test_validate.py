"""Tensors that are an avatar's, and the first thing that is wrong with others."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from avatar.gaussians.basis import ExpressionSpace
from avatar.gaussians.validate import find_problem
from avatar.rig import HeadRig
from tests.gaussians import random_gaussians
from tests.scenes import moving_params


def _tensors(rig: HeadRig, degree: int = 1, basis: int = 2) -> tuple[dict, dict]:
    space = {}
    if basis:
        space = vars(ExpressionSpace.fit(moving_params(rig, 6), torch.arange(4), basis))
    return random_gaussians(len(rig.faces), degree, basis).tensors(), dict(space)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("basis", [0, 2])
def test_every_degree_with_and_without_a_basis_is_sound(
    rig: HeadRig, degree: int, basis: int
) -> None:
    assert find_problem(*_tensors(rig, degree, basis), rig) is None


def _set(name: str, value: float) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[name].view(-1)[0] = value

    return change


def _first(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], None]:
    def replace(tensors: dict[str, Tensor]) -> None:
        tensors[name] = change(tensors[name])

    return replace


BROKEN = {
    "binding above": (_set("binding", 10**6), r"binding is 0\.\.1000000, the rig has \d+ faces"),
    "binding below": (_set("binding", -1), r"binding is -1\.\."),
    "binding as floats": (_first("binding", Tensor.float), r"binding is torch\.float32"),
    "doubles": (_first("means_local", Tensor.double), r"means_local is torch\.float64"),
    "not a number": (_set("sh_dc", torch.nan), "sh_dc holds NaN or infinity"),
    "infinite": (_set("basis_means", -torch.inf), "basis_means holds NaN or infinity"),
    "huge": (_set("log_scales", 3e38), r"log_scales reach 3e\+38, expected at most 20"),
    "one short": (_first("sh_dc", lambda t: t[1:]), r"sh_dc is torch\.float32 \["),
    "a flat binding": (_first("binding", lambda t: t[0]), r"expected torch\.float32 \[0, 3\]"),
    "no degree": (_first("sh_rest", lambda t: t.repeat(1, 2, 1)[:, :4]), "sh_rest has 4"),
}


@pytest.mark.fault("H12")
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_wrong_is_named(rig: HeadRig, kind: str) -> None:
    gaussians, space = _tensors(rig)
    change, expected = BROKEN[kind]
    change(gaussians)
    problem = find_problem(gaussians, space, rig)
    assert problem is not None
    assert re.search(expected, problem)


@pytest.mark.fault("H12")
def test_sets_of_tensors_that_do_not_fit_are_named(rig: HeadRig) -> None:
    gaussians, space = _tensors(rig)
    zero = gaussians | {"quats_local": torch.zeros_like(gaussians["quats_local"])}
    assert find_problem(zero, space, rig) == "quats_local holds a quaternion of length zero"
    without = {name: value for name, value in gaussians.items() if name != "opacity_logits"}
    assert "not the tensors of Gaussians" in str(find_problem(without, space, rig))
    assert "has a basis of 2" in str(find_problem(gaussians, {}, rig))
    wide = space | {"mean": torch.zeros(99)}
    assert "mean is torch.float32 [99]" in str(find_problem(gaussians, wide, rig))
    none = {name: value[:0] for name, value in gaussians.items()}
    assert find_problem(none, space, rig) == "holds no Gaussians"
