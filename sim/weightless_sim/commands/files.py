"""``weightless simplify``, ``encode``, ``decode`` and ``info``: weights into ``.wls`` files, and back."""

import argparse
import re
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from weightless_hw import decoders
from weightless_sim.commands import common
from weightless_sim.shown import to_json
from weightless_sw import arrangement, codec, container, inputs, layouts, places, records
from weightless_sw.files import write_atomically
from weightless_sw.metadata import zero_biases
from weightless_sw.simplify import simplify
from weightless_sw.tensor import CodedTensor, EncodedTensor


def add(commands: Any) -> None:
    """The commands of this file."""
    _add_simplify(commands)
    _add_encode(commands)
    _add_decode(commands)
    _add_info(commands)
    _add_frames(commands)


def _add_simplify(commands: Any) -> None:
    command = common.command(commands, "simplify", _simplify)
    command.add_argument("input", help=".npz or .safetensors file")
    command.add_argument(
        "-o", "--output", type=Path, required=True, help=".npz or .safetensors file to write"
    )
    command.add_argument("--density", type=float, default=0.04, help="share of the weights that stay")
    command.add_argument("--codes", type=int, default=4, help="distinct values that they are rounded to")
    command.add_argument(
        "--tensor",
        action="append",
        metavar="NAME[:DENSITY:CODES]",
        help="tensor to simplify (may be repeated; default: all of floating point with two or more rows and columns)",
    )
    command.add_argument(
        "--exclude", action="append", default=[], metavar="NAME", help="tensor to leave as it is"
    )
    common.add_apply_masks(command)
    common.add_json(command)


def _load(options: argparse.Namespace) -> inputs.Arrays:
    """The input's arrays, masks applied or a line for each that is not."""
    weights = inputs.load_tensors(options.input)
    if options.apply_masks:
        places.apply_masks(weights, options.input)
    for line in places.unmasked(weights):
        common.remark(line)
    return weights


def _wanted(options: argparse.Namespace, weights: dict[str, Any]) -> dict[str, tuple[float, int]]:
    """Density and number of codes by tensor."""
    if unknown := sorted(set(options.exclude) - set(weights)):
        raise inputs.InputError(
            f"no tensor {', '.join(unknown)} in {options.input}; it has: {', '.join(weights)}"
        )
    default = options.density, options.codes
    if not options.tensor:
        return {
            name: default
            for name, array in weights.items()
            if array.size and array.ndim >= 2 and array.size not in array.shape  # a vector, whatever its shape
            and name not in options.exclude and not places.no_weights(name, array)
        }  # fmt: skip
    wanted = {}
    for text in options.tensor:
        name, density, codes = text, *default
        if text not in weights and text.count(":") >= 2:
            name, *numbers = text.rsplit(":", 2)
            try:
                density, codes = float(numbers[0]), int(numbers[1])
            except ValueError as error:
                raise inputs.InputError(f"--tensor {text}: {error}; write NAME:0.04:4") from error
        if name not in weights:
            raise inputs.InputError(f"no tensor {name} in {options.input}; it has: {', '.join(weights)}")
        wanted[name] = density, codes
    return wanted


def _simplify(options: argparse.Namespace) -> int:
    weights = _load(options)
    inputs.check_savable(options.output, {name: array.dtype for name, array in weights.items()})
    step = common.Steps()
    reports = {}
    for name, (density, n_codes) in _wanted(options, weights).items():
        if weights[name].dtype != np.float32:
            common.remark(f"{name}: {weights[name].dtype} becomes float32")
        with step(f"simplify {name}"):
            weights[name], reports[name] = simplify(
                weights[name], density=density, n_codes=n_codes, name=name
            )
    _save(options.output, weights, weights.metadata)
    if options.json:
        common.print_json(reports)
        return 0
    table = common.table("tensor", ">weights", ">non-zero", ">density", ">codes", ">relative error")
    for name, r in reports.items():
        table.add_row(name, f"{r.n_weights:,}", f"{r.n_nonzero:,}", f"{r.density:.2%}", str(r.n_codes),
                      f"{r.relative_error:.3f}")  # fmt: skip
    common.console().print(table)
    common.console().print(f"{options.output}: {len(reports)} of {len(weights)} tensors simplified")
    common.console().print("Nothing was retrained: the network's accuracy suffers until it is.")
    return 0


def _save(path: Path, arrays: dict[str, Any], metadata: dict[str, str]) -> None:
    """Arrays and metadata into a file; what it can't hold is said."""
    inputs.save_tensors(path, arrays, metadata)
    if line := inputs.lost_metadata(path, metadata):
        common.remark(line)


