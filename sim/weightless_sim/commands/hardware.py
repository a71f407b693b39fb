"""``weightless rtl`` and ``area``: a decoder's Verilog, and what it takes of an FPGA."""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from weightless_sim.commands import common


def add(commands: Any) -> None:
    """The commands of this file."""
    _add_rtl(commands)
    _add_area(commands)


def _add_decoder_sizes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--max-bank-rows", type=int, default=1024, help="rows of each of the three banks")
    command.add_argument("--max-codes", type=int, default=16, help="codebook entries")
    command.add_argument("--value-bits", type=int, default=16, help="width of a decoded weight: 8 or 16")


def _add_rtl(commands: Any) -> None:
    command = common.command(commands, "rtl", _rtl, "Write a decoder's Verilog.")
    common.add_layout_options(command)
    _add_decoder_sizes(command)
    command.add_argument("-o", "--output", type=Path, required=True, help="the .v file to write")


def _decoder_config(options: argparse.Namespace, lanes: int) -> Any:
    from weightless_hw import decoders

    return decoders.configure(
        options.layout, lanes=lanes, slot_bits=options.slot_bits, max_bank_rows=options.max_bank_rows,
        max_codes=options.max_codes, value_bits=options.value_bits,
    )  # fmt: skip


def _rtl(options: argparse.Namespace) -> int:
    from weightless_hw.export.verilog import TOP, to_verilog
    from weightless_sw.files import write_atomically

    config = _decoder_config(options, options.lanes)
    write_atomically(options.output, to_verilog(config).encode())
    print(f"{options.output}: module {TOP}, fill latency {config.fill_latency} cycles")
    return 0


def _add_area(commands: Any) -> None:
    command = common.command(
        commands, "area", _area, "Synthesise decoders for ECP5 with yosys and count LUTs, FFs and RAMs."
    )
    command.add_argument("--lanes", type=int, nargs="+", default=[1, 8], help="lane counts")
    common.add_layout(command)
    common.add_slot_bits(command)
    _add_decoder_sizes(command)
    common.add_json(command)


def _area(options: argparse.Namespace) -> int:
    from weightless_sim.model import area, families

    console = Console(stderr=options.json)
    step = common.Steps(console)
    results = []
    for lanes in options.lanes:
        with step(f"synthesise {lanes} lanes for ECP5"):
            results.append(area.synthesise(_decoder_config(options, lanes), families.FAMILIES["ecp5"]))
    if options.json:
        print(json.dumps([vars(result) for result in results], indent=1))
        return 0
    console.print(area.table(results))
    return 0
