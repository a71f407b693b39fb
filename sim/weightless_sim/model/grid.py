"""What a decoder takes that nobody measured: between decoders of a grid that were, lanes and slot bits apart.

The grid is ``tech/grid.toml`` (logic in two cell libraries) and ``tech/grid.json`` (an FPGA), as ``make grid``
measured it.  A figure is interpolated along lanes, then along slot bits, on straight lines: gates are made by the lane
and by the bit.  What entries of the codebook add is told from two further points.  Its error is the largest that a
point of the grid shows when it is left out and told from its neighbours.  Memories are those of the configuration, from
CACTI's table; nothing of them is interpolated here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig, MemoryBlock
from weightless_sim.model import sram, technology
from weightless_sim.model.technology import Entry, KnownEntry, KnownPlacement, Synthesis

ESTIMATED = "estimated"
GRID_ENTRIES = 16  # of the codebook, in the grid itself
USUAL_DENSITY = 0.04  # of its workload; decoders that stream were run with others, too
SRAM_NODES = {"Nangate": 45, "asap7": 22}  # of the memories beside a library's cells
SRAM_CELL = "itrs-lop"
Point = tuple[int, int, int]  # lanes, slot bits, entries of the codebook
# Block RAMs of ECP5: bits of a row by rows.
ECP5_RAM = {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}


@dataclass(frozen=True)
class Estimate:
    """A figure, how it was got, and how far off points left out were: a share of 1, None where none can be."""

    value: float
    inside: bool  # the grid
    error: float | None


@dataclass(frozen=True)
class Surface:
    """A figure at the points of the grid, and what it is between them."""

    points: Mapping[Point, float]

    @property
    def plane(self) -> dict[tuple[int, int], float]:
        """By lanes and slot bits, at the usual codebook."""
        return {(g, t): value for (g, t, entries), value in self.points.items() if entries == GRID_ENTRIES}

    def at(self, lanes: int, slot_bits: int, entries: int) -> Estimate:
        """The figure there; outside the grid the last line goes on."""
        plane = self.plane
        inside = all(
            min(axis) <= x <= max(axis)
            for axis, x in (
                ([g for g, _ in plane], lanes),
                ([t for _, t in plane], slot_bits),
                ([e for *_, e in self.points], entries),
            )
        )
        value = _on_plane(plane, lanes, slot_bits) + self._codebook(lanes, entries)
        return Estimate(max(value, 0.0), inside, self.error)

    def _codebook(self, lanes: int, entries: int) -> float:
        """What entries beyond the usual add: by the entry, and by the entry and lane."""
        slopes = []
        for (g, t, e), value in self.points.items():
            if e != GRID_ENTRIES:
                slopes.append((g, (value - self.points[g, t, GRID_ENTRIES]) / (e - GRID_ENTRIES)))
        if not slopes:
            return 0.0
        by_lanes = sorted(slopes)
        return (entries - GRID_ENTRIES) * _line([g for g, _ in by_lanes], [one for _, one in by_lanes], lanes)

    @property
    def errors(self) -> list[float]:
        """Of each point between others, left out: told from the two beside it along lanes, and along slot bits."""
        plane, found = self.plane, []
        for (g, t), value in plane.items():
            along_lanes = {x: v for (x, y), v in plane.items() if y == t and x != g}
            along_bits = {y: v for (x, y), v in plane.items() if x == g and y != t}
            for x, others in ((g, along_lanes), (t, along_bits)):
                if others and min(others) < x < max(others):
                    xs = sorted(others)
                    found.append(abs(_line(xs, [others[one] for one in xs], x) / value - 1) if value else 0.0)
        return found

    @property
    def error(self) -> float | None:
        """The largest of them."""
        return max(self.errors, default=None)


def _line(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """On straight lines through the points, of rising ``xs``; the first and the last go on."""
    if len(xs) == 1:
        return float(ys[0])
    k = min(max(int(np.searchsorted(xs, x)), 1), len(xs) - 1)
    (x0, x1), (y0, y1) = xs[k - 1 : k + 1], ys[k - 1 : k + 1]
    return float(y0 + (y1 - y0) * (x - x0) / (x1 - x0))


def _on_plane(plane: Mapping[tuple[int, int], float], lanes: float, slot_bits: float) -> float:
    widths = sorted({t for _, t in plane})
    values = []
    for t in widths:
        xs = sorted(g for g, other in plane if other == t)
        values.append(_line(xs, [plane[g, t] for g in xs], lanes))
    return _line(widths, values, slot_bits)


def codebook_entries(max_codes: int) -> int:
    """Entries that a codebook of so many codes is built with."""
    return 1 << max(2, (max_codes - 1).bit_length())


def _folder() -> Path:
    return Path(str(files("weightless_sim.model").joinpath("tech")))


@cache
def cells() -> tuple[Entry, ...]:
    """The grid's decoders in cells."""
    return tuple(technology.read(_folder() / "grid.toml", "shipped")[0])


