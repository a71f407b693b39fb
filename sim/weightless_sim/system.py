"""What must be on the machine before any work begins, and the package that brings it.

Standard library only: ``make`` runs this file with the system's Python before there is an environment
(``python3 sim/weightless_sim/system.py``), ``weightless sim`` calls :func:`missing` from inside one.
"""

import ctypes
import importlib.util
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

MINIMUM_PYTHON = (3, 11)


def has_shared_python() -> bool:
    """Whether this Python's shared library is there: the simulators load it to run the bench.

    Debian's python3 is linked without it.
    """
    if importlib.util.find_spec("find_libpython"):  # what cocotb itself asks, once it is installed
        import find_libpython

        return find_libpython.find_libpython() is not None
    names = {sysconfig.get_config_var(name) for name in ("INSTSONAME", "LDLIBRARY")} - {None, ""}
    folders = [sysconfig.get_config_var("LIBDIR") or "", str(Path(sys.base_prefix) / "lib")]
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    places = [Path(folder, sub, name) for folder in folders for sub in ("", multiarch) for name in names]
    return any(p.exists() and p.suffix != ".a" for p in places) or any(_loads(name) for name in names)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return not name.endswith(".a")


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


# What is needed, the check, and Debian's package.
NEEDS: tuple[tuple[str, Callable[[], bool], str], ...] = (
    ("git", _program("git"), "git"),
    ("make", _program("make"), "make"),
    ("g++", _program("g++"), "g++"),
    ("perl", _program("perl"), "perl"),
    ("Python's venv", lambda: importlib.util.find_spec("ensurepip") is not None, "python3-venv"),
    ("Python's shared library", has_shared_python, "python3-dev"),
)
FOR_SIMULATION = ("make", "g++", "perl", "Python's shared library")


def missing(names: Iterable[str] | None = None) -> str:
    """What is missing of ``names`` (all of NEEDS by default) and the line that installs it; empty if nothing."""
    wanted = NEEDS if names is None else [need for need in NEEDS if need[0] in set(names)]
    lacking = [(what, package) for what, check, package in wanted if not check()]
    if not lacking:
        return ""
    what = ", ".join(name for name, _ in lacking)
    packages = " ".join(package for _, package in lacking)
    return f"missing: {what}; on Debian or Ubuntu: apt-get install {packages}"


def main() -> int:
    """Exit code 0 when everything is there, else 1 and one line on standard error."""
    if sys.version_info < MINIMUM_PYTHON:
        print("Python 3.11 or newer is needed; name one with: make PYTHON=python3.12", file=sys.stderr)
        return 1
    if reason := missing():
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
