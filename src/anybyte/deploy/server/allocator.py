"""Memory back to the system.

Batches are of all sizes. The allocator of glibc keeps the gaps that they leave between longer-lived blocks, and the
process seems to grow for thousands of requests. Nothing is lost: it is given back on demand.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    """glibc's malloc_trim; None where the C library has none."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


_trim = _find_trim()


def give_back_memory() -> bool:
    """Gives what is not in use back to the system, in milliseconds; False where there is no way to."""
    if _trim is None:
        return False
    _trim(0)
    return True
