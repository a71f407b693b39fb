"""Time and memory of both layouts against the number of weights, on one core, beside the C filters of pyfusefilter.

    python tests/benchmarks/bench_layouts.py [--most 1e8] [--density 0.04] [--json] [-o FILE]

Each size is a process of its own, bound to one core; best of three, of the largest size one run.  Ratios are within
one run of one machine.  Memory is what a run adds to what the process held before it, its result with it.
The peer stores 8 bits a key and answers one key at a time: what it populates per key and
answers per weight is what a table's encoder and decoder do.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from timing import best_of, peak_of

FEW = 2_000_000  # answers of the peer that are timed


def one_layout(layout: str, n: int, n_keys: int) -> dict[str, Any]:
    """Seconds and MiB to encode and to decode, and bytes."""
    from weightless_sw import layouts
    from weightless_sw.arrangement import Arrangement
    from weightless_sw.spec.record import ValueFormat
    from weightless_sw.tensor import EncodedTensor, TableRequest

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
    runs = 1 if n > 5e7 else 3
    encode_mib, table = peak_of(lambda: encoder.build(keys, codes, request, encoder.OPTIONS))
    encode, table = best_of(runs, lambda: encoder.build(keys, codes, request, encoder.OPTIONS))
    tensor = EncodedTensor(Arrangement((n,)), table.geometry, np.ones(15, np.float16), table.entries)
    decode_mib, decoded = peak_of(lambda: decoder.decode_codes(tensor))
    assert np.array_equal(decoded[keys], codes)
    del decoded
    decode, _ = best_of(runs, lambda: decoder.decode_codes(tensor))
    return {"encode": encode, "decode": decode, "encode_mib": encode_mib, "decode_mib": decode_mib,
            "bytes": 4 * table.geometry.payload_words}  # fmt: skip


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
        lib.binary_fuse8_free(made)
        lib.binary_fuse8_allocate(n_keys, made)
        given = keys.copy()  # it may sort them
        assert lib.binary_fuse8_populate(ffi.from_buffer("uint64_t[]", given), n_keys, made)

    encode_mib, _ = peak_of(populate)
    encode, _ = best_of(1 if n > 5e7 else 3, populate)
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
    return {"encode": encode, "decode": decode * n / few, "encode_mib": encode_mib, "decode_mib": 0.0,
            "bytes": int(made.ArrayLength)}  # fmt: skip


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


def exponent(sizes: list[int], values: list[float]) -> float:
    """Of N, fitted to the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(values[half:]), 1)[0])


def plot(rows: dict[str, dict[int, dict[str, Any]]], path: Path) -> None:
    """Seconds and memory against N."""
    from matplotlib.figure import Figure

    from weightless_sim.report.plots import ACCENT, MUTED, SECOND, save

    figure = Figure(figsize=(9, 6), layout="constrained")
    panels = {"encode": "encode, seconds", "decode": "decode, seconds", "encode_mib": "encode, MiB beyond the keys",
              "decode_mib": "decode, MiB"}  # fmt: skip
    for axes, (key, label) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for (name, by_size), color in zip(rows.items(), (SECOND, ACCENT, MUTED), strict=True):
            sizes = [n for n in by_size if by_size[n][key] > 0]  # the peer's answers take no memory
            values = [by_size[n][key] for n in sizes]
            fit = f", N^{exponent(sizes, values):.2f}" if len(sizes) > 3 else ""
            if sizes:
                axes.loglog(sizes, values, marker="o", markersize=3, color=color, label=name + fit)
        axes.set(xlabel="weights N", title=label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(figure, path)


def main() -> None:
    """Measure, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=float, default=1e8)
    parser.add_argument("--density", type=float, default=0.04)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bench/layouts.svg"))
    options = parser.parse_args()
    sizes = [10**4, 10**5, 10**6, 10**7, 3 * 10**7, 10**8]
    sizes = [n for n in sizes if n <= options.most]
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    with Progress(disable=options.json) as progress:
        task = progress.add_task("measure", total=3 * len(sizes))
        for what in ("ribbon", "classic", "fuse8"):
            rows[what] = {}
            for n in sizes:
                rows[what][n] = measure(what, n, options.density)
                progress.advance(task)
    plot(rows, options.output)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("N", "what", "M keys/s", "M weights/s", "against fuse8: encode", "decode",
                  "bits per key", "MiB: encode", "decode")  # fmt: skip
    for n in sizes:
        for what, by_size in rows.items():
            r, p, n_keys = by_size[n], rows["fuse8"][n], round(n * options.density)
            table.add_row(f"{n:,}", what, f"{n_keys / r['encode'] / 1e6:.2f}", f"{n / r['decode'] / 1e6:.0f}",
                          f"{p['encode'] / r['encode']:.2g}", f"{p['decode'] / r['decode']:.2g}",
                          f"{8 * r['bytes'] / n_keys:.3f}", f"{r['encode_mib']:.0f}",
                          f"{r['decode_mib']:.0f}")  # fmt: skip
    Console(width=120).print(table)
    print(options.output)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