def _add_encode(commands: Any) -> None:
    command = common.command(commands, "encode", _encode)
    command.add_argument(
        "input", help=".npz or .safetensors file, or a bundled model: " + ", ".join(inputs.BUNDLED)
    )
    command.add_argument("-o", "--output", type=Path, required=True, help="the .wls file to write")
    common.add_selection(command)
    command.add_argument(
        "--coded",
        action="append",
        default=[],
        metavar="NAME",
        help="tensor to store exactly, entropy-coded (may be repeated; rest: all that are in no table)",
    )
    common.add_encoding(command, layouts.BY_NAME)
    command.add_argument(
        "--lanes", type=int, help="classic: weights per row group and per clock, 1, 2, 4 .. 64 (default: 8)"
    )
    command.add_argument(
        "--chunk-log2",
        type=int,
        metavar="K",
        help="ribbon: log2 of the weights of a chunk, 13 to 22 (default: as it suits)",
    )
    command.add_argument(
        "--dead-groups", type=int, metavar="N",
        help="ribbon: so many groups of 8 zeros in a row become dead, and have no false positive; fewer cost bytes "
        "(default: as it suits)",
    )  # fmt: skip
    command.add_argument(
        "--slot-bits", type=int,
        help="bits per slot (t), 1 to 16; more than log2 of the values (default: 8; bitmask: log2 of the values)",
    )  # fmt: skip
    command.add_argument(
        "--live", choices=arrangement.LIVE, default="auto",
        help="auto: leave out rows and columns without a weight, where a map of them is worth it",
    )  # fmt: skip
    command.add_argument("--value-format", choices=codec.FORMATS, default="fp16", help="codebook entries")
    common.add_exact_values(command)
    common.add_apply_masks(command)
    common.add_json(command)


def _encode(options: argparse.Namespace) -> int:
    weights = _load(options)
    for name, array in weights.items():
        container.check_storable(name, array.shape, array.dtype)
    own = common.typed(options, "lanes", "chunk_log2", "dead_groups")
    codec.check_options(options.layout or codec.AUTO, options.slot_bits, own)
    own |= common.typed(options, "layout", "order")
    chosen = _chosen(options, weights)
    tensors, reports = _encoded(options, weights, chosen, own)
    n_bytes = container.write(options.output, tensors, weights.metadata)
    source = Path(options.input)
    if source.is_file() and n_bytes > source.stat().st_size:
        before = f"{source.stat().st_size:,} bytes"
        common.remark(
            f"{options.output} is larger than {source}, {n_bytes:,} bytes of {before}: nothing is saved"
        )
    others = {name: tensor for name, tensor in tensors.items() if name not in reports}
    if options.json:
        notes = {name: place.reason for name, place in chosen.items() if place.reason}
        shown = {name: _describe(tensor) for name, tensor in others.items()}
        common.print_json(
            {
                "file": str(options.output),
                "bytes": n_bytes,
                "notes": notes,
                "tensors": reports,
                "others": shown,
            }
        )
        return 0
    _print_encoded(reports, others)
    _print_live_choices(reports, options.live)
    common.console().print(f"{options.output}: {n_bytes:,} bytes")
    return 0


def _chosen(options: argparse.Namespace, weights: inputs.Arrays) -> dict[str, places.Place]:
    """Where each tensor goes; what a user would not expect of that is said."""
    value_format, round_values = codec.FORMATS[options.value_format], not options.exact_values
    chosen = places.choose(
        weights, options.input, tensor=options.tensor, exclude=options.exclude, coded=options.coded,
        layout=options.layout or codec.AUTO, slot_bits=options.slot_bits, value_format=value_format,
        round_values=round_values,
    )  # fmt: skip
    for name, place in chosen.items():
        if place.reason:
            common.remark(f"raw: {place.reason}")
        elif place.kind != "raw" and round_values:
            for line in places.changes(name, weights[name], value_format):
                common.remark(line)
    return chosen


def _encoded(
    options: argparse.Namespace, weights: inputs.Arrays, chosen: dict[str, places.Place], own: dict[str, Any]
) -> tuple[dict[str, container.Tensor], dict[str, codec.EncodeReport]]:
    """The file's tensors, and reports of those in tables; ``own`` are layout, order and options of a layout."""
    step = common.Steps()
    tensors: dict[str, container.Tensor] = {}
    reports = {}
    how: dict[str, Any] = {
        "value_format": codec.FORMATS[options.value_format],
        "round_values": not options.exact_values,
        "live": options.live,
    }
    for name, array in weights.items():
        if chosen[name].kind == "raw":
            tensors[name] = array
            continue
        with step(f"encode {name}") as progress:
            if chosen[name].kind == "table":
                tensors[name], reports[name] = codec.encode(
                    array, slot_bits=options.slot_bits, name=name, progress=progress, **how, **own
                )
            else:
                tensors[name] = codec.encode_coded(array, name=name, **how)
    return tensors, reports


