"""Time of the CPU renderer: python -m benchmarks.render_cpu [--repeats 20]

From tensors to the image, and from tensors to all gradients (means, quats, scales, opacities,
colours), in milliseconds, minimum of interleaved repeats. The scene is a sphere's surface seen from
outside, Gaussians 1.7 to 3.2 (last size: 1 to 3) pixels wide. The plain torch reference is timed on
the two small sizes only: on the others it takes minutes. Memory that was freed is kept for the next
image, as the product does.

The floor of a size is what its live pairs of Gaussian and pixel cost at least, 30 flops forward and
55 backward each, at the rate of multiply-adds that one core reaches in the same run. Live is a pair
whose Gaussian still counts there: alpha of 1/255 and more, in front of where the pixel is full.

Exit code 1 if a limit is missed.
"""

import argparse
import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from avatar.base.cores import cores
from avatar.base.memory import keep_freed_memory
from avatar.render import Backend, Views, cpu_kernels, rasterize, reference
from avatar.render.cpu import set_num_threads, warm_up
from avatar.render.types import Splats
from benchmarks import report

FLOPS = 30 + 55  # of a live pair, forward and backward
get: Any = cpu_kernels.get
put: Any = cpu_kernels.put


@dataclass(frozen=True)
class Size:
    """How many Gaussians, how wide, in an image of which size."""

    n: int
    width: int
    height: int
    sigma: tuple[float, float]  # px
    reference: bool
    most_floors: float | None = None  # limit of forward and backward on one thread
    least_gain: float | None = None  # limit of what the second thread brings

    def __str__(self) -> str:
        return f"{self.n // 1000}k, {self.width}x{self.height}"


SIZES = (
    Size(3_000, 128, 128, (1.7, 3.2), reference=True),
    Size(10_000, 256, 256, (1.7, 3.2), reference=True, most_floors=3.0),
    Size(50_000, 512, 512, (1.7, 3.2), reference=False, most_floors=5.0),
    Size(20_000, 550, 802, (1.0, 3.0), reference=False, least_gain=1.7),
)


Scene = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # the first arguments of `rasterize`


def make_scene(size: Size, degree: int | None) -> tuple[Scene, tuple[Tensor, Tensor]]:
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
        with torch.no_grad():
            start = time.perf_counter()
            self._render()
            self.forward = min(self.forward, 1e3 * (time.perf_counter() - start))
        self.both = min(self.both, self.forward_and_backward())

    def forward_and_backward(self) -> float:
        """Once; milliseconds."""
        width, height = self.size.width, self.size.height
        for tensor in self.gaussians:
            tensor.grad = None
        v_images, v_alphas = torch.ones(1, height, width, 3), torch.ones(1, height, width, 1)
        start = time.perf_counter()
        images, alphas = self._render()
        torch.autograd.backward((images, alphas), (v_images, v_alphas))
        return 1e3 * (time.perf_counter() - start)

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
            set_num_threads(count)
            timing.repeat()
    return timings


def measure_reference(size: Size) -> Timing:
    """Two repeats on one thread: each takes seconds."""
    timing = Timing(size, None, "reference")
    for _ in range(2):
        timing.repeat()
    return timing


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _five_chains(rows: Any, times: Any) -> None:
    """Ends with the sum of all, so that none is left out."""
    factor, term = get(rows, 0), get(rows, 1)
    a, b, c, d, e = get(rows, 2), get(rows, 3), get(rows, 4), get(rows, 5), get(rows, 6)
    for _ in range(times):
        a, b, c = a * factor + term, b * factor + term, c * factor + term
        d, e = d * factor + term, e * factor + term
    put(rows, 2, a + b + c + d + e)


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _ten_chains(rows: Any, times: Any) -> None:
    """See `_five_chains`."""
    factor, term = get(rows, 0), get(rows, 1)
    a, b, c, d, e = get(rows, 2), get(rows, 3), get(rows, 4), get(rows, 5), get(rows, 6)
    f, g, h, i, j = get(rows, 7), get(rows, 8), get(rows, 9), get(rows, 10), get(rows, 11)
    for _ in range(times):
        a, b, c = a * factor + term, b * factor + term, c * factor + term
        d, e, f = d * factor + term, e * factor + term, f * factor + term
        g, h, i, j = g * factor + term, h * factor + term, i * factor + term, j * factor + term
    put(rows, 2, a + b + c + d + e + f + g + h + i + j)


