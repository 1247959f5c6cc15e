"""Time of the CPU renderer: python -m benchmarks.render_cpu [--repeats 20]

From tensors to the image, and from tensors to all gradients (means, quats, scales, opacities,
colours), in milliseconds, minimum of interleaved repeats. The scene is a sphere's surface seen from
outside, Gaussians 1.7 to 3.2 (last size: 1 to 3) pixels wide. The plain torch reference is timed on
the two small sizes only: on the others it takes minutes.

Exit code 1 if 10k Gaussians at 256x256 take more than 15 ms on one thread.
"""

import argparse
import math
import sys
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from avatar.render import Backend, rasterize
from avatar.render.cpu import warm_up
from benchmarks import report

LIMIT = 15.0  # ms, forward and backward of THE_SIZE on one thread


@dataclass(frozen=True)
class Size:
    """How many Gaussians, how wide, in an image of which size."""

    n: int
    width: int
    height: int
    sigma: tuple[float, float]  # px
    reference: bool

    def __str__(self) -> str:
        return f"{self.n // 1000}k, {self.width}x{self.height}"


THE_SIZE = Size(10_000, 256, 256, (1.7, 3.2), reference=True)
SIZES = (
    Size(3_000, 128, 128, (1.7, 3.2), reference=True),
    THE_SIZE,
    Size(50_000, 512, 512, (1.7, 3.2), reference=False),
    Size(20_000, 550, 802, (1.0, 3.0), reference=False),
)


Splats = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # the first arguments of `rasterize`


def make_scene(size: Size, degree: int | None) -> tuple[Splats, tuple[Tensor, Tensor]]:
    """Gaussians (all asking for gradients) on a unit sphere, and a camera 3.2 away from it."""
    generator = torch.Generator().manual_seed(0)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    n, focal = size.n, 1.25 * min(size.width, size.height)
    means = torch.nn.functional.normalize(normal(n, 3), dim=-1) * (1 + 0.02 * normal(n, 1))
    pixel = (means[:, 2:] + 3.2) / focal
    scales = uniform(*size.sigma, n, 1) * uniform(0.6, 1.4, n, 3) * pixel
    opacities = (0.7 + 0.15 * normal(n)).clamp(0.05, 0.98)
    colors = uniform(0, 1, n, 3) if degree is None else 0.3 * normal(n, (degree + 1) ** 2, 3)
    gaussians = (means, normal(n, 4), scales, opacities, colors)
    for tensor in gaussians:
        tensor.requires_grad_()
    viewmat = torch.eye(4)
    viewmat[2, 3] = 3.2
    centre = (size.width / 2, size.height / 2)
    K = torch.tensor([[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]])
    return gaussians, (viewmat[None], K[None])


class Timing:
    """Minimum time of forward alone and of forward and backward, ms."""

    def __init__(self, size: Size, degree: int | None, backend: Backend) -> None:
        self.gaussians, self.camera = make_scene(size, degree)
        self.degree: int | None = degree
        self.backend: Backend = backend
        self.size = size
        self.forward, self.both = math.inf, math.inf

    def repeat(self) -> None:
        width, height = self.size.width, self.size.height
        with torch.no_grad():
            start = time.perf_counter()
            self._render()
            self.forward = min(self.forward, 1e3 * (time.perf_counter() - start))
        for tensor in self.gaussians:
            tensor.grad = None
        v_images, v_alphas = torch.ones(1, height, width, 3), torch.ones(1, height, width, 1)
        start = time.perf_counter()
        images, alphas = self._render()
        torch.autograd.backward((images, alphas), (v_images, v_alphas))
        self.both = min(self.both, 1e3 * (time.perf_counter() - start))

    def _render(self) -> tuple[Tensor, Tensor]:
        size = (self.size.width, self.size.height)
        images, alphas, _ = rasterize(
            *self.gaussians, *self.camera, *size, sh_degree=self.degree, backend=self.backend
        )
        return images, alphas

    def __str__(self) -> str:
        digits = 1 if self.both < 100 else 0
        return f"{self.forward:.{digits}f} / {self.both:.{digits}f}"


def measure(size: Size, degree: int | None, repeats: int, threads: list[int]) -> list[Timing]:
    """One timing for each number of threads, interleaved."""
    timings = [Timing(size, degree, "cpu") for _ in threads]
    for _ in range(repeats):
        for count, timing in zip(threads, timings, strict=True):
            torch.set_num_threads(count)
            timing.repeat()
    return timings


def measure_reference(size: Size) -> Timing:
    """Two repeats on one thread: each takes seconds."""
    torch.set_num_threads(1)
    timing = Timing(size, None, "reference")
    for _ in range(2):
        timing.repeat()
    return timing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    report.add_option(parser)
    args = parser.parse_args()
    threads = sorted({1, 2, torch.get_num_threads()})
    warm_up()
    columns = [f"{count} thread{'s' * (count > 1)}" for count in threads]
    header = ["Gaussians, image", "colour", *columns, "reference, 1 thread", "ratio"]
    rows, within = [], True
    for size in SIZES:
        for degree in (None, 3):
            timings = measure(size, degree, args.repeats, threads)
            color = "plain" if degree is None else f"SH {degree}"
            row = [str(size), color, *map(str, timings), "-", "-"]
            if size.reference and degree is None:
                reference = measure_reference(size)
                ratio = f"{reference.forward / timings[0].forward:.0f} / "
                row[-2:] = [str(reference), ratio + f"{reference.both / timings[0].both:.0f}"]
            if size is THE_SIZE and degree is None:
                within = timings[0].both <= LIMIT
                verdict = f"{timings[0].both:.1f} ms, limit {LIMIT:.0f} ms"
            rows.append(row)
    text = f"Forward / forward and backward, ms.\n\n{report.table(header, rows)}"
    text += f"\n\n{THE_SIZE}, forward and backward on one thread: {verdict}."
    report.publish("docs/performance.md", "render_cpu", text, ["avatar/render"], args.write)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
