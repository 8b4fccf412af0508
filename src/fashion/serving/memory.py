"""What is freed goes back to the system."""

import ctypes

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Of <malloc.h>."""
LARGE = 1 << 20
"""Bytes."""
ARENAS = 2


def return_what_is_freed() -> None:
    """Let the C library return the memory of arrays and pictures to the system as soon as they are freed.

    Of itself glibc does so with what is larger than anything that was freed before, up to 32 MiB, and keeps the rest in
    an arena for each thread: after the first large picture a service would keep hundreds of mebibytes. A threshold that
    is set stays as it is (mallopt(3)). Other C libraries know no such setting; there nothing is done.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_ARENA_MAX, ARENAS)
