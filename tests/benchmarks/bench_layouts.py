"""Time and memory of both layouts against the number of weights, on one core, beside the C filters of pyfusefilter.

    python tests/benchmarks/bench_layouts.py [--most 1e8] [--density 0.04] [-o build/bench]

Each size is a process of its own, bound to one core; best of three, of the largest size one run.  Ratios are within
one run of one machine.  The peer stores 8 bits a key and answers one key at a time: what it populates per key and
answers per weight is what a table's encoder and decoder do.
"""

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from timing import best_of

FEW = 2_000_000  # answers of the peer that are timed


def one_layout(layout: str, n: int, n_keys: int) -> dict[str, Any]:
    """Seconds to encode and decode, bytes, and the process's peak memory beyond what it began with."""
    from weightless_sw import layouts
    from weightless_sw.spec.record import ValueFormat
    from weightless_sw.tensor import Arrangement, EncodedTensor, TableRequest

    row = layouts.by_name(layout)
    encoder = layouts.encoder(row)
    rng = np.random.default_rng(1)
    keys = random_keys(rng, n, n_keys).astype(np.uint32)
    codes = rng.integers(0, 15, n_keys).astype(np.uint16)
    request = TableRequest(n_weights=n, slot_bits=8, n_codes=15, value_format=ValueFormat.FP16, scale=1.0)
    few = TableRequest(n_weights=1000, slot_bits=8, n_codes=15, value_format=ValueFormat.FP16, scale=1.0)
    compile_first = encoder.build(np.arange(0, 1000, 20, dtype=np.uint32), codes[:50], few, encoder.OPTIONS)
    decoder = layouts.fast(compile_first.geometry)
    decoder.decode_codes(
        EncodedTensor(Arrangement((1000,)), compile_first.geometry, codes, compile_first.entries)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runs = 1 if n > 5e7 else 3
    encode, table = best_of(runs, lambda: encoder.build(keys, codes, request, encoder.OPTIONS))
    tensor = EncodedTensor(Arrangement((n,)), table.geometry, np.ones(15, np.float16), table.entries)
    decode, decoded = best_of(runs, lambda: decoder.decode_codes(tensor))
    assert np.array_equal(decoded[keys], codes)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "encode": encode,
        "decode": decode,
        "bytes": 4 * table.geometry.payload_words,
        "peak_mib": peak / 1024,
    }


def random_keys(rng: np.random.Generator, n: int, n_keys: int) -> Any:
    """Sorted, all different, without an array of n."""
    keys = np.unique(rng.integers(0, n, n_keys + n_keys // 8))
    while len(keys) < n_keys:
        keys = np.unique(np.append(keys, rng.integers(0, n, n_keys // 8 + 1)))
    return np.sort(rng.choice(keys, n_keys, replace=False))


def peer(_: str, n: int, n_keys: int) -> dict[str, Any]:
    """Binary fuse filter of 8 bits: populate with the keys; answers for all weights, by a compiled loop around it."""
    import numba
    from pyfusefilter import _xorfilter

    ffi, lib = _xorfilter.ffi, _xorfilter.lib
    keys = random_keys(np.random.default_rng(1), n, n_keys).astype(np.uint64)
    made = ffi.new("binary_fuse8_t *")

    def populate() -> None:
        lib.binary_fuse8_allocate(n_keys, made)
        given = keys.copy()  # it may sort them
        assert lib.binary_fuse8_populate(ffi.from_buffer("uint64_t[]", given), n_keys, made)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encode, _ = best_of(1 if n > 5e7 else 3, populate)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    address = int(ffi.cast("uintptr_t", ffi.addressof(lib, "binary_fuse8_contain")))
    contain = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_uint64, ctypes.c_void_p)(address)
    place = int(ffi.cast("uintptr_t", made))

    @numba.njit
    def answer(first: int, last: int) -> int:
        count = 0
        for key in range(first, last):
            count += contain(key, place)
        return count

    answer(0, 10)
    few = min(n, FEW)
    decode, count = best_of(3, lambda: answer(0, few))
    assert count >= np.count_nonzero(keys < few)
    n_bytes = int(made.ArrayLength)
    return {"encode": encode, "decode": decode * n / few, "bytes": n_bytes, "peak_mib": peak / 1024}


def measure(what: str, n: int, density: float) -> dict[str, Any]:
    """In a process of its own, on one core."""
    command = [sys.executable, __file__, "--child", what, str(n), str(density)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(run.stderr[-2000:])
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def child(what: str, n: int, density: float) -> None:
    """What ``measure`` starts."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    run = peer if what == "fuse8" else one_layout
    print(json.dumps(run(what, n, round(n * density))))


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Of N, fitted to the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


def plot(rows: dict[str, dict[int, dict[str, Any]]], path: Path) -> None:
    """Seconds and memory against N."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), dpi=130, layout="constrained")
    panels = {
        "encode": "encode, seconds",
        "decode": "decode, seconds",
        "peak_mib": "peak beyond that of making keys, MiB",
    }
    for axes, (key, label) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for name, by_size in rows.items():
            sizes = [
                n for n in by_size if by_size[n][key] > 0
            ]  # a peak below that of making the keys is not seen
            values = [by_size[n][key] for n in sizes]
            fit = f", N^{exponent(sizes, values):.2f}" if len(sizes) > 3 and key != "peak_mib" else ""
            axes.loglog(sizes, values, marker="o", markersize=3, label=name + fit)
        axes.set(xlabel="weights N", title=label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Measure, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=float, default=1e8)
    parser.add_argument("--density", type=float, default=0.04)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    sizes = [10**4, 10**5, 10**6, 10**7, 3 * 10**7, 10**8]
    sizes = [n for n in sizes if n <= options.most]
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    with Progress() as progress:
        task = progress.add_task("measure", total=3 * len(sizes))
        for what in ("ribbon", "classic", "fuse8"):
            rows[what] = {}
            for n in sizes:
                rows[what][n] = measure(what, n, options.density)
                progress.advance(task)
    table = Table("N", "what", ">M keys/s".lstrip(">"), "M weights/s", "against fuse8: encode", "decode",
                  "bits per key", "peak MiB")  # fmt: skip
    for n in sizes:
        for what, by_size in rows.items():
            r, p, n_keys = by_size[n], rows["fuse8"][n], round(n * options.density)
            table.add_row(f"{n:,}", what, f"{n_keys / r['encode'] / 1e6:.2f}", f"{n / r['decode'] / 1e6:.0f}",
                          f"{p['encode'] / r['encode']:.2f}", f"{p['decode'] / r['decode']:.2f}",
                          f"{8 * r['bytes'] / n_keys:.3f}", f"{r['peak_mib']:.0f}")  # fmt: skip
    Console(width=120).print(table)
    plot(rows, options.output / "layouts.png")
    print(options.output / "layouts.png")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
