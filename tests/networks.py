"""Backbones of LPIPS with random weights."""

import torch
from torch import Tensor

# Written a second time: (index in `features`, out, in, kernel, stride, padding).
ALEX = [(0, 64, 3, 11, 4, 2), (3, 192, 64, 5, 1, 2), (6, 384, 192, 3, 1, 1),
        (8, 256, 384, 3, 1, 1), (10, 256, 256, 3, 1, 1)]  # fmt: skip
VGG = [(0, 64, 3), (2, 64, 64), (5, 128, 64), (7, 128, 128), (10, 256, 128), (12, 256, 256),
       (14, 256, 256), (17, 512, 256), (19, 512, 512), (21, 512, 512), (24, 512, 512),
       (26, 512, 512), (28, 512, 512)]  # fmt: skip
CONVS = {"alex": ALEX, "vgg": [(*conv, 3, 1, 1) for conv in VGG]}


def random_weights(backbone: str) -> dict[str, Tensor]:
    """Of a size that neither fades nor grows with depth; and a layer that is of no use here."""
    generator = torch.Generator().manual_seed(0)
    weights = {"classifier.6.bias": torch.zeros(1000)}
    for index, out, before, kernel, *_ in CONVS[backbone]:
        shape = (out, before, kernel, kernel)
        deviation = (2 / (before * kernel * kernel)) ** 0.5
        weights[f"features.{index}.weight"] = deviation * torch.randn(shape, generator=generator)
        weights[f"features.{index}.bias"] = 0.1 * torch.randn(out, generator=generator)
    return weights
