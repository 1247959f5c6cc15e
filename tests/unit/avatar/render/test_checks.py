"""Arguments of `rasterize` that are refused, each by its name."""

import pytest
import torch

from avatar.render.checks import check_inputs
from tests.unit.avatar.render.scenes import packed, random_scene, to_dtype


def scene(**changes):
    return to_dtype(random_scene(5, 16, 12, degree=1), torch.float32) | changes


def test_a_sound_scene_passes_alone_and_in_a_batch():
    check_inputs(*packed(scene()))
    batch = {
        name: value.expand(2, *value.shape) if isinstance(value, torch.Tensor) else value
        for name, value in scene().items()
    }
    check_inputs(*packed(batch))
    shared = {name: scene()[name] for name in ("opacities", "colors")}
    check_inputs(*packed(batch | shared))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": torch.zeros(5, 2)}, r"means: expected \[..., N, 3\], got \[5, 2\]"),
        ({"means": torch.zeros(5, 3, dtype=torch.int64)}, "means: expected float32 or float64"),
        ({"quats": torch.zeros(5, 3)}, r"quats: expected shape \[5, 4\], got \[5, 3\]"),
        ({"scales": torch.zeros(4, 3)}, r"scales: expected shape \[5, 3\], got \[4, 3\]"),
        ({"opacities": torch.zeros(5, 1)}, r"opacities: expected shape \[5\], got \[5, 1\]"),
        ({"colors": torch.zeros(5, 3)}, r"colors: expected shape \[5, "),
        ({"sh_degree": 2}, "colors: sh_degree 2 needs 9 coefficients, got 4"),
        ({"sh_degree": 4}, r"sh_degree: expected 0\.\.3, got 4"),
        ({"sh_degree": None}, r"colors: expected shape \[5, 3\], got \[5, 4, 3\]"),
        ({"viewmats": torch.eye(4)}, r"viewmats: expected \[C, 4, 4\], got \[4, 4\]"),
        ({"Ks": torch.zeros(2, 3, 3)}, r"Ks: expected shape \[1, 3, 3\], got \[2, 3, 3\]"),
        ({"backgrounds": torch.zeros(3)}, r"backgrounds: expected shape \[1, 3\], got \[3\]"),
        ({"width": 0}, "width: expected an int above 0, got 0"),
        ({"height": 2.5}, "height: expected an int above 0, got 2.5"),
        ({"quats": torch.zeros(5, 4).double()}, "quats: expected torch.float32 like means"),
        ({"Ks": torch.zeros(1, 3, 3).requires_grad_()}, "Ks: gets no gradient"),
        ({"viewmats": torch.zeros(1, 4, 4).requires_grad_()}, "viewmats: gets no gradient"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        check_inputs(*packed(scene(**changes)))