def _print_encoded(reports: dict[str, codec.EncodeReport], others: dict[str, container.Tensor]) -> None:
    """A line per tensor."""
    table = common.table(
        "tensor",
        "layout",
        ">weights",
        ">non-zero",
        ">slots per key",
        ">seed",
        ">false positives",
        ">bit/weight",
        ">bytes",
    )
    for name, r in reports.items():
        table.add_row(name, r.layout, f"{r.n_weights:,}", f"{r.n_nonzero:,}", f"{r.slots_per_key:.4f}", str(r.seed),
                      f"{r.false_positive_rate:.3%}", f"{r.bits_per_weight:.4f}", f"{r.bytes:,}")  # fmt: skip
    for name, tensor in others.items():
        n_weights, n_bytes = prod(tensor.shape), container.stored_bytes(tensor)
        stored = "coded" if isinstance(tensor, CodedTensor) else "raw"
        table.add_row(name, stored, f"{n_weights:,}", "", "", "", "0", f"{8 * n_bytes / max(1, n_weights):.4f}",
                      f"{n_bytes:,}")  # fmt: skip
    common.console().print(table)


def _print_live_choices(reports: dict[str, codec.EncodeReport], chosen: str) -> None:
    """What leaving out dead rows and columns comes to, chosen or not."""
    table = common.table("tensor", "live", ">weights in the table", ">map bytes", ">false positives expected")
    for name, r in reports.items():
        for live, choice in r.live_choices.items():
            mark = " (chosen)" if live == chosen else ""
            table.add_row(name, live + mark, f"{choice['n_stored']:,}", f"{choice['map_bytes']:,}",
                          f"{choice['expected_false_positives']:,.0f}")  # fmt: skip
    common.console().print(table)


def _add_decode(commands: Any) -> None:
    command = common.command(commands, "decode", _decode)
    command.add_argument("input", type=inputs.bundled_file, help=".wls file, or lenet300, the bundled one")
    command.add_argument(
        "-o", "--output", type=Path, required=True, help=".npz or .safetensors file to write"
    )


def _decode(options: argparse.Namespace) -> int:
    tensors = container.read(options.input)
    dtypes = {name: getattr(tensor, "dtype", np.dtype(np.float32)) for name, tensor in tensors.items()}
    inputs.check_savable(options.output, dtypes)
    step = common.Steps()
    arrays = {}
    for name, tensor in tensors.items():
        with step(f"decode {name}"):
            arrays[name] = _decoded(name, tensor)
    if options.output.suffix != ".safetensors":  # which has the metadata, and so all names of tied weights
        names = {name: first for name, first in tensors.metadata.items() if first in arrays}
        arrays |= {name: arrays[first] for name, first in names.items() if name not in arrays}
    for bias, weight in zero_biases(list(arrays), tensors.metadata).items():
        arrays[bias] = np.zeros(arrays[weight].shape[:1], np.float32)
    _save(options.output, arrays, tensors.metadata)
    common.console().print(f"{options.output}: {len(arrays)} tensors")
    return 0


def _decoded(name: str, tensor: container.Tensor) -> Any:
    try:
        return codec.decode(tensor)
    except container.FormatError as error:
        raise container.FormatError(f"{name!r}: {error}") from error
    except MemoryError as error:
        n_bytes = 4 * prod(tensor.shape)
        raise OSError(
            f"{name}: not enough memory; decoded, shape {tensor.shape} takes {n_bytes:,} bytes"
        ) from error


def _add_info(commands: Any) -> None:
    command = common.command(commands, "info", _info)
    command.add_argument("input", type=inputs.bundled_file, help=".wls file, or lenet300, the bundled one")
    common.add_json(command)


def _info(options: argparse.Namespace) -> int:
    tensors = container.read(options.input)
    rows = {name: _describe(tensor) for name, tensor in tensors.items()}
    if options.json:
        result = {"bytes": tensors.n_bytes, "metadata": tensors.metadata, "tensors": rows}
        common.print_json(result)
        return 0
    table = common.table("tensor", ">shape", "stored as", ">bytes")
    for key, text in tensors.metadata.items():
        common.console().print(f"{key}: {text}")
    for name, tensor in tensors.items():
        row = rows[name].items()
        detail = ", ".join(f"{k} {v}" for k, v in row if k not in ("shape", "bytes", "n_weights"))
        shape, n_bytes = "x".join(map(str, tensor.shape)), container.stored_bytes(tensor)
        table.add_row(name, shape, detail, f"{n_bytes:,}")
    common.console().print(table)
    return 0


