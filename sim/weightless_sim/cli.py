"""The command ``weightless``: one sub-command per job; errors are one line and exit code 2.

Exit codes: 0 done; 1 a check failed (mismatch, simulation failure); 2 the input or the call is wrong.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from weightless_sw import codec, container, inputs
from weightless_sw.files import write_atomically
from weightless_sw.spec.record import ValueFormat
from weightless_sw.tensor import EncodedTensor

EXIT_FAILED, EXIT_USAGE = 1, 2
FORMATS = {format_.name.lower(): format_ for format_ in ValueFormat}


class Steps:
    """Progress bars, one per step; on a pipe, a line per step as it ends."""

    def __init__(self, console: Console):
        self.console = console

    @contextmanager
    def __call__(self, title: str) -> Iterator[Callable[[float, float], None]]:
        columns = (TextColumn("{task.description:<44}"), BarColumn(bar_width=30), TimeElapsedColumn())
        if not self.console.is_terminal:
            self.console.print(title)
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(title, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)
            progress.update(task, completed=1, total=1)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except (ValueError, OSError) as error:  # the project's input errors are ValueErrors with a full message
        print(f"weightless: {error}", file=sys.stderr)
        return EXIT_USAGE
    except RuntimeError as error:  # simulation and synthesis
        print(f"weightless: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("weightless: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="weightless",
        description="Neural-network weights in a table that hardware decodes at a constant rate.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_encode, _add_decode, _add_info, _add_rtl, _add_sim, _add_area):
        add(commands)
    return parser


def _command(commands: Any, name: str, run: Callable[[Any], int], text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _add_slot_bits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--slot-bits", type=int, default=8, help="bits per slot (t), 1 to 16; more than log2 of the values"
    )


def _add_layout_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--lanes", type=int, default=8, help="weights per row group and per clock: 1, 2, 4 .. 64"
    )
    _add_slot_bits(command)


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_encode(commands: Any) -> None:
    command = _command(commands, "encode", _encode, "Store pruned and clustered weights in a .wls file.")
    command.add_argument(
        "input", help=".npz or .safetensors file, or a bundled model: " + ", ".join(inputs.BUNDLED)
    )
    command.add_argument("-o", "--output", type=Path, required=True, help="the .wls file to write")
    command.add_argument(
        "--tensor",
        action="append",
        metavar="NAME",
        help="tensor to put in a table (may be repeated; default: all of two or more dimensions)",
    )
    _add_layout_options(command)
    command.add_argument(
        "--live", choices=codec.LIVE, default="off",
        help="auto: leave out rows and columns without a weight, where a map of them is worth it (default: off)",
    )  # fmt: skip
    command.add_argument(
        "--order",
        choices=codec.ORDERS,
        default="rows",
        help="order of the weights in a table (default: rows)",
    )
    command.add_argument("--value-format", choices=FORMATS, default="fp16", help="codebook entries")
    command.add_argument(
        "--round-values", action="store_true", help="allow values that the format must round"
    )
    _add_json(command)


def _encode(options: argparse.Namespace) -> int:
    weights = inputs.load_tensors(options.input)
    chosen = options.tensor or [name for name, array in weights.items() if array.ndim >= 2 and array.size]
    if unknown := sorted(set(chosen) - set(weights)):
        raise inputs.InputError(
            f"no tensor {', '.join(unknown)} in {options.input}; it has: {', '.join(weights)}"
        )
    step = Steps(Console(stderr=True))
    tensors: dict[str, container.Tensor] = {}
    reports = {}
    for name, array in weights.items():
        if name not in chosen:
            tensors[name] = array
            continue
        with step(f"encode {name}"):
            tensors[name], reports[name] = codec.encode(
                array, lanes=options.lanes, slot_bits=options.slot_bits, name=name,
                value_format=FORMATS[options.value_format], round_values=options.round_values,
                live=options.live, order=options.order,
            )  # fmt: skip
    n_bytes = container.write(options.output, tensors)
    if options.json:
        result = {"file": str(options.output), "bytes": n_bytes}
        print(json.dumps(result | {"tensors": {name: r.as_dict() for name, r in reports.items()}}, indent=1))
        return 0
    table = Table(
        "tensor", "weights", "non-zero", "slots per key", "seed", "false positives", "bit/weight", "bytes"
    )
    for name, r in reports.items():
        table.add_row(name, f"{r.n_weights:,}", f"{r.n_nonzero:,}", f"{r.slots_per_key:.4f}", str(r.seed),
                      f"{r.false_positive_rate:.3%}", f"{r.bits_per_weight:.4f}", f"{r.record_bytes:,}")  # fmt: skip
    Console().print(table)
    _print_live_choices(reports, options.live)
    print(f"{options.output}: {n_bytes:,} bytes")
    return 0


def _print_live_choices(reports: dict[str, codec.EncodeReport], chosen: str) -> None:
    """What leaving out dead rows and columns comes to, chosen or not."""
    table = Table("tensor", "live", "weights in the table", "map bytes", "false positives expected")
    for name, r in reports.items():
        for live, choice in r.live_choices.items():
            mark = " (chosen)" if live == chosen else ""
            table.add_row(name, live + mark, f"{choice['n_stored']:,}", f"{choice['map_bytes']:,}",
                          f"{choice['expected_false_positives']:,.0f}")  # fmt: skip
    Console().print(table)


def _add_decode(commands: Any) -> None:
    command = _command(
        commands, "decode", _decode, "Turn a .wls file back into arrays, false positives included."
    )
    command.add_argument("input", type=Path, help=".wls file")
    command.add_argument(
        "-o", "--output", type=Path, required=True, help=".npz or .safetensors file to write"
    )


def _decode(options: argparse.Namespace) -> int:
    tensors = container.read(options.input)
    step = Steps(Console(stderr=True))
    arrays = {}
    for name, tensor in tensors.items():
        with step(f"decode {name}"):
            arrays[name] = _decoded(name, tensor)
    inputs.save_tensors(options.output, arrays)
    print(f"{options.output}: {len(arrays)} tensors")
    return 0


def _decoded(name: str, tensor: container.Tensor) -> Any:
    if not isinstance(tensor, EncodedTensor):
        return tensor
    try:
        return codec.decode(tensor)
    except MemoryError as error:
        n_bytes = 4 * prod(tensor.shape)
        raise OSError(
            f"{name}: not enough memory; decoded, shape {tensor.shape} takes {n_bytes:,} bytes"
        ) from error


def _add_info(commands: Any) -> None:
    command = _command(commands, "info", _info, "Say what a .wls file holds.")
    command.add_argument("input", type=Path, help=".wls file")
    _add_json(command)


def _info(options: argparse.Namespace) -> int:
    tensors = container.read(options.input)
    rows = {name: _describe(tensor) for name, tensor in tensors.items()}
    if options.json:
        result = {"bytes": options.input.stat().st_size, "metadata": tensors.metadata, "tensors": rows}
        print(json.dumps(result, indent=1))
        return 0
    table = Table("tensor", "shape", "stored as", "bytes")
    for key, text in tensors.metadata.items():
        print(f"{key}: {text}")
    for name, row in rows.items():
        detail = ", ".join(f"{k} {v}" for k, v in row.items() if k not in ("shape", "bytes", "n_weights"))
        table.add_row(name, "x".join(map(str, row["shape"])), detail, f"{row['bytes']:,}")
    Console().print(table)
    return 0


def _describe(tensor: container.Tensor) -> dict[str, Any]:
    if isinstance(tensor, EncodedTensor):
        fields = tensor.geometry.as_dict()
        a = tensor.arrangement
        where = {
            "order": "columns" if a.by_columns else "rows",
            "live_block": "x".join(map(str, a.block_shape)),
        }
        where["map_bytes"] = str(container.map_bytes(a))
        return {
            "shape": list(tensor.shape),
            "layout": "classic",
            **fields,
            **where,
            "bytes": tensor.record_bytes,
        }
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype), "bytes": tensor.nbytes}


def _add_decoder_sizes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--max-bank-rows", type=int, default=1024, help="rows of each of the three banks")
    command.add_argument("--max-codes", type=int, default=16, help="codebook entries")
    command.add_argument("--value-bits", type=int, default=16, help="width of a decoded weight: 8 or 16")


def _add_rtl(commands: Any) -> None:
    command = _command(commands, "rtl", _rtl, "Write a decoder's Verilog.")
    _add_layout_options(command)
    _add_decoder_sizes(command)
    command.add_argument("-o", "--output", type=Path, required=True, help="the .v file to write")


def _decoder_config(options: argparse.Namespace, lanes: int) -> Any:
    from weightless_hw.config import DecoderConfig

    return DecoderConfig(
        lanes=lanes, slot_bits=options.slot_bits, max_bank_rows=options.max_bank_rows,
        max_codes=options.max_codes, value_bits=options.value_bits,
    )  # fmt: skip


def _rtl(options: argparse.Namespace) -> int:
    from weightless_hw.verilog import TOP, to_verilog

    config = _decoder_config(options, options.lanes)
    write_atomically(options.output, to_verilog(config).encode())
    print(f"{options.output}: module {TOP}, fill latency {config.fill_latency} cycles")
    return 0


def _add_sim(commands: Any) -> None:
    command = _command(
        commands, "sim", _sim, "Encode a model, simulate its decoding, compare, and write a report."
    )
    command.add_argument(
        "model", nargs="?", default="lenet300", help="bundled model, .npz or .safetensors file"
    )
    _add_layout_options(command)
    command.add_argument("--simulator", choices=("verilator", "icarus"), default="verilator")
    command.add_argument("--round-values", action="store_true", help="allow values that fp16 must round")
    command.add_argument(
        "--build",
        type=Path,
        default=Path("build"),
        help="folder for the file, the Verilog and the report (simulators are built in build/sim)",
    )
    _add_json(command)


def _sim(options: argparse.Namespace) -> int:
    from weightless_sim import report, study

    console = Console(stderr=options.json)
    asked = study.Options(
        model=options.model,
        lanes=options.lanes,
        slot_bits=options.slot_bits,
        simulator=options.simulator,
        round_values=options.round_values,
        build=options.build,
    )
    result = study.run(asked, Steps(console))
    paths = report.write(result, options.build / "report")
    if options.json:
        print(json.dumps(result, indent=1))
        return 0
    table = Table(show_header=False, title="Weightless", title_justify="left")
    for what, figure in report.summary(result):
        table.add_row(what, figure)
    console.print(table)
    console.print(
        f"Report: {paths[0]}; plots: {', '.join(p.name for p in paths if p.suffix == '.png')} beside it."
    )
    return 0


def _add_area(commands: Any) -> None:
    command = _command(
        commands, "area", _area, "Synthesise decoders for ECP5 with yosys and count LUTs, FFs and RAMs."
    )
    command.add_argument("--lanes", type=int, nargs="+", default=[1, 8], help="lane counts (default: 1 8)")
    _add_slot_bits(command)
    _add_decoder_sizes(command)
    _add_json(command)


def _area(options: argparse.Namespace) -> int:
    from weightless_sim import area

    console = Console(stderr=options.json)
    step = Steps(console)
    results = []
    for lanes in options.lanes:
        with step(f"synthesise {lanes} lanes for ECP5"):
            results.append(area.synthesise(_decoder_config(options, lanes), area.FAMILIES["ecp5"]))
    if options.json:
        print(json.dumps([vars(result) for result in results], indent=1))
        return 0
    console.print(area.table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