@cache
def syntheses() -> tuple[Synthesis, ...]:
    """The grid's decoders on an FPGA."""
    return tuple(technology.read_syntheses(_folder() / "grid.json"))


def libraries() -> list[str]:
    """Those that the grid has."""
    return sorted({entry.library for entry in cells()})


@cache
def layouts() -> tuple[str, ...]:
    """Whose decoders it has, in cells and on an FPGA; in the order of ``decoders``."""
    both = {one.layout for one in cells()} & {one.layout for one in syntheses()}
    return tuple(name for name in decoders.BY_NAME if name in both)


def _codes(entry: Entry) -> int:
    return int(entry.decoder.split("_k")[1].split("_")[0])


@cache
def _cells_of(layout: str, library: str, density: float = USUAL_DENSITY) -> dict[Point, Entry]:
    return {
        (one.lanes, one.slot_bits, codebook_entries(_codes(one))): one
        for one in cells()
        if one.layout == layout and one.library == library and _density(one) == density
    }


def _density(entry: Entry) -> float:
    return USUAL_DENSITY if entry.density is None else round(entry.density, 2)


@cache
def _densities(layout: str, library: str) -> list[float]:
    """Those of the workloads, rising."""
    return sorted({_density(one) for one in cells() if (one.layout, one.library) == (layout, library)})


@cache
def _surface(layout: str, library: str, figure: str, k: int = -1, density: float = USUAL_DENSITY) -> Surface:
    """Of an Entry's field, or, with ``k``, of one of a part's two energies."""

    def of(entry: Entry) -> float:
        return float(getattr(entry, figure)) if k < 0 else entry.parts.get(figure, (0.0, 0.0))[k]

    return Surface({point: of(entry) for point, entry in _cells_of(layout, library, density).items()})


def _told(layout: str, library: str, figure: str, where: Point, density: float, k: int = -1) -> Estimate:
    """A figure there, on a straight line between the densities that were run; what a codebook adds is the usual's."""
    shares = _densities(layout, library)
    usual = _surface(layout, library, figure, k).at(*where)
    if len(shares) == 1:
        return usual
    lanes, slot_bits, _ = where
    there = lanes, slot_bits, GRID_ENTRIES
    surfaces = [_surface(layout, library, figure, k, share) for share in shares]
    value = _line(shares, [one.at(*there).value for one in surfaces], density)
    codebook = usual.value - _surface(layout, library, figure, k).at(*there).value
    inside = usual.inside and shares[0] <= density <= shares[-1]
    return Estimate(max(value + codebook, 0.0), inside, error(layout, library, figure, k))


def _density_errors(layout: str, library: str, figure: str, k: int) -> list[float]:
    """Of each point between two densities, left out."""
    shares = _densities(layout, library)
    planes = [_surface(layout, library, figure, k, share).plane for share in shares]
    return [
        abs(_line(shares[i - 1 : i + 2 : 2], [planes[i - 1][at], planes[i + 1][at]], shares[i]) / value - 1)
        for i in range(1, len(shares) - 1)
        for at, value in planes[i].items()
        if value
    ]


CLOCK_HZ = 1e9  # at which leakage by the cycle is given


@cache
def _logic(layout: str, library: str, where: Point, density: float) -> dict[str, Estimate]:
    figures = ("logic_settled_pj", "logic_glitches_pj", "leakage_pj", "area_um2", "cells", "flip_flops")
    return {name: _told(layout, library, name, where, density) for name in figures}


def logic(config: DecoderConfig, library: str, density: float = USUAL_DENSITY) -> tuple[float, float, float]:
    """pJ of a beat, settled and with glitches, and of leakage in a cycle at CLOCK_HZ; memories apart.

    ``density`` is the share of weights that are not zero.  Raises as :func:`entry`.
    """
    _known(config, library)
    found = _logic(config.GEOMETRY.NAME, library, _where(config), density)
    return tuple(found[name].value for name in ("logic_settled_pj", "logic_glitches_pj", "leakage_pj"))  # type: ignore[return-value]


