"""How the C library's allocator treats memory that a step has freed. Set by the scripts, for their process.

glibc gives large blocks back to the system as soon as they are freed, and the next batch has to fault the
same pages in again, each cleared by the kernel. Keeping them saves some 6 % of a training step and 3 % of a
prediction (`python benchmarks/bench_allocator.py`), and no more memory is held than a step needed before.
"""

import ctypes
import os
import sys

_MIB = 2**20
# (parameter, value) of mallopt(3), numbers from malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_SETTINGS = (
    (_M_MMAP_THRESHOLD, 32 * _MIB),  # the largest that every version takes; larger blocks go back at once
    (_M_TRIM_THRESHOLD, 512 * _MIB),  # at most so much free memory is held at the end of the heap
    (_M_TOP_PAD, 64 * _MIB),  # ask the system seldom; memory that is not touched takes no room
)


def keep_freed_memory() -> bool:
    """Let the process hold freed blocks for the next batch, and return whether it does.

    Only glibc has these settings. Whoever has set the allocator by the environment (`MALLOC_…_`,
    `GLIBC_TUNABLES`) or put another in its place (`LD_PRELOAD`) is left alone.
    """
    if not sys.platform.startswith("linux") or not _is_glibc() or _is_set_by_user():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) == 1 for parameter, value in _SETTINGS)


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (ValueError, OSError):  # another C library does not know the name
        return False


def _is_set_by_user() -> bool:
    names = ("GLIBC_TUNABLES", "LD_PRELOAD")
    return any(name in names or name.startswith("MALLOC_") for name in os.environ)
