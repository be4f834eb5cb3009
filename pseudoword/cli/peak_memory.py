"""How much memory this process has used at most."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_memory_mb() -> float | None:
    """The most memory that this process ever held at once, in MB (10⁶ bytes); None where the system does not say."""
    if sys.platform == "win32":
        return _peak_on_windows()
    if sys.platform == "linux":
        return _peak_on_linux()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _peak_on_linux() -> float | None:
    """getrusage would count the memory that the process which started this one had at that moment."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, ValueError, IndexError):
        return None


def _peak_on_windows() -> float | None:
    import ctypes

    class Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of the Windows API."""

        _fields_ = (
            ("size", ctypes.c_ulong),
            ("page_faults", ctypes.c_ulong),
            *((name, ctypes.c_size_t) for name in ("peak_working_set", "b", "c", "d", "e", "f", "g", "h")),
        )

    counters = Counters()
    counters.size = ctypes.sizeof(counters)
    windows = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined, unused-ignore]
    windows.GetCurrentProcess.restype = ctypes.c_void_p
    current = ctypes.c_void_p(windows.GetCurrentProcess())
    if not windows.K32GetProcessMemoryInfo(current, ctypes.byref(counters), counters.size):
        return None
    peak: int = counters.peak_working_set
    return peak / 1e6
