"""``weightless compress``, ``evaluate`` and ``demo``: the project's own networks, trained, encoded, retrained."""

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from weightless_sim.commands import common
from weightless_sim.folders import HERE
from weightless_sim.shown import in_picture
from weightless_sw import inputs, layouts
from weightless_sw.provenance import install_line

NETWORKS = ("lenet300", "lenet5", "digits")  # those with a recipe


def add(commands: Any) -> None:
    """The commands of this file."""
    _add_compress(commands)
    _add_evaluate(commands)
    _add_demo(commands)


def add_data(command: argparse.ArgumentParser) -> None:
    """Where MNIST is."""
    command.add_argument(
        "--data", type=Path, help="folder with the four MNIST files; else they are downloaded once"
    )


def _add_compress(commands: Any) -> None:
    command = common.command(commands, "compress", _compress)
    command.add_argument("network", choices=NETWORKS, help="digits needs no download and under a minute")
    command.add_argument("-o", "--output", type=Path, required=True, help="the .wls file to write")
    command.add_argument(
        "--simplified",
        type=Path,
        metavar="FILE",
        help="also write the weights that went into the tables, with the rest as the file has it (.npz, .safetensors)",
    )
    command.add_argument("--seed", type=int, default=1, help="of all that is random")
    command.add_argument(
        "--auto",
        action="store_true",
        help="choose slot bits and number of values: the smallest within the limit",
    )
    command.add_argument(
        "--limit",
        type=float,
        default=0.5,
        help="validation error in %% that --auto may add to the dense network's",
    )
    common.add_encoding(command, layouts.TABLES)
    command.add_argument(
        "--hardware", action="store_true",
        help="store layers that are in no table as bitmasks, which a decoder reads, not in coded records",
    )  # fmt: skip
    add_data(command)
    common.add_json(command)


def need_torch(name: str) -> Any:
    """The module ``name`` of the training.  Raises ValueError where torch is missing."""
    try:
        return import_module(f"weightless_sw.training.{name}")
    except ImportError as error:
        if error.name != "torch":
            raise
        raise ValueError(f"training needs torch: {install_line('train')}") from error


def _compress(options: argparse.Namespace) -> int:
    from weightless_sw import codec, container

    jobs, console = need_torch("jobs"), common.console()
    job = jobs.run(
        options.network, options.seed, options.data, common.Steps(), HERE.train,
        auto=options.auto, error_limit=options.limit / 100, **common.typed(options, "layout", "order"),
    )  # fmt: skip
    result = job.result
    tensors, smaller = result.tensors, len(container.to_bytes(result.tensors, job.metadata))
    if options.hardware:
        tensors = need_torch("stored").for_hardware(tensors)
    n_bytes = container.write(options.output, tensors, job.metadata)
    if options.simplified:
        arrays = {name: codec.decode(tensor) for name, tensor in tensors.items()}
        arrays |= {f"{name}.weight": array for name, array in result.simplified.items()}
        inputs.save_tensors(options.simplified, arrays)
    rows = [(m.step, m.loss, m.error) for m in result.history]
    if options.json:
        validation = [{"step": step, "loss": loss, "error": error} for step, loss, error in rows]
        printed = {"file": str(options.output), "bytes": n_bytes, "metadata": job.metadata}
        printed |= {"bytes_with_coded_records": smaller}
        found = {"validation": validation, "candidates": result.candidates, "tables": result.tables}
        common.print_json(printed | found)
        return 0
    if result.candidates:
        _print_candidates(console, result, result.history[0].error + options.limit / 100)
    table = common.table("step", ">validation loss", ">validation error")
    for step, loss, error in rows:
        table.add_row(step, f"{loss:.4f}", f"{error:.2%}")
    console.print(table)
    errors = ", ".join(f"{at} {n / job.n_test:.2%}" for at, n in job.wrong.items())
    console.print(f"test error ({job.n_test:,} images): {errors}")
    ratio = job.dense_bytes / n_bytes
    beside = f"; {smaller:,} with coded records" if options.hardware else ""
    console.print(f"{options.output}: {n_bytes:,} bytes of {job.dense_bytes:,} ({ratio:.1f}x{beside})")
    return 0


def _print_candidates(console: Any, result: Any, limit: float) -> None:
    """What ``--auto`` tried, and took."""
    table = common.table("layer", ">t", ">K", ">bytes", ">validation error", "")
    for c in result.candidates:
        taken = "taken" if result.tables[c.layer] == (c.slot_bits, c.n_codes) else ""
        if taken and c.error > limit:
            taken = f"taken: none is within {limit:.2%}"
        table.add_row(c.layer, str(c.slot_bits), str(c.n_codes), f"{c.n_bytes:,}", f"{c.error:.2%}", taken)
    console.print(table)


def _add_evaluate(commands: Any) -> None:
    command = common.command(commands, "evaluate", _evaluate)
    command.add_argument("input", type=inputs.bundled_file, help=".wls file, or lenet300, the bundled one")
    command.add_argument("--network", help="lenet300, lenet5 or digits, where the file does not say")
    add_data(command)
    common.add_json(command)


def _evaluate(options: argparse.Namespace) -> int:
    name, n_wrong, n, zeros = need_torch("jobs").evaluate(options.input, options.network, options.data)
    if options.json:
        found = {"network": name, "wrong": n_wrong, "test_images": n, "error": n_wrong / n}
        common.print_json(found | {"zero_biases": zeros})
        return 0
    common.console().print(
        f"{options.input}: {name}, {n_wrong} of {n:,} test images wrong ({n_wrong / n:.2%})"
        + f"; not in the file, so zero: {', '.join(zeros)}" * bool(zeros)
    )
    return 0


def _add_demo(commands: Any) -> None:
    command = common.command(commands, "demo", _demo)
    command.add_argument("--seed", type=int, default=1, help="of all that is random")
    command.add_argument("--build", type=Path, default=Path("build"), help="folder for the file and the plot")
    common.add_json(command)


def _demo(options: argparse.Namespace) -> int:
    from weightless_sw import container

    jobs, console = need_torch("jobs"), common.console()
    job = jobs.run("digits", options.seed, None, common.Steps(), HERE.train)
    (layer,) = job.result.reports
    rows = jobs.steps(job, layer)
    options.build.mkdir(parents=True, exist_ok=True)
    path, picture = options.build / "demo.wls", options.build / "demo.png"
    container.write(path, job.result.tensors, job.metadata)
    _draw(jobs.storages(job, layer), layer, picture)
    if options.json:
        common.print_json({"steps": rows, "file": str(path), "plot": str(picture)})
        return 0
    table = common.table("step", ">test error", f">{layer} alone, bytes", ">whole network, bytes", "")
    for row in rows:
        table.add_row(row.step, f"{row.error:.2%}", f"{row.layer_bytes:,}", f"{row.bytes:,}", row.what)
    console.print(table)
    report = job.result.reports[layer]
    console.print(
        f"{report.n_false_positives:,} of {report.n_stored - report.n_nonzero:,} stored zeros of {layer} are false "
        f"positives. {job.n_test} test images: one is {1 / job.n_test:.2%}."
    )
    console.print(f"{path}: {rows[-1].bytes:,} bytes of {rows[0].bytes:,}; plot: {picture}")
    return 0


def _draw(rows: list[Any], layer: str, path: Path) -> None:
    try:
        from weightless_sim.report import plots
    except ImportError as error:
        raise ValueError(f"the plot needs matplotlib: {install_line('sim')}") from error
    with plots.plain_text():
        plots.save(plots.storages(rows, in_picture(layer)), path)
