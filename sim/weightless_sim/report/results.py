"""Figures of the docs, measured: ``make results`` writes them to docs/results as JSON, which ``make tables`` shows."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from weightless_sim.model import technology
from weightless_sim.shown import to_json
from weightless_sim.study import subject
from weightless_sim.study.result import SizeRow
from weightless_sim.study.sizes import in_layouts, size_rows, sizes_alone
from weightless_sw import baselines, codec, inputs
from weightless_sw.files import write_atomically
from weightless_sw.progress import Progress

MODEL, BUNDLED = "lenet300_pruned", "lenet300_simplified"
SLOT_BITS = 8


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A layer of the pruned network in one layout: the record alone."""

    layer: str
    n_weights: int
    n_nonzero: int
    layout: str
    bytes: int
    c: float | None  # slots per key that all but the codebook takes
    n_false_positives: int


def sizes() -> list[SizeRow]:
    """The bundled file's largest table in other formats, as ``weightless sim`` counts them."""
    about = subject.from_file("lenet300", None)
    weights = about.weights[about.layer]
    coded = baselines.coded_size(weights.reshape(len(weights), -1))
    return size_rows(weights, [*sizes_alone(weights), coded], in_layouts(about, about.layer))


def layouts() -> list[Layout]:
    """Every layer of the pruned network in every layout, and exact; as ``weightless encode --live off`` has them."""
    rows = []
    for name, array in inputs.load_tensors(MODEL).items():
        if array.ndim < 2:
            continue
        own: dict[str, Any] = {"slot_bits": SLOT_BITS, "live": "off", "round_values": True}
        made = {
            "classic": codec.encode(array, layout="classic", order="rows", **own)[1],
            "ribbon": codec.encode(array, layout="ribbon", order="rows", **own)[1],
            "ribbon, by columns": codec.encode(array, layout="ribbon", order="columns", **own)[1],
        }
        n_nonzero = int(np.count_nonzero(array))
        for layout, report in made.items():
            codebook = 4 * -(-16 * report.n_codes // 32)
            bits = 8 * (report.record_bytes - codebook)
            rows.append(Layout(
                layer=name, n_weights=array.size, n_nonzero=n_nonzero, layout=layout, bytes=report.record_bytes,
                c=bits / (SLOT_BITS * n_nonzero), n_false_positives=report.n_false_positives,
            ))  # fmt: skip
        masked = codec.encode(array, layout="bitmask", live="off", round_values=True)[1]
        exact = codec.encode_coded(array, live="off", round_values=True)
        for layout, n_bytes in (
            ("bitmask, exact", masked.record_bytes),
            ("coded, exact", exact.record_bytes),
        ):
            rows.append(Layout(
                layer=name, n_weights=array.size, n_nonzero=n_nonzero, layout=layout, bytes=n_bytes, c=None,
                n_false_positives=0,
            ))  # fmt: skip
    return rows


# Arrays and batches that the bundled network is held against: each layer used once, and often enough to stall.
HELD = ((32, 32, 1), (32, 32, 300), (16, 16, 100))


def held() -> list[Any]:
    """The layers of the bundled network planned, and run through the RTL with the array's stalls."""
    from weightless_sim.plan import answer, network
    from weightless_sim.plan import held as plan_held
    from weightless_sim.plan.array import Array

    arrays, found = inputs.load_tensors(BUNDLED), network.read(BUNDLED)
    rows: list[Any] = []
    for n_rows, n_columns, batch in HELD:
        asked = answer.Options(array=Array(n_rows, n_columns), clock_hz=500e6, batch=batch)
        rows += plan_held.hold(found, arrays, asked, technology.references(), _say)
    return rows


@contextmanager
def _say(title: str) -> Iterator[Progress]:
    print(title, flush=True)
    yield lambda done, total, text: None


MADE: dict[str, Callable[[], list[Any]]] = {"sizes": sizes, "layouts": layouts, "held": held}


def main(folder: Path, names: list[str]) -> None:
    """Those of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_atomically(folder / f"{name}.json", (to_json(MADE[name]()) + "\n").encode())


def read(folder: Path) -> tuple[list[SizeRow], list[Layout]]:
    """What :func:`main` wrote."""
    sizes, layouts = ((folder / f"{name}.json").read_bytes() for name in ("sizes", "layouts"))
    return msgspec.json.decode(sizes, type=list[SizeRow]), msgspec.json.decode(layouts, type=list[Layout])


def paper(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The committed results of ``weightless paper`` by run, in order of their seeds."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((folder / "paper").glob("*.json")):
        found = json.loads(path.read_text())
        runs.setdefault(found["run"], []).append(found)
    return runs


def error(found: dict[str, Any], at: str) -> float:
    """Share of the test images that a run gets wrong at a step."""
    return float(found["wrong"][at] / found["test_images"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["sizes", "layouts"])
