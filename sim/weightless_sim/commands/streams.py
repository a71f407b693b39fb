"""Where output goes, and exit codes: what the command line needs before it knows which command it is."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from weightless_sim.shown import shown

EXIT_FAILED, EXIT_USAGE = 1, 2


class Results:
    """Where results go: standard output, unless a file is written there."""

    on_stderr = False


def results_beside(outputs: Iterable[Path]) -> None:
    """Results go to standard error from here on where one of ``outputs`` is standard output, else to that."""
    Results.on_stderr = any(map(_is_standard_output, outputs))


def _is_standard_output(path: Path) -> bool:
    with suppress(OSError, ValueError, AttributeError):  # none is there, or it is no file
        return os.path.samestat(os.stat(path), os.fstat(sys.stdout.fileno()))
    return False


def remark(text: str) -> None:
    """A line on standard error beside the results; nothing where that is closed."""
    with suppress(AttributeError, OSError, ValueError):
        print(shown(text), file=sys.stderr)
