"""The short table at the end of a run: what was measured, in a line each, and how it was got."""

import csv
import io
import shlex
from collections.abc import Sequence
from typing import Any

from weightless_sim.model.grid import ESTIMATED
from weightless_sim.study.result import Report, Run
from weightless_sw import inputs
from weightless_sw.codec import EncodeReport

HOW_OF_LINES = {  # of the summary: fields of result.how
    "layer": ["file"], "record and maps": ["table"], "whole file": ["file"],
    "false positives": ["false_positives", "expected_false_positive_rate"],
    "RTL against golden model": ["n_mismatches"], "cycles": ["cycles_rtl_sim", "cycles_cycle_model"],
    "throughput": ["weights_per_cycle"], "on an FPGA": ["fpga"], "energy": ["energy"], "decoders": ["file"],
    "test error, recorded": ["accuracy"], "beside it": ["encoding", "n_mismatches"],
}  # fmt: skip


def summary(result: Report) -> list[tuple[str, str, str]]:
    """The lines of the short table at the end of a run: (what, figure with its unit, how it was got)."""
    return [
        (what, figure, ", ".join(result.how[key] for key in HOW_OF_LINES[what]))
        for what, figure in _lines(result)
    ]


def _lines(result: Report) -> list[tuple[str, str]]:
    layer, table, file, runs = result.layer, result.table, result.file, result.runs
    run, encoding = runs["none"], result.encoding.get(layer)
    n_weights, fill = (
        sum(entry.n_weights for entry in runs.values()),
        result.first_decoder().fill_latency_cycles,
    )
    n_mismatches = sum(entry.n_mismatches for entry in runs.values())
    exact = all(entry.cycles_rtl_sim == entry.cycles_cycle_model for entry in runs.values())
    dense = f"{4 * table.n_weights:,} ({table.ratio_to_dense_fp32:.1f}x)"
    record = f"{table.bytes:,} bytes of {dense}, {table.bits_per_weight:.4f} bit/weight"
    lines = [
        ("layer", f"{layer}, {table.n_weights:,} weights" +
                  (f", {encoding.n_nonzero:,} not zero" if encoding else "")),
        ("record and maps", record + (f", {encoding.slots_per_key:.4f} slots per key" if encoding else "")),
        ("whole file", f"{file.bytes:,} bytes: {file.path}"),
        ("false positives", _false_positive_line(encoding) if encoding else result.weights),
        ("RTL against golden model", f"{run.n_mismatches} mismatches in {run.n_weights:,} stored weights of "
                                     f"{layer}; {n_mismatches} in {n_weights:,} of all {len(runs)} runs"),
        ("cycles", f"RTL {run.cycles_rtl_sim:,}, cycle model {run.cycles_cycle_model:,}; "
                   f"{'equal' if exact else 'NOT EQUAL'} in all {len(runs)} runs{_estimate(run)}"),
        ("throughput", f"{run.weights_per_cycle:.3f} weights per cycle while decoding, "
                       f"{run.n_weights / run.cycles_rtl_sim:.3f} with loading; fill latency {fill} cycles"),
    ]  # fmt: skip
    lines += [("on an FPGA", _fpga_line(result)), ("energy", _energy_line(result))]
    lines += [("beside it", _beside_line(result))] if result.beside else []
    if len(result.decoders) > 1:
        names = "; ".join(f"{name}: {', '.join(d.tables)}" for name, d in result.decoders.items())
        lines.append(("decoders", names))
    return [*lines, ("test error, recorded", _accuracy_line(result))]


def _estimate(run: Run) -> str:
    """What the closed form says, and how far off that is."""
    if run.cycles_estimated is None:
        return ""
    error = run.cycles_estimated / run.cycles_rtl_sim - 1
    return f"; estimated of density and sizes alone {run.cycles_estimated:,.0f} ({error:+.1%})"


def as_argument(model: str, path: str) -> str:
    """The file of the tables as a command takes it: by its name where it comes with the project."""
    return shlex.quote(model if model in inputs.BUNDLED_FILES else path)


