"""The pictures of the report."""

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import BoxStyle, FancyBboxPatch
from matplotlib.ticker import LogFormatter, StrMethodFormatter

from weightless_hw.config import DecoderConfig
from weightless_sim.model.cycles import STATES
from weightless_sim.model.technology import KnownEntry
from weightless_sim.shown import in_picture
from weightless_sim.study.energy import MEMORY_READS, by_function
from weightless_sim.study.result import Report, RunKind
from weightless_sw.baselines import CONSTANT_RATES, Kind, Stored

INK, ACCENT, MUTED, SECOND = "#22313f", "#d1495b", "#9aa5b1", "#2e86ab"
WIDTH, HEIGHT, DPI = 8.0, 4.5, 120
OURS, SHOWN_LAYERS = "the .wls file", 4


@contextmanager
def plain_text() -> Iterator[None]:
    """Pictures are ours, whatever a user's matplotlib is set to; and names are drawn as they are.

    There are no formulas between dollars; a character that the font lacks is a box, unsaid.
    """
    ours = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")}
    with mpl.rc_context(ours | {"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def plain_powers(axis: Axis) -> None:
    """Along a logarithmic axis numbers as they are: matplotlib's own are formulas, which plain_text does not draw."""
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(LogFormatter())


def save(figure: Figure, path: Path) -> None:
    """The same picture is the same bytes: no date, no random names; in SVG text stays text."""
    with mpl.rc_context({"svg.hashsalt": "weightless", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _figure(title: str, height: float = HEIGHT) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def sizes(report: Report) -> Figure:
    """The layer in other formats and in our file, from zero; filled: a decoder in hardware keeps a constant rate."""
    rows = sorted(report.sizes, key=lambda row: float(row.bytes))
    shown, dense = [row for row in rows if row.kind != Kind.DENSE], rows[-1]
    figure, axes = _figure(f"Size of {report.layer}, every byte counted", 0.36 * len(shown) + 1.2)
    places = np.arange(len(shown))
    for place, row in zip(places, shown, strict=True):
        color = MUTED if row.lossless else ACCENT
        fill = color if row.decoder in CONSTANT_RATES else "white"
        axes.barh(place, row.bytes, color=fill, edgecolor=color, height=0.65)
        label = f" {row.bytes:,} B, {row.bits_per_weight:.3f} bit/weight"
        label += ": smallest at a constant rate" if row.smallest_at_constant_rate else ""
        axes.text(row.bytes, float(place), label, va="center", fontsize=8, color=INK)
    axes.set_yticks(places, [row.name for row in shown], fontsize=8)
    axes.set_xlim(0, max(row.bytes for row in shown))
    axes.set_xlabel(
        f"bytes; {dense.name}, not shown: {dense.bytes:,}\n"
        "filled: a constant rate, whatever is zero\nred: with false positives",
        fontsize=8,
    )
    return figure


def network(report: Report) -> Figure:
    """The whole network in other formats and as it is, layer by layer, from zero."""
    layers, whole = report.model.layers, report.model.totals
    rows = [(name, n_bytes) for name, n_bytes in whole.rivals.items() if not name.startswith("dense")]
    rows = sorted([*rows, (OURS, whole.bytes)], key=lambda row: row[1])
    figure, axes = _figure(f"Size of {report.model.name}, every byte counted", 0.36 * len(rows) + 1.4)
    shown = sorted(layers, key=lambda one: -one.bytes)[:SHOWN_LAYERS]
    shades = (SECOND, MUTED, INK, "#8fb8de", "#c9d1d9")
    for place, (name, n_bytes) in enumerate(rows):
        left = 0
        for one, shade in zip(shown, shades, strict=False):
            width = one.rivals[name].bytes if name in one.rivals else one.bytes
            axes.barh(
                place,
                width,
                left=left,
                color=shade,
                height=0.65,
                label=None if place else in_picture(one.name),
            )
            left += width
        axes.barh(place, n_bytes - left, left=left, color=ACCENT, alpha=0.4, height=0.65,
                  label=None if place else "the rest")  # fmt: skip
        axes.text(n_bytes, place, f" {n_bytes:,} B", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    axes.set_xlim(0, max(n_bytes for _, n_bytes in rows))
    dense = whole.rivals.get("dense fp32", 0)
    axes.set_xlabel(f"bytes; dense fp32, not shown: {dense:,}; what is not pruned stays as it is", fontsize=8)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def false_positives(report: Report) -> Figure:
    """Measured share of the zero weights against K / 2^t, and what each slot width costs."""
    points = report.false_positives
    t = np.array([point.slot_bits for point in points])
    rate = np.array([point.report.false_positive_rate for point in points])
    n_zero = points[0].report.n_stored - points[0].report.n_nonzero
    figure = Figure(figsize=(WIDTH, HEIGHT + 1.5), dpi=DPI, layout="constrained")
    axes, size_axes = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    title = f"False positives of {report.layer} ({n_zero:,} stored zeros)"
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    fine = np.linspace(t[0], t[-1], 200)
    n_codes = points[0].report.n_codes
    axes.plot(fine, n_codes / 2.0**fine, color=MUTED, label=f"theory: K / 2^t, K = {n_codes}")
    sigma = np.array([point.report.false_positive_sigma for point in points])
    axes.errorbar(t, rate, yerr=3 * sigma, fmt="o", color=ACCENT, capsize=3, label="measured, ±3σ of theory")
    for point in points:
        z = point.report.false_positive_rate - point.report.expected_false_positive_rate
        z /= point.report.false_positive_sigma or 1.0  # no value, no false positive
        place = (point.slot_bits, point.report.false_positive_rate)
        axes.annotate(f"{z:+.1f}σ", place, textcoords="offset points", xytext=(7, 6), fontsize=7, color=INK)
    if n_codes:
        axes.set_yscale("log")
        plain_powers(axes.yaxis)
    axes.set_xlim(t[0] - 0.4, t[-1] + 0.4)
    axes.set_ylabel("share of the stored zeros")
    axes.legend(frameon=False, loc="upper right")
    size_axes.bar(t, [point.report.bits_per_weight for point in points], color=SECOND, width=0.5)
    size_axes.set_ylabel("bits per weight,\nwhole record")
    size_axes.set_xlabel("slot bits t")
    for one in (axes, size_axes):
        one.spines[["top", "right"]].set_visible(False)
    return figure


def throughput(report: Report) -> Figure:
    """Where the cycles of each run went: a beat, waiting for the sink, a bubble, or loading alone."""
    runs = [run for run in report.runs.values() if run.kind == RunKind.STALL]
    lanes = report.first_decoder().config["lanes"]
    figure, axes = _figure(f"Cycles of {report.layer}, {lanes} lanes, by stalls", 0.5 * len(runs) + 1.4)
    states = [state for state in STATES if any(run.states[state] for run in runs)]
    colors = dict(zip(STATES, (MUTED, SECOND, INK, ACCENT), strict=True))
    for place, run in enumerate(reversed(runs)):
        left, cycles = 0, run.cycles_rtl_sim
        for state in states:
            label, width = STATES[state] if place == len(runs) - 1 else None, run.states[state]
            axes.barh(place, width, left=left, color=colors[state], height=0.6, label=label)
            left += width
        text = f" {run.weights_per_cycle:.2f} weights per cycle decoding, {run.n_weights / cycles:.2f} in all"
        axes.text(left, place, text, va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(runs)), [run.stall for run in reversed(runs)])
    axes.set_xlim(0, max(run.cycles_rtl_sim for run in runs))
    axes.set_xlabel("clock cycles from reset to the last transfer")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.08), ncols=len(states))
    return figure


def window(report: Report) -> Figure:
    """Which words of the table the beats read, as the run without a stall took them."""
    trace = report.runs["none"].window
    assert trace
    figure, axes = _figure(f"The window over the table of {report.layer}")
    words = np.array(trace.words, float)
    words[words < 0] = np.nan
    axes.fill_between(trace.cycles, words, words + trace.reads, color=SECOND, step="post", lw=0.8)
    axes.set_xlim(0, trace.cycles[-1])
    axes.set_ylim(0)
    axes.set_xlabel("clock cycle, RTL simulation")
    axes.set_ylabel("word of the table")
    note = (
        f"band: the {trace.reads} words that the beat of a cycle reads; gaps: dead segments, which read none"
    )
    axes.text(0.01, 0.95, note, transform=axes.transAxes, fontsize=8, color=INK)
    return figure


def energy(report: Report) -> Figure:
    """pJ per non-zero weight, on chip and with the bits fetched from DRAM: a dot, a line up to the higher figure."""
    assert report.energy
    rows, drams = report.energy.rows[::-1], report.energy.drams
    known = report.first_decoder().energy[0]
    title = f"Energy per non-zero weight of {report.layer}"
    figure, axes = _figure(title, (0.14 + 0.16 * (1 + len(drams))) * len(rows) + 1.4)
    kinds: list[tuple[str, Any, str]] = [("on_chip", SECOND, "on chip")]
    shades = zip(drams, (MUTED, INK, ACCENT) * len(drams), strict=False)
    kinds += [(dram, shade, f"and from {dram}") for dram, shade in shades]
    height = 0.78 / len(kinds)
    for k, (key, color, label) in enumerate(kinds):
        shift = height * ((len(kinds) - 1) / 2 - k)
        axes.plot([], [], "o", color=color, label=label)
        for place, row in enumerate(rows):
            low, high = row.places[key]
            axes.plot([low, high], [place + shift] * 2, color=color, lw=2, solid_capstyle="butt")
            fill = color if row.complete else "white"
            axes.plot(low, place + shift, "o", ms=5, color=color, markerfacecolor=fill, clip_on=False)
            text = f"  {low:,.{1 if low < 10 else 0}f}"
            text += f" to {high:,.0f}" if f"{high:.1f}" != f"{low:.1f}" else ""
            axes.text(high, place + shift, text, va="center", fontsize=7, color=INK)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_xscale("log")
    plain_powers(axes.xaxis)
    axes.grid(axis="x", color=MUTED, alpha=0.3)
    axes.set_xlim(right=max(row.places[key][1] for row in rows for key, *_ in kinds))
    axes.set_xlabel(
        "pJ per non-zero weight, log scale; lines: up to the figure with glitches\n"
        f"hollow: reads alone, the decoder's logic is not known; table: {known.library}, {known.volts} V, "
        f"memory {_memory(known)}",
        fontsize=7,
    )
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.05), ncols=len(kinds))
    return figure


