"""Random tensors of many structures, for tests and fuzzing of encoders."""

from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """What is encoded."""

    kind: str
    n_weights: int
    keys: Any
    codes: Any
    slot_bits: int
    n_codes: int
    options: dict[str, int]


def runs(rng, n, p):
    """Keys in runs of geometric lengths."""
    mask, i, mean = np.zeros(n, bool), 0, 2 ** rng.uniform(0, 10)
    while i < n:
        i += int(rng.geometric(min(1.0, p / mean / (1 - min(p, 0.99)))))
        length = int(rng.geometric(1 / mean))
        mask[i : i + length] = True
        i += length
    return mask


def columns(rng, n, p):
    """Whole columns of a matrix."""
    return np.resize(rng.random(int(rng.integers(1, 3000))) < p, n)


def rows(rng, n, p):
    """Whole rows."""
    width = int(rng.integers(1, 3000))
    return np.repeat(rng.random(n // width + 1) < p, width)[:n]


def blocks(rng, n, p):
    """Aligned blocks, from one weight to 512."""
    width = int(2 ** rng.integers(0, 10))
    return np.repeat(rng.random(n // width + 1) < p, width)[:n]


def combs(rng, n, p):
    """Every n-th weight from one on, half of the time in one lane; sometimes with a few others, or a dense stretch."""
    mask = np.zeros(n, bool)
    step = int(rng.integers(1, 300)) if rng.random() < 0.5 else 8 * int(rng.integers(1, 40))
    mask[int(rng.integers(step)) :: step] = True
    if rng.random() < 0.3:
        mask |= rng.random(n) < 0.2 * p
    if rng.random() < 0.3:
        begin = int(rng.integers(n))
        mask[begin : begin + int(rng.integers(1, 3000))] = True
    return mask


def drifts(rng, n, p):
    """A density that wanders."""
    walk = np.exp(np.cumsum(rng.normal(0, 0.5, n // 50 + 1)).clip(-6, 3)).repeat(50)[:n]
    return rng.random(n) < np.clip(walk * p, 0, 1)


def stripes(rng, n, p):
    """Dense or sparse stretches, dead ones between them."""
    mask = rng.random(n) < (p if rng.random() < 0.5 else 1 - p / 10)
    mask[np.arange(n) // int(rng.integers(8, 5000)) % int(rng.integers(1, 5)) > 0] = False
    return mask


def uniform(rng, n, p):
    """Independent keys."""
    return rng.random(n) < p


KINDS = (uniform, runs, columns, rows, blocks, combs, drifts, stripes)


def random_tensor(rng, most=400_000):
    """Any kind, density from 3e-4 to 1, any slot bits, chunk size and dead groups."""
    n_weights = int(rng.integers(1, most))
    kind = KINDS[int(rng.integers(len(KINDS)))]
    keys = np.flatnonzero(kind(rng, n_weights, float(10 ** rng.uniform(-3.5, 0))))
    slot_bits = int(rng.integers(1, 17))
    n_codes = int(rng.integers(1, 1 << slot_bits))
    codes = rng.integers(0, n_codes, keys.size) if rng.random() < 0.8 else np.full(keys.size, n_codes - 1)
    options = {
        "chunk_log2": int(rng.integers(13, 20)) if rng.random() < 0.5 else 0,
        "dead_groups": int(2 ** rng.uniform(0, 8)) if rng.random() < 0.3 else 0,
    }
    return Case(kind.__name__, n_weights, keys, codes, slot_bits, n_codes, options)
