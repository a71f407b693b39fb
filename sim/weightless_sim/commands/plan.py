"""``weightless plan``: what a network's weights cost in every format, on an array, a clock and a DRAM of one's own."""

import argparse
import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from weightless_sim.commands import common

ARRAY, CLOCK, DRAM = "32x32", "500MHz", "LPDDR4"
CODES, SLOT_BITS = 16, 8
MAX_SIDE, MAX_BATCH = 1024, 1 << 20
HERTZ = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9}
BYTES = {"MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12}
CLOCKS, BANDWIDTHS = (1e6, 1e10), (1e6, 1e14)
LIBRARIES = {"nangate45": "NangateOpenCellLibrary", "asap7": "asap7sc7p5t_RVT_TT_nldm"}
DEVICES = ("ecp5-85k", "ecp5-25k")  # of the family that the grid was synthesised for


def add(commands: Any) -> None:
    """The command of this file."""
    command = common.command(commands, "plan", _plan)
    command.add_argument(
        "model",
        help="a .wls, .npz, .safetensors or .onnx file, a .toml of shapes, or a shipped network: bert-base, "
        "lenet-300-100, lenet-5, llm-8b, resnet-50, vgg-16",
    )
    command.add_argument("--array", type=_array, default=ARRAY, metavar="RxC", help="weight-stationary")
    command.add_argument("--clock", type=_clock, default=CLOCK, help="of array and decoder: MHz or GHz")
    command.add_argument("--dram", default=DRAM, metavar="NAME", help="weightless tech dram lists them")
    command.add_argument(
        "--bandwidth", type=_bandwidth, metavar="RATE",
        help="of the DRAM, as 12.8GB/s (default: the peak of one channel of its kind)",
    )  # fmt: skip
    command.add_argument("--batch", type=int, default=1, help="inputs that share a tile")
    command.add_argument(
        "--density", type=float, metavar="SHARE",
        help="of the weights that are not zero, in every layer: a dense file is pruned to it on paper",
    )  # fmt: skip
    common.add_size(command, "--codes", CODES, "values that weights share")
    common.add_size(command, "--slot-bits", SLOT_BITS, "bits per slot (t)")
    command.add_argument("--lanes", type=int, help="of the decoder (default: what the array needs)")
    command.add_argument("--library", choices=LIBRARIES, default="nangate45", help="cells of the decoder")
    command.add_argument("--device", choices=DEVICES, default=DEVICES[0], help="FPGA that is looked at, too")
    for option, text in (
        ("--tensor", "layer to count (may be repeated; else all)"),
        ("--exclude", "layer to leave out"),
    ):
        command.add_argument(option, action="append", default=[], metavar="NAME", help=text)
    command.add_argument(
        "--tech", type=Path, metavar="FILE", help="TOML file of figures, as weightless tech has them"
    )
    command.add_argument(
        "--simulate", choices=("verilator", "icarus"),
        help="run the layers of a file of weights through the RTL, too, stalled as the array stalls it, and compare",
    )  # fmt: skip
    command.add_argument(
        "--plots", type=Path, metavar="FOLDER",
        help="also draw there: roofline, energy by density, lanes against the array's size (needs matplotlib)",
    )  # fmt: skip
    command.add_argument(
        "--csv", action="store_true", help="print a line per layer and format instead of tables"
    )
    common.add_json(command)


def _array(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no array: write rows x columns, as 32x32")
    rows, columns = map(int, found.groups())
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE):
        raise argparse.ArgumentTypeError(f"{text}: rows and columns are 1 to {MAX_SIDE}")
    return rows, columns


def _quantity(what: str, units: dict[str, float], limits: tuple[float, float]) -> Callable[[str], float]:
    """Reads a number with a unit."""

    def read(text: str) -> float:
        found = re.fullmatch(r"\s*([0-9.eE+-]+)\s*([A-Za-z/]+)\s*", text)
        by_case = {unit.lower(): factor for unit, factor in units.items()}
        if not found or found[2].lower() not in by_case:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no {what}: write a number and one of {', '.join(units)}"
            )
        try:
            value = float(found[1]) * by_case[found[2].lower()]
        except ValueError:
            value = float("nan")
        if not (isfinite(value) and limits[0] <= value <= limits[1]):
            low, high = (_with_unit(limit, units) for limit in limits)
            raise argparse.ArgumentTypeError(f"{text}: a {what} is from {low} to {high} here")
        return value

    return read


def _with_unit(value: float, units: dict[str, float]) -> str:
    unit = max((unit for unit in units if units[unit] <= value), key=lambda unit: units[unit])
    return f"{value / units[unit]:g} {unit}"


