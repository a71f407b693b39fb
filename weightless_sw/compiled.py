"""How kernels are compiled: by numba, kept on disk, apart for every state of the specification.

numba's cache notices a change of a kernel's own file, but not of the specification whose constants it
compiles in: so the folder is named after the specification's text.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba as nb

from weightless_sw import spec

SPECIFICATION = sorted(Path(spec.__path__[0]).glob("*.py"))
SPECIFICATION_CRC = zlib.crc32(b"".join(path.read_bytes() for path in SPECIFICATION))
CACHE = Path(__file__).parent / "__pycache__" / f"numba-{SPECIFICATION_CRC:08x}"


def jit(function: Callable[..., Any], *, parallel: bool = False) -> Any:
    """``function`` compiled; with ``parallel`` its ``prange`` loops run on all cores."""
    before = nb.config.CACHE_DIR  # read as a function is decorated; other packages keep theirs
    nb.config.CACHE_DIR = str(CACHE)
    try:
        return nb.njit(cache=True, nogil=True, parallel=parallel)(function)
    finally:
        nb.config.CACHE_DIR = before


def jit_parallel(function: Callable[..., Any]) -> Any:
    """``function`` compiled for all cores."""
    return jit(function, parallel=True)
