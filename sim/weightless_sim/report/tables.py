"""Tables of the docs, filled from committed JSON and TOML, and the schema of reports: ``make tables``.

A page has a table between ``<!-- table NAME -->`` and ``<!-- end -->``; what stands between them is replaced.  A test
holds every page to what is made here.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from math import fsum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weightless_hw import decoders
from weightless_sim.fpga.implementation import Area
from weightless_sim.model import technology
from weightless_sim.model.cycles import predict
from weightless_sim.model.patterns import Load
from weightless_sim.report import planned, results, rivals
from weightless_sim.report.planned import markdown_table as _table
from weightless_sim.report.schema import schema
from weightless_sim.shown import to_json
from weightless_sim.study import subject
from weightless_sw import inputs
from weightless_sw.baselines import Kind, Rate
from weightless_sw.files import write_atomically
from weightless_sw.layouts import by_name
from weightless_sw.spec.record import Runs

MARKED = re.compile(r"(<!-- table ([\w.-]+) -->\n).*?(<!-- end -->)", re.S)


def sizes(folder: Path) -> str:
    """The bundled network's fc1 in other formats; what no decoder reads is left out."""
    rows = [
        row
        for row in results.read(folder / "docs" / "results")[0]
        if row.decoder != Rate.NONE and row.kind not in (Kind.DENSE, Kind.PAYLOAD)
    ]
    return _table(
        ("stored as", "bytes", "zeros", "a hardware decoder"),
        (
            (
                row.name if row.lossless else f"**{row.name}**",
                f"{row.bytes:,}" if row.lossless else f"**{row.bytes:,}**",
                "exact" if row.lossless else f"{row.n_false_positives:,} false positives",
                row.decoder,
            )
            for row in sorted(rows, key=lambda row: -row.bytes)
        ),
    )


def layouts(folder: Path) -> str:
    """Layers of the pruned network in every layout."""
    seen: set[str] = set()
    lines = []
    for row in results.read(folder / "docs" / "results")[1]:
        name = row.layer.removesuffix(".weight")
        label = "" if name in seen else f"{name}, {row.n_weights:,}, {row.n_nonzero / row.n_weights:.0%}"
        seen.add(name)
        lines.append((
            label, row.layout, f"{row.bytes:,}", "" if row.c is None else f"{row.c:.3f}",
            f"{row.n_false_positives:,}", f"{row.n_false_positives / row.n_nonzero:.3f}",
            f"{8 * row.bytes / row.n_weights:.4f}",
        ))  # fmt: skip
    return _table(("layer", "layout", "bytes", "c", "false positives", "per non-zero", "bit/weight"), lines)


def area(folder: Path) -> str:
    """Decoders on FPGAs, as they are shipped."""
    rows = []
    for one in sorted(technology.shipped_placements(), key=lambda one: (one.device, one.lanes, one.config)):
        took, fmax = Area(**one.area), list(one.fmax.values())
        rows.append((
            one.device, one.lanes, f"`{one.config}`", f"{took.luts} + {took.luts_memory}", took.flip_flops,
            took.block_rams, took.multipliers, f"{one.fmax_mhz:.1f} ({min(fmax):.0f} to {max(fmax):.0f})",
            f"{one.weights_per_second / 1e6:,.0f} M",
            f"{one.weights_per_second / 1e3 / (took.luts + took.luts_memory):,.0f} k",
            ", ".join(f"{value:.1f}" for value in fmax),
        ))  # fmt: skip
    head = ("device", "lanes", "decoder", "LUT4, logic + memory", "FF", "block RAM", "multipliers", "MHz",
            "weights per second", "per LUT4", "MHz by seed")  # fmt: skip
    return _table(head, rows)


TILE_LANES = (1, 8, 64)
TILE_SIZES = ((8, 8), (16, 16), (32, 32), (64, 64), (8, 64), (64, 8))


