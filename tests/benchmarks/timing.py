"""How benchmarks take time and memory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def best_of(n: int, run: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds of the fastest of n runs, its result)."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        result = run()
        times.append(time.perf_counter() - start)
    return min(times), result


def peak_of(run: Callable[[], Any]) -> tuple[float, Any]:
    """(MiB that the process held at the most, beyond what it held before; the run's result).  Linux alone tells."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _held("VmRSS")
    result = run()
    return (_held("VmHWM") - before) / 1024, result


def _held(what: str) -> int:
    """KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what + ":"))
