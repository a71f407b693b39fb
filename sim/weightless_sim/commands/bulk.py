"""``weightless bulk``: large layers through the RTL, in a compiled harness."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_sim.commands import common
from weightless_sim.shown import to_json
from weightless_sw import codec, inputs, layouts
from weightless_sw.files import write_atomically
from weightless_sw.progress import Step
from weightless_sw.tensor import EncodedTensor

SHAPE = "4096x25088"  # of VGG-16's fc6: outputs by inputs


def add(commands: Any) -> None:
    """The command of this file."""
    from weightless_sim.cosim.scenario import stall_patterns

    command = common.command(commands, "bulk", _bulk)
    command.add_argument(
        "file", nargs="?", type=inputs.bundled_file,
        help=".wls file, or lenet300: all its tables, one after another (default: a synthetic layer)",
    )  # fmt: skip
    command.add_argument("--shape", default=SHAPE, help="of the synthetic layer; the default is VGG-16's fc6")
    command.add_argument("--density", type=float, default=0.04, help="share of its weights that are not zero")
    command.add_argument("--codes", type=int, default=15, help="its distinct values")
    common.add_layout(command)
    command.add_argument("--lanes", type=int, help="weights per clock (default: as the table has, or 8)")
    common.add_slot_bits(command)
    command.add_argument("--stall", choices=stall_patterns(), default="none", help="of source or sink")
    command.add_argument("--seed", type=int, default=0, help="of all that is random")
    command.add_argument("-o", "--output", type=Path, help="write the figures there as JSON, too")
    common.add_json(command)


def _bulk(options: argparse.Namespace) -> int:
    from weightless_sim.cosim import bulk
    from weightless_sim.cosim.scenario import stall_patterns
    from weightless_sw.records import to_record

    step = common.Steps()
    tables = _tables(options, step)
    geometries = {name: table.geometry for name, table in tables.items()}
    source, sink = stall_patterns(options.seed)[options.stall]
    rows = []
    for config in decoders.serve(geometries, **common.typed(options, "layout", "lanes")):
        names = [name for name, geometry in geometries.items() if not config.misfits(geometry)]
        with step(f"compile the RTL of {config.name}"):
            bulk.build(config)
        with step(f"golden decoder: {', '.join(names)}"):
            entries = np.concatenate([bulk.entries_of(tables[name]) for name in names])
        with step(f"stream {', '.join(names)} through {config.lanes} lanes") as progress:
            sent = [to_record(tables[name]) for name in names]
            result = bulk.run(config, sent, entries, source=source, sink=sink, progress=progress)
        result.check()
        about = {"decoder": config.name, "tables": names, "stall": options.stall}
        table_words = sum(geometries[name].payload_words for name in names)
        rows.append(
            about | {"table_words": table_words, "on_chip_bits": config.on_chip_bits} | _figures(result)
        )
    if options.output:
        write_atomically(options.output, (to_json(rows) + "\n").encode())
    if options.json:
        common.print_json(rows)
        return 0
    table = common.table("", "", show_header=False)
    for row in rows:
        for what, value in row.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            table.add_row(what.replace("_", " "), f"{shown:,}" if isinstance(shown, int) else str(shown))
        table.add_section()
    common.console().print(table)
    return 0


def _figures(result: Any) -> dict[str, Any]:
    """What was measured; it was checked before."""
    cycles = result.layers[-1].end
    decoding = sum(layer.decode_cycles for layer in result.layers)
    return {
        "weights": result.n_weights,
        "mismatches": result.n_mismatches,
        "cycles": cycles,
        "cycles_by_the_model": result.predicted[-1].end,
        "bubbles": sum(layer.bubbles for layer in result.layers),
        "weights_per_cycle_decoding": round(result.n_weights / decoding, 4),
        "weights_per_cycle_with_loading": round(result.n_weights / cycles, 4),
        "seconds": round(result.seconds, 1),
        "cycles_per_second": round(cycles / result.seconds),
    }


def _tables(options: argparse.Namespace, step: Step) -> dict[str, EncodedTensor]:
    """Those of the file, or one that is made here."""
    from weightless_sw import container

    if options.file is not None:
        return inputs.tables_of(container.read(options.file), options.file)
    layout, slot_bits = options.layout or common.LAYOUT, options.slot_bits or common.SIZE
    own: dict[str, Any] = {}
    if options.lanes and layouts.has_option(layout, "lanes"):
        own["lanes"] = options.lanes
    with step(f"make and encode {options.shape} synthetic weights") as progress:
        weights = _synthetic(options)
        tensor, _ = codec.encode(
            weights, layout=layout, order="rows", live="off", slot_bits=slot_bits, progress=progress, **own
        )
    return {f"synthetic {options.shape}, {options.density:.1%}": tensor}


def _synthetic(options: argparse.Namespace) -> NDArray[np.float32]:
    """Weights of few values at random places."""
    try:
        shape = tuple(map(int, options.shape.split("x")))
    except ValueError as error:
        raise ValueError(f"--shape {options.shape}: write it as {SHAPE}") from error
    n = int(np.prod(shape, dtype=np.int64))
    if not n > 0 or not 0 <= options.density <= 1 or options.codes < 1:
        raise ValueError("--shape and --codes must be above 0, --density between 0 and 1")
    rng = np.random.default_rng(options.seed)
    weights = np.zeros(n, np.float32)
    places = rng.choice(n, round(n * options.density), replace=False, shuffle=False)
    weights[places] = rng.integers(1, options.codes + 1, len(places), np.int32) / 16
    return weights.reshape(shape)