def _memory(entry: KnownEntry) -> str:
    """Node and cell of the memories whose reads are in an entry."""
    return entry.source.rpartition(", ")[2]


def parts(report: Report) -> Figure:
    """Where the energy of a beat goes in the largest layer's decoder: functions of the logic, memory reads, leakage."""
    known = report.first_decoder().energy[0]
    memory = f"{MEMORY_READS} ({_memory(known)})"
    sums = {
        memory if name == MEMORY_READS else name: np.array(pair) for name, pair in by_function(known).items()
    }
    rows = sorted(sums.items(), key=lambda row: float(row[1][1]))
    figure, axes = _figure(f"Energy of a beat of {known.lanes} weights, by function", 0.3 * len(rows) + 1.4)
    places = np.arange(len(rows))
    settled, glitches = np.array([pair for _, pair in rows]).T
    axes.barh(places, settled, color=SECOND, height=0.65, label="settled")
    axes.barh(places, glitches - settled, left=settled, color=ACCENT, height=0.65, label="glitches")
    for place, low, high in zip(places, settled, glitches, strict=True):
        text = f" {low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f" {low:.1f} to {high:.1f}"
        axes.text(high, float(place), text, va="center", fontsize=8, color=INK)
    axes.set_yticks(places, [name for name, _ in rows])
    axes.set_xlim(0, glitches.max())
    axes.set_xlabel(
        f"pJ per beat; {known.library}, {known.volts} V, {known.how}; {known.accuracy}",
        fontsize=7,
    )
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def storages(rows: list[Stored], layer: str) -> Figure:
    """A layer exact and in its table: bytes, the network's test error with it, what a decoder in hardware does."""
    figure, axes = _figure(f"{layer} of the same network, stored", 0.6 * len(rows) + 1.4)
    for place, row in enumerate(rows[::-1]):
        color = MUTED if row.lossless else ACCENT
        fill = color if row.decoder in CONSTANT_RATES else "white"
        axes.barh(place, row.bytes, color=fill, edgecolor=color, height=0.6)
        text = f" {row.bytes:,} B; test error {row.error:.2%}"
        axes.text(row.bytes, place, text, va="center", fontsize=8, color=INK)
    names = [f"{textwrap.fill(row.name, 40)}\n{row.decoder}" for row in rows[::-1]]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_xlim(0, max(row.bytes for row in rows))
    axes.set_xlabel(
        "bytes of the layer; filled: a constant rate in hardware; red: with false positives", fontsize=8
    )
    return figure


