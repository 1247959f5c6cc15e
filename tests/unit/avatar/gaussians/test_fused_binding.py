"""The fused CPU function equals autograd through `binding`, and refuses bad indices."""

import math

import pytest
import torch

from avatar.gaussians.binding import carry_to_world
from avatar.gaussians.fused_binding import place
from tests.rigs import toy_rig


def _scene(n: int = 40, dtype: torch.dtype = torch.float64):
    torch.manual_seed(0)
    rig = toy_rig(dtype)
    verts = rig.v_template + 0.002 * torch.randn(2, rig.num_verts, 3, dtype=dtype)
    binding = torch.randint(0, len(rig.faces), (n,))
    local = [torch.randn(n, width, dtype=dtype) for width in (3, 3, 4)]
    return verts, rig.faces, binding, *local


@pytest.mark.parametrize("batch", [(), (2,)])
def test_values_and_gradients_are_those_of_autograd(batch: tuple[int, ...]) -> None:
    verts, faces, binding, *local = _scene()
    verts = verts if batch else verts[0]
    exact = [x.clone().requires_grad_() for x in (verts, *local)]
    fused = [x.detach().float().requires_grad_() for x in exact]
    expected = carry_to_world(exact[0], faces, binding, *exact[1:])
    got = place(fused[0], faces, binding, *fused[1:])
    weights = [torch.randn_like(x) for x in expected]
    sum((x * w).sum() for x, w in zip(expected, weights, strict=True)).backward()
    sum((x * w.float()).sum() for x, w in zip(got, weights, strict=True)).backward()
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-6)
    for a, b in zip(fused, exact, strict=True):
        # float32 on coordinates of 0.1 m with edges of 10 mm: five digits are left
        assert (a.grad - b.grad).norm() < 2e-5 * b.grad.norm()


@pytest.mark.parametrize("wanted", ["verts", "local"])
def test_one_sides_gradient_is_that_of_both(wanted: str) -> None:
    """What is not asked for is not computed; the rest is the same."""
    verts, faces, binding, *local = _scene(dtype=torch.float32)
    inputs = [verts, *local]
    both, one = ([x.clone() for x in inputs] for _ in range(2))
    for x in (*both, *(one[:1] if wanted == "verts" else one[1:])):
        x.requires_grad_()
    for each in (both, one):
        world = place(each[0], faces, binding, *each[1:])
        sum(x.square().sum() for x in world).backward()
    for x, reference in zip(one, both, strict=True):
        assert x.grad is None if not x.requires_grad else torch.equal(x.grad, reference.grad)


def test_a_collapsed_face_gives_finite_numbers() -> None:
    verts = torch.zeros(3, 3, requires_grad=True)
    local = [torch.ones(1, width, requires_grad=True) for width in (3, 3, 4)]
    world = place(verts, torch.tensor([[0, 1, 2]]), torch.tensor([0]), *local)
    assert all(x.isfinite().all() for x in world)
    assert world[2].max() < 1e-6
    (world[0].sum() + world[2].sum()).backward()
    assert verts.grad is not None
    assert math.isfinite(float(verts.grad.sum()))


@pytest.mark.fault("H12")
@pytest.mark.parametrize("index", [-1, 10**6, 2**40])
@pytest.mark.parametrize("name", ["binding", "faces"])
def test_indices_out_of_range_are_refused(name: str, index: int) -> None:
    """The kernels would read other memory, or end the process."""
    verts, faces, binding, *local = _scene(dtype=torch.float32)
    changed = {"binding": binding.clone(), "faces": faces.clone()}
    changed[name].view(-1)[3] = index
    with pytest.raises(ValueError, match=rf"{name}: expected indices 0\.\.\d+, got "):
        place(verts, changed["faces"], changed["binding"], *local)
