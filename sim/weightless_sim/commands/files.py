"""``weightless encode``, ``decode`` and ``info``: weights into ``.wls`` files, and back."""

import argparse
import json
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from weightless_sim.commands import common
from weightless_sw import codec, container, inputs
from weightless_sw.spec.record import ValueFormat
from weightless_sw.tensor import EncodedTensor

FORMATS = {format_.name.lower(): format_ for format_ in ValueFormat}


def add(commands: Any) -> None:
    """The commands of this file."""
    _add_encode(commands)
    _add_decode(commands)
    _add_info(commands)


def _add_encode(commands: Any) -> None:
    command = common.command(
        commands, "encode", _encode, "Store pruned and clustered weights in a .wls file."
    )
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
    common.add_layout_options(command)
    command.add_argument(
        "--live", choices=codec.LIVE, default="off",
        help="auto: leave out rows and columns without a weight, where a map of them is worth it",
    )  # fmt: skip
    command.add_argument(
        "--order",
        choices=codec.ORDERS,
        default="rows",
        help="order of the weights in a table",
    )
    command.add_argument("--value-format", choices=FORMATS, default="fp16", help="codebook entries")
    command.add_argument(
        "--round-values", action="store_true", help="allow values that the format must round"
    )
    common.add_json(command)


def _encode(options: argparse.Namespace) -> int:
    weights = inputs.load_tensors(options.input)
    chosen = options.tensor or [name for name, array in weights.items() if array.ndim >= 2 and array.size]
    if unknown := sorted(set(chosen) - set(weights)):
        raise inputs.InputError(
            f"no tensor {', '.join(unknown)} in {options.input}; it has: {', '.join(weights)}"
        )
    step = common.Steps(Console(stderr=True))
    tensors: dict[str, container.Tensor] = {}
    reports = {}
    for name, array in weights.items():
        if name not in chosen:
            tensors[name] = array
            continue
        with step(f"encode {name}") as progress:
            tensors[name], reports[name] = codec.encode(
                array, layout=options.layout, lanes=options.lanes, slot_bits=options.slot_bits, name=name,
                value_format=FORMATS[options.value_format], round_values=options.round_values,
                live=options.live, order=options.order, progress=progress,
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
    command = common.command(
        commands, "decode", _decode, "Turn a .wls file back into arrays, false positives included."
    )
    command.add_argument("input", type=Path, help=".wls file")
    command.add_argument(
        "-o", "--output", type=Path, required=True, help=".npz or .safetensors file to write"
    )


def _decode(options: argparse.Namespace) -> int:
    tensors = container.read(options.input)
    step = common.Steps(Console(stderr=True))
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
    command = common.command(commands, "info", _info, "Say what a .wls file holds.")
    command.add_argument("input", type=Path, help=".wls file")
    common.add_json(command)


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
            "layout": tensor.geometry.NAME,
            **fields,
            **where,
            "bytes": tensor.record_bytes,
        }
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype), "bytes": tensor.nbytes}
