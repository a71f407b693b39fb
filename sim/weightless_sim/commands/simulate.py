"""``weightless sim``: a model through encoder, file, RTL simulation and report."""

import argparse
from pathlib import Path
from typing import Any

from weightless_hw import decoders
from weightless_sim.commands import common
from weightless_sim.shown import plain
from weightless_sw import inputs
from weightless_sw.files import locked, write_atomically

DEFAULT, BESIDE = "lenet300", "classic"  # what runs where no model is named


def add(commands: Any) -> None:
    """The command of this file."""
    command = common.command(commands, "sim", _sim)
    command.add_argument(
        "model",
        nargs="?",
        help=".wls file, or .npz or .safetensors file, which is encoded first, or a bundled one: "
        + ", ".join((*inputs.BUNDLED_FILES, *inputs.BUNDLED))
        + f" (default: {DEFAULT}, --beside {BESIDE})",
    )
    command.add_argument(
        "--weights",
        metavar="FILE",
        help="arrays that went into the tables of a .wls file, for sizes and errors",
    )
    common.add_selection(command)
    common.add_encoding(command, decoders.BY_NAME)
    common.add_size(
        command, "--lanes", common.SIZE, "weights per clock, and per row group of a classic table"
    )
    common.add_slot_bits(command)
    command.add_argument(
        "--beside",
        choices=decoders.BY_NAME,
        help="encode the largest layer in this layout, too, and run it on that decoder (default: not)",
    )
    command.add_argument(
        "--simulator", choices=("verilator", "icarus"), default="verilator", help="what runs the RTL"
    )
    command.add_argument(
        "--tech", metavar="FILE", help="TOML file of energies, as weightless asic and tech write them"
    )
    command.add_argument(
        "--dram", nargs="+", default=["HBM2", "LPDDR4"], metavar="NAME",
        help="memories that the layer may come from; weightless tech lists them",
    )  # fmt: skip
    common.add_exact_values(command)
    common.add_apply_masks(command)
    command.add_argument(
        "--build",
        type=Path,
        default=Path("build"),
        help="folder for the file, the Verilog and the report (simulators are built in build/sim)",
    )
    common.add_json(command)
    _add_report(commands)
    command.add_argument(
        "--csv", action="store_true", help="print a line per tensor of the network instead of tables"
    )


def _add_report(commands: Any) -> None:
    command = common.command(commands, "report", _report)
    command.add_argument(
        "input", type=Path, metavar="FILE.json", help="report.json, as weightless sim writes it"
    )
    command.add_argument(
        "-o", "--output", type=Path, metavar="PAGE", help="where to (default: report.html beside it)"
    )


def _report(options: argparse.Namespace) -> int:
    import json

    from weightless_sim.report.page import ReportError, to_html

    output = options.output or options.input.with_name("report.html")
    try:
        page = to_html(json.loads(options.input.read_bytes()))
    except (ReportError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{options.input}: {error}") from error
    write_atomically(output, page.encode())
    common.console().print(f"{output}: {len(page):,} bytes")
    return 0


def _sim(options: argparse.Namespace) -> int:
    from weightless_sim.report import summary, write
    from weightless_sim.study import run as study

    if options.csv and options.json:
        raise ValueError("--csv and --json: one of them")
    console = common.console()
    asked = study.Options(
        model=options.model or DEFAULT,
        weights=options.weights,
        technology=options.tech,
        drams=tuple(options.dram),
        tensors=tuple(options.tensor),
        exclude=tuple(options.exclude),
        sizes=common.typed(options, "layout", "order", "lanes", "slot_bits"),
        beside=options.beside or (None if options.model else BESIDE),
        simulator=options.simulator,
        round_values=not options.exact_values,
        apply_masks=options.apply_masks,
        build=options.build,
    )
    ahead = f"waiting for another run in {options.build} (or choose another folder with --build)"
    with locked(options.build / "sim.lock", lambda: common.remark(ahead)):
        result = study.run(asked, common.Steps())
        paths = write.write(result, options.build / "report")
    page = options.build / "report" / write.PAGE
    for note in [*result.notes, *([] if result.encoding else [result.weights])]:
        common.remark(note)
    if options.json:
        common.print_json(result)
        return 0
    if options.csv:
        common.print_text(summary.to_csv(plain(result.model)))
        return 0
    table = common.table("", "", "", show_header=False, title="Weightless", title_justify="left")
    for what, figure, how in summary.summary(result):
        table.add_row(what, figure, how)
    console.print(table)
    if len(result.model.layers) > 1:
        console.print(_network(result))
    console.print(
        f"Report: {page}, {paths[0]}; plots: {', '.join(p.name for p in paths if p.suffix == '.png')} beside it."
    )
    return 0


def _network(result: Any) -> Any:
    """The network's table, without what a terminal has no room for."""
    from weightless_sim.report.summary import network_rows

    heads, rows = network_rows(plain(result.model))
    narrow = ("layer", "shape", "stored as", "not zero", "bytes", "false positives", "cycles", "nJ a pass")
    kept = [heads.index(head) for head in narrow]
    table = common.table(
        *(heads[k] if k < 3 else f">{heads[k]}" for k in kept), title="Network", title_justify="left"
    )
    for row in rows:
        table.add_row(*(row[k] for k in kept))
    return table