def not_characterised(result: Report) -> str:
    """The command that measures the decoder's energy."""
    return f"not characterised: {_characterise(result)}"


def _characterise(result: Report) -> str:
    return f"run `weightless asic --for {as_argument(result.model.name, result.file.path)} --liberty FILE`"


def _place(result: Report) -> str:
    return f"run `weightless fpga --for {as_argument(result.model.name, result.file.path)} --seeds 3`"


def _fpga_line(result: Report) -> str:
    """Weights per second at the frequency that was found, decoding and with loading."""
    known = result.first_decoder().fpga
    if not known:
        return f"not placed: {_place(result)}"
    first, run = known[0], result.runs["none"]
    all_in = 1e6 * first.fmax_mhz * run.n_weights / run.cycles_rtl_sim
    older = ", of an older decoder" if first.older_decoder else ""
    rate = f"{first.weights_per_second / 1e6:,.0f} M weights/s at {first.fmax_mhz:.1f} MHz"
    text = f"{rate}, {all_in / 1e6:,.0f} M with loading"
    if first.how["fmax"] == ESTIMATED:
        return f"{text} ({first.device}, {ESTIMATED}); to place it, {_place(result)}"
    return f"{text} ({first.device}, {first.origin}{older})"


def _beside_line(result: Report) -> str:
    """The largest layer in the other layout: size, rate with loading, energy."""
    (name,) = result.beside
    key, decoder = next((key, one) for key, one in result.decoders.items() if name in one.tables)
    table, rate = decoder.table, decoder.table.n_stored / result.first_layer(key).end
    text = f"{name}: {table.bytes:,} bytes, {result.encoding[name].n_false_positives:,} false positives, "
    text += f"{rate:.3f} weights per cycle with loading, {decoder.table_bits:,} bits of table memory"
    if decoder.energy:
        first = decoder.energy[0]
        text += f", {first.pj_per_weight_settled:.1f} to {first.pj_per_weight_glitches:.1f} pJ per weight"
    return text


def _energy_line(result: Report) -> str:
    """pJ per weight of the decoder, of the first entry that is known of it."""
    energy = result.first_decoder().energy
    if not energy:
        return not_characterised(result)
    first = energy[0]
    low, high = first.pj_per_weight_settled, first.pj_per_weight_glitches
    text = f"{low:.1f} to {high:.1f} pJ per weight"
    encoding = result.encoding.get(result.layer)
    if encoding and encoding.n_nonzero:
        density = encoding.n_nonzero / encoding.n_stored
        text += f", {low / density:.0f} to {high / density:.0f} per non-zero"
    older = ", of an older decoder" if first.older_decoder else ""
    text += f" ({first.library} {first.volts} V, memory reads from CACTI, "
    if first.how == ESTIMATED:
        return f"{text}{ESTIMATED}); to measure it, {_characterise(result)}"
    return f"{text}{first.origin}{older})"


def _false_positive_line(encoding: EncodeReport) -> str:
    if not encoding.expected_false_positive_rate:
        return "none: every weight is exact"
    rate, expected, sigma = (
        encoding.false_positive_rate, encoding.expected_false_positive_rate, encoding.false_positive_sigma
    )  # fmt: skip
    z = (rate - expected) / (sigma or 1.0)
    share = encoding.false_positives_per_nonzero
    return (
        f"{rate:.4%} of stored zeros, theory {expected:.4%} ± {sigma:.4%} ({z:+.2f} σ); "
        f"{share:.3f} per non-zero weight"
    )


def _accuracy_line(result: Report) -> str:
    """Error at each step as the file's metadata have it, and the bytes that it costs."""
    accuracy, file = result.accuracy, result.file
    if accuracy.unknown:
        return accuracy.unknown
    n = accuracy.test_images
    errors = ", ".join(f"{at} {wrong / n:.2%}" for at, wrong in accuracy.wrong.items())
    return f"{errors}; {file.bytes:,} bytes of {file.dense_bytes:,} ({file.dense_bytes / file.bytes:.1f}x)"


