"""The pictures of a plan: roofline, energy by density, lanes against the size of the array."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weightless_sim.model.technology import References
from weightless_sim.plan import answer
from weightless_sim.plan.answer import BITMASK, CODER, GAPS, HUFFMAN, Format, Plan
from weightless_sim.plan.array import Array
from weightless_sim.report.plots import ACCENT, DPI, INK, MUTED, SECOND, plain_powers, save
from weightless_sim.shown import in_picture

COLORS = {"classic": INK, "ribbon": ACCENT, GAPS: SECOND, "dense int8": MUTED, "dense fp16": "#c9d1d9",
          BITMASK: "#f4a261", HUFFMAN: "#8d6a9f", CODER: "#dee2e6"}  # fmt: skip
BANDWIDTHS = np.geomspace(0.1, 1000, 81)  # GB/s
DRAMS = ("LPDDR4", "DDR4", "GDDR6", "HBM2")
DENSITIES = np.geomspace(0.005, 0.95, 40)
SIDES, BATCHES = (8, 16, 32, 64, 128, 256), (1, 4, 16, 64, 256)
SHADES = (MUTED, "#f4a261", SECOND, ACCENT, INK)


def draw(made: Plan, known: References, folder: Path, prefix: str = "") -> list[Path]:
    """All of them, as SVG, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for make in (roofline, energy, lanes):
        path = folder / f"{prefix}{make.__name__}.svg"
        save(make(made, known), path)
        paths.append(path)
    return paths


def _axes(title: str, x: str, y: str, n: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(5.6 * n + 2.4 * (n == 1), 4.6), dpi=DPI, layout="constrained")
    found = np.ravel(figure.subplots(1, n)).tolist()
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
    found[0].set_title(title, loc="left", color=INK, fontsize=11)
    found[0].set_xlabel(x, fontsize=9)
    found[0].set_ylabel(y, fontsize=9)
    return figure, found


def _shown(made: Iterable[Format]) -> list[Format]:
    """What is a format, and can be."""
    return [one for one in made if one.name != CODER and not one.why_not]


def _style(one: Format) -> dict[str, Any]:
    return {"color": COLORS.get(one.name, INK), "lw": 1.8, "ls": "-" if one.complete else ":"}


def roofline(made: Plan, known: References) -> Figure:
    """Weights a second against the DRAM's bandwidth: the bits of a weight, up to what the decoder gives."""
    title = f"Weights a second, {in_picture(made.network.title)}"
    figure, (axes,) = _axes(title, "bandwidth of the DRAM, GB/s", "G weights a second, zeros too")
    array, giga = made.options.array, made.options.clock_hz / 1e9
    for one in _shown(made.formats):
        decoded = sum(cost.n_decoded for cost in one.layers)
        bits = 8 * one.bytes / decoded
        most = (
            giga * decoded / sum(cost.n_decoded / cost.own_rate for cost in one.layers)
            if one.complete
            else np.inf
        )
        label = one.name + ("" if one.complete else ", no decoder measured")
        if one.decoder:
            label += f", {one.decoder.lanes} lanes"
        axes.plot(BANDWIDTHS, np.minimum(8 * BANDWIDTHS / bits, most), label=label, **_style(one))
    needs = max(cost.needs for cost in made.formats[0].layers or made.formats[1].layers) * giga
    axes.axhline(needs, color=INK, lw=0.8, ls="--")
    text = f" the {array.rows} x {array.columns} array takes"
    axes.text(BANDWIDTHS[0], needs, text, fontsize=7, va="bottom", color=INK)
    axes.set(xscale="log", yscale="log", ylim=(0.1, 10 * needs), xlim=(BANDWIDTHS[0], BANDWIDTHS[-1]))
    for name in DRAMS:
        peak = known.get(f"{name} bandwidth")
        if peak:
            axes.axvline(peak.value, color=MUTED, lw=0.6)
            axes.text(peak.value, 0.105, f" {name}", rotation=90, fontsize=7, color=INK, va="bottom")
    _finish(axes)
    return figure