def _describe(tensor: container.Tensor) -> dict[str, Any]:
    if isinstance(tensor, EncodedTensor):
        fields = tensor.geometry.as_dict()
        a = tensor.arrangement
        where = {
            "order": a.order,
            "live_block": "x".join(map(str, a.block_shape)),
            "map_bytes": str(arrangement.map_bytes(a)),
        }
        return {
            "shape": list(tensor.shape),
            "layout": tensor.geometry.NAME,
            **fields,
            **where,
            "bytes": container.stored_bytes(tensor),
        }
    if isinstance(tensor, CodedTensor):
        return {
            "shape": list(tensor.shape),
            "layout": "coded",
            "n_weights": tensor.arrangement.n_weights,
            "n_codes": len(tensor.codebook),
            "value_format": tensor.value_format.name,
            "live_block": "x".join(map(str, tensor.arrangement.block_shape)),
            "map_bytes": str(arrangement.map_bytes(tensor.arrangement)),
            "bytes": container.stored_bytes(tensor),
        }
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype), "bytes": tensor.nbytes}


def _add_frames(commands: Any) -> None:
    command = common.command(commands, "frames", _frames)
    command.add_argument("input", type=inputs.bundled_file, help=".wls file, or lenet300, the bundled one")
    command.add_argument(
        "-o", "--folder", type=Path, required=True, help="where to write; made if it is not there"
    )
    command.add_argument(
        "--tensor",
        action="append",
        default=[],
        metavar="NAME",
        help="table to write (may be repeated; else all)",
    )
    common.add_json(command)


def _frames(options: argparse.Namespace) -> int:
    tables = inputs.tables_of(container.read(options.input), options.input)
    if unknown := sorted(set(options.tensor) - set(tables)):
        raise inputs.InputError(
            f"no table {', '.join(unknown)} in {options.input}; it has: {', '.join(tables)}"
        )
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    table = common.table("table", "frame", ">bytes", "live block", ">weights that come", ">beats")
    for number, (name, tensor) in enumerate(tables.items()):
        if options.tensor and name not in options.tensor:
            continue
        stem = f"{number:03}-{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:80]}"
        files = {"frame": f"{stem}.bin"}
        if decoders.keeps_table(tensor.geometry.NAME):
            files |= {"resident": f"{stem}.resident.bin"}
        for kind, file in files.items():
            write_atomically(options.folder / file, records.to_frame(tensor, resident=kind == "resident"))
        n_beats = _n_beats(tensor)
        rows.append({"name": name, **files, **_for_a_driver(tensor, n_beats)})
        block = "x".join(map(str, tensor.arrangement.block_shape))
        table.add_row(name, f"{stem}.bin", f"{tensor.record_bytes + 4:,}", block, f"{tensor.geometry.n_weights:,}",
                      "" if n_beats is None else f"{n_beats:,}")  # fmt: skip
    index = options.folder / "frames.json"
    write_atomically(index, (to_json(rows) + "\n").encode())
    if options.json:
        common.print_json(rows)
        return 0
    common.console().print(table)
    common.console().print(f"{index}: what comes out, where it belongs, and what its values stand for")
    return 0


def _n_beats(tensor: EncodedTensor) -> int | None:
    """Beats of the layer; None where the record does not say how many weights one has."""
    lanes = getattr(tensor.geometry, "lanes", None)
    return -(-tensor.geometry.n_weights // lanes) if lanes else None


def _for_a_driver(tensor: EncodedTensor, n_beats: int | None) -> dict[str, Any]:
    """What comes of a frame: the live block's weights in record order; where they belong; what a value stands for."""
    a, g = tensor.arrangement, tensor.geometry
    return {
        "frame_bytes": tensor.record_bytes + 4,
        "shape": list(tensor.shape),
        "n_weights": g.n_weights,
        "block_shape": list(a.block_shape),
        "by_columns": a.by_columns,
        "live_rows": None if a.live_rows is None else a.live_rows.tolist(),
        "live_columns": None if a.live_columns is None else a.live_columns.tolist(),
        "value_format": g.value_format.name,
        "scale": g.scale,
        "n_beats": n_beats,
        "layout": g.NAME,
    }
