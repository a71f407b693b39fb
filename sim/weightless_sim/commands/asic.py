"""``weightless asic``: a decoder in the cells of a library, its energy and area with real beats."""

import argparse
from pathlib import Path
from typing import Any

from weightless_hw import decoders
from weightless_sim.commands import common
from weightless_sw import inputs, layouts

WORKLOAD, TENSOR = "lenet300_pruned", "fc1.weight"
OF_CELLS = ("window_registers", "lane_registers")  # what an FPGA's form differs in
FORM = ("rounds_per_stage", *OF_CELLS)  # of a decoder that a table leaves open


def add(commands: Any) -> None:
    """The command of this file."""
    command = common.command(commands, "asic", _asic)
    command.add_argument(
        "--liberty", type=Path, nargs="+", required=True, metavar="FILE",
        help="the cell library, .lib or .lib.gz; several files of one corner are one library",
    )  # fmt: skip
    command.add_argument(
        "--clock", type=float, default=1.0, help="GHz: what is asked of the mapping, and for leakage"
    )
    command.add_argument(
        "--clock-gates", action="store_true", help="put the library's clock gates before enables"
    )
    command.add_argument(
        "--accelergy", type=Path, metavar="FOLDER", help="also write ERT.yaml and ART.yaml there"
    )
    command.add_argument(
        "--icarus", action="store_true", help="count the toggles of every net on Icarus, too (slow)"
    )
    command.add_argument("--beats", type=int, default=1000, help="cycles in which toggles are counted")
    command.add_argument("--wire", type=float, default=1.5, help="fF of wire on every net, an assumption")
    command.add_argument("--sram", default="45:itrs-lop", help="node in nm and cell of CACTI's memories")
    command.add_argument(
        "--for", dest="file", type=inputs.bundled_file, metavar="FILE",
        help=f"the largest table of a .wls file, or of lenet300, instead of {TENSOR} of {WORKLOAD}, encoded with:",
    )  # fmt: skip
    common.add_layout_options(command)
    others = set(decoders.options()) - set(FORM)
    common.add_decoder_options(command, *others)
    common.add_json(command)


def _workload(options: argparse.Namespace) -> tuple[Any, Any, int | None, str]:
    """(decoder, table, its non-zero weights if they are known, what it is).

    The decoder of a file's largest table serves all tables that it can, as that of ``weightless sim`` does.
    """
    from weightless_sw import codec, container

    given = common.typed(options, "layout", "lanes", "slot_bits")
    form = common.typed(options, *FORM)
    if options.file is None:
        weights = inputs.load_tensors(WORKLOAD)[TENSOR]
        layout, lanes = given.pop("layout", common.LAYOUT), common.typed(options, "lanes")
        if not layouts.has_option(layout, "lanes"):
            form |= lanes
            given.pop("lanes", None)
        tensor, report = codec.encode(weights, layout=layout, live="off", order="rows", **given)
        config = _as_cells(decoders.for_layers([tensor.geometry], **form), form)
        return config, tensor, report.n_nonzero, f"{TENSOR} of {WORKLOAD}"
    tables = inputs.tables_of(container.read(options.file), options.file)
    name = max(tables, key=lambda name: tables[name].geometry.n_weights)
    configs = decoders.serve({name: tensor.geometry for name, tensor in tables.items()}, **given, **form)
    config = next(one for one in configs if not one.misfits(tables[name].geometry))
    geometry = tables[name].geometry
    n_nonzero = None if geometry.density is None else round(geometry.density * geometry.n_weights)
    return _as_cells(config, form), tables[name], n_nonzero, f"{name} of {options.file.name}"


def _as_cells(config: Any, form: dict[str, Any]) -> Any:
    """In the form that cells take, or in that which was asked for."""
    return config if any(name in form for name in OF_CELLS) else config.for_cells()


def _asic(options: argparse.Namespace) -> int:
    from weightless_sim.gates import accelergy, characterise

    if not options.clock > 0 or options.beats < 1 or options.wire < 0:
        raise ValueError("--clock and --beats must be above 0, --wire at least 0")
    node, _, cell = options.sram.partition(":")
    if not node.isdigit() or not cell:
        raise ValueError(f"--sram {options.sram}: write a node in nm and a cell, as 45:itrs-lop")
    console = common.console()
    config, tensor, n_nonzero, what = _workload(options)
    asked = characterise.Options(
        tuple(options.liberty), options.clock, options.beats, options.clock_gates, options.wire, int(node), cell,
        options.icarus,
    )  # fmt: skip
    with common.Steps()(f"map {what} and run it") as progress:
        result = characterise.run(config, tensor, n_nonzero, asked, progress, what)
    if options.accelergy:
        accelergy.write(result, options.accelergy)
    if options.json:
        common.print_json(result)
        return 0
    _print(console, result)
    return 0


def _print(console: Any, result: Any) -> None:
    """A line per part, both delay models side by side."""
    settled, glitches = result.figures()
    table = common.table("part", ">cells", ">um2", ">pJ/beat, settled", ">with glitches")
    for name, part in settled.parts.items():
        energies = (one.parts[name].energy / 1000 for one in (settled, glitches))
        table.add_row(name, f"{part.cells:,}", f"{part.area:,.0f}", *(f"{pj:.2f}" for pj in energies))
    table.add_section()
    rows = (
        ("logic", "logic_pj_per_beat"),
        (f"memory reads, {result.memories.node_nm} nm", "memory_pj_per_beat"),
        ("leakage", "leakage_pj_per_beat"),
        ("all, per beat", "pj_per_beat"),
        ("per weight", "pj_per_weight"),
        ("per non-zero", "pj_per_nonzero"),
    )
    for name, field in rows:
        both = [getattr(one, field) for one in (settled, glitches)]
        if both[0] is not None:
            cells = (f"{result.cells:,}", f"{settled.area_um2:,.0f}") if name == "logic" else ("", "")
            table.add_row(name, *cells, *(f"{pj:.2f}" for pj in both))
    area = result.memories.area_um2
    table.add_row("area of the memories", "", f"{area:,.0f}", "", "")
    table.add_row("area with them", "", f"{settled.area_um2 + area:,.0f}", "", "")
    console.print(table)
    library = result.library
    console.print(
        f"{result.workload}, decoder {result.decoder}. {library.name}, {library.corner}, "
        f"{library.volts} V, {result.clock_ghz:g} GHz asked, {result.depth} gates on the "
        f"longest path, {'with' if result.clock_gates else 'no'} clock gates; "
        f"{result.window_beats} beats, equal to the golden model. Wire {result.wire_ff:g} fF a net; no clock "
        f"tree, no placement. {_memories(result.memories)}"
    )
    if n := result.nets_equal_on_icarus:
        console.print(f"Icarus counts the same toggles on each of {n:,} nets.")
    console.print(
        f"Netlist, activity (SAIF) and entry.toml, which weightless sim finds: {Path(result.netlist).parent}"
    )


def _memories(memories: Any) -> str:
    blocks = ", ".join(f"{block.n} of {block.row_bits} bits" for block in memories.blocks)
    if not blocks:
        return "No memories."
    return f"Memories: {blocks}, {memories.source}, {memories.node_nm} nm {memories.cell}."
