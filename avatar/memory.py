"""The C library's memory: fresh pages cost more than the arithmetic on them."""

import ctypes

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h


def keep_freed_memory(block: int = 1 << 30, spare: int = (1 << 31) - 1) -> None:
    """Have glibc keep what is freed, instead of fetching pages anew from the kernel.

    Does nothing where the C library has no `mallopt`.

    Args:
        block: bytes up to which a block is kept.
        spare: bytes that may lie idle.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, block)
        mallopt(_TRIM_THRESHOLD, spare)