def energy(made: Plan, known: References) -> Figure:
    """pJ per non-zero weight by density, where every layer has the same; where what takes the least changes."""
    title = f"Energy per non-zero weight, {in_picture(made.network.title)}, from {made.dram.name}"
    figure, (axes,) = _axes(
        title, "share of the weights that are not zero", "pJ per non-zero weight, with glitches"
    )
    about = answer.context(made.options, known)
    curves: dict[str, list[float]] = {}
    last: dict[str, Format] = {}
    for density in DENSITIES:
        at = answer.at_density(made.network, about, float(density))
        for one in _shown(at):
            curves.setdefault(one.name, [np.nan] * len(DENSITIES))
            per = made.options.batch * density * made.n_weights
            curves[one.name][int(np.searchsorted(DENSITIES, density))] = one.energy[1] / per
            last[one.name] = one
    for name, values in curves.items():
        label = name + ("" if last[name].complete else ", reads alone")
        axes.plot(DENSITIES, values, label=label, **_style(last[name]))
    for density, names in made.crossings["energy"][1:]:
        axes.axvline(density, color=MUTED, lw=0.6, ls="--")
        text, place = f" from {density:.1%}: {names[0]}", axes.get_xaxis_transform()
        axes.text(
            density, 0, text, rotation=90, fontsize=7, va="bottom", ha="right", color=INK, transform=place
        )
    least = min(np.nanmin(values) for values in curves.values())
    axes.set(xscale="log", yscale="log", ylim=(least / 8, None))
    _finish(axes, loc="lower left")
    return figure


def lanes(made: Plan, known: References) -> Figure:
    """Lanes that arrays of any size need, and how much longer one decoder of each layout makes the network."""
    title = f"Lanes needed, {in_picture(made.network.title)}"
    figure, (left, right) = _axes(title, "rows and columns of the array", "lanes that keep it busy", 2)
    for k, batch in enumerate(BATCHES):
        needed = [answer.lanes_needed(made.network, replace(made.options, array=Array(side, side), batch=batch))
                  for side in SIDES]  # fmt: skip
        width, color = 6 - 1.2 * k, SHADES[k]  # where they fall together the wider ones show, too
        left.plot(SIDES, needed, marker="o", ms=3, lw=width, color=color, label=f"batch {batch}")
    slow: dict[str, list[float]] = {}
    for side in SIDES:
        options = replace(made.options, array=Array(side, side))
        at = answer.formats(made.network, answer.context(options, known))
        least = min(one.cycles for one in at if one.cycles)
        for one in _shown(at):
            if one.cycles:
                slow.setdefault(one.name, []).append(one.cycles / least)
    for one in _shown(made.formats):
        if one.name in slow and len(slow[one.name]) == len(SIDES):
            right.plot(SIDES, slow[one.name], marker="o", ms=3, label=one.name, **_style(one))
    most: dict[int, list[str]] = {}
    for one in (one for one in made.formats if one.decoder):
        most.setdefault(answer.max_lanes(one.name), []).append(one.name)
    for n, names in most.items():
        left.axhline(n, color=MUTED, lw=0.6)
        text = f" most of a {' or a '.join(names)} decoder"
        left.text(SIDES[0], n, text, fontsize=7, va="bottom", color=INK)
    right.set_title(
        f"batch {made.options.batch}, one decoder, {made.dram.name}", loc="left", fontsize=9, color=INK
    )
    right.set_xlabel("rows and columns of the array", fontsize=9)
    right.set_ylabel("cycles, times those of the quickest format", fontsize=9)
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        _finish(axes)
        axes.set_xticks(SIDES, [str(side) for side in SIDES])
    return figure


def _finish(axes: Axes, **legend: Any) -> None:
    plain_powers(axes.xaxis)
    plain_powers(axes.yaxis)
    axes.grid(color=MUTED, alpha=0.2)
    axes.legend(fontsize=7, frameon=False, **legend)
