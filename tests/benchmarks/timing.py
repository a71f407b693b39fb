"""How benchmarks take the time."""

import time
from collections.abc import Callable
from typing import Any


def best_of(n: int, run: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds of the fastest of n runs, its result)."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        result = run()
        times.append(time.perf_counter() - start)
    return min(times), result
