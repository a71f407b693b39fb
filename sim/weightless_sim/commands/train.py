"""``weightless compress`` and ``evaluate``: the project's own networks, trained, encoded, retrained, tested."""

import argparse
import json
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from weightless_sim.commands import common

NETWORKS = ("lenet300", "digits")  # those with a recipe
CHECKPOINTS = Path("build") / "train"  # a run that was killed goes on from here
MISSING = "training needs torch: pip install 'weightless[train]'"


def add(commands: Any) -> None:
    """The commands of this file."""
    _add_compress(commands)
    _add_evaluate(commands)


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data", type=Path, help="folder with the four MNIST files; else they are downloaded once"
    )


def _add_compress(commands: Any) -> None:
    text = "Train a network, simplify it, encode its big layer, retrain the rest around the errors."
    command = common.command(commands, "compress", _compress, text)
    command.add_argument("network", choices=NETWORKS, help="digits needs no download and under a minute")
    command.add_argument("-o", "--output", type=Path, required=True, help="the .wls file to write")
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
    _add_data(command)
    common.add_json(command)


def _jobs() -> Any:
    try:
        from weightless_sw.training import jobs
    except ImportError as error:
        if error.name != "torch":
            raise
        raise ValueError(MISSING) from error
    return jobs


def _compress(options: argparse.Namespace) -> int:
    from weightless_sw import container

    jobs, console = _jobs(), Console(stderr=options.json)
    command = f"weightless compress {options.network} --seed {options.seed}"
    command += f" --auto --limit {options.limit:g}" * options.auto
    job = jobs.run(
        options.network, options.seed, options.data, common.Steps(console), command, CHECKPOINTS,
        auto=options.auto, error_limit=options.limit / 100,
    )  # fmt: skip
    result = job.result
    n_bytes = container.write(options.output, result.tensors, job.metadata)
    dense_bytes = sum(4 * prod(tensor.shape) for tensor in result.tensors.values())
    rows = [(m.step, m.loss, m.error) for m in result.history]
    if options.json:
        printed = {"file": str(options.output), "bytes": n_bytes, "metadata": job.metadata}
        printed["validation"] = [{"step": step, "loss": loss, "error": error} for step, loss, error in rows]
        printed["candidates"] = [vars(candidate) for candidate in result.candidates]
        printed["tables"] = result.tables
        print(json.dumps(printed, indent=1))
        return 0
    if result.candidates:
        _print_candidates(console, result)
    table = Table("step", "validation loss", "validation error")
    for step, loss, error in rows:
        table.add_row(step, f"{loss:.4f}", f"{error:.2%}")
    console.print(table)
    dense, stored = (100 * n / job.n_test for n in (job.wrong_dense, job.wrong_stored))
    console.print(
        f"test error: dense {dense:.2f} %, as the file decodes {stored:.2f} % ({job.n_test:,} images)"
    )
    ratio = dense_bytes / n_bytes
    console.print(f"{options.output}: {n_bytes:,} bytes of {dense_bytes:,} ({ratio:.1f}x)")
    return 0


def _print_candidates(console: Console, result: Any) -> None:
    """What ``--auto`` tried, and took."""
    table = Table("layer", "t", "K", "bytes", "validation error", "")
    for c in result.candidates:
        taken = "taken" if result.tables[c.layer] == (c.slot_bits, c.n_codes) else ""
        table.add_row(
            c.layer, str(c.slot_bits), str(c.n_codes), f"{c.record_bytes:,}", f"{c.error:.2%}", taken
        )
    console.print(table)


def _add_evaluate(commands: Any) -> None:
    command = common.command(
        commands, "evaluate", _evaluate, "Test error of the network that a .wls file decodes to."
    )
    command.add_argument("input", type=Path, help=".wls file")
    command.add_argument("--network", help="lenet300, lenet5 or digits, where the file does not say")
    _add_data(command)
    common.add_json(command)


def _evaluate(options: argparse.Namespace) -> int:
    name, n_wrong, n = _jobs().evaluate(options.input, options.network, options.data)
    if options.json:
        print(json.dumps({"network": name, "wrong": n_wrong, "test_images": n, "error": n_wrong / n}))
        return 0
    print(f"{options.input}: {name}, {n_wrong} of {n:,} test images wrong ({n_wrong / n:.2%})")
    return 0