def tiles(folder: Path) -> str:
    """Rectangles of a loaded matrix of 1,024 columns, of sizes alone: the cycle model has them."""
    rows = []
    for height, width in TILE_SIZES:
        row = [f"{height} x {width}"]
        for lanes in TILE_LANES:
            took = [_tile_cycles(lanes, Runs(column, width, height, 1024)) for column in range(lanes)]
            mean = fsum(took) / lanes
            n = height * width
            row += [str(took[0]), f"{n / took[0]:.2f}", f"{n / mean:.2f}"]
        rows.append(row)
    head = ["rows x columns"]
    for lanes in TILE_LANES:
        head += [f"G = {lanes}: cycles, aligned", "weights a cycle", "anywhere"]
    return _table(head, rows)


def _tile_cycles(lanes: int, runs: Runs) -> int:
    """From the frame's first word to the last beat, both included."""
    sizes = {"n_weights": 1 << 20, "slot_bits": 8, "n_codes": 15, "seed": 0, "lanes": lanes, "bank_rows": 512}
    layer = by_name("classic").geometry(**sizes)  # type: ignore[arg-type]
    config = decoders.for_layers([layer], tiles=1)
    (one,) = predict(config, [Load(layer, resident=True, runs=runs)])
    return one.last_beat - one.first_word + 1


def bulk(folder: Path) -> str:
    """Whole layers through the RTL in the compiled harness, one decoder after the other."""
    rows = []
    for path in sorted((folder / "docs" / "results").glob("bulk-*.json")):
        for row in json.loads(path.read_text()):
            rows.append((
                ", ".join(row["tables"]), f"`{row['decoder']}`", f"{row['table_words']:,}",
                f"{row['on_chip_bits']:,}", f"{row['cycles']:,}", f"{row['weights_per_cycle_decoding']:.3f}",
                f"{row['weights_per_cycle_with_loading']:.3f}", f"{row['mismatches']:,} of {row['weights']:,}",
            ))  # fmt: skip
    head = ("layer, density", "decoder", "32-bit words of the table", "of it on chip, bits", "cycles",
            "weights a clock, decoding", "with loading", "mismatches")  # fmt: skip
    return _table(head, rows)


@cache
def _density(workload: str) -> float:
    """Share of a table's weights that are not zero, of the layers that entries are measured with."""
    if workload.endswith("lenet300_pruned"):
        weights = inputs.load_tensors("lenet300_pruned")["fc1.weight"]
        return np.count_nonzero(weights) / weights.size
    about = subject.from_file("lenet300", None)
    return about.reports[about.layer].n_nonzero / about.tables[about.layer].geometry.n_weights


def _energy(library: str) -> str:
    rows = []
    for entry in technology.shipped():
        if not entry.library.startswith(library):
            continue
        settled, glitches = entry.pj_per_weight()
        density = _density(entry.workload)
        digits, less = 1 if settled > 2 else 2, 0 if settled / density > 10 else 1
        of_file = "" if entry.workload.endswith("lenet300_pruned") else ", bundled fc1"
        rows.append((
            f"`{entry.decoder}`{of_file}", "yes" if entry.clock_gates else "no",
            f"{entry.cells:,}, {entry.flip_flops:,}, {entry.area_um2:,.0f}",
            f"{entry.logic_settled_pj:.1f} to {entry.logic_glitches_pj:.1f}", f"{entry.memory_pj:.1f}",
            f"{settled:.{digits}f} to {glitches:.{digits}f}",
            f"{settled / density:.{less}f} to {glitches / density:.{less}f}",
        ))  # fmt: skip
    head = (
        "decoder",
        "clock gates",
        "cells, FF, um2 without memories",
        "logic per beat",
        "memory reads per beat",
        "per weight",
        "per non-zero",
    )
    return _table(head, rows)


def nangate45(folder: Path) -> str:
    """Energies of shipped entries in NanGate 45."""
    return _energy("Nangate")


def asap7(folder: Path) -> str:
    """Energies of shipped entries in ASAP7."""
    return _energy("asap7")


class _Goal(NamedTuple):
    """A row of the headline table: which run is held against what."""

    what: str
    best_known: str
    required: str
    aim: str
    run: str
    ratio: Callable[[dict[str, Any]], float]


