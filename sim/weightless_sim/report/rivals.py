"""Tables and picture of docs/rivals.md: decoders of tables and of an exact layout, lane by lane, by density.

Of ``docs/results/rivals.toml`` (cells) and ``rivals.json`` (FPGA), which ``make rivals`` measures; who takes the least
comes from the grid that plans stand on.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from weightless_hw import decoders
from weightless_sim.model import grid, technology
from weightless_sim.model.technology import Entry, Synthesis, reference
from weightless_sim.report.planned import OF_GRID, markdown_table
from weightless_sim.report.plots import ACCENT, DPI, INK, MUTED, SECOND, save
from weightless_sim.study.energy import EIE, expected_gaps
from weightless_sw import codec, layouts

RESULTS = Path(__file__).parent.parent.parent.parent / "docs" / "results"
LIBRARIES = {"Nangate": "NanGate 45", "asap7": "ASAP7"}
STYLES = {("classic", 8): (INK, "o"), ("ribbon", 8): (ACCENT, "o"), ("bitmask", 8): (SECOND, "o"),
          ("bitmask", 4): (SECOND, "s")}  # fmt: skip
LANES, CODES, SLOT_BITS, N_WEIGHTS = 8, 16, 8, 1_000_000  # of who takes the least
DENSITIES = np.arange(1, 401) / 400
DRAMS = ("HBM2", "LPDDR4")


@cache
def syntheses() -> tuple[Synthesis, ...]:
    """On the FPGA, few lanes first."""
    return tuple(sorted(technology.read_syntheses(RESULTS / "rivals.json"), key=_order))


@cache
def entries() -> tuple[Entry, ...]:
    """In cells."""
    return tuple(sorted(technology.read(RESULTS / "rivals.toml")[0], key=_order))


def _order(one: Entry | Synthesis) -> tuple[int, int]:
    return list(STYLES).index((one.layout, one.slot_bits)), one.lanes


def _named(one: Entry | Synthesis) -> str:
    return f"{one.layout}, t = {one.slot_bits}"


def rivals_fpga(folder: Path) -> str:
    """What a lane takes on ECP5."""
    rows = []
    for one in syntheses():
        mhz = list(one.fmax_mhz.values())
        luts = one.luts + one.luts_memory
        rows.append((
            _named(one), one.lanes, f"{one.luts} + {one.luts_memory}", one.flip_flops, one.block_rams, one.multipliers,
            f"{luts / one.lanes:.0f}", f"{median(mhz):.1f} ({min(mhz):.0f} to {max(mhz):.0f})",
            f"{median(mhz) * one.lanes:,.0f} M",
        ))  # fmt: skip
    head = ("layout", "lanes", "LUT4, logic + memory", "FF", "block RAM", "multipliers", "LUT4 a lane",
            "MHz", "weights per second at most")  # fmt: skip
    return markdown_table(head, rows)


def _cells(library: str) -> str:
    rows = []
    found = [one for one in entries() if one.library.startswith(library)]
    for key in dict.fromkeys((one.layout, one.slot_bits, one.lanes) for one in found):
        at = {grid._density(one): one for one in found if (one.layout, one.slot_bits, one.lanes) == key}
        usual = at[grid.USUAL_DENSITY]
        per = [
            f"{at[p].pj_per_weight()[1]:.2f}, {at[p].pj_per_weight()[1] / p:.0f}" if p in at else ""
            for p in (0.01, 0.04, 0.15, 0.4)
        ]
        rows.append((_named(usual), usual.lanes, f"{usual.area_um2:,.0f}",
                     f"{usual.area_um2 / usual.lanes:,.0f}", *per))  # fmt: skip
    head = ("layout", "lanes", "um2 without memories", "um2 a lane", *(f"{p}%" for p in (1, 4, 15, 40)))
    return markdown_table(head, rows)


def rivals_nangate45(folder: Path) -> str:
    """Area, and pJ per weight and per non-zero weight by density."""
    return _cells("Nangate")


def rivals_asap7(folder: Path) -> str:
    """The same."""
    return _cells("asap7")


def _bits_per_nonzero(layout: str, density: float, slot_bits: int) -> float:
    n_keys = round(density * N_WEIGHTS)
    geometry = codec.expected(N_WEIGHTS, n_keys, layout=layout, slot_bits=slot_bits, n_codes=CODES)
    return 32 * geometry.record_words / n_keys


def _least(library: str, dram: str, settled: bool) -> list[tuple[float, str]]:
    """[(from that density on, what takes the least energy)] of ribbon, bitmask and gap-coded entries."""
    known = technology.references()
    bit = reference(known, dram, "dram").value if dram else 0.0
    entry = reference(known, EIE).value

    def per_nonzero(layout: str, density: float) -> float:
        exact = layouts.by_name(layout).geometry.EXACT
        slot_bits = layouts.encoder(layouts.by_name(layout)).usual_slot_bits(CODES) if exact else SLOT_BITS
        config = decoders.configure(layout, lanes=LANES, slot_bits=slot_bits, max_codes=CODES).for_cells()
        low, high, leakage = grid.logic(config, library, density)
        logic = ((low if settled else high) + leakage) / LANES / density
        return logic + bit * _bits_per_nonzero(layout, density, slot_bits)

    found: list[tuple[float, str]] = []
    for density in map(float, DENSITIES):
        gap_bits, padded = expected_gaps(density, 5)
        energies = {layout: per_nonzero(layout, density) for layout in ("ribbon", "bitmask")}
        energies["gap-coded"] = entry * padded + bit * gap_bits
        best = min(energies, key=lambda name: energies[name])
        if not found or found[-1][1] != best:
            found.append((density if found else 0.0, best))
    return found


def _smallest() -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    for density in map(float, DENSITIES):
        sizes = {
            "classic": _bits_per_nonzero("classic", density, SLOT_BITS),
            "ribbon": _bits_per_nonzero("ribbon", density, SLOT_BITS),
            "bitmask": _bits_per_nonzero("bitmask", density, 4),
            "gap-coded": expected_gaps(density, 5)[0],
        }
        best = min(sizes, key=lambda name: sizes[name])
        if not found or found[-1][1] != best:
            found.append((density if found else 0.0, best))
    return found


def _in_words(found: Sequence[tuple[float, str]]) -> str:
    return "; ".join(f"{name} from {density:.1%}" if density else name for density, name in found)


def rivals_best(folder: Path) -> str:
    """At which densities each is the smallest, and takes the least energy."""
    rows = [("bytes", "", _in_words(_smallest()))]
    for library in grid.libraries():
        name = next(text for start, text in LIBRARIES.items() if library.startswith(start))
        for dram in ("", *DRAMS):
            both = [_in_words(_least(library, dram, settled)) for settled in (True, False)]
            text = both[0] if both[0] == both[1] else f"{both[0]}; with glitches: {both[1]}"
            rows.append((f"energy, {f'from {dram}' if dram else 'on chip'}", name, text))
    return markdown_table(("what", "cells", "the least, by density"), rows)


def _errors(found: Sequence[tuple[float, float]]) -> str:
    """Of (measured, told) pairs."""
    off = [told / measured - 1 for measured, told in found if measured]
    return f"{min(off):+.0%} to {max(off):+.0%}" if off else ""


def rivals_told(folder: Path) -> str:
    """What the grid of plans tells of decoders of two and eight lanes, which it has not, beside what was measured."""
    rows = []
    between = {one.lanes for one in entries()} - {one.lanes for one in grid.cells()}
    for layout, slot_bits in STYLES:
        for library in grid.libraries():
            pairs: dict[str, list[tuple[float, float]]] = {}
            for one in entries():
                if (one.layout, one.slot_bits, one.library) != (layout, slot_bits, library):
                    continue
                if one.lanes in between:
                    sizes = {"lanes": one.lanes, "slot_bits": slot_bits, "max_codes": CODES - 1}
                    told = grid.entry(decoders.configure(layout, **sizes), library, grid._density(one))
                    for name in ("logic_settled_pj", "logic_glitches_pj", "area_um2"):
                        pairs.setdefault(name, []).append((getattr(one, name), getattr(told, name)))
            rows.append((f"{layout}, t = {slot_bits}", library, *map(_errors, pairs.values()), "", "", ""))
        placed: dict[str, list[tuple[float, float]]] = {}
        for made in syntheses():
            if (made.layout, made.slot_bits) == (layout, slot_bits) and made.lanes in between:
                sizes = {"lanes": made.lanes, "slot_bits": slot_bits, "max_codes": made.max_codes}
                found = grid.on_fpga(decoders.configure(layout, **sizes))
                measured = {"luts": made.luts, "flip_flops": made.flip_flops,
                            "fmax_mhz": median(made.fmax_mhz.values())}  # fmt: skip
                for name, value in measured.items():
                    placed.setdefault(name, []).append((value, found[name].value))
        rows.append((f"{layout}, t = {slot_bits}", "ECP5", "", "", "", *map(_errors, placed.values())))
    return markdown_table(OF_GRID, rows)


def lanes(path: Path) -> None:
    """LUTs, and energy, of a lane against how many there are."""
    figure = Figure(figsize=(11, 4.2), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    for (layout, slot_bits), (color, marker) in STYLES.items():
        label = f"{layout}, t = {slot_bits}"
        line = "-" if marker == "o" else "--"
        placed = [one for one in syntheses() if (one.layout, one.slot_bits) == (layout, slot_bits)]
        left.plot([one.lanes for one in placed], [(one.luts + one.luts_memory) / one.lanes for one in placed],
                  color=color, marker=marker, ls=line, label=label)  # fmt: skip
        for density, alpha in ((0.04, 1.0), (0.4, 0.45)):
            found = [
                one
                for one in entries()
                if (one.layout, one.slot_bits) == (layout, slot_bits)
                and one.library.startswith("Nangate")
                and grid._density(one) == density
            ]
            right.plot([one.lanes for one in found], [one.pj_per_weight()[1] for one in found], color=color,
                       marker=marker, ls=line, alpha=alpha, label=f"{label}, {density:.0%}")  # fmt: skip
    said = (
        (left, "LUT4 a lane, ECP5", (250, 500, 1000, 2000)),
        (right, "pJ a weight, NanGate 45, with glitches", (1, 2, 5, 10, 20, 50)),
    )
    for axes, text, ticks in said:
        axes.set_title(text, loc="left", fontsize=10, color=INK)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_yticks(ticks, [str(one) for one in ticks])
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks((1, 2, 4, 8, 16), ("1", "2", "4", "8", "16"))
        axes.set_xlabel("lanes", fontsize=9)
        axes.grid(alpha=0.3, color=MUTED)
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


TABLES: tuple[Callable[[Path], str], ...] = (
    rivals_fpga,
    rivals_nangate45,
    rivals_asap7,
    rivals_best,
    rivals_told,
)
