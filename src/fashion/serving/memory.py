"""Returning freed memory to the system."""

import ctypes

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""From <malloc.h>."""
LARGE = 1 << 20
"""Bytes."""
ARENAS = 2


def return_what_is_freed() -> None:
    """Let the C library return the memory of arrays and pictures to the system as soon as they are freed.

    By default, glibc does so only for blocks larger than any freed before, up to 32 MiB, and keeps the rest in an arena
    for each thread: after the first large picture a service would keep hundreds of mebibytes. An explicit threshold is
    never adjusted (mallopt(3)). Other C libraries have no such setting; there, nothing is done.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_ARENA_MAX, ARENAS)