def _whole(found: dict[str, Any]) -> float:
    return float(found["ratio"])


def _fc1_ratio(found: dict[str, Any]) -> float:
    fc1 = found["parts"]["fc1.weight"]
    return 4 * float(fc1["n_weights"]) / float(fc1["bytes"])


def _over(rival: str, rivals: str = "rivals") -> Callable[[dict[str, Any]], float]:
    """How many times the table a rival takes of the same weights; NaN where a result does not say."""

    def ratio(found: dict[str, Any]) -> float:
        table = found["tables"]["fc1"]
        return float(table.get(rivals, {}).get(rival, np.nan)) / float(table["bytes"])

    return ratio


CHOICE = "choice-"  # runs of this name differ in one choice
GOALS = (
    _Goal(
        "LeNet-5, fc1 alone, error <= dense + 0.1 %", "496x (Weightless)", "1,000x", "1,200x at <= dense",
        "lenet5-fc1", _fc1_ratio,
    ),
    _Goal(
        "LeNet-5, whole file, error <= 1.0 %", "382x (Weightless), 1,110x at 0.96 % (MIRACLE)", "640x", "1,200x",
        "lenet5-650x", _whole,
    ),
    _Goal(
        "LeNet-5, whole file, error <= dense", "555x at 0.69 % (MIRACLE)", "as it comes", "650x", "lenet5-dense", _whole
    ),
    _Goal("LeNet-5, whole file at 1,150x", "1,110x at 0.96 % (MIRACLE)", "1.45 %", "0.95 %", "lenet5-1150x", _whole),
    _Goal(
        "LeNet-5, fc1 against Deep Compression, 5 bit index, units where they were", "1.51x (Weightless)",
        "1.51x", "", "lenet5-650x", _over("Deep Compression, 5 bit index + Huffman", "rivals_unmoved"),
    ),
    _Goal(
        "the same, units moved as for the table", "", "", "", "lenet5-650x",
        _over("Deep Compression, 5 bit index + Huffman"),
    ),
    _Goal(
        "LeNet-5, fc1 against its best index width, trimmed", "", "", "> 1.0x", "lenet5-650x",
        _over("Deep Compression, best index width + Huffman, trimmed"),
    ),
    _Goal("LeNet-300-100, whole file, error <= 1.5 %", "", "100x", "150x", "lenet300-100x", _whole),
    _Goal("LeNet-300-100, the same in a smaller file", "", "", "150x", "lenet300-150x", _whole),
)  # fmt: skip


def _paper(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return results.paper(folder / "docs" / "results")


def _error(found: dict[str, Any], at: str = "file") -> str:
    return f"{results.error(found, at):.2%}".replace("%", " %")


def _median(found: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], float]) -> float:
    return float(np.median([key(one) for one in found]))


def headline(folder: Path) -> str:
    """What the paper's claims, and later ones, are held against."""
    runs, rows = _paper(folder), []
    for goal in GOALS:
        found = [one for one in runs.get(goal.run, []) if np.isfinite(goal.ratio(one))]
        if not found:
            continue
        exact = runs.get(f"{goal.run}-exact", []) if goal.ratio in (_whole, _fc1_ratio) else []
        rows.append((
            goal.what, goal.best_known, goal.required, goal.aim, *_medians(found, goal),
            "; ".join(_medians(exact, goal)) if exact else "",
        ))  # fmt: skip
    head = ("median of the seeds", "best known", "required", "aim", "ratio (by seed)", "test error (by seed)",
            "the same, every layer exact")  # fmt: skip
    return _table(head, rows)


def _medians(found: list[dict[str, Any]], goal: _Goal) -> tuple[str, str]:
    """(ratio, error), each the median and all."""
    digits = 2 if _median(found, goal.ratio) < 10 else 0
    ratios = ", ".join(f"{goal.ratio(one):,.{digits}f}" for one in found)
    errors = ", ".join(_error(one).removesuffix(" %") for one in found)
    middle = _median(found, lambda one: results.error(one, "file"))
    return (
        f"**{_median(found, goal.ratio):,.{digits}f}x** ({ratios})",
        f"**{middle:.2%}**".replace("%", " %") + f" ({errors})",
    )


