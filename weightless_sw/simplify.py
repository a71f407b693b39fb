"""A dense tensor made fit for a table, without training: magnitude pruning, then few values (numpy only).

What networks lose by it only retraining gives back; see Reagen et al. (ICML 2018), section 3.3.
"""

from dataclasses import asdict, dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weightless_sw.codebook import check_weights


@dataclass(frozen=True)
class SimplifyReport:
    """What was left of a tensor."""

    n_weights: int
    n_nonzero: int
    density: float
    n_codes: int  # distinct non-zero values
    relative_error: float  # root of the squared differences' sum, as a share of the weights' own

    def as_dict(self) -> dict[str, Any]:
        """The fields, for reports."""
        return asdict(self)


@np.errstate(all="ignore")  # what overflows is found, and said
def simplify(
    weights: ArrayLike, *, density: float, n_codes: int, name: str = "tensor"
) -> tuple[NDArray[np.float32], SimplifyReport]:
    """Keep the largest magnitudes, a share ``density`` of all weights, and round them to ``n_codes`` values.

    The values are the centroids of a 1-D k-means, as fp16 holds them; fewer where centroids fall together.
    Raises EncodeError for weights that are not real and finite, ValueError for a density outside (0, 1], for
    ``n_codes`` outside 1 .. 65535, or for centroids that fp16 can't hold.
    """
    if not 0 < density <= 1:
        raise ValueError(f"{name}: density must be above 0 and at most 1, not {density!r}")
    if not 1 <= n_codes <= 65535:
        raise ValueError(f"{name}: codes must be from 1 to 65535, not {n_codes!r}")
    n_codes = index(n_codes)
    array = check_weights(weights, name)
    flat = array.reshape(-1).astype(np.float64)
    # Of equal magnitudes the first in C order stay, so that the result does not depend on a sort's whims.
    kept = np.argsort(-np.abs(flat), kind="stable")[: max(1, round(density * flat.size))]
    kept = kept[flat[kept] != 0]
    result = np.zeros(flat.size, np.float32)
    if kept.size:
        centroids = _round_centroids(kmeans_1d(flat[kept], n_codes), name)
        result[kept] = centroids[np.searchsorted((centroids[1:] + centroids[:-1]) / 2, flat[kept])]
    error = np.linalg.norm(flat - result) / (np.linalg.norm(flat) or 1.0)
    n_nonzero = int(np.count_nonzero(result))
    report = SimplifyReport(
        n_weights=flat.size,
        n_nonzero=n_nonzero,
        density=n_nonzero / flat.size,
        n_codes=len(np.unique(result[result != 0])),
        relative_error=float(error),
    )
    return result.reshape(array.shape), report


def _round_centroids(centroids: NDArray[np.float64], name: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        rounded = np.unique(centroids.astype(np.float16)).astype(np.float32)
    if not np.isfinite(rounded).all() or not rounded.all():
        raise ValueError(
            f"{name}: weights around {np.abs(centroids).max():g} are out of fp16's range; rescale them"
        )
    return rounded


def kmeans_1d(values: NDArray[np.float64], k: int, n_iterations: int = 100) -> NDArray[np.float64]:
    """Centroids (at most k, ascending, distinct) of ``values`` (n,), from evenly spaced quantiles.

    Lloyd's algorithm, exact assignment by the midpoints, until nothing moves.  The values are sorted once, so that
    those of a centroid follow each other, and their sum is a difference of two: n log n, then k log n a round.
    """
    ordered = np.sort(values)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = np.unique(np.quantile(ordered, (np.arange(k) + 0.5) / k))
    for _ in range(n_iterations):
        middles = (centroids[1:] + centroids[:-1]) / 2
        ends = np.concatenate([[0], np.searchsorted(ordered, middles, side="right"), [len(ordered)]])
        counts = np.diff(ends)
        used = counts > 0
        moved = np.diff(sums[ends])[used] / counts[used]
        moved = np.clip(moved, ordered[0], ordered[-1])  # sums are rounded
        if len(moved) == len(centroids) and np.array_equal(moved, centroids):
            break
        centroids = moved
    return np.unique(centroids)
