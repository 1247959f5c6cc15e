"""Time of the appearance loss: python -m benchmarks.ssim [--repeats 10]

Milliseconds for value and gradient of 0.8 L1 + 0.2 (1 - SSIM) of one RGB image on one thread,
minimum of interleaved repeats: fused, and by autograd through the plain torch map; and the error
of both in single precision against the plain map in double precision.
"""

import argparse
import math
import time
from collections.abc import Callable

import numba
import torch
from torch import Tensor

from avatar.losses.ssim import ssim_map
from avatar.losses.terms import appearance
from benchmarks import report

SIZES = ((256, 256), (512, 512), (802, 550))  # height, width
Loss = Callable[[Tensor, Tensor], Tensor]


def plain(image: Tensor, truth: Tensor) -> Tensor:
    absolute = (image - truth).abs().mean()
    return 0.8 * absolute + 0.2 * (1 - ssim_map(image, truth).mean())


def fused(image: Tensor, truth: Tensor) -> Tensor:
    return appearance(image, truth, 0.2).loss


def pair(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A picture of soft waves on white, and a noisy render of it."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    truth = torch.stack([0.5 + 0.4 * torch.sin(x * k / 40 + y / 30) for k in (1, 2, 3)], -1)
    truth[: height // 3] = 1
    return (truth + 0.05 * torch.randn(truth.shape)).clamp(0, 1), truth


def run(loss: Loss, image: Tensor, truth: Tensor) -> tuple[float, Tensor, float]:
    """Value, gradient and milliseconds."""
    image = image.clone().requires_grad_()
    start = time.perf_counter()
    value = loss(image, truth)
    value.backward()
    took = 1e3 * (time.perf_counter() - start)
    assert image.grad is not None
    return value.item(), image.grad, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    report.add_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    losses: dict[str, Loss] = {"fused": fused, "autograd": plain}
    header = [
        "image", "fused, ms", "autograd, ms", "ratio", "error of value: fused / autograd",
        "error of gradient",
    ]  # fmt: skip
    rows = []
    for height, width in SIZES:
        image, truth = pair(height, width)
        exact_value, exact, _ = run(plain, image.double(), truth.double())
        least = dict.fromkeys(losses, math.inf)
        errors = {}
        for _ in range(args.repeats):
            for name, loss in losses.items():
                value, gradient, took = run(loss, image, truth)
                least[name] = min(least[name], took)
                off = (gradient - exact).norm() / exact.norm()
                errors[name] = (abs(value - exact_value), off.item())
        values, slopes = (" / ".join(f"{errors[name][k]:.0e}" for name in losses) for k in range(2))
        fast, slow = least["fused"], least["autograd"]
        rows.append([
            f"{width}x{height}", f"{fast:.1f}", f"{slow:.1f}", f"{slow / fast:.1f}", values, slopes
        ])  # fmt: skip
    body = report.table(header, rows)
    report.publish("docs/performance.md", "ssim", body, ["avatar/losses"], args.write)


if __name__ == "__main__":
    main()
