"""The fast renderer for CPU tensors: torch's side. The arithmetic is in `cpu_kernels`.

Two autograd functions: `_Project` turns Gaussians into one record per Gaussian and image, `_Blend`
turns records into images. Between them lies `means2d`, an ordinary tensor of the graph, so its
gradient can be kept and a loss on it reaches the means. float32 only.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from avatar.base.cores import cores
from avatar.render import cpu_kernels as kernels
from avatar.render.types import Rasterized, Splats, Views


class _Scene(NamedTuple):
    """What both functions need to know beside tensors."""

    batch: tuple[int, ...]  # leading dimensions
    cameras: int
    n: int
    size: tuple[int, int]  # width, height
    sh_degree: int  # -1: plain colours
    bases: int
    shared_opacities: bool
    shared_colors: bool
    images: int
    tiles: int  # of all images
    chunks: int  # of an image's Gaussians

    @property
    def shape(self) -> tuple[int, ...]:
        """Leading dimensions of the images."""
        return (*self.batch, self.cameras)

    @property
    def shared(self) -> tuple[bool, bool, int]:
        """See `kernels.project`."""
        return self.shared_opacities, self.shared_colors, self.images // self.cameras


def rasterize(
    splats: Splats, views: Views, backgrounds: Float[Tensor, "*batch C 3"] | None = None
) -> Rasterized:
    """See :func:`avatar.render.rasterize`.

    As many threads as there are cores for this process (:func:`avatar.base.cores.cores`; see
    :func:`set_num_threads`) share the work; results are the same bits for any number of them.
    Gaussians that are not finite are not rendered. The first call compiles or loads the kernels:
    see :func:`warm_up`.

    Raises:
        ValueError: the tensors are not float32 on the CPU.
    """
    means = splats.means
    if means.dtype != torch.float32 or means.device.type != "cpu":
        raise ValueError(
            f"means: backend 'cpu' expects float32 on cpu, got {means.dtype} on {means.device};"
            " convert, or use backend 'reference'"
        )
    scene = _scene(splats, views)
    if backgrounds is None:
        backgrounds = means.new_zeros(scene.images, 3)
    means2d, records, radii, bounds = _Project.apply(*splats[:5], views.viewmats, views.Ks, scene)
    if means2d.requires_grad:
        means2d.retain_grad()
    images, alphas = _Blend.apply(means2d, records, bounds, backgrounds, scene)
    return images, alphas, {"means2d": means2d, "radii": radii}


def _scene(splats: Splats, views: Views) -> _Scene:
    degree, tile = splats.sh_degree, kernels.TILE
    *batch, n, _ = splats.means.shape
    cameras = views.viewmats.shape[-3]
    images = math.prod(batch) * cameras
    return _Scene(
        batch=tuple(batch),
        cameras=cameras,
        n=n,
        size=(views.width, views.height),
        sh_degree=-1 if degree is None else degree,
        bases=1 if degree is None else splats.colors.shape[-2],
        shared_opacities=splats.opacities.ndim == 1,
        shared_colors=splats.colors.ndim == (2 if degree is None else 3),
        images=images,
        tiles=images * -(-views.width // tile) * -(-views.height // tile),
        chunks=-(-n // kernels.CHUNK),
    )


def warm_up() -> None:
    """Compile the kernels, forward and backward, or load them from Numba's cache.

    The first time takes about half a minute; with a cache (beside the kernels' file or in the
    environment's NUMBA_CACHE_DIR) a new process needs less than a second.
    """
    means = torch.tensor([[0.0, 0.0, 1.0]], requires_grad=True)
    quats, size = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.full((1, 3), 0.1)
    views = Views(torch.eye(4)[None], torch.eye(3)[None], 1, 1)
    images, _, _ = rasterize(Splats(means, quats, size, torch.ones(1), size), views)
    images.sum().backward()


class _Project(torch.autograd.Function):
    """Gaussians -> means2d, records, radii, bounds (see `kernels.project`)."""

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colors, viewmats, Ks, scene):
        tensors = [x.contiguous() for x in (means, quats, scales, opacities, colors, viewmats, Ks)]
        records = means.new_empty(scene.images, scene.n, kernels.RECORD)
        means2d = means.new_empty(*scene.shape, scene.n, 2)
        radii = torch.empty(*scene.shape, scene.n, 2, dtype=torch.int32)
        bounds = torch.empty(scene.images, scene.chunks, dtype=torch.int64)
        _run(
            *(bounds.numel(), kernels.project, *_project_arguments(tensors, scene)),
            *((_flat(records), _flat(means2d), _flat(radii)), bounds.numpy()),
        )
        ctx.scene = scene
        ctx.save_for_backward(*tensors, records)
        ctx.mark_non_differentiable(radii, bounds)
        ctx.set_materialize_grads(False)
        return means2d, records, radii, bounds

    @staticmethod
    @once_differentiable
    def backward(ctx, v_means2d, v_records, *_):
        *tensors, records = ctx.saved_tensors
        scene = ctx.scene
        if v_records is None:  # the loss depends on means2d only
            v_records = torch.zeros_like(records)
        if v_means2d is None:
            v_means2d = records.new_zeros(*scene.shape, scene.n, 2)
        used = (scene.sh_degree + 1) ** 2
        grads = [torch.empty_like(x) for x in tensors[:5]]
        if used < scene.bases:
            grads[4].zero_()
        _run(
            *(scene.chunks, kernels.project_backward, *_project_arguments(tensors, scene)),
            tuple(_flat(x.contiguous()) for x in (records, v_records, v_means2d)),
            *(tuple(_flat(x) for x in grads), scene.images),
        )
        return *grads, None, None, None


class _Blend(torch.autograd.Function):
    """Records -> images, alphas. The values of `means2d` are in the records already."""

    @staticmethod
    def forward(ctx, means2d, records, bounds, backgrounds, scene):
        lease = _Lease()
        backgrounds = backgrounds.contiguous()
        lists = _bin(lease, records, bounds, scene)
        images, alphas = _blend(records, lists, backgrounds, scene)
        ctx.scene, ctx.lease, ctx.lists = scene, lease, lists
        ctx.save_for_backward(records, images, alphas, backgrounds)
        ctx.set_materialize_grads(False)
        return images, alphas

    @staticmethod
    @once_differentiable
    def backward(ctx, v_images, v_alphas):
        records, images, alphas, backgrounds = ctx.saved_tensors
        scene, lists = ctx.scene, ctx.lists
        v_images = torch.zeros_like(images) if v_images is None else v_images.contiguous()
        v_alphas = torch.zeros_like(alphas) if v_alphas is None else v_alphas.contiguous()
        v_means2d = records.new_empty(*scene.shape, scene.n, 2)
        v_records = torch.empty_like(records)
        sums = ctx.lease.take("sums", lists.pair_tile.size * kernels.RECORD, torch.float32)
        pictures = (images, alphas, backgrounds, v_images, v_alphas)
        flat = _flat(records)
        _run(
            *(scene.tiles, kernels.blend_backward, scene.size, flat, lists.lists, lists.tile_range),
            *(lists.tile_end, lists.touched, tuple(_flat(x) for x in pictures), sums),
        )
        rows = scene.images * scene.n
        tasks = -(-rows // kernels.CHUNK)
        out = (_flat(v_records), _flat(v_means2d))
        _run(tasks, kernels.collect, flat, lists.slots, sums, *out)
        return v_means2d, v_records, None, None, None


class _Lists(NamedTuple):
    """Which Gaussians each tile blends (see `kernels.sort_and_pair` and `kernels.list_tiles`)."""

    slots: np.ndarray
    pair_tile: np.ndarray
    lists: np.ndarray
    tile_range: np.ndarray
    tile_end: np.ndarray
    touched: np.ndarray


def _bin(lease: "_Lease", records: Tensor, bounds: Tensor, scene: _Scene) -> _Lists:
    most = bounds.numpy()
    ends = most.cumsum().reshape(most.shape)
    pairs = int(ends[-1, -1]) if ends.size else 0
    rows = scene.images * scene.n
    lists = _Lists(
        slots=lease.take("slots", 2 * rows),
        pair_tile=lease.take("pair_tile", pairs),
        lists=lease.take("lists", 2 * pairs),
        tile_range=lease.take("tile_range", 2 * scene.tiles).reshape(-1, 2),
        tile_end=lease.take("tile_end", scene.tiles),
        touched=lease.take("touched", pairs, torch.int64).view(np.uint64),
    )
    sort = [lease.take(f"sort{i}", rows) for i in range(4)]
    sort.append(lease.take("seen", scene.images))
    sort.append(lease.take("histogram", scene.images * kernels.RADIX).reshape(-1, kernels.RADIX))
    flat, bases = _flat(records), ends - most
    tasks = scene.images + ends.size
    _run(
        *(tasks, kernels.sort_and_pair, scene.size, scene.n, flat, flat.view(np.int32), bases),
        *(lists.slots, lists.pair_tile, tuple(sort)),
    )
    _run(
        *(scene.images, kernels.list_tiles, scene.n, bases, lists.slots, lists.pair_tile),
        *(tuple(sort), lists.lists, lists.tile_range),
    )
    return lists


def _blend(
    records: Tensor, lists: _Lists, backgrounds: Tensor, scene: _Scene
) -> tuple[Tensor, Tensor]:
    width, height = scene.size
    images = records.new_empty(*scene.shape, height, width, 3)
    alphas = records.new_empty(*scene.shape, height, width, 1)
    pictures = (_flat(images), _flat(alphas), _flat(backgrounds))
    _run(
        *(scene.tiles, kernels.blend, scene.size, _flat(records), lists.lists, lists.tile_range),
        *(lists.tile_end, lists.touched, pictures),
    )
    return images, alphas


def _project_arguments(tensors: list[Tensor], scene: _Scene) -> tuple[Any, ...]:
    flat = [_flat(x) for x in tensors]
    return tuple(flat[:5]), tuple(flat[5:]), scene.size, scene.shared, scene.sh_degree, scene.bases


def _flat(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().reshape(-1)


class _Lease:
    """Working memory that goes back to be used again when its holder goes.

    Fresh pages cost more than the arithmetic on them. The autograd graph holds a lease from the
    forward pass until it is freed, so two graphs never share one.
    """

    _idle: ClassVar[list[dict[str, np.ndarray]]] = []

    def __init__(self) -> None:
        try:
            self._held = self._idle.pop()
        except IndexError:
            self._held = {}

    def take(self, name: str, size: int, dtype: torch.dtype = torch.int32) -> np.ndarray:
        """An uninitialised array of this size, aligned to 64 bytes."""
        if name not in self._held or self._held[name].size < size:
            self._held[name] = torch.empty(size + size // 4, dtype=dtype).numpy()
        return self._held[name][:size]

    def __del__(self) -> None:
        self._idle.append(self._held)


_num_threads = cores()


def set_num_threads(count: int) -> None:
    """Render with so many threads from now on, in every caller's thread."""
    global _num_threads
    _num_threads = count


def get_num_threads() -> int:
    """How many threads render."""
    return _num_threads


def _run(tasks: int, worker: Callable[..., None], *arguments: Any) -> None:
    """Run a worker of `cpu_kernels` in several threads, this one among them.

    Threads, not OpenMP: where cores are busy, this thread takes all tasks and waits for nobody.

    Args:
        tasks: how many there are, numbered from 0; each thread begins with a part of its own.
    """
    threads = max(1, min(_num_threads, tasks))
    memory = [_borrow_memory() for _ in range(threads)]
    ends = [tasks * k // threads for k in range(threads + 1)]
    queue = np.zeros((threads, kernels.QUEUE), np.int64)
    queue[:, 0], queue[:, 1] = ends[:-1], ends[1:]
    others = [
        _threads().submit(worker, *arguments, queue, own, memory[own]) for own in range(1, threads)
    ]
    try:
        worker(*arguments, queue, 0, memory[0])
    finally:
        for other in others:
            if not other.cancel():
                other.result()
    _idle_memory.extend(memory)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "render")


_idle_memory: list[tuple[np.ndarray, np.ndarray]] = []


def _borrow_memory() -> tuple[np.ndarray, np.ndarray]:
    """A worker's small memory: floats, aligned to 64 bytes, and integers."""
    try:
        return _idle_memory.pop()
    except IndexError:
        floats = torch.empty(kernels.SCRATCH_ROWS * kernels.LANES)
        return floats.numpy(), torch.empty(kernels.SPAN_INTEGERS, dtype=torch.int32).numpy()
