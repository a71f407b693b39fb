"""What the ribbon takes of key sets of many structures: c, and false positives against what chance would give.

    python tests/benchmarks/key_sets.py [--weights 4000000] [--seeds 3] [--json]

t = 8, K = 16.  c: chunks and descriptor, in slots per key.  False positives: found / (zeros K / 2^t); dead segments
have none.  Median of the seeds.  Then c of random keys, 4 %, against their number, the smallest and the largest of
the seeds.
"""

import argparse
import json
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from weightless_sw.arrangement import Arrangement
from weightless_sw.ribbon import encoder, kernels
from weightless_sw.spec.record import DESCRIPTOR_BYTES, ValueFormat
from weightless_sw.tensor import EncodedTensor, TableRequest

SLOT_BITS, N_CODES, COLUMNS = 8, 16, 2048
NUMBERS_OF_KEYS = (1_000, 10_000, 100_000, 1_000_000)
Mask = Any


def uniform(density: float) -> Callable[[Any, int], Mask]:
    """Independent keys."""
    return lambda rng, n: rng.random(n) < density


def exactly(n_keys: int) -> Callable[[Any, int], Mask]:
    """So many independent keys."""
    return lambda rng, n: rng.permutation(n) < n_keys


def runs(length: int) -> Callable[[Any, int], Mask]:
    """Runs of that length, 4 % in all."""

    def make(rng: Any, n: int) -> Mask:
        return np.repeat(rng.random(n // length + 1) < 0.04, length)[:n]

    return make


def every(step: int, first: int = 0) -> Callable[[Any, int], Mask]:
    """Every ``step``-th weight from ``first`` on."""
    return lambda rng, n: np.arange(n) % step == first


def matrix(make: Callable[[Any, int, int], Mask]) -> Callable[[Any, int], Mask]:
    """A mask of rows and columns."""
    return lambda rng, n: make(rng, n // COLUMNS, COLUMNS).reshape(-1)


def density_change(rng: Any, n: int) -> Mask:
    """A half of 2 %, a half of 6 %."""
    return rng.random(n) < np.where(np.arange(n) < n // 2, 0.02, 0.06)


def blocks(rng: Any, rows: int, columns: int) -> Mask:
    """Blocks of 16 x 16, 10 % of them."""
    return np.kron(rng.random((rows // 16 + 1, columns // 16)) < 0.1, np.ones((16, 16), bool))[:rows]


def dense_corner(rng: Any, rows: int, columns: int) -> Mask:
    """An eighth by an eighth of 80 %, the rest 2 %."""
    density = np.full((rows, columns), 0.02)
    density[: rows // 8, : columns // 8] = 0.8
    return rng.random((rows, columns)) < density


def dense_row(rng: Any, rows: int, columns: int) -> Mask:
    """One row full, the rest 4 %."""
    mask = rng.random((rows, columns)) < 0.04
    mask[rows // 2] = True
    return mask


def dead_rows(rng: Any, rows: int, columns: int) -> Mask:
    """70 % of the rows dead, 4 % in the others."""
    return (rng.random((rows, columns)) < 0.04) & (rng.random((rows, 1)) < 0.3)


def dead_columns(rng: Any, rows: int, columns: int) -> Mask:
    """60 % of the columns dead, 4 % of the whole."""
    return (rng.random((rows, columns)) < 0.1) & (rng.random(columns) < 0.4)


def border(rng: Any, n: int) -> Mask:
    """Rows of 28 x 28 whose border of four is dead, as MNIST's, 4 %."""
    live = np.zeros((28, 28), bool)
    live[4:24, 4:24] = True
    return (rng.random((n // 784, 784)) < 0.04 / live.mean()).reshape(-1) & np.resize(
        live.reshape(-1), n // 784 * 784
    )


def few_columns(rng: Any, n: int) -> Mask:
    """Five of 1,024 columns, full."""
    columns = np.zeros(1024, bool)
    columns[rng.choice(1024, 5, replace=False)] = True
    return np.resize(columns, n)


# Name, generator, c and false positives of the guide's prototype where there are some.
SETS: list[tuple[str, Callable[[Any, int], Mask], float | None, float | None]] = [
    *((f"uniform {density:.0%}", uniform(density), c, 1.0) for density, c in
      ((0.01, 1.0105), (0.04, 1.0105), (0.1, 1.0099), (0.2, 1.0085), (0.4, 1.0069), (1.0, 1.0046))),
    ("3x density change", density_change, 1.0101, 1.0),
    *((f"runs of {length}", runs(length), c, fp) for length, c, fp in
      ((4, 1.026, 0.98), (8, 1.058, 0.75), (32, 1.085, 0.15))),
    ("16 x 16 blocks, 10 %", matrix(blocks), 1.033, 0.85),
    ("dense corner", matrix(dense_corner), 1.019, 1.0),
    ("one dense row", matrix(dense_row), 1.012, 1.0),
    ("dead rows 70 %", matrix(dead_rows), 1.062, 0.34),
    ("dead columns 60 %", matrix(dead_columns), 1.011, 1.0),
    ("MNIST's border", border, 1.018, 1.0),
    ("every 7th", every(7), 1.007, 1.0),
    ("every 64th from 0 on", every(64), 1.009, 1.0),
    ("every 64th from 1 on", every(64, 1), None, None),
    ("every 8th from 5 on, and a dense row", lambda rng, n: every(8, 5)(rng, n) | (np.arange(n) < 2000), None, None),
    ("5 of 1024 columns", few_columns, 1.007, 1.0),
]  # fmt: skip


def measure(mask: Mask, seed: int) -> tuple[float, float]:
    """(c, false positives / expected); every key is checked."""
    keys = np.flatnonzero(mask).astype(np.uint32)
    codes = np.random.default_rng(seed).integers(0, N_CODES, len(keys)).astype(np.uint16)
    request = TableRequest(n_weights=mask.size, slot_bits=SLOT_BITS, n_codes=N_CODES, value_format=ValueFormat.FP16,
                           scale=1.0)  # fmt: skip
    table = encoder.build(keys, codes, request, encoder.OPTIONS)
    tensor = EncodedTensor(
        Arrangement((mask.size,)), table.geometry, np.ones(N_CODES, np.float16), table.entries
    )
    decoded = kernels.decode_codes(tensor)
    assert np.array_equal(decoded[keys], codes)
    c = 8 * (4 * len(table.entries) + DESCRIPTOR_BYTES) / (SLOT_BITS * len(keys))
    expected = (mask.size - len(keys)) * N_CODES / (1 << SLOT_BITS)
    found = np.count_nonzero(decoded < N_CODES) - len(keys)
    return c, found / expected if expected else 1.0


def main() -> None:
    """Measure all, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=int, default=4_000_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sets, numbers = [], []
    with Progress(disable=options.json) as progress:
        task = progress.add_task("key sets", total=(len(SETS) + len(NUMBERS_OF_KEYS)) * options.seeds)

        def all_seeds(make: Callable[[Any, int], Mask], n: int) -> Any:
            found = []
            for seed in range(options.seeds):
                found.append(measure(make(np.random.default_rng(seed), n), seed))
                progress.advance(task)
            return zip(*found, strict=True)

        for name, make, guide_c, guide_fp in SETS:
            c, fp = (median(values) for values in all_seeds(make, options.weights))
            sets.append(
                {"set": name, "c": c, "false_positives": fp, "prototype_c": guide_c, "prototype_fp": guide_fp}
            )
        for n_keys in NUMBERS_OF_KEYS:
            every_c, _ = all_seeds(exactly(n_keys), 25 * n_keys)
            numbers.append({"keys": n_keys, "least_c": min(every_c), "most_c": max(every_c)})
    if options.json:
        print(json.dumps({"sets": sets, "numbers": numbers}, indent=1))
        return
    table = Table("keys", "c", "prototype", "false positives / expected", "prototype")
    for row in sets:
        table.add_row(str(row["set"]), f"{row['c']:.4f}", f"{row['prototype_c']}", f"{row['false_positives']:.3f}",
                      f"{row['prototype_fp']}")  # fmt: skip
    by_number = Table("random keys, 4 %", "c, least", "most")
    for one in numbers:
        by_number.add_row(f"{one['keys']:,}", f"{one['least_c']:.4f}", f"{one['most_c']:.4f}")
    console = Console(width=100)
    console.print(table)
    console.print(by_number)


if __name__ == "__main__":
    main()
