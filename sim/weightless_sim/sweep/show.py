"""The table of a sweep: CSV, Pareto fronts, a picture, a page."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from weightless_sim.report import plots
from weightless_sim.report.page import charts, environment
from weightless_sim.shown import in_picture
from weightless_sim.sweep.points import COLUMNS, Found


class Front(NamedTuple):
    """Two figures of which less is better, and what the front is about."""

    title: str
    x: str
    y: str
    x_title: str
    y_title: str


ERRORS, NJ = "false positives a non-zero weight", "nJ a pass"
FRONTS = {
    "errors": Front("bytes or errors", "bytes", "false_positives_per_nonzero", "bytes", ERRORS),
    "energy": Front("bytes or energy", "bytes", "energy_nj", "bytes", NJ),
    "area": Front("LUTs or time", "luts", "microseconds", "LUT4", "µs a pass"),
}
CHOSEN = ("layout", "lanes", "slot_bits", "density", "n_codes", "chunk_log2")


def on_front(rows: Sequence[Found], front: Front) -> list[int]:
    """Places of the rows that no other beats in one figure without being worse in the other, by the first one."""
    known = [
        (x, y, k)
        for k, row in enumerate(rows)
        if (x := getattr(row, front.x)) is not None and (y := getattr(row, front.y)) is not None
    ]
    best, found = float("inf"), []
    for _, y, k in sorted(known):
        if y < best:
            best = y
            found.append(k)
    return found


def fronts(rows: Sequence[Found]) -> dict[str, list[int]]:
    """Places of the rows on each front."""
    return {name: on_front(rows, front) for name, front in FRONTS.items()}


def on(rows: Sequence[Found]) -> list[str]:
    """Names of the fronts that each row is on, spaces between; empty where it is on none."""
    at = fronts(rows)
    return [" ".join(name for name, places in at.items() if k in places) for k in range(len(rows))]


def to_csv(rows: Sequence[Found], only_fronts: bool = False) -> str:
    """A line per point, its fronts last; those on none left out where only these are asked for."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*COLUMNS, "fronts"])
    for row, names in zip(rows, on(rows), strict=True):
        if names or not only_fronts:
            lines.writerow([*(getattr(row, name) for name in COLUMNS), names])
    return text.getvalue()


def picture(rows: Sequence[Found], model: str) -> Figure:
    """Every point, a colour for each layout; lines are the fronts."""
    figure = Figure(figsize=(11, 4), dpi=plots.DPI, layout="constrained")
    figure.suptitle(
        f"{in_picture(model)}: {len(rows)} points", x=0.01, ha="left", color=plots.INK, fontsize=11
    )
    at = fronts(rows)
    names = list(dict.fromkeys(row.layout for row in rows))
    colors = dict(zip(names, (plots.SECOND, plots.ACCENT, plots.MUTED) * len(names), strict=False))
    for axes, (name, front) in zip(figure.subplots(1, len(FRONTS)), FRONTS.items(), strict=True):
        for layout in names:
            xy = [
                (getattr(row, front.x), getattr(row, front.y))
                for row in rows
                if row.layout == layout and None not in (getattr(row, front.x), getattr(row, front.y))
            ]
            if xy:
                axes.plot(*np.array(xy).T, "o", ms=4, color=colors[layout], label=layout, alpha=0.8)
        line = [(getattr(rows[k], front.x), getattr(rows[k], front.y)) for k in at[name]]
        if line:
            axes.plot(*np.array(line).T, color=plots.INK, lw=1, drawstyle="steps-post")
        axes.set_title(front.title, loc="left", fontsize=9, color=plots.INK)
        axes.set_xlabel(front.x_title, fontsize=8)
        axes.set_ylabel(front.y_title, fontsize=8)
        axes.set_xlim(0)
        axes.set_ylim(0)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, frameon=False, fontsize=8, loc="upper right", ncols=len(labels))
    return figure


def page(rows: Sequence[Found], model: str, command: str) -> str:
    """The table, sortable, and its fronts as pictures, in one file."""
    at = fronts(rows)
    names = list(dict.fromkeys(row.layout for row in rows))
    pictures = [
        {"title": one.title, "svg": _scatter(rows, one, at[name], names)} for name, one in FRONTS.items()
    ]
    return environment().get_template("sweep.html").render(
        model=model, command=command, rows=rows, columns=COLUMNS, csv=to_csv(rows), scatters=pictures, on=on(rows),
        layouts=names,
    )  # fmt: skip


def _scatter(rows: Sequence[Found], front: Front, places: Sequence[int], names: Sequence[str]) -> Markup:
    dots = [
        charts.Dot(x, y, said(row), names.index(row.layout), k in places)
        for k, row in enumerate(rows)
        if (x := getattr(row, front.x)) is not None and (y := getattr(row, front.y)) is not None
    ]
    return charts.scatter(dots, front.x_title, front.y_title)


def said(row: Found) -> str:
    """The point in words."""
    return ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
                     for name in CHOSEN if (value := getattr(row, name)) is not None)  # fmt: skip
