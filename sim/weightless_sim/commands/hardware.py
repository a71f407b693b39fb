"""``weightless rtl`` and ``fpga``: a decoder's Verilog, what it takes of an FPGA, and how fast it runs there."""

import argparse
from pathlib import Path
from typing import Any

from weightless_hw import decoders
from weightless_sim.commands import common
from weightless_sim.fpga import families
from weightless_sw import inputs


def add(commands: Any) -> None:
    """The commands of this file."""
    _add_rtl(commands)
    _add_fpga(commands)


def _add_for(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--for", dest="file", type=inputs.bundled_file, metavar="FILE",
        help="the smallest decoder of the tables of a .wls file, or of lenet300; of the sizes below, those that the "
        "file leaves open may be larger",
    )  # fmt: skip


def _add_rtl(commands: Any) -> None:
    command = common.command(commands, "rtl", _rtl)
    _add_for(command)
    command.add_argument(
        "--tensor", action="append", default=[], metavar="NAME",
        help="of --for: a table that the decoder must serve (may be repeated; else all)",
    )  # fmt: skip
    common.add_layout(command)
    common.add_decoder_options(command)
    command.add_argument(
        "--name", default="weightless_decoder", help="of the top module; those of its parts begin with it"
    )
    command.add_argument(
        "--axi", action="store_true", help="behind AXI4-Stream and AXI4-Lite, ready for a block design"
    )
    command.add_argument("-o", "--output", type=Path, required=True, help="the .v file to write")
    command.add_argument(
        "--header", type=Path, metavar="FILE", help="also write the registers for a driver in C"
    )
    command.add_argument(
        "--package", action="store_true",
        help="also write beside the Verilog a FuseSoC core and an IP-XACT component: NAME.core, NAME.xml",
    )  # fmt: skip
    command.add_argument(
        "--vectors", action="store_true",
        help="also write beside it a self-checking bench with the tables of --for: NAME_tb.sv, NAME_words.hex, "
        "NAME_beats.hex",
    )  # fmt: skip


def _rtl(options: argparse.Namespace) -> int:
    from weightless_hw import registers
    from weightless_hw.export import packages
    from weightless_hw.export.bench import to_bench
    from weightless_hw.export.verilog import to_verilog
    from weightless_sw.files import write_atomically

    if options.vectors and options.file is None:
        raise ValueError("--vectors are made of the tables of a file: name it with --for")
    config = _rtl_config(options)
    largest = max(families.DEVICES.values(), key=lambda device: device.ram_bits)
    if line := families.misfit(config.table_bits, largest):
        common.remark(line)
    written = {options.output: to_verilog(config, options.name, axi=options.axi)}
    if options.header:
        written[options.header] = registers.c_header()
    folder = options.output.parent
    if options.vectors:
        made = to_bench(config, options.name, *_vectors(options, config), axi=options.axi)
        written |= {folder / file: text for file, text in made.items()}
    if options.package:
        source = packages.Source(config, options.name, options.output.name, options.axi, options.vectors)
        written[folder / f"{options.name}.core"] = packages.fusesoc_core(source)
        written[folder / f"{options.name}.xml"] = packages.ip_xact(source)
    for path, text in written.items():
        write_atomically(path, text.encode())
    others = "".join(f", {path}" for path in written if path != options.output)
    common.console().print(
        f"{options.output}{others}: module {options.name}, fill latency {config.fill_latency} cycles"
    )
    return 0


def _vectors(options: argparse.Namespace, config: Any) -> tuple[list[int], list[int]]:
    """Words and beats of the tables that the decoder serves, in turn; where a table stays, the last one twice, and with
    tiles one of all its weights but the first and the last."""
    from weightless_sim.cosim.golden import beats_of
    from weightless_sim.cosim.scenario import frame
    from weightless_sw import container
    from weightless_sw.records import geometry_of, resident_record, tile_record, to_record
    from weightless_sw.spec.record import Runs

    tables = inputs.tables_of(container.read(options.file), options.file)
    sent = [to_record(table) for name, table in tables.items() if name in (options.tensor or tables)]
    if config.keeps_table():
        sent.append(resident_record(sent[-1]))
    if config.takes_tiles and (length := geometry_of(sent[-1]).n_weights - 2) > 0:
        sent.append(tile_record(sent[-1], Runs(1, length, 1, length)))
    words = [word for record in sent for word in frame(record)]
    return words, beats_of(config, words)


def _rtl_config(options: argparse.Namespace) -> Any:
    """The one decoder that is asked for."""
    if options.tensor and options.file is None:
        raise ValueError("--tensor names a table of the file that --for names")
    if options.file is None:
        return decoders.configure(options.layout or common.LAYOUT, **common.decoder_sizes(options))
    from weightless_sw import container

    tables = inputs.tables_of(container.read(options.file), options.file)
    if unknown := sorted(set(options.tensor) - set(tables)):
        raise ValueError(f"no table {', '.join(unknown)} in {options.file}; it has: {', '.join(tables)}")
    geometries = {
        name: table.geometry for name, table in tables.items() if name in (options.tensor or tables)
    }
    configs = decoders.serve(geometries, **common.typed(options, "layout"), **common.decoder_sizes(options))
    if len(configs) > 1:
        served = "; ".join(
            " ".join(
                f"--tensor {name}" for name, geometry in geometries.items() if not config.misfits(geometry)
            )
            for config in configs
        )
        raise ValueError(f"{options.file} takes {len(configs)} decoders; choose the tables of one: {served}")
    return configs[0]