def runs(folder: Path) -> str:
    """Every run of the paper's, a row for each seed."""
    rows = []
    for name, found in _paper(folder).items():
        for one in found:
            table = next(iter(one["tables"].values()), None)
            parts = ", ".join(f"{key.split('.')[0]} {part['bytes']:,}" for key, part in one["parts"].items())
            rows.append((
                name, one["seed"], f"{one['bytes']:,} ({one['ratio']:,.0f}x)", parts,
                f"{table['n_keys']:,} keys, t = {table['slot_bits']}, K = {table['n_codes']}, "
                f"{table['n_false_positives']:,}" if table else "none",
                *(_error(one, at) if at in one["wrong"] else "" for at in ("dense", "simplified", "encoded", "file")),
                f"{fsum(one['seconds'].values()) / 60:.1f}", f"`{one['commit']}`",
            ))  # fmt: skip
    head = ("run", "seed", "bytes", "of these", "table, false positives", "dense", "simplified", "encoded",
            "as decoded", "minutes", "commit")  # fmt: skip
    return _table(head, rows)


def choices(folder: Path) -> str:
    """What each choice of a recipe gives alone, and all of them: one seed of LeNet-300-100."""
    of = _paper(folder)
    plain, rows = of.get(f"{CHOICE}plain", []), []
    names = [name for name in of if name.startswith(CHOICE)] if plain else []
    for name in sorted(names, key=lambda name: name != f"{CHOICE}plain") + ["lenet300-100x"] * bool(plain):
        for one in of[name][:1]:
            what = name.removeprefix(CHOICE).replace("-", " ") if name in names else "all of them"
            less = one["bytes"] - plain[0]["bytes"]
            rows.append((
                what, f"{one['bytes']:,} ({less:+,})", f"{one['tables']['fc1']['n_false_positives']:,}",
                *(_error(one, at) for at in ("simplified", "encoded", "file")),
                f"{one['validation'][-1]['n_wrong']} of {one['validation'][-1]['n']:,}",
            ))  # fmt: skip
    head = (
        "choice",
        "bytes",
        "false positives",
        "simplified",
        "encoded",
        "as decoded",
        "validation, as decoded",
    )
    return _table(head, rows)


def vgg16(folder: Path) -> str:
    """The fully connected layers of VGG-16 in every layout."""
    path = folder / "docs" / "results" / "vgg16.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    lines = (
        (
            f"{row['layer']}, {row['n_weights']:,}, {row['n_nonzero'] / row['n_weights']:.0%}",
            row["weights_of"], row["stored_as"], f"{row['bytes']:,}", f"{row['ratio']:.1f}x",
            f"{row['n_false_positives']:,}", f"{row['encode_seconds']:.1f}", f"{row['decode_seconds']:.2f}",
            row["decoder"],
        )
        for row in rows
    )  # fmt: skip
    head = ("layer, weights, not zero", "weights of", "stored as", "bytes", "to fp32", "false positives",
            "encode, s", "decode, s", "a hardware decoder")  # fmt: skip
    return _table(head, lines)


TABLES: dict[str, Callable[[Path], str]] = {
    make.__name__: make
    for make in (
        sizes,
        layouts,
        area,
        bulk,
        tiles,
        nangate45,
        asap7,
        headline,
        runs,
        choices,
        vgg16,
        *planned.TABLES,
        *rivals.TABLES,
    )
}


def filled(page: str, folder: Path) -> str:
    """The page with its tables; ``folder`` is the project's.  Raises KeyError for a table that nobody makes."""
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]](folder) + found[3], page)


def main(folder: Path) -> None:
    """Fill the README and every page of the docs; the schema of reports is written beside them."""
    write_atomically(folder / "docs" / "report.schema.json", (to_json(schema()) + "\n").encode())
    for page in (folder / "README.md", *sorted((folder / "docs").glob("*.md"))):
        text = page.read_text()
        if (new := filled(text, folder)) != text:
            page.write_text(new)
            print(page)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