def data_path(config: DecoderConfig) -> Figure:
    """The decoder's data path: one box per stage, with its registers."""
    stages, beside, loaded = config.data_path
    place = {stage.name: k for k, stage in enumerate(stages)}
    figure = Figure(figsize=(11, 3.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-0.5, len(stages) - 0.5)
    axes.set_ylim(-1.45, 1.35)
    for k, stage in enumerate(stages):
        _stage(axes, k, *stage)
    forward = {"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0}
    for k in range(1, len(stages)):
        axes.annotate("", (k - 0.41, 0), (k - 0.59, 0), arrowprops=forward)
    side = forward | {"color": MUTED, "connectionstyle": "arc3,rad=0.12"}
    for start, end, text in beside:
        axes.annotate("", (place[end], -0.48), (place[start], -0.48), arrowprops=side)
        axes.text(place[end] - 0.55, -0.72, text, ha="center", fontsize=7, color=INK)
    down = forward | {"color": ACCENT}
    axes.plot([0, max(place[name] for name, _ in loaded)], [1.0, 1.0], color=ACCENT, lw=1.2)
    for name, text in loaded:
        axes.annotate("", (place[name], 0.48), (place[name], 1.0), arrowprops=down)
        axes.text(place[name] + 0.06, 0.72, text, fontsize=8, color=ACCENT)
    title = "load: the record as it lies in the .wls file, 32-bit words"
    axes.text(0, 1.12, title, fontsize=8, color=ACCENT)
    note = f"fill latency {config.fill_latency} cycles, then one beat of {config.lanes} weights per clock; "
    note += "the output buffer's ready is the clock enable of every register before it"
    axes.text((len(stages) - 1) / 2, -1.35, note, ha="center", fontsize=8, color=INK)
    return figure


def _stage(axes: Axes, place: int, name: str, text: str, registers: int) -> None:
    """One box of the data path."""
    color = ACCENT if name in ("banks", "codebook") else SECOND
    corner, round_box = (place - 0.38, -0.45), BoxStyle("round", pad=0.02)  # type: ignore[no-untyped-call]
    axes.add_patch(
        FancyBboxPatch(corner, 0.76, 0.9, round_box, facecolor="white", edgecolor=color, linewidth=1.6)
    )
    axes.text(place, 0.27, name, ha="center", va="center", fontsize=9, color=INK, weight="bold")
    axes.text(place, -0.02, text, ha="center", va="center", fontsize=7, color=INK)
    label = f"{registers} register{'s' if registers != 1 else ''}"
    axes.text(place, -0.35, label, ha="center", va="center", fontsize=6.5, color=color)