NETWORK = (  # heads of the network's table
    "layer", "shape", "stored as", "not zero", "K", "t", "bytes", "bit/weight", "false positives", "per non-zero",
    "cycles", "bits on chip, used", "bits on chip, built", "nJ a pass",
)  # fmt: skip


def network_rows(model: Any) -> tuple[list[str], list[tuple[str, ...]]]:
    """(heads, a row for each tensor of the file and the whole last), of a report's ``model`` as JSON has it.

    What is not known, or not there, is empty.
    """
    rows, whole = [], model["totals"]
    for one in model["layers"]:
        cycles, memory, energy = (one[name] or {} for name in ("cycles", "memory", "energy"))
        rows.append((
            one["name"], _shape(one["shape"]), one["stored_as"], _share(one["density"]), _count(one["n_codes"]),
            _count(one["slot_bits"]), _count(one["bytes"]), _decimal(one["bits_per_weight"], 4),
            _count(one["n_false_positives"]), _decimal(one["false_positives_per_nonzero"], 3),
            _count(cycles.get("total")), _count(memory.get("bits_used")), _count(memory.get("bits_built")),
            _nanojoules(energy.get("pj")),
        ))  # fmt: skip
    total = (
        "all", f"{whole['n_weights']:,} weights", "file", _share(whole["density"]), "", "", _count(whole["bytes"]),
        _decimal(whole["bits_per_weight"], 4), _count(whole["n_false_positives"]), "", _count(whole["cycles"]), "",
        _count(whole["on_chip_bits"]), _nanojoules(whole["energy"]),
    )  # fmt: skip
    return list(NETWORK), [*rows, total]


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _decimal(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _nanojoules(pj: Sequence[float] | None) -> str:
    if pj is None:
        return ""
    low, high = pj[0] / 1e3, pj[1] / 1e3
    digits = 0 if high >= 100 else 1 if high >= 10 else 2
    return f"{low:,.{digits}f} to {high:,.{digits}f}"


# Columns of the network as CSV: those of a tensor, then of its cycles, memory and energy.
PLAIN = (
    "name", "stored_as", "n_weights", "n_stored", "n_nonzero", "density", "n_codes", "slot_bits", "bytes",
    "bits_per_weight", "n_false_positives", "false_positives_per_nonzero", "decoder",
)  # fmt: skip
PARTS = {
    "cycles": ("load", "decode", "total"),
    "memory": ("rows_used", "rows_built", "bits_used", "bits_built"),
}


def to_csv(model: Any) -> str:
    """The network's table for a program: a line per tensor and the whole last, numbers as they are; bytes in other
    formats have columns of their own.  Of a report's ``model`` as JSON has it."""
    text, whole = io.StringIO(), model["totals"]
    names = list(dict.fromkeys(name for one in model["layers"] for name in one["rivals"]))
    lines = csv.writer(text, lineterminator="\n")
    parts = [f"{part}_{name}" for part, of in PARTS.items() for name in of]
    lines.writerow(
        [*PLAIN, "shape", *parts, "pj_settled", "pj_glitches", *(f"bytes: {name}" for name in names)]
    )
    for one in model["layers"]:
        lines.writerow([
            *(one[name] for name in PLAIN), _shape(one["shape"]),
            *((one[part] or {}).get(name) for part, of in PARTS.items() for name in of),
            *((one["energy"] or {}).get("pj") or ("", "")),
            *(one["rivals"].get(name, {}).get("bytes") for name in names),
        ])  # fmt: skip
    total = dict.fromkeys([*PLAIN, *parts]) | {name: whole.get(name) for name in PLAIN}
    total |= {
        "name": "all", "stored_as": "file", "n_stored": whole["n_decoded"], "cycles_total": whole["cycles"],
        "memory_bits_built": whole["on_chip_bits"],
    }  # fmt: skip
    lines.writerow([
        *(total[name] for name in PLAIN), "", *(total[name] for name in parts), *(whole["energy"] or ("", "")),
        *(whole["rivals"].get(name) for name in names),
    ])  # fmt: skip
    return text.getvalue()
