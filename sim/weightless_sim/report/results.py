"""Figures of the docs, measured: ``make results`` writes them to docs/results as JSON, which ``make tables`` shows."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from weightless_sim.study import run, subject
from weightless_sw import baselines, codec, inputs
from weightless_sw.files import write_atomically

MODEL = "lenet300_pruned"
SLOT_BITS = 8


def sizes() -> list[dict[str, Any]]:
    """The bundled file's largest table in other formats, as ``weightless sim`` counts them."""
    about = subject.from_file("lenet300", None)
    weights, tensor = about.weights[about.layer], about.tables[about.layer]
    coded = baselines.coded_size(weights.reshape(len(weights), -1))
    rows = run._sizes(weights, tensor, coded)
    n_false = about.reports[about.layer].n_false_positives
    return [row | {"n_false_positives": 0 if row["lossless"] else n_false} for row in rows]


def layouts() -> list[dict[str, Any]]:
    """Every layer of the pruned network in every layout, and exact; as ``weightless encode --live off`` has them."""
    rows = []
    for name, array in inputs.load_tensors(MODEL).items():
        if array.ndim < 2:
            continue
        own: dict[str, Any] = {"slot_bits": SLOT_BITS, "live": "off", "round_values": True}
        made = {
            "classic": codec.encode(array, layout="classic", **own)[1],
            "ribbon": codec.encode(array, layout="ribbon", **own)[1],
            "ribbon, by columns": codec.encode(array, layout="ribbon", order="columns", **own)[1],
        }
        for layout, report in made.items():
            codebook = 4 * -(-16 * report.n_codes // 32)
            bits = 8 * (report.record_bytes - codebook)
            rows.append({
                "layer": name, "n_weights": array.size, "density": report.n_nonzero / array.size, "layout": layout,
                "bytes": report.record_bytes, "c": bits / (SLOT_BITS * report.n_nonzero),
                "n_false_positives": report.n_false_positives, "n_nonzero": report.n_nonzero,
            })  # fmt: skip
        n_nonzero = int(np.count_nonzero(array))
        exact = codec.encode_coded(array, live="off", round_values=True)
        rows.append({
            "layer": name, "n_weights": array.size, "density": n_nonzero / array.size, "layout": "coded, exact",
            "bytes": exact.record_bytes, "c": None, "n_false_positives": 0, "n_nonzero": n_nonzero,
        })  # fmt: skip
    return rows


def main(folder: Path) -> None:
    """All of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for make in (sizes, layouts):
        text = json.dumps(make(), indent=1) + "\n"
        write_atomically(folder / f"{make.__name__}.json", text.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