def _add_fpga(commands: Any) -> None:
    command = common.command(commands, "fpga", _fpga)
    command.add_argument("--device", choices=families.DEVICES, default="ecp5-85k",
                         help="xilinx7 and gowin are synthesised only")  # fmt: skip
    command.add_argument("--seeds", type=int, default=5, help="placements per decoder; 0: synthesis alone")
    command.add_argument(
        "--axi",
        action="store_true",
        help="in the AXI shell of rtl --axi, which is synthesised and not placed",
    )
    command.add_argument("--lanes", type=int, nargs="+", help="lane counts, a decoder each (default: 8)")
    _add_for(command)
    common.add_layout(command)
    common.add_decoder_options(command, "lanes")
    command.add_argument(
        "-o", "--output", type=Path, help="bitstream to write: of the fastest seed, in its shell"
    )
    common.add_json(command)


def _each(lanes: list[int] | None) -> list[dict[str, int]]:
    """A decoder each, or the one of the configuration's own lanes."""
    return [{"lanes": n} for n in lanes] if lanes else [{}]


def _configs(options: argparse.Namespace) -> list[Any]:
    if options.file is None:
        layout, given = options.layout or common.LAYOUT, common.decoder_sizes(options, "lanes")
        return [decoders.configure(layout, **given, **lanes) for lanes in _each(options.lanes)]
    from weightless_sw import container

    tables = inputs.tables_of(container.read(options.file), options.file)
    geometries = {name: tensor.geometry for name, tensor in tables.items()}
    given = common.typed(options, "layout") | common.decoder_sizes(options, "lanes")
    for lanes in options.lanes or ():
        decoders.serve(geometries, lanes=lanes, **given)
    return decoders.serve(geometries, **given)


def _fpga(options: argparse.Namespace) -> int:
    from weightless_sim.fpga import implementation as fpga
    from weightless_sim.model import technology

    console = common.console()
    step, device = common.Steps(), families.DEVICES[options.device]
    if options.seeds < 0:
        raise ValueError(f"--seeds must be at least 0, not {options.seeds}")
    seeds = range(1, options.seeds + 1) if device.place and not options.axi else range(0)
    configs = _configs(options)
    if options.output and (len(configs) > 1 or not seeds):
        raise ValueError("-o needs one decoder, a device that is placed, and a seed")
    for config in configs:
        if line := families.misfit(config.table_bits, device):
            raise ValueError(line)
    results = []
    for config in configs:
        made = fpga.Implementation(config, device, axi=options.axi)
        with step(f"synthesise {config.lanes} lanes for {device.name}"):
            area = made.area()
        fmax: dict[int, float] = {}
        used: dict[str, dict[str, int]] = {}
        for seed in seeds:
            with step(f"place {config.lanes} lanes, seed {seed} of {options.seeds}"):
                fmax[seed], used, _ = made.place(seed)
            if not step.console.is_terminal:
                step.console.print(f"  {fmax[seed]:.1f} MHz")
        digest = technology.digest(made.verilog)
        results.append(fpga.Result(device.name, config.lanes, config.name, area, fmax, digest, used))
        if not options.axi:
            fpga.keep(results[-1])
        if options.output:
            made.write_bitstream(options.output, fmax)
    if options.json:
        common.print_json(results)
        return 0
    console.print(_table(results))
    if options.output:
        console.print(f"{options.output}: {options.output.stat().st_size:,} bytes")
    return 0


def _table(results: list[Any]) -> Any:
    """For people."""
    result = common.table(
        "device", *(f">{name}" for name in ("G", "LUT", "FF", "RAM", "DSP", "MHz", "weights/s"))
    )
    for r in results:
        fmax, rate = "", ""
        if r.fmax_mhz and r.weights_per_second:
            spread = f" ({min(r.fmax.values()):.0f}-{max(r.fmax.values()):.0f})" if len(r.fmax) > 1 else ""
            fmax, rate = f"{r.fmax_mhz:.1f}{spread}", f"{r.weights_per_second / 1e6:,.0f} M"
        area = r.area
        luts = f"{area.luts}+{area.luts_memory}" if area.luts_memory else str(area.luts)
        counts = map(str, (area.flip_flops, area.block_rams, area.multipliers))
        result.add_row(r.device, str(r.lanes), luts, *counts, fmax, rate)
    tools = ", ".join(sorted({r.area.tool for r in results}))
    seeds = max((len(r.fmax) for r in results), default=0)
    placed = f"MHz: placed in a shell, median of {seeds} seeds (and range)" if seeds else "not placed"
    result.caption = f"LUT (+ those used as memory) to DSP: the decoder alone, {tools}. {placed}"
    return result
