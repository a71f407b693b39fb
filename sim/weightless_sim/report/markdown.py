"""Writes a study's result as ``report.json``, ``report.md`` and PNG plots."""

import json
from pathlib import Path
from typing import Any

from weightless_hw import decoders
from weightless_sim.report import plots
from weightless_sw.files import write_atomically

PLOTS = {
    "sizes.png": (plots.sizes, "Size of the layer"),
    "false_positives.png": (plots.false_positives, "False positives against slot bits"),
    "throughput.png": (plots.throughput, "Weights per cycle under stalls"),
}


def write(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write all files into ``folder``; returns their paths, ``report.md`` first."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "report.md", folder / "report.json"]
    write_atomically(paths[0], to_markdown(result).encode())
    write_atomically(paths[1], (json.dumps(result, indent=1) + "\n").encode())
    for name, (draw, _) in PLOTS.items():
        draw(result, folder / name)
        paths.append(folder / name)
    decoder = result["decoder"]
    plots.data_path(decoders.configure(decoder["layout"], **decoder["config"]), folder / "datapath.svg")
    return [*paths, folder / "datapath.svg"]


def summary(result: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of the short table at the end of a run: (what, figure with its unit)."""
    layer = result["layer"]
    encoding, run = result["encoding"][layer], result["runs"]["none"]
    n_weights = sum(entry["n_weights"] for entry in result["runs"].values())
    n_mismatches = sum(entry["n_mismatches"] for entry in result["runs"].values())
    exact = all(entry["cycles_rtl_sim"] == entry["cycles_cycle_model"] for entry in result["runs"].values())
    z = encoding["false_positive_rate"] - encoding["expected_false_positive_rate"]
    z /= encoding["false_positive_sigma"] or 1.0
    (table,) = (row for row in result["sizes"] if not row["lossless"])
    dense = 4 * encoding["n_weights"]
    return [
        ("layer", f"{layer}, {encoding['n_weights']:,} weights, {encoding['n_nonzero']:,} not zero"),
        ("record and maps", f"{table['bytes']:,} bytes of {dense:,} ({table['ratio_to_dense_fp32']:.1f}x), "
                   f"{encoding['bits_per_weight']:.4f} bit/weight, {encoding['slots_per_key']:.4f} slots per key"),
        ("whole file", f"{result['file']['bytes']:,} bytes: {result['file']['path']}"),
        ("false positives", f"{encoding['false_positive_rate']:.4%} of stored zeros, theory "
                            f"{encoding['expected_false_positive_rate']:.4%} ± {encoding['false_positive_sigma']:.4%} "
                            f"({z:+.2f} σ)"),
        ("RTL against golden model", f"{run['n_mismatches']} mismatches in {run['n_weights']:,} stored weights of "
                                     f"{layer}; "
                                     f"{n_mismatches} in {n_weights:,} of all {len(result['runs'])} runs"),
        ("cycles", f"RTL {run['cycles_rtl_sim']:,}, cycle model {run['cycles_cycle_model']:,}; "
                   f"{'equal' if exact else 'NOT EQUAL'} in all {len(result['runs'])} runs"),
        ("throughput", f"{run['weights_per_cycle']:.3f} weights per cycle, fill latency "
                       f"{result['decoder']['fill_latency_cycles']} cycles"),
    ]  # fmt: skip


def to_markdown(result: dict[str, Any]) -> str:
    """The report for people."""
    return "\n".join(
        [
            f"# Weightless report: {result['model']['name']}",
            "",
            *_table(["", ""], summary(result)),
            *_sizes(result),
            *_false_positives(result),
            *_runs(result),
            *_encoding(result),
            *_provenance(result),
            "",
        ]
    )


def _table(head: list[str], rows: Any) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows] + [""]


def _sizes(result: dict[str, Any]) -> list[str]:
    rows = [
        (row["name"], f"{row['bytes']:,}", f"{row['bits_per_weight']:.4f}", f"{row['ratio_to_dense_fp32']:.1f}x",
         "exact" if row["lossless"] else "false positives", row["how"])
        for row in result["sizes"]
    ]  # fmt: skip
    head = ["stored as", "bytes", "bit/weight", "against dense fp32", "zeros", "how it is counted"]
    title = f"## Size of {result['layer']}"
    return [title, "", "![sizes](sizes.png)", "", *_table(head, rows)]


def _false_positives(result: dict[str, Any]) -> list[str]:
    rows = [
        (p["slot_bits"], f"{p['false_positive_rate']:.5f}", f"{p['expected_false_positive_rate']:.5f}",
         f"{p['false_positive_sigma']:.5f}", f"{p['false_positives_per_nonzero']:.3f}", f"{p['bits_per_weight']:.4f}",
         f"{p['slots_per_key']:.4f}")
        for p in result["false_positives"]
    ]  # fmt: skip
    head = [
        "t",
        "share of the stored zeros",
        "K / 2^t",
        "σ",
        "per non-zero weight",
        "bit/weight",
        "slots per key",
    ]
    return ["## False positives", "", "![false positives](false_positives.png)", "", *_table(head, rows)]


def _runs(result: dict[str, Any]) -> list[str]:
    rows = [
        (name, f"{run['n_weights']:,}", run["n_mismatches"], f"{run['cycles_rtl_sim']:,}",
         f"{run['cycles_cycle_model']:,}", f"{run['weights_per_cycle']:.3f}")
        for name, run in result["runs"].items()
    ]  # fmt: skip
    head = ["run (stalls)", "weights compared", "mismatches", "cycles, RTL simulation", "cycles, model",
            "weights per cycle of the last layer, decoding"]  # fmt: skip
    config = ", ".join(f"{name} {value}" for name, value in result["decoder"]["config"].items())
    text = (
        f"Decoder: {config}; {result['decoder']['table_bits']:,} bits of table memory; "
        f"fill latency {result['decoder']['fill_latency_cycles']} cycles.  Verilog: "
        f"`{result['decoder']['verilog']}`."
    )
    pictures = ["![throughput](throughput.png)", "", "![data path](datapath.svg)"]
    return ["## Simulation", "", text, "", *pictures, "", *_table(head, rows)]


def _encoding(result: dict[str, Any]) -> list[str]:
    fields = ["n_weights", "n_nonzero", "n_codes", "bank_rows", "seed", "slots_per_key", "n_false_positives",
              "record_bytes", "bits_per_weight", "bits_per_nonzero", "n_attempts"]  # fmt: skip
    rows = [
        (name, *(round(report[field], 4) for field in fields)) for name, report in result["encoding"].items()
    ]
    return ["## Encoding", "", *_table(["layer", *fields], rows)]


def _provenance(result: dict[str, Any]) -> list[str]:
    origin = result["provenance"]
    versions = ", ".join(f"{name} {number}" for name, number in origin["versions"].items())
    lines = [
        f"commit {origin['commit']}, specification {origin['specification_digest']}, Python {origin['python']}, "
        f"{versions}."
    ]
    info = result["model"]["info"]
    if "test_error_percent" in info:
        lines.append(f"Model: {info['test_error_percent']} % test error before encoding (see its .json).")
    return ["## Provenance", "", *lines]
