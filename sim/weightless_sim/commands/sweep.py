"""``weightless sweep``: the design space of a model's tables."""

import argparse
import os
import shlex
from pathlib import Path
from typing import Any

from weightless_hw import decoders
from weightless_sim.commands import common
from weightless_sw import inputs
from weightless_sw.files import write_atomically

SHOWN = 30  # rows of the table in the terminal


def add(commands: Any) -> None:
    """The command of this file."""
    command = common.command(commands, "sweep", _sweep)
    command.add_argument(
        "model", help=".npz or .safetensors file, or a bundled one: " + ", ".join(inputs.BUNDLED)
    )
    common.add_selection(command)
    add = command.add_argument
    add(
        "--layout",
        nargs="+",
        choices=decoders.BY_NAME,
        default=list(decoders.BY_NAME),
        help="how tables are laid out",
    )
    add("--lanes", nargs="+", type=int, default=[8], metavar="G", help="weights per clock")
    add(
        "--slot-bits",
        nargs="+",
        type=int,
        default=[8],
        metavar="t",
        help="bits per slot; exact layouts take their least",
    )
    add("--density", nargs="+", type=float, default=[None], metavar="p",
        help="share of each layer that is kept, pruned by magnitude (default: as it is)")  # fmt: skip
    add(
        "--codes",
        nargs="+",
        type=int,
        default=[None],
        metavar="K",
        help="values that are shared (default: as they are)",
    )
    add(
        "--chunk-log2",
        nargs="+",
        type=int,
        default=[None],
        metavar="k",
        help="weights of a ribbon's chunk, as a power of 2",
    )
    add(
        "--measure",
        nargs="+",
        choices=("fpga", "asic"),
        default=[],
        help="run these flows, where else the grid tells",
    )
    add("--device", default="ecp5-85k", help="of --measure fpga")
    add("--seeds", type=int, default=1, help="placements of --measure fpga")
    add("--liberty", nargs="+", type=Path, default=[], metavar="FILE", help="of --measure asic")
    add("--library", default="", help="of the grid, whose area and energy are given (default: its first one)")
    add("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes of this machine")
    add(
        "--scheduler",
        default="",
        metavar="tcp://HOST:PORT",
        help="a Dask scheduler, whose workers take the points",
    )
    add("-o", "--output", dest="folder", type=Path, default=Path("build/sweep"), metavar="FOLDER",
        help="for the table, its pictures, and the points that were found")  # fmt: skip
    common.add_json(command)


def _sweep(options: argparse.Namespace) -> int:
    from weightless_sim.report import plots
    from weightless_sim.sweep import points, run, show

    arrays = _arrays(options)
    asked = points.points(
        options.layout, options.lanes, options.slot_bits, options.density, options.codes, options.chunk_log2
    )
    with common.Steps()(f"{len(asked)} points") as progress:
        rows = run.sweep(
            arrays, asked, _measure(options), options.folder / "points", progress, jobs=options.jobs,
            scheduler=options.scheduler,
        )  # fmt: skip
    written = {
        "sweep.csv": show.to_csv(rows),
        "pareto.csv": show.to_csv(rows, only_fronts=True),
        "sweep.html": show.page(rows, options.model, _command(options)),
    }
    for name, text in written.items():
        write_atomically(options.folder / name, text.encode())
    with plots.plain_text():
        plots.save(show.picture(rows, options.model), options.folder / "sweep.png")
    if options.json:
        common.print_json(rows)
    else:
        common.console().print(_table(rows))
        names = ", ".join([*written, "sweep.png"])
        common.console().print(f"{options.folder}: {names}")
    lost = [row for row in rows if row.error == run.LOST]
    for row in lost:
        common.remark(f"{show.said(row)}: {row.error}")
    return 1 if lost else 0


def _arrays(options: argparse.Namespace) -> dict[str, Any]:
    """The layers of the model that go into tables."""
    from weightless_sw import places

    arrays = inputs.load_tensors(options.model)
    pruned = any(value is not None for value in (*options.density, *options.codes))
    chosen = [
        name
        for name, array in arrays.items()
        if array.ndim > 1 and array.dtype.kind == "f" and name not in options.exclude
        and (not options.tensor or name in options.tensor)
    ]  # fmt: skip
    if unknown := sorted({*options.tensor, *options.exclude} - set(arrays)):
        raise inputs.InputError(
            f"no tensor {', '.join(unknown)} in {options.model}; it has: {', '.join(arrays)}"
        )
    if not pruned:
        kept = places.choose(
            arrays, options.model, tensor=options.tensor, exclude=options.exclude, round_values=True
        )
        chosen = [name for name, place in kept.items() if place.kind == "table"]
    if not chosen:
        raise inputs.InputError(f"{options.model}: no tensor of two or more dimensions to put in a table")
    return {name: arrays[name] for name in chosen}


def _measure(options: argparse.Namespace) -> Any:
    from weightless_sim.fpga import families
    from weightless_sim.model import grid
    from weightless_sim.sweep.points import Measure

    if options.library and options.library not in grid.libraries():
        raise ValueError(f"--library {options.library}: the grid has {', '.join(grid.libraries())}")
    if options.device not in families.DEVICES:
        raise ValueError(f"--device {options.device}: there are {', '.join(families.DEVICES)}")
    if ("asic" in options.measure) != bool(options.liberty):
        raise ValueError("--measure asic goes with --liberty FILE, and that with it")
    if options.jobs < 1 or options.seeds < 0:
        raise ValueError("--jobs must be at least 1, --seeds at least 0")
    return Measure(
        library=options.library, fpga=options.device if "fpga" in options.measure else "", seeds=options.seeds,
        liberty=tuple(str(path.absolute()) for path in options.liberty),
    )  # fmt: skip


def _command(options: argparse.Namespace) -> str:
    """That asks for these points."""
    words = ["weightless", "sweep", options.model]
    for name in ("tensor", "exclude"):
        words += [word for value in getattr(options, name) for word in (f"--{name}", value)]
    for name in ("layout", "lanes", "slot_bits", "density", "codes", "chunk_log2", "measure"):
        values = [str(value) for value in getattr(options, name) if value is not None]
        words += [f"--{name.replace('_', '-')}", *values] if values else []
    return shlex.join(words)


def _table(rows: list[Any]) -> Any:
    """The rows on a front, or with an error: all are in the files."""
    from weightless_sim.sweep import show

    on = show.on(rows)
    numbers = ("G", "t", "density", "K", "chunk", "bytes", "false positives", "cycles", "MHz", "LUT4", "nJ")
    found = common.table("layout", *(f">{name}" for name in numbers), "fronts")
    picked = [(row, names) for row, names in zip(rows, on, strict=True) if row.error or names]
    for row, names in picked[:SHOWN]:
        chosen = (row.slot_bits, row.density, row.n_codes, row.chunk_log2)
        figures = (row.bytes, row.n_false_positives, row.cycles, row.mhz, row.luts, row.energy_nj)
        found.add_row(
            row.layout, str(row.lanes), *("" if value is None else f"{value:g}" for value in chosen),
            *("" if value is None else f"{value:,.0f}" for value in figures), row.error or names,
        )  # fmt: skip
    return found
