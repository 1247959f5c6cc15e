import numpy as np
import torch

from avatar.render.cpu import rasterize
from avatar.render.types import Splats, Views
from benchmarks.render_threads import Frame, Starting, Tasks, makespan, run_by


def test_a_thread_takes_its_own_part_and_then_what_others_have_left() -> None:
    # Two threads: 3, 1 | 1, 4.
    assert makespan([3, 1, 1, 4], [0, 0]) == 5
    # 3, 3 | 1, 1, and the second thread takes the first one's last: 3 | 1, 1, 3.
    assert makespan([3, 3, 1, 1], [0, 0]) == 5
    assert makespan([3, 1, 1, 4], [0]) == 9
    assert makespan([3, 1, 1, 4], [0] * 8) == 4


def test_a_late_thread_takes_what_is_left() -> None:
    # The second one begins at 2, when the first has done its two: 1, 1, 1 | 1.
    assert makespan([1, 1, 1, 1], [0, 2]) == 3
    # All is done before the first is ready.
    assert makespan([1], [5, 0]) == 5


def test_helpers_start_one_after_another() -> None:
    starts = Starting(submit=2, wake=3).starts(3)
    assert starts == [4, 3, 5]
    assert Starting(submit=2, wake=3).starts(1) == [0]


def test_a_call_has_no_more_threads_than_tasks() -> None:
    frame = Frame([[4.0], [1.0, 1.0]], serial=1.0)
    assert frame.seconds(1, Starting(0, 0)) == 7
    assert frame.seconds(8, Starting(0, 0)) == 6
    # The second call: this thread submits until 1, the other one works from 3 to 4.
    assert frame.seconds(8, Starting(submit=1, wake=10)) == 1 + 4 + 3


def test_single_tasks_give_the_same_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    n = 600  # three chunks
    means = torch.rand(n, 3, generator=generator) - 0.5
    sizes = torch.full((n, 3), 0.02)
    quats, colors = torch.randn(n, 4, generator=generator), torch.rand(n, 3, generator=generator)
    view = torch.eye(4)
    view[2, 3] = 2.0
    K = torch.tensor([[80.0, 0, 40], [0, 80, 35], [0, 0, 1]])

    def run() -> list[np.ndarray]:
        leaves = [x.clone().requires_grad_() for x in (means, quats, sizes, torch.ones(n), colors)]
        images, alphas, _ = rasterize(Splats(*leaves), Views(view[None], K[None], 80, 70))
        (images.square().sum() + alphas.sum()).backward()
        return [images.detach().numpy(), *(x.grad.numpy() for x in leaves if x.grad is not None)]

    expected, tasks = run(), Tasks(repeats=1)
    with run_by(tasks):
        found = run()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    # project, sort and pair, lists, tiles; tiles, collect, project
    assert [len(call) for call in tasks.calls] == [3, 4, 1, 9, 9, 3, 3]