def _where(config: DecoderConfig) -> Point:
    return config.lanes, config.slot_bits, codebook_entries(config.max_codes)


def _known(config: DecoderConfig, library: str) -> dict[Point, Entry]:
    known = _cells_of(config.GEOMETRY.NAME, library)
    if not known:
        raise ValueError(
            f"no grid of {config.GEOMETRY.NAME} decoders in {library}; libraries: {', '.join(libraries())}"
        )
    return known


def entry(config: DecoderConfig, library: str, density: float = USUAL_DENSITY) -> KnownEntry:
    """The decoder's logic in the cells of a library, estimated, with weights of that density.

    Raises ValueError for a library or a layout that the grid has not.
    """
    layout, known, where = config.GEOMETRY.NAME, _known(config, library), _where(config)
    found = _logic(layout, library, where, density)
    first = next(iter(known.values()))
    names = {name for one in known.values() for name in one.parts}
    parts = {
        name: (
            _told(layout, library, name, where, density, 0).value,
            _told(layout, library, name, where, density, 1).value,
        )
        for name in sorted(names)
    }
    memory = sum(block.n * read_pj(block, node(library)) for block in config.memories)
    settled, glitches = found["logic_settled_pj"].value, found["logic_glitches_pj"].value
    made = Entry(
        layout=layout, lanes=config.lanes, slot_bits=config.slot_bits, value_bits=config.value_bits,
        decoder=config.name, verilog_sha256="", library=library, corner=first.corner, volts=first.volts,
        clock_ghz=first.clock_ghz, clock_gates=first.clock_gates, workload=first.workload,
        window_beats=first.window_beats, logic_settled_pj=settled, logic_glitches_pj=glitches, memory_pj=memory,
        leakage_pj=found["leakage_pj"].value, area_um2=found["area_um2"].value, cells=round(found["cells"].value),
        flip_flops=round(found["flip_flops"].value), how=ESTIMATED,
        source=f"between decoders of the grid that weightless asic measured; memory reads: {sram.SOURCE}, "
               f"{node(library)} nm {SRAM_CELL}", density=density, parts=parts,
        accuracy=_accuracy(found["logic_glitches_pj"], found["area_um2"]) + f"; {first.accuracy}",
    )  # fmt: skip
    return KnownEntry(
        **vars(made),
        pj_per_weight_settled=made.pj_per_weight()[0],
        pj_per_weight_glitches=made.pj_per_weight()[1],
    )


def find(config: DecoderConfig, library: str, density: float = USUAL_DENSITY) -> KnownEntry | None:
    """The same, or None where the grid has no decoder of that layout in the library."""
    return entry(config, library, density) if _cells_of(config.GEOMETRY.NAME, library) else None


def entries(config: DecoderConfig, density: float = USUAL_DENSITY) -> list[KnownEntry]:
    """The same in each library of the grid; empty for a layout that it has not."""
    return [one for library in libraries() if (one := find(config, library, density))]


def _accuracy(energy: Estimate, area: Estimate) -> str:
    where = "" if energy.inside else "outside the grid; "
    worst = f"{energy.error or 0:.0%} of the energy at most, {area.error or 0:.0%} of the area"
    return f"{where}points left out were off by {worst}"


def node(library: str) -> int:
    """nm of the memories beside the library's cells."""
    return next(nm for name, nm in SRAM_NODES.items() if library.startswith(name))


# CACTI's table ends at 4 MB: what is larger lies in several of these; one is read, the way to it is not counted.
LARGEST_ARRAY, SMALLEST_ARRAY, WIDEST_ROW = 1 << 22, 1 << 10, 256


def _array(block: MemoryBlock) -> tuple[int, float]:
    """(bytes of an array, arrays) of one memory of a block."""
    n_bytes = ceil(block.rows * block.row_bits / 8)
    side_by_side = max(1, ceil(block.row_bits / WIDEST_ROW))
    largest = LARGEST_ARRAY * side_by_side
    return max(SMALLEST_ARRAY * side_by_side, min(n_bytes, largest)), max(1.0, n_bytes / largest)


def read_pj(block: MemoryBlock, nm: int) -> float:
    """pJ of a row read from one of a block's memories."""
    return sram.read_energy_pj(_array(block)[0], block.row_bits, nm, SRAM_CELL)


