"""The pictures of docs/results.md, drawn from the committed results of ``weightless paper``: ``make figures``."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from weightless_sim.report import results
from weightless_sim.report.plots import ACCENT, DPI, INK, MUTED, SECOND, save

RESULTS = Path(__file__).parent.parent.parent.parent / "docs" / "results"
NETWORKS = {"lenet300": "LeNet-300-100", "lenet5": "LeNet-5 (20-50-500)"}
CLAIMS = (  # of LeNet-5 as a whole; docs/results.md has the sources
    ("Weightless", 382, 1.0), ("Bayesian Compression", 771, 1.0), ("MIRACLE", 555, 0.69), ("MIRACLE", 1110, 0.96)
)  # fmt: skip
AT = (("encoded", ACCENT, "encoded"), ("file", SECOND, "retrained, as decoded"))
BASE = "lenet300-100x"  # what the studies' runs are, but for one knob
STORED = (
    ("classic", INK, "classic table"), ("ribbon", ACCENT, "ribbon table"),
    ("Deep Compression, 5 bit", "#f4a261", "Deep Compression, 5 bit index"),
    ("Deep Compression, best", MUTED, "Deep Compression, best index width, trimmed where that is less"),
    ("coded record", SECOND, "coded record, exact"),
)  # fmt: skip
LAYERS = {"conv1": INK, "conv2": MUTED, "fc1": ACCENT, "fc2": SECOND, "fc3": "#f4a261", "biases": "#8d6a9f",
          "directory": "#dee2e6"}  # fmt: skip


@cache
def _runs() -> dict[str, list[dict[str, Any]]]:
    return results.paper(RESULTS)


def _found() -> list[dict[str, Any]]:
    return [one for found in _runs().values() for one in found]


def _of(run: str) -> list[dict[str, Any]]:
    return _runs().get(run, [])


def _error(found: dict[str, Any], at: str = "file") -> float:
    """In per cent of the test images."""
    return 100 * results.error(found, at)


def _dress(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def tradeoff(path: Path) -> None:
    """Every headline run: how small its file is, and what it gets wrong, beside what others claim."""
    figure = Figure(figsize=(11, 4.6), dpi=DPI, layout="constrained")
    for axes, (network, title) in zip(figure.subplots(1, 2), NETWORKS.items(), strict=True):
        of = [one for one in _found() if one["network"] == network and one["run"].startswith("lenet")]
        for exact, marker, color in ((False, "o", ACCENT), (True, "s", SECOND)):
            some = [one for one in of if one["run"].endswith("-exact") == exact]
            axes.plot(
                [one["ratio"] for one in some], [_error(one) for one in some], marker, color=color,
                mfc="none" if exact else color, ms=5,
                label="every layer exact (serial decoder)" if exact else "fc1 in a table",
            )  # fmt: skip
        for claim, ratio, error in CLAIMS if network == "lenet5" else ():
            axes.plot(ratio, error, "x", color=INK, ms=6)
            axes.annotate(f" {claim}", (ratio, error), fontsize=7, color=INK, va="bottom")
        dense = [_error(one, "dense") for one in of]
        axes.axhspan(min(dense), max(dense), color=MUTED, alpha=0.4, lw=0, label="dense networks")
        _dress(axes, title, "times smaller than fp32, whole file", "test error, per cent")
        axes.legend(fontsize=7, frameon=False, loc="upper left")
        axes.margins(y=0.25)
    save(figure, path)


def density(path: Path) -> None:
    """What each format takes of the same layer, the more of it is pruned."""
    rows = json.loads((RESULTS / "density.json").read_text())
    figure = Figure(figsize=(11, 4.6), dpi=DPI, layout="constrained")
    whole, per_weight = figure.subplots(1, 2)
    shares = [100 * row["n_nonzero"] / row["n_weights"] for row in rows]
    for name, color, label in STORED:
        sizes = [min(size for of, size in row["bytes"].items() if of.startswith(name)) for row in rows]
        style: dict[str, Any] = {"marker": "o", "ms": 3, "color": color, "label": label}
        whole.plot(shares, sizes, **style)
        bits = [8 * size / row["n_nonzero"] for size, row in zip(sizes, rows, strict=True)]
        per_weight.plot(shares, bits, **style)
    _dress(whole, "bytes of the layer", "weights that are not zero, per cent", "record and maps, bytes")
    _dress(per_weight, "bits per non-zero weight", "weights that are not zero, per cent", "bits")
    whole.set_yscale("log")
    ticks = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000]
    whole.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    per_weight.set_ylim(0, 24)
    for axes in (whole, per_weight):
        axes.set_xscale("log")
        axes.set_xticks(shares, [f"{share:.2g}" for share in shares])
        axes.minorticks_off()
    whole.legend(fontsize=8, frameon=False)
    save(figure, path)


def _knob(axes: Axes, knob: str, stands: int, title: str, x: str, ticks: tuple[float, ...]) -> None:
    """Error by the value of a knob, when the layer is encoded and when the rest is retrained."""
    prefix = f"study-{knob}-"
    of = {int(one["run"].removeprefix(prefix)): one for one in _found() if one["run"].startswith(prefix)}
    of[stands] = next(one for one in _of(BASE) if one["seed"] == 1)
    values = sorted(of)
    for at, color, label in AT:
        axes.plot(values, [_error(of[k], at) for k in values], "o-", color=color, ms=4, label=label)
    before = [_error(of[k], "simplified") for k in values]
    axes.plot(values, before, "--", color=MUTED, label="pruned, values shared")
    _dress(axes, title, x, "test error, per cent")
    axes.set_yscale("log")
    axes.set_ylim(ticks[0], ticks[-1])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks(values)
    axes.minorticks_off()


def _per_nonzero(axes: Axes) -> None:
    """Error by false positives per non-zero weight: every run of this network with a table."""
    of = [one for one in _found() if one["network"] == "lenet300" and "fc1" in one["tables"]]
    share = [one["tables"]["fc1"]["n_false_positives"] / one["tables"]["fc1"]["n_keys"] for one in of]
    for at, color, label in AT:
        axes.plot(share, [_error(one, at) for one in of], "o", color=color, ms=3, label=label)
    _dress(
        axes,
        "every run of LeNet-300-100",
        "false positives per non-zero weight of fc1",
        "test error, per cent",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5, 1], ["0.02", "0.05", "0.1", "0.2", "0.5", "1"])
    axes.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.minorticks_off()


def _progressive(axes: Axes) -> None:
    """Error of the layer in one go and in runs of chunks, by seed."""
    names = {1: "one go", 2: "2 runs", 4: "4 runs"}
    for place, n_runs in enumerate(names):
        of = _of(f"progressive-{n_runs}")
        for at, color, label in AT:
            axes.plot(
                [place + 0.1 * (one["seed"] - 2) for one in of], [_error(one, at) for one in of], "o",
                color=color, ms=4, label=label if place == 0 else None,
            )  # fmt: skip
    axes.set_xticks(range(len(names)), list(names.values()))
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(1.2, 3.2)
    _dress(axes, "chunks frozen in runs (t = 7)", "three seeds each, as many epochs", "test error, per cent")


def studies(path: Path) -> None:
    """One knob of LeNet-300-100's recipe at a time."""
    figure = Figure(figsize=(11, 9.5), dpi=DPI, layout="constrained")
    places = figure.subplots(3, 2).reshape(-1)
    wide, close = (1.0, 1.5, 2, 3, 5, 10, 20), (1.0, 1.2, 1.5, 2, 3)
    _knob(places[0], "slot-bits", 9, "bits of a slot (K = 4)", "t", wide)
    _knob(places[1], "codes", 4, "number of values (t = 9)", "K", close)
    _knob(places[2], "inputs", 500, "the live block", "inputs left; 784: all units, the whole layer", close)
    _knob(places[3], "tables", 40, "choice among tables", "tables made, of which one is taken", close)
    places[3].set_xscale("log")
    places[3].set_xticks([1, 10, 40, 160], ["1", "10", "40", "160"])
    places[3].minorticks_off()
    _per_nonzero(places[4])
    _progressive(places[5])
    places[0].legend(fontsize=8, frameon=False)
    save(figure, path)


