"""The command ``weightless``: one sub-command per job; errors are one line and exit code 2.

Exit codes: 0 done; 1 a check failed (mismatch, simulation failure); 2 the input or the call is wrong; 130 interrupted.
What a command needs is imported when it runs: help, version and ``info`` start at once.
"""

import argparse
import io
import os
import sys
from pathlib import Path

from weightless_sim import extras
from weightless_sim.commands import asic, doctor, files, hardware, simulate, tech, train
from weightless_sim.commands.common import EXIT_FAILED, EXIT_USAGE, remark, results_beside
from weightless_sw import __version__
from weightless_sw.files import check_output, describe

INPUTS, OUTPUTS = (
    ("input", "file", "weights", "model"),
    ("output", "simplified", "header"),
)  # of commands, by option


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not have our characters
    try:
        return _run(arguments)
    except BrokenPipeError:  # who reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, SystemError) as error:
        cause = (
            error.__cause__ or error.__context__
        )  # C code that did not look for an interrupt makes another of it
        if not isinstance(error, KeyboardInterrupt) and not isinstance(cause, KeyboardInterrupt):
            raise
        remark("weightless: interrupted")
        return 130


def _run(arguments: list[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        _check_outputs(options)
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except OSError as error:
        remark(f"weightless: {describe(error)}")
        return EXIT_USAGE
    except ValueError as error:  # the project's input errors are ValueErrors with a full message
        remark(f"weightless: {error}")
        return EXIT_USAGE
    except MemoryError as error:
        remark(f"weightless: not enough memory: {error or 'for this input'}")
        return EXIT_USAGE
    except ImportError as error:
        if not (reason := extras.missing(error)):
            raise
        remark(f"weightless: {reason}")
        return EXIT_USAGE
    except RuntimeError as error:  # simulation and synthesis
        remark(f"weightless: {error}")
        return EXIT_FAILED


def _check_outputs(options: argparse.Namespace) -> None:
    """Find a place that can't be written to before the work, and one that holds the input."""
    inputs = [
        value for name in INPUTS if isinstance(value := getattr(options, name, None), str | os.PathLike)
    ]
    outputs = [path for name in OUTPUTS if (path := getattr(options, name, None)) is not None]
    for path in outputs:
        check_output(path, inputs)
    results_beside(outputs)
    if (folder := getattr(options, "build", None)) is not None:
        check_folder(folder)


def check_folder(folder: Path) -> None:
    """Raise an OSError where ``folder`` is not there and can't be made, or can't be written to."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is no folder; choose another with --build")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder}: nothing can be written there; choose another folder with --build")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="weightless",
        description="Neural-network weights in a table that hardware decodes at a constant rate.",
    )
    parser.add_argument("--version", action="version", version=f"weightless {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (files, train, hardware, asic, tech, simulate, doctor):
        group.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
