"""Has the C library keep what is freed: features come and go at every layer, in the same sizes."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST_BLOCK = 32 * 2**20  # what glibc accepts at most as the threshold above which a block is mapped anew
KEPT = 512 * 2**20


def keep_freed_memory() -> None:
    """Blocks below 32 MiB come from memory that the process keeps, up to 512 MiB; on Linux with glibc.

    By itself glibc hands freed memory back and faults it in again, a page at a time: 25,000 pages for eight
    images at 256², a tenth of their time. The command line and the benchmarks call this; a program of your
    own may: it holds for the whole process, which is why an import alone does not do it.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # another C library
    mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
    mallopt(M_TRIM_THRESHOLD, KEPT)
