"""The pictures of the docs, drawn from real data: ``make figures``."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_sim.model import technology
from weightless_sim.plan import plots
from weightless_sim.report import planned, rivals, studies
from weightless_sim.report.plots import ACCENT, DPI, INK, MUTED, SECOND, data_path, plain_text, save
from weightless_sw import codec, inputs
from weightless_sw.spec import ribbon
from weightless_sw.spec.ribbon import Chunk, RibbonGeometry

LAYER = "fc1.weight"
GROUPS = 900  # of the layer's that the picture of the window shows
DIAL = (8, 12, 16, 24, 32, 48, 64, 96, 128, 1 << 30)


def layer() -> NDArray[Any]:
    """The largest layer of the bundled pruned network, (300, 784)."""
    return inputs.load_tensors("lenet300_pruned")[LAYER]


def bursty(n_weights: int = 235_200, run: int = 32, density: float = 0.04) -> NDArray[Any]:
    """As many weights as fc1 has, in runs of ``run``, as from a network that was pruned by blocks."""
    rng = np.random.default_rng(0)
    weights = np.zeros(n_weights, np.float32)
    starts = rng.choice(n_weights // run, round(n_weights * density / run), replace=False) * run
    places = (starts[:, None] + np.arange(run)).reshape(-1)
    weights[places] = rng.integers(1, 16, places.size) / 16
    return weights.reshape(300, -1)


def first_chunk(weights: NDArray[Any], **options: Any) -> Chunk:
    """The first chunk of the weights' ribbon."""
    tensor, _ = codec.encode(weights, layout="ribbon", order="rows", live="off", **options)
    assert isinstance(tensor.geometry, RibbonGeometry)
    return next(tensor.geometry.chunks(tensor.table.tolist()))


def window(path: Path) -> None:
    """Each group's window on the table, the entries of the map, and where keys are."""
    weights = layer()
    chunk = first_chunk(weights, dead_groups=16)
    starts = np.fromiter(chunk.starts(), np.int64)[:GROUPS]
    keys = np.flatnonzero(weights.reshape(-1)[: GROUPS * ribbon.LANES]) // ribbon.LANES
    figure = Figure(figsize=(11, 4.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    edges = [0, *(np.flatnonzero(np.diff(starts)) + 1), GROUPS]
    for begin, end in pairwise(edges):
        if starts[begin] >= 0:
            corner, width = (begin, starts[begin]), end - begin
            axes.add_patch(Rectangle(corner, width, ribbon.WINDOW, color=SECOND, alpha=0.5, lw=0))
    groups = 0
    for entry in chunk.entries:
        if groups >= GROUPS:
            break
        axes.axvline(groups, color=MUTED, lw=0.5)
        d = ribbon.entry_groups(entry)
        if ribbon.entry_advance(entry) == ribbon.DEAD:
            axes.axvspan(groups, groups + d, color=MUTED, alpha=0.35, lw=0)
        groups += d
    axes.vlines(np.unique(keys), -2.2, -0.8, color=ACCENT, lw=0.8)
    axes.set_xlim(0, GROUPS)
    axes.set_ylim(-3, starts.max() + ribbon.WINDOW + 1)
    axes.set_xlabel(
        f"group of eight weights, of {LAYER} row after row (a row of 784 is 98 groups)", color=INK
    )
    axes.set_ylabel("word of the table", color=INK)
    title = "blue: the eight words that a group reads; red: its keys; lines: entries of the map; grey: dead"
    axes.set_title(title, loc="left", fontsize=9, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def dial(path: Path) -> None:
    """Bytes against false positives per non-zero weight, by the length of gaps that become dead."""
    figure = Figure(figsize=(8, 4.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for name, weights, color in (
        (f"{LAYER} of lenet300_pruned", layer(), SECOND),
        ("runs of 32", bursty(), ACCENT),
    ):
        points = []
        for dead_groups in DIAL:
            _, report = codec.encode(
                weights, layout="ribbon", order="rows", live="off", dead_groups=dead_groups
            )
            points.append((report.false_positives_per_nonzero, report.bytes))
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, color=color, label=name)
        for (x, y), dead_groups in zip(points, DIAL, strict=True):
            text = "never" if dead_groups == DIAL[-1] else str(dead_groups)
            axes.annotate(text, (x, y), (4, 4), textcoords="offset points", fontsize=7, color=INK)
    axes.set(xlabel="false positives per non-zero weight", ylabel="record, bytes")
    axes.set_title("gaps of so many groups become dead; t = 8, 15 values", loc="left", fontsize=9, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8)
    save(figure, path)


def plans(folder: Path) -> list[Path]:
    """The pictures of a plan, of VGG-16 as docs/architects.md asks for it."""
    return plots.draw(planned.plan_of("vgg-16"), technology.references(), folder, "plan-")


def main(folder: Path) -> None:
    """All of them."""
    with plain_text():
        for layout, name in (
            ("classic", "datapath.svg"),
            ("ribbon", "ribbon.svg"),
            ("bitmask", "bitmask.svg"),
        ):
            save(data_path(decoders.configure(layout)), folder / name)
        window(folder / "window.svg")
        dial(folder / "dial.svg")
        for draw in studies.PICTURES:
            draw(folder / f"{draw.__name__}.svg")
        plans(folder)
        rivals.lanes(folder / "rivals.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