def _by_layer(found: dict[str, Any]) -> dict[str, int]:
    """Bytes of each layer's weights, of all biases, and of what else is in the file."""
    parts: dict[str, int] = {}
    for name, part in found["parts"].items():
        layer, kind = name.rsplit(".", 1)
        key = layer if kind == "weight" else "biases"
        parts[key] = parts.get(key, 0) + part["bytes"]
    return parts | {"directory": found["bytes"] - sum(parts.values())}


def layers(path: Path) -> None:
    """Where the bytes of the headline files are, with a table and exact."""
    names = ("lenet300-100x", "lenet300-150x", "lenet5-650x", "lenet5-1150x")
    rows = [(name, _of(name)) for one in names for name in (one, f"{one}-exact")]
    shown = [(name, _by_layer(of[0])) for name, of in rows if of]
    figure = Figure(figsize=(11, 3.8), dpi=DPI, layout="constrained")
    for axes, network in zip(figure.subplots(1, 2), NETWORKS, strict=True):
        of = [(name, parts) for name, parts in shown if name.startswith(f"{network}-")][::-1]
        for place, (_, parts) in enumerate(of):
            left = 0
            for layer, color in LAYERS.items():
                size = parts.get(layer, 0)
                axes.barh(place, size, left=left, color=color, height=0.6)
                left += size
            axes.text(left, place, f" {left:,}", va="center", fontsize=8, color=INK)
        axes.set_yticks(range(len(of)), [name for name, _ in of], fontsize=8)
        _dress(axes, NETWORKS[network], "bytes of the file, seed 1", "")
        axes.margins(x=0.12)
    handles = [Patch(color=color, label=name) for name, color in LAYERS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)
    save(figure, path)


PICTURES = (tradeoff, density, studies, layers)