_clock = _quantity("frequency", HERTZ, CLOCKS)
_bandwidth = _quantity("bandwidth", BYTES, BANDWIDTHS)


def _plan(options: argparse.Namespace) -> int:
    from weightless_sim.plan import answer, network
    from weightless_sim.plan.array import Array

    if options.density is not None and not (isfinite(options.density) and 0 < options.density <= 1):
        raise ValueError(f"--density is above 0 and at most 1, not {options.density:g}")
    if not 1 <= options.batch <= MAX_BATCH:
        raise ValueError(f"--batch is 1 to {MAX_BATCH:,}, not {options.batch}")
    if options.lanes is not None and options.lanes not in [1 << k for k in range(7)]:
        raise ValueError(f"--lanes is a power of two from 1 to 64, not {options.lanes}")
    if options.csv and options.json:
        raise ValueError("--csv and --json: one of them")
    found = network.read(options.model, options.density, options.tensor, options.exclude)
    sizes = (
        {"codes": CODES, "slot_bits": SLOT_BITS} | found.sizes | common.typed(options, "codes", "slot_bits")
    )
    asked = answer.Options(
        array=Array(*options.array), clock_hz=options.clock, dram=options.dram, bandwidth=options.bandwidth,
        batch=options.batch, lanes=options.lanes, library=LIBRARIES[options.library], **sizes,
    )  # fmt: skip
    own = [options.tech] if options.tech else []
    known = answer.known_technology(own)
    made = answer.plan(found, asked, known)
    if options.simulate:
        made = replace(made, held=_hold(options, found, asked, known))
    if options.plots:
        from weightless_sim.plan import plots
        from weightless_sim.report.plots import plain_text

        with plain_text():
            for path in plots.draw(made, known, options.plots):
                common.remark(f"{path}: drawn")
    for remark in found.remarks:
        common.remark(remark)
    if options.json:
        common.print_json(made)
    elif options.csv:
        common.print_text(_csv(made))
    else:
        _print(made, options.device)
    return 0


def _hold(options: argparse.Namespace, found: Any, asked: Any, known: Any) -> list[Any]:
    """The layers as the file has them, simulated."""
    from weightless_sim.cosim import runner
    from weightless_sim.plan import held
    from weightless_sw import inputs

    if options.density is not None or (
        options.model not in inputs.BUNDLED and (Path(options.model).suffix not in inputs.SUFFIXES)
    ):
        raise ValueError(
            "--simulate takes weights that are pruned and clustered, .npz or .safetensors; weightless simplify makes "
            "such a file"
        )
    if reason := runner.missing(options.simulate):
        raise runner.SimulationError(reason)
    arrays = inputs.load_tensors(options.model)
    return held.hold(found, arrays, asked, known, common.Steps(), options.simulate)


