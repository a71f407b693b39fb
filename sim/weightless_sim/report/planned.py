"""Tables of docs/architects.md: plans of shipped networks, and how far plans are from what was measured."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_sim.model import grid, technology
from weightless_sim.plan import answer, network
from weightless_sim.plan.array import Array

ARRAY, CLOCK = Array(32, 32), 500e6  # what the page asks for
OF_GRID = ("layout", "cells or device", "logic, settled", "with glitches", "um2", "LUT4", "flip-flops", "MHz")
NAME = re.compile(r"(ribbon_)?g(\d+)_t(\d+)(?:_r(\d+))?_k(\d+)_v16_h1(_w)?")


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """With one line a row."""
    names = list(head)
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (names, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(names), *lines[1:], ""])


@cache
def plan_of(name: str) -> answer.Plan:
    """What ``weightless plan`` says of a shipped network, all else as it is by default."""
    asked = answer.Options(array=ARRAY, clock_hz=CLOCK)
    return answer.plan(network.read(name), asked, technology.references())


def _plan(name: str) -> str:
    made, rows = plan_of(name), []
    for one in made.formats:
        low, high = (energy / 1e9 for energy in one.energy)
        decoder = one.decoder
        lanes = f"{decoder.lanes} of {decoder.lanes_needed}" if decoder else ""
        rows.append((
            one.name, lanes, one.feeds, "" if one.cycles is None else f"{one.cycles / 1e6:,.1f}",
            f"{one.bytes / 1e6:,.2f}",
            f"{decoder.on_chip_bits:,}" if decoder else "",
            f"{low:,.2f}" if low == high else f"{low:,.2f} to {high:,.2f}",
            f"{made.pj_per_weight[one.name][1]:.1f}", f"{made.pj_per_nonzero[one.name][1]:,.0f}",
        ))  # fmt: skip
    head = ("format", "lanes", "keeps the array busy", "M cycles", "MB from DRAM", "bits on chip", "mJ",
            "pJ a weight", "pJ a non-zero")  # fmt: skip
    return markdown_table(head, rows)


def plan_vgg(folder: Path) -> str:
    """VGG-16."""
    return _plan("vgg-16")


def plan_llm(folder: Path) -> str:
    """The language model."""
    return _plan("llm-8b")


def best(folder: Path) -> str:
    """Who does best in each of the shipped networks, and where that changes."""
    rows = []
    for name in network.shipped():
        made = plan_of(name)
        changes = made.crossings["energy"]
        text = "; ".join(f"{' or '.join(names)} from {density:.1%}" for density, names in changes[1:])
        rows.append((
            made.network.title, f"{made.n_nonzero / made.n_weights:.1%}",
            *(", ".join(made.winners[metric]) for metric in answer.METRICS), f"{' or '.join(changes[0][1])}; {text}",
        ))  # fmt: skip
    head = (
        "network",
        "not zero",
        "smallest",
        "quickest",
        "least energy",
        "least energy, were all layers as dense",
    )
    return markdown_table(head, rows)


def held(folder: Path) -> str:
    """Layers of the bundled network with an array's stalls: RTL, cycle model, plan."""
    rows = []
    for one in json.loads((folder / "docs" / "results" / "held.json").read_text()):
        rtl = one["rtl"]
        rows.append((
            one["layer"].removesuffix(".weight"), f"{one['rows']} x {one['columns']}", one["vectors"],
            f"{one['layout']}, {one['lanes']}", f"{rtl['cycles']:,}", f"{one['model']['cycles']:,}",
            f"{rtl['busy']:,}", f"{rtl['waiting']:,}", f"{rtl['stalled']:,}",
            f"{one['cycles_planned']:,.0f} ({one['cycles_error']:+.1%})",
            f"{one['bytes_planned']:,} of {one['bytes']:,} ({one['bytes_error']:+.1%})",
        ))  # fmt: skip
    head = ("layer", "array", "vectors", "layout, lanes", "cycles, RTL", "cycle model", "busy", "waiting", "stalled",
            "planned of sizes alone", "bytes planned of those encoded")  # fmt: skip
    return markdown_table(head, rows)


def _config(name: str) -> DecoderConfig | None:
    """The configuration of that name; None for one that the grid does not estimate."""
    found = NAME.fullmatch(name)
    if not found:
        return None
    ribbon, lanes, slot_bits, rows, codes, window = found.groups()
    sizes = {"lanes": int(lanes), "slot_bits": int(slot_bits), "max_codes": int(codes)}
    if ribbon:
        return decoders.configure("ribbon", **sizes, window_registers=int(bool(window)))
    return decoders.configure("classic", **sizes, max_bank_rows=int(rows))


def _compared() -> Iterator[tuple[str, str, float, float]]:
    """(decoder, figure, measured, estimated) of shipped decoders that are no points of the grid."""
    points = {(one.layout, one.lanes) for one in grid.cells()}
    for entry in technology.shipped():
        config = _config(entry.decoder)
        if config is None or not entry.clock_gates or (entry.layout, entry.lanes) in points:
            continue
        told = grid.entry(config, entry.library)
        where = "NanGate 45" if entry.library.startswith("Nangate") else "ASAP7"
        for what, name in (("pJ a beat, logic, settled", "logic_settled_pj"), ("pJ a beat, logic, with glitches",
                           "logic_glitches_pj"), ("um2 without memories", "area_um2")):  # fmt: skip
            yield entry.decoder, f"{where}: {what}", getattr(entry, name), getattr(told, name)
    for placed in technology.shipped_placements():
        config = _config(placed.config)
        if config is None or (config.GEOMETRY.NAME, placed.lanes) in points:
            continue
        estimates = grid.on_fpga(config)
        for what, name in (("LUT4", "luts"), ("LUT4 as memory", "luts_memory"), ("flip-flops", "flip_flops"),
                           ("block RAM", "block_rams")):  # fmt: skip
            if placed.area[name]:
                yield placed.config, f"{placed.device}: {what}", placed.area[name], estimates[name].value
        yield placed.config, f"{placed.device}: MHz", placed.fmax_mhz, estimates["fmax_mhz"].value


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def estimates(folder: Path) -> str:
    """Synthesis, gate-level simulation and placement of decoders that are not in the grid, beside what it tells."""
    rows = [
        (f"`{name}`", what, _figure(measured), _figure(told), f"{told / measured - 1:+.1%}")
        for name, what, measured, told in sorted(
            _compared(), key=lambda row: (row[1].partition(":")[0], row[0])
        )
    ]
    return markdown_table(("decoder", "figure", "measured", "estimated", "error"), rows)


def left_out(folder: Path) -> str:
    """How far points of the grid are from what their neighbours say of them: the largest error of each figure."""
    rows = []
    for layout in grid.layouts():
        for library in grid.libraries():
            errors = [
                grid.error(layout, library, name)
                for name in ("logic_settled_pj", "logic_glitches_pj", "area_um2")
            ]
            rows.append((layout, library, *(f"{error:.0%}" for error in errors), "", "", ""))
        fpga = [grid.fpga_error(layout, name) for name in ("luts", "flip_flops", "fmax_mhz")]
        rows.append((layout, grid.syntheses()[0].device, "", "", "", *(f"{error:.0%}" for error in fpga)))
    return markdown_table(OF_GRID, rows)


TABLES: tuple[Callable[[Path], str], ...] = (plan_vgg, plan_llm, best, held, estimates, left_out)
