"""Software speed, side by side in one process: encode and decode against zlib, lzma and a plain copy.

    python tests/benchmarks/bench_codec.py [--keys 1000000] [--density 0.04]

Best of three, one machine, one run: compare the ratios, not the seconds of two runs.
"""

import argparse
import lzma
import zlib
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from timing import best_of

from weightless_sw import codec


def gaps_and_values(weights: Any) -> bytes:
    """What a general compressor would be given: gaps as u16 with escapes left out, value numbers as u8."""
    places = np.flatnonzero(weights)
    codes = np.unique(weights[places], return_inverse=True)[1]
    gaps = np.diff(places, prepend=0).astype(np.uint16)
    return gaps.tobytes() + codes.astype(np.uint8).tobytes()


def expand(data: bytes, n: int, n_keys: int, values: Any) -> Any:
    """The inverse of :func:`gaps_and_values`."""
    gaps = np.frombuffer(data, np.uint16, n_keys).astype(np.int64)
    weights = np.zeros(n, np.float32)
    weights[np.cumsum(gaps)] = values[np.frombuffer(data, np.uint8, offset=2 * n_keys)]
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--density", type=float, default=0.04)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    n = round(options.keys / options.density)
    weights = np.zeros(n, np.float32)
    places = rng.choice(n, options.keys, replace=False)
    values = np.array([(k - 7.5) / 16 for k in range(16)], np.float32)
    weights[places] = values[rng.integers(0, 16, options.keys)]
    plain = gaps_and_values(weights)
    codec.encode(weights[:1000])  # compile
    rows = []
    with Progress() as progress:
        task = progress.add_task("measure", total=9)
        for lanes in (1, 8, 64):
            seconds, (tensor, _) = best_of(3, lambda lanes=lanes: codec.encode(weights, lanes=lanes))
            rows.append((f"encode, {lanes} lanes", seconds, options.keys, tensor.record_bytes))
            codec.decode(tensor)  # compile
            seconds, _ = best_of(3, lambda tensor=tensor: codec.decode(tensor))
            rows.append((f"fast decode, {lanes} lanes", seconds, n, tensor.record_bytes))
            progress.advance(task, 2)
        seconds, _ = best_of(1, lambda: codec.decode_golden(tensor))
        rows.append(("golden decode, 64 lanes", seconds, n, tensor.record_bytes))
        progress.advance(task)
        for name, pack, unpack in (
            ("zlib -9", lambda d: zlib.compress(d, 9), zlib.decompress),
            ("lzma", lzma.compress, lzma.decompress),
        ):
            packed = pack(plain)
            seconds, out = best_of(3, lambda p=packed, u=unpack: expand(u(p), n, options.keys, values))
            assert np.array_equal(out, weights)
            rows.append((f"decode gaps + values, {name}", seconds, n, len(packed)))
            progress.advance(task)
        seconds, _ = best_of(3, weights.copy)
        rows.append(("copy of the result", seconds, n, weights.nbytes))
    reference = next(s for name, s, _, _ in rows if name == "fast decode, 8 lanes")
    table = Table(
        "what", "seconds", "M keys or weights per second", "time against fast decode, 8 lanes", "bytes"
    )
    for name, seconds, count, n_bytes in rows:
        table.add_row(
            name,
            f"{seconds:.3f}",
            f"{count / seconds / 1e6:.1f}",
            f"{seconds / reference:.2f}",
            f"{n_bytes:,}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
