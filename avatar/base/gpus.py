"""Which of a machine's GPUs a process uses, where several train side by side."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from avatar.base import locks
from avatar.base.errors import Busy

log = logging.getLogger(__name__)

VARIABLE = "CUDA_VISIBLE_DEVICES"
DRIVER = Path("/proc/driver/nvidia/gpus")  # a folder for each GPU
POLL = 5.0  # seconds between two looks for a free one


@contextmanager
def own_gpu(driver: Path = DRIVER, folder: Path | None = None) -> Iterator[None]:
    """Hold one of several GPUs for the block, by setting `CUDA_VISIBLE_DEVICES`; waits for one.

    Call it before CUDA is used. The lock goes with the process, however that ends. Does nothing
    where the variable is set (by a scheduler, or by hand) or there are fewer than two GPUs.

    Args:
        driver: where the driver lists GPUs.
        folder: of the locks; None: the machine's folder for temporary files.
    """
    count = len(list(driver.glob("*")))
    if VARIABLE in os.environ or count < 2:
        yield
        return
    folder = folder or Path(tempfile.gettempdir()) / f"headsplat-gpus-{os.getuid()}"
    with ExitStack() as held:
        number = _take(held, folder, count)
        log.info("GPU %d of %d", number, count)
        os.environ[VARIABLE] = str(number)
        try:
            yield
        finally:
            del os.environ[VARIABLE]


def _take(held: ExitStack, folder: Path, count: int) -> int:
    waited = False
    while True:
        for number in range(count):
            try:
                held.enter_context(locks.lock(folder / f"{number}.lock"))
            except Busy:
                continue
            return number
        if not waited:
            log.info("waiting for one of %d GPUs", count)
        waited = True
        time.sleep(POLL)