def flops_per_second(times: int = 2_000_000) -> float:
    """Multiply-adds of one core, two flops each.

    The better of five and ten independent chains of sixteen lanes: without AVX-512 ten have more
    registers than there are, with it five are too few for two units of four cycles.
    """
    rows = np.full(12 * cpu_kernels.LANES, 0.5, np.float32)
    kernels: list[tuple[Any, int]] = [(_five_chains, 5), (_ten_chains, 10)]
    best = 0.0
    for kernel, chains in kernels:
        kernel(rows, 1)
        for _ in range(5):
            start = time.perf_counter()
            kernel(rows, times)
            seconds = time.perf_counter() - start
            best = max(best, chains * 2 * cpu_kernels.LANES * times / seconds)
    return best


@njit(cache=True, error_model="numpy")
def _live_pairs(
    order: Any, boxes: Any, means: Any, conics: Any, opacities: Any, through: Any
) -> Any:
    """Pairs that are live, nearest Gaussian first; `through` [H, W] is 1 at first."""
    height, width = through.shape
    live = 0
    for i in order:
        x0, x1 = max(0, int(boxes[i, 0])), min(width, int(boxes[i, 1]) + 1)
        y0, y1 = max(0, int(boxes[i, 2])), min(height, int(boxes[i, 3]) + 1)
        for y in range(y0, y1):
            for x in range(x0, x1):
                dx, dy = x + 0.5 - means[i, 0], y + 0.5 - means[i, 1]
                power = conics[i, 0] * dx * dx + 2 * conics[i, 1] * dx * dy + conics[i, 2] * dy * dy
                alpha = min(opacities[i] * np.exp(-0.5 * power), 0.999)
                if alpha < 1 / 255 or through[y, x] < 0:
                    continue
                after = through[y, x] * (1 - alpha)
                if after <= 1e-4:
                    through[y, x] = -1.0
                    continue
                through[y, x] = after
                live += 1
    return live


def live_pairs(size: Size) -> int:
    """How many pairs of a Gaussian and a pixel one image blends."""
    gaussians, cameras = make_scene(size, None)
    means, quats, scales, opacities, colors = (value.detach() for value in gaussians)
    splats = Splats(means, quats, scales, opacities, colors)
    seen = reference.project(splats, Views(*cameras, size.width, size.height))
    centres, reach = seen.means2d[0], seen.extents[0]
    boxes = torch.stack([centres - reach, centres + reach], -1).flatten(1)
    order = seen.depths[0].argsort(stable=True)
    arrays = [v.numpy() for v in (order, boxes, centres, seen.conics[0], opacities)]
    count: Any = _live_pairs
    return int(count(*arrays, np.ones((size.height, size.width))))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    report.add_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    threads = sorted({1, 2, cores()})
    warm_up()
    columns = [f"{count} thread{'s' * (count > 1)}" for count in threads]
    header = ["Gaussians, image", "colour", *columns, "second thread", "floor, ms", "floors"]
    header += ["reference, 1 thread", "ratio"]
    rows, missed, measured, rate = [], list[str](), [], 0.0
    for size in SIZES:
        for degree in (None, 3):
            rate = max(rate, flops_per_second())  # other jobs disturb it, for seconds on end
            measured.append((size, degree, measure(size, degree, args.repeats, threads)))
    pairs = {size: live_pairs(size) for size in SIZES}
    for size, degree, timings in measured:
        floor = 1e3 * FLOPS * pairs[size] / rate
        gain, floors = timings[0].both / timings[1].both, timings[0].both / floor
        color = "plain" if degree is None else f"SH {degree}"
        row = [str(size), color, *map(str, timings), f"{gain:.2f}", f"{floor:.2f}"]
        row += [f"{floors:.1f}", "-", "-"]
        if size.reference and degree is None:
            reference = measure_reference(size)
            ratio = f"{reference.forward / timings[0].forward:.0f} / "
            row[-2:] = [str(reference), ratio + f"{reference.both / timings[0].both:.0f}"]
        if degree is None:
            missed += misses(size, floors, gain)
        rows.append(row)
    text = "Forward / forward and backward, ms; gain of the second thread and floors of both.\n\n"
    text += f"{report.table(header, rows)}\n\nOne core: {rate / 1e9:.0f} GFLOP/s. "
    text += f"Limits missed: {'; '.join(missed) or 'none'}."
    report.publish("docs/performance.md", "render_cpu", text, ["avatar/render"], args.write)
    return 1 if missed else 0


def misses(size: Size, floors: float, gain: float) -> list[str]:
    """The limits that a size does not keep."""
    found = []
    if size.most_floors is not None and floors > size.most_floors:
        found.append(f"{size}: {floors:.1f} floors, at most {size.most_floors:g}")
    if size.least_gain is not None and gain < size.least_gain:
        found.append(f"{size}: the second thread gives {gain:.2f}, at least {size.least_gain:g}")
    return found


if __name__ == "__main__":
    sys.exit(main())