def write_pj(block: MemoryBlock, nm: int) -> float:
    """pJ of a row written."""
    return sram.write_energy_pj(_array(block)[0], block.row_bits, nm, SRAM_CELL)


def area_um2(memories: Iterable[MemoryBlock], nm: int) -> float:
    """Of all of them."""
    total = 0.0
    for block in memories:
        n_bytes, n = _array(block)
        total += block.n * n * 1e6 * sram.area_mm2(n_bytes, block.row_bits, nm, SRAM_CELL)
    return total


@cache
def _fpga_surface(layout: str, figure: str) -> Surface:
    return Surface({
        (one.lanes, one.slot_bits, codebook_entries(one.max_codes)): float(getattr(one, figure))
        for one in syntheses() if one.layout == layout
    })  # fmt: skip


@cache
def fmax_surface(layout: str) -> Surface:
    """MHz by lanes alone, median of the seeds: placed at one number of slot bits, and taken for all."""
    return Surface({
        (one.lanes.bit_length() - 1, 0, GRID_ENTRIES): median(one.fmax_mhz.values())
        for one in syntheses() if one.layout == layout and one.fmax_mhz
    })  # fmt: skip


def fmax(layout: str, lanes: int) -> Estimate:
    """MHz on the grid's FPGA, between the lanes that were placed."""
    surface = fmax_surface(layout)
    log2 = lanes.bit_length() - 1
    placed = sorted(g for g, _ in surface.plane)
    value = _line(placed, [surface.plane[g, 0] for g in placed], log2)
    return Estimate(value, placed[0] <= log2 <= placed[-1], surface.error)


def ecp5_rams(memories: Iterable[MemoryBlock]) -> int:
    """Block RAMs of ECP5 that memories take, each cut to the widths that a block has."""
    return sum(
        block.n
        * min(ceil(block.row_bits / width) * ceil(block.rows / rows) for rows, width in ECP5_RAM.items())
        for block in memories
    )


FPGA_FIGURES = ("luts", "luts_memory", "flip_flops", "multipliers")


def on_fpga(config: DecoderConfig) -> dict[str, Estimate]:
    """LUTs, flip-flops, multipliers, block RAMs and megahertz on the grid's FPGA.  Raises ValueError without a grid."""
    layout = config.GEOMETRY.NAME
    if layout not in {one.layout for one in syntheses()}:
        raise ValueError(f"no grid of {layout} decoders on an FPGA")
    where = _where(config)
    found = {name: _fpga_surface(layout, name).at(*where) for name in FPGA_FIGURES}
    found["block_rams"] = Estimate(ecp5_rams(config.memories), True, 0.0)
    found["fmax_mhz"] = fmax(layout, config.lanes)
    return found


def placement(config: DecoderConfig) -> KnownPlacement:
    """The same as a placement, named as estimated."""
    found = on_fpga(config)
    mhz = found["fmax_mhz"].value
    area: dict[str, Any] = {name: round(one.value) for name, one in found.items() if name != "fmax_mhz"}
    device = syntheses()[0].device
    worst = max((one.error or 0.0 for name, one in found.items() if name != "multipliers"), default=0.0)
    area["tool"] = f"between decoders of the grid; points left out were off by {worst:.0%} at most"
    return KnownPlacement(
        device=device, lanes=config.lanes, config=config.name, area=area, fmax={}, verilog_sha256="", utilization={},
        fmax_mhz=mhz, weights_per_second=mhz * 1e6 * config.lanes, how={"area": ESTIMATED, "fmax": ESTIMATED},
        origin="shipped", older_decoder=False,
    )  # fmt: skip


def placements(config: DecoderConfig) -> list[KnownPlacement]:
    """The same in a list; empty for a layout that the grid has not."""
    return [placement(config)] if config.GEOMETRY.NAME in {one.layout for one in syntheses()} else []


@cache
def error(layout: str, library: str, figure: str, k: int = -1) -> float:
    """The largest error of a figure of :func:`entry` at a point left out, of lanes, slot bits or densities."""
    shares = _densities(layout, library)
    found = [_surface(layout, library, figure, k, share).error or 0.0 for share in shares]
    return max([*found, *_density_errors(layout, library, figure, k)], default=0.0)


def fpga_error(layout: str, figure: str) -> float:
    """The largest error of a figure of :func:`on_fpga` at a point left out."""
    surface = fmax_surface(layout) if figure == "fmax_mhz" else _fpga_surface(layout, figure)
    return surface.error or 0.0
