"""Give the C library's free memory back to the system: with many threads glibc keeps gigabytes of it.

Each thread that allocates gets an arena of its own (up to eight a core), and what an analysis frees in one of them
stays with the process. Two arenas, and a trim after each analysis, keep the memory of a long-running server flat.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys

M_ARENA_MAX = -8
"""Of ``mallopt(3)``."""
ARENAS = 2


def _library() -> ctypes.CDLL | None:
    """glibc, where the process uses it."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None


_glibc = _library()


def limit_arenas() -> None:
    """Limit the arenas of this process; to be called before threads allocate."""
    if _glibc:
        _glibc.mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return free memory to the system: milliseconds."""
    if _glibc:
        _glibc.malloc_trim(0)
