"""How kernels are compiled, by numba, and run: kept on disk, apart for every state of the specification.

numba's cache notices a change of a kernel's own file, but not of the specification whose constants it compiles in, nor
of kernels of other files that it calls: so the folder is named after the text of both.  Kernels are serial and let go
of Python's lock; what runs on all cores is cut into chunks for threads of our own.  numba's own threads would not live
through a fork, and an interrupt inside a kernel would come out of it as an error: here the main thread only waits.
"""

import os
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba as nb

from weightless_sw import spec

SPECIFICATION = sorted(Path(spec.__path__[0]).glob("*.py"))
SPECIFICATION_CRC = zlib.crc32(b"".join(path.read_bytes() for path in SPECIFICATION))


def _cache_folder() -> Path | None:
    """Where compiled kernels are kept: beside this file, else in the user's cache, else nowhere.

    Not in a common folder: what lies there is run.
    """
    name = f"numba-{SPECIFICATION_CRC:08x}"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for folder in (Path(__file__).parent / "__pycache__" / name, Path(home) / "weightless" / name):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):  # what may be written to, says only a try
                return folder
    return None


CACHE = _cache_folder()


def _folder_of(function: Callable[..., Any]) -> Path | None:
    """Where what is compiled of it is kept."""
    kernels = (
        one.py_func
        for one in function.__globals__.values()
        if isinstance(one, nb.core.registry.CPUDispatcher)
    )
    files = {one.__code__.co_filename for one in kernels} - {function.__code__.co_filename}
    text = b"".join(Path(name).read_bytes() for name in sorted(files))
    return CACHE and CACHE / f"{zlib.crc32(text):08x}" if files else CACHE


def jit(function: Callable[..., Any]) -> Any:
    """``function`` compiled."""
    before = nb.config.CACHE_DIR  # read as a function is decorated; other packages keep theirs
    nb.config.CACHE_DIR = str(_folder_of(function) or "")
    try:
        return nb.njit(cache=CACHE is not None, nogil=True)(function)
    finally:
        nb.config.CACHE_DIR = before


def run(kernel: Callable[..., Any], *arguments: Any) -> Any:
    """``kernel(*arguments)`` in a thread, so that an interrupt ends the wait at once."""
    return run_all(kernel, [arguments])[0]


def run_all(kernel: Callable[..., Any], calls: Iterable[tuple[Any, ...]], n_threads: int = 0) -> list[Any]:
    """The result of ``kernel`` for each of the argument tuples, in order, on all cores.

    A kernel's error is raised here; after it, and after an interrupt, no further call begins.
    """
    waiting = list(enumerate(calls))[::-1]
    results: list[Any] = [None] * len(waiting)
    errors: list[BaseException] = []

    def work() -> None:
        while True:
            try:
                place, arguments = waiting.pop()
            except IndexError:
                return
            try:
                results[place] = kernel(*arguments)
            except BaseException as error:
                errors.append(error)
                waiting.clear()

    n_threads = min(n_threads or len(os.sched_getaffinity(0)), len(waiting))
    threads = [threading.Thread(target=work, daemon=True) for _ in range(n_threads)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # a signal that another thread took would not end a longer wait
    finally:
        waiting.clear()
    if errors:
        raise errors[0]
    return results
