import subprocess
import sys

import pytest

from avatar.base import settings
from avatar.base.errors import UserError
from avatar.losses.settings import LossWeights, LpipsSettings


def test_the_defaults_are_the_papers() -> None:
    weights = LossWeights()
    assert (weights.ssim, weights.position, weights.scale) == (0.2, 0.01, 1.0)
    assert (weights.position_limit, weights.scale_limit, weights.form) == (1.0, 0.6, "hinge")
    assert weights.opacity == weights.alpha == weights.lpips == 0


@pytest.mark.parametrize(
    "wrong",
    [{"ssim": 1.5}, {"scale": -1}, {"scale_limit": 0}, {"form": "huber"}, {"sism": 0.2}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_weight_is_named(wrong: dict) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        settings.check(LossWeights, wrong)


def test_a_network_needs_its_file_and_checksum() -> None:
    found = settings.check(LpipsSettings, {"weights": "vgg.safetensors", "sha256": "0" * 64})
    assert found.backbone == "vgg"
    with pytest.raises(UserError, match="sha256"):
        settings.check(LpipsSettings, {"weights": "vgg.safetensors"})


def test_they_load_no_torch() -> None:
    """Command lines read them before anything heavy is needed."""
    code = "import sys, avatar.train.presets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