def _csv(made: Any) -> str:
    """A line per layer and format, energies with glitches; then the whole."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([
        "layer", "format", "weights", "density", "vectors", "count", "bytes", "cycles", "needs_weights_per_cycle",
        "weights_per_cycle", "bound", "decoder_keeps_array_busy", "dram_pj", "logic_pj", "memory_pj", "energy_pj",
        "pj_per_weight", "pj_per_nonzero", "on_chip_bits", "false_positives",
    ])  # fmt: skip
    for one in made.formats:
        for layer, cost in zip(made.network.layers, one.layers, strict=False):
            weights, nonzero = layer.count * layer.n_weights, layer.count * layer.n_nonzero
            energy = cost.energy[1]
            rows.writerow([
                layer.name, one.name, weights, layer.density, layer.vectors, layer.count, cost.bytes, cost.cycles,
                cost.needs, cost.rate, cost.bound, cost.busy, cost.dram_pj, cost.logic_pj[1], cost.memory_pj, energy,
                energy / weights, energy / nonzero, cost.on_chip_bits, cost.false_positives,
            ])  # fmt: skip
    return text.getvalue()


def _print(made: Any, device: str) -> None:
    console = common.console()
    options, array = made.options, made.options.array
    bandwidth = "no limit known" if made.bandwidth is None else f"{made.bandwidth / 1e9:g} GB/s"
    console.print(
        f"{made.network.title}: {_count(made.n_weights)} weights in {len(made.network.layers)} kinds of layers, "
        f"{made.n_nonzero / made.n_weights:.1%} not zero. {made.network.note}".rstrip()
    )
    console.print(
        f"Array {array.rows} x {array.columns}, weight-stationary, {options.clock_hz / 1e6:g} MHz, batch "
        f"{options.batch}; {options.dram}: {made.dram.value:g} pJ/bit, {bandwidth}; tables of {options.slot_bits} "
        f"slot bits, {options.codes} values."
    )
    console.print(_formats(made))
    console.print(_layers(made))
    console.print(_decoders(made, device))
    if made.held:
        console.print(_held(made))
    console.print(_best(made))
    console.print(_published(made))
    for line in _notes(made):
        console.print(line)


def _count(n: float) -> str:
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= factor:
            return f"{n / factor:,.3g} {unit}"
    return f"{n:,.0f}"


def _pair(pair: tuple[float, float], factor: float = 1.0) -> str:
    low, high = (f"{one / factor:.3g}" for one in pair)
    return low if low == high else f"{low} to {high}"


def _formats(made: Any) -> Any:
    """The network in every format, an inference's share of a batch."""
    table = common.table(
        "format", "exact", ">lanes", "keeps the array busy", ">cycles", ">ms", ">DRAM bytes", ">on-chip bits", ">uJ",
        ">pJ/weight", ">pJ/non-zero", title="An inference", title_justify="left",
    )  # fmt: skip
    for one in made.formats:
        if one.why_not:
            table.add_row(one.name, "", "", one.why_not, *[""] * 7)
            continue
        batch, energy = made.options.batch, one.energy
        decoder = one.decoder
        lanes = ""
        if decoder:
            lanes = f"{decoder.lanes}" + (
                f" of {decoder.lanes_needed}" if decoder.lanes_needed > decoder.lanes else ""
            )
        table.add_row(
            one.name + ("" if one.complete else " *"), "yes" if one.exact else "no", lanes, one.feeds,
            *((f"{one.cycles / batch:,.0f}", f"{made.milliseconds[one.name]:.3g}") if one.complete else ("", "")),
            f"{one.bytes / batch:,.0f}", f"{decoder.on_chip_bits:,}" if decoder else "", _pair(energy, 1e6 * batch),
            _pair(made.pj_per_weight[one.name]), _pair(made.pj_per_nonzero[one.name]),
        )  # fmt: skip
    table.caption = "* by size and reads alone: no decoder of it was measured. uJ: settled to with glitches"
    return table


def _layers(made: Any) -> Any:
    """What each layer needs and gets."""
    tables = [one for one in made.formats if one.decoder]
    names = [column for one in tables for column in (f">{one.name}: weights/cycle", ">cycles", ">uJ")]
    table = common.table(
        "layer", "shape", ">density", ">vectors", ">needs", *names, "smallest", "quickest", "least energy",
        title="Layers", title_justify="left",
    )  # fmt: skip
    for k, layer in enumerate(made.network.layers):
        name = layer.name + (f" ({layer.count} alike)" if layer.count > 1 else "")
        cells = []
        for one in tables:
            cost = one.layers[k]
            waits = "" if cost.bound == "array" else f", {cost.bound}"
            cells += [f"{cost.rate:.3g}{waits}", f"{cost.cycles:,.0f}", _pair(cost.energy, 1e6)]
        best = made.layer_winners[k]
        table.add_row(
            name, " x ".join(map(str, layer.shape)), f"{layer.density:.2%}", f"{layer.vectors:,}",
            f"{made.options.array.needs(layer.vectors * made.options.batch):.3g}", *cells,
            *(", ".join(best[metric]) for metric in best),
        )  # fmt: skip
    table.caption = (
        "of a batch; needs: weights a cycle that keep the array busy; beside a rate: what is waited for"
    )
    return table


def _decoders(made: Any, device: str) -> Any:
    """The hardware of each layout."""
    from weightless_sim.fpga import families

    table = common.table(
        "decoder", ">pJ/beat", ">mm2", ">of it memories", f"on {device}: LUT, FF, RAM, DSP", ">MHz", ">G weights/s",
        ">GB/s asked", title="Decoders, estimated", title_justify="left",
    )  # fmt: skip
    for one in made.formats:
        if not one.decoder:
            continue
        decoder, fpga = one.decoder, {name: found.value for name, found in one.decoder.fpga.items()}
        shares = families.shares(fpga, families.DEVICES[device])
        misfits = [_CELLS[name] for name, share in shares.items() if share > 1]
        takes = ", ".join(f"{shares[name]:.0%}" for name in _CELLS) + (
            f"; does not fit: {', '.join(misfits)}" if misfits else ""
        )
        logic, rate = decoder.logic, min(decoder.lanes, min(layer.own_rate for layer in one.layers))
        asked = 8 * one.bytes / sum(layer.n_decoded for layer in one.layers) * rate * fpga["fmax_mhz"] / 8e3
        table.add_row(
            decoder.name, _pair((logic.logic_settled_pj, logic.logic_glitches_pj)), f"{decoder.area_um2 / 1e6:.3g}",
            f"{decoder.memory_um2 / 1e6:.3g}", takes, f"{fpga['fmax_mhz']:.0f}", f"{rate * fpga['fmax_mhz'] / 1e3:.3g}",
            f"{asked:.3g}",
        )  # fmt: skip
    first = next((one.decoder for one in made.formats if one.decoder), None)
    if first:
        errors = [
            f"{one.decoder.name}: {one.decoder.logic.accuracy}; MHz off by "
            f"{_error(one.decoder.fpga['fmax_mhz'].error)}, LUT by {_error(one.decoder.fpga['luts'].error)}"
            for one in made.formats if one.decoder
        ]  # fmt: skip
        table.caption = f"{first.logic.library}, memories of CACTI 7. " + ". ".join(errors)
    return table


