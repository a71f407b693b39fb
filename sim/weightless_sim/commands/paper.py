"""``weightless paper``: the runs behind docs/results.md."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weightless_sim.commands import common
from weightless_sim.commands.train import add_data, need_torch
from weightless_sim.folders import HERE
from weightless_sim.shown import to_json
from weightless_sw.files import write_atomically
from weightless_sw.progress import Progress

QUICK = ("lenet300-100x",), (1,)  # runs, seeds


def add(commands: Any) -> None:
    """The command of this file."""
    command = common.command(commands, "paper", _paper)
    command.add_argument("runs", nargs="*", metavar="RUN", help="which; all where none is named")
    command.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        help="of all that is random, a run for each (default: those of the docs)",
    )
    command.add_argument("--quick", action="store_true", help=f"{QUICK[0][0]} with seed 1 alone, ten minutes")
    command.add_argument(
        "--density", type=Path, metavar="JSON",
        help="the sizes of LeNet-300-100's fc1, trained and pruned to several densities, into this file; no runs",
    )  # fmt: skip
    command.add_argument("--list", action="store_true", help="say which runs there are, and which are done")
    command.add_argument(
        "-o",
        "--results",
        type=Path,
        default=HERE.paper / "results",
        help="folder of the JSON, a file for each run",
    )
    add_data(command)
    common.add_json(command)


def _paper(options: argparse.Namespace) -> int:
    paper = need_torch("paper")
    if options.density:
        return _density(paper, options)
    names, seeds = (options.runs or list(paper.RUNS), options.seeds) if not options.quick else QUICK
    if unknown := [name for name in names if name not in paper.RUNS]:
        raise ValueError(f"no run is called {unknown[0]!r}; there are: {', '.join(paper.RUNS)}")
    pairs = [(name, seed) for name in names for seed in seeds or paper.RUNS[name].seeds]
    wanted = {options.results / f"{name}-{seed}.json": (name, seed) for name, seed in pairs}
    console, log = common.console(), _Log(HERE.paper / "log")
    if options.list:
        for path, (name, seed) in wanted.items():
            other = path.exists() and not paper.is_of(paper.read(path), paper.RUNS[name])
            done = "done, by another recipe" if other else "done" if path.exists() else "to do"
            console.print(f"{name}, seed {seed}: {done}")
        return 0
    for path, (name, seed) in wanted.items():
        if not path.exists():
            found = paper.one(name, paper.RUNS[name], seed, options.data, log.step, HERE.paper)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, (to_json(found) + "\n").encode())
            log.write(f"{name}, seed {seed}: {found.bytes:,} bytes, {found.wrong}")
    found_all = [paper.read(path) for path in wanted]
    if options.json:
        common.print_json(found_all)
        return 0
    table = common.table(
        "run", ">seed", ">bytes", ">ratio", ">dense", ">encoded", ">file", ">false positives"
    )
    for found in found_all:
        n_false = sum(table.n_false_positives for table in found.tables.values())
        errors = [
            f"{found.error(at):.2%}" if at in found.wrong else "" for at in ("dense", "encoded", "file")
        ]
        table.add_row(
            found.run, str(found.seed), f"{found.bytes:,}", f"{found.ratio:.0f}x", *errors, f"{n_false:,}"
        )
    console.print(table)
    for (name, seed), found in zip(wanted.values(), found_all, strict=True):
        if not paper.is_of(found, paper.RUNS[name]):
            common.remark(
                f"{name}, seed {seed}: by another recipe than today's; remove its JSON to run it again"
            )
    console.print(f"Files and log in {HERE.paper}, results in {options.results}.")
    return 0


def _density(paper: Any, options: argparse.Namespace) -> int:
    """Without training but that of the dense network, which the runs share."""
    step = common.Steps()
    weights = paper.jobs.dense_weights("lenet300", "fc1", 1, options.data, step, HERE.paper)
    with step("encode at every density") as progress:
        rows = paper.by_density(weights, progress)
    write_atomically(options.density, (to_json(rows) + "\n").encode())
    if options.json:
        common.print_json(rows)
        return 0
    table = common.table("bytes, stored as", *(f">{row.n_nonzero / row.n_weights:.1%}" for row in rows))
    for name in rows[0].bytes:  # a format that would come to the same trimmed has no such row
        table.add_row(name, *(f"{row.bytes[name]:,}" if name in row.bytes else "" for row in rows))
    common.console().print(table)
    return 0


class _Log:
    """Lines with their time, in a file and as progress."""

    def __init__(self, path: Path):
        self.path, self.steps = path, common.Steps()

    def write(self, line: str) -> None:
        """Append a line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}\n")

    @contextmanager
    def step(self, title: str) -> Iterator[Progress]:
        """A step, whose begin is a line."""
        self.write(title)
        with self.steps(title) as progress:
            yield progress
