"""The C library's memory: fresh pages cost more than the arithmetic on them."""

import ctypes

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
_kept = {_MMAP_THRESHOLD: 0, _TRIM_THRESHOLD: 0}


def keep_freed_memory(block: int = 1 << 30, spare: int = (1 << 31) - 1) -> None:
    """Have glibc keep what is freed, instead of fetching pages anew from the kernel.

    One setting for the process, which is never lowered: of several callers the most generous
    counts. Does nothing where the C library has no `mallopt`.

    Args:
        block: bytes up to which a block is kept.
        spare: bytes that may lie idle.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option, size in ((_MMAP_THRESHOLD, block), (_TRIM_THRESHOLD, spare)):
        if size > _kept[option]:
            mallopt(option, size)
            _kept[option] = size