_CELLS = {"luts": "LUT", "flip_flops": "FF", "block_rams": "RAM", "multipliers": "DSP"}


def _error(error: float | None) -> str:
    return "an unknown share" if error is None else f"{error:.0%} at most"


def _held(made: Any) -> Any:
    """What the RTL did beside what was planned."""
    table = common.table(
        "layer", "layout", ">lanes", ">bytes", ">planned", ">cycles, RTL", ">cycle model", ">planned of sizes", ">busy",
        ">waiting", ">stalled", title="Simulated, the array as sink", title_justify="left",
    )  # fmt: skip
    for row in made.held:
        table.add_row(
            row.layer, row.layout, f"{row.lanes}", f"{row.bytes:,}", f"{row.bytes_planned:,} ({row.bytes_error:+.1%})",
            f"{row.rtl.cycles:,}", f"{row.model.cycles:,}", f"{row.cycles_planned:,.0f} ({row.cycles_error:+.1%})",
            f"{row.rtl.busy:,}", f"{row.rtl.waiting:,}", f"{row.rtl.stalled:,}",
        )  # fmt: skip
    table.caption = (
        "busy: cycles in which a tile is used; waiting: none is there; stalled: a beat waits for a buffer; all of the "
        "RTL, and equal in the cycle model"
    )
    return table


def _best(made: Any) -> Any:
    """Who wins, here and at other densities."""
    from weightless_sim.plan.answer import METRICS

    table = common.table(
        "", "here", "where every layer has the same density", title="Who does best", title_justify="left"
    )
    for metric, text in METRICS.items():
        changes = "; ".join(_change(*one) for one in made.crossings[metric])
        table.add_row(text, ", ".join(made.winners[metric]), changes)
    return table


def _change(density: float, names: list[str]) -> str:
    return f"from {density:.2%} {', '.join(names)}"


def _published(made: Any) -> Any:
    table = common.table(
        "others, published", "reads", "weights a second", "area", "energy", "source",
        title="Beside it", title_justify="left",
    )  # fmt: skip
    for one in made.published:
        node = f" ({one.node_nm} nm)" if one.node_nm else ""
        rest = one.weights_per_second, one.area or "not published", one.energy or "not published", one.source
        table.add_row(f"{one.name}{node}", one.reads, *rest)
    return table


def _notes(made: Any) -> Iterator[str]:
    """How the figures were got, and what is not in them."""
    yield "How figures were got:"
    for one in made.formats:
        yield f"  {one.name}: " + "; ".join(f"{what} {how}" for what, how in one.how.items())
    sources: dict[str, list[str]] = {}
    for layer in made.network.layers:
        sources.setdefault(layer.source, []).append(layer.name)
    for source, names in sources.items():
        yield f"  density of {', '.join(names[:3])}{', ..' if len(names) > 3 else ''}: {source}"
    yield f"  {made.dram.name}: {made.dram.source}; {made.dram.accuracy}"
    wrong = {
        one.name: sum(cost.false_positives for cost in one.layers) for one in made.formats if one.decoder
    }
    zeros = made.n_weights - made.n_nonzero
    if wrong and zeros:
        share = max(wrong.values()) / zeros
        yield (
            f"A table is not exact: {share:.2%} of the zeros ({_count(max(wrong.values()))}) come back as other "
            "values, and the network has to be retrained around them (weightless compress)."
        )
    yield (
        "Not in it: arithmetic, activations, filling and draining the array, dataflows other than weight-stationary, "
        "SRAM leakage; a stored table is loaded before its first beat, which the array waits for."
    )
