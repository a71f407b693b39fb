"""The command ``weightless``: one sub-command per job; errors are one line and exit code 2.

Exit codes: 0 done; 1 a check failed (mismatch, simulation failure); 2 the input or the call is wrong; 130 interrupted.
What a command needs is imported when it runs: help, version and ``info`` start at once.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from weightless_sim.commands import COMMANDS
from weightless_sim.commands.streams import EXIT_FAILED, EXIT_USAGE, remark, results_beside
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
    if sys.stdout is None:
        remark(
            "weightless: standard output is closed, and results would be lost; open it, or send it to /dev/null"
        )
        return EXIT_USAGE
    try:
        return _flush(_run(arguments))
    except BrokenPipeError:  # who reads has read enough
        _drop_output()
        return 0
    except KeyboardInterrupt:
        remark("weightless: interrupted")
        return 130


def _flush(code: int) -> int:
    """Write what is left of the results; the exit code.  Where that fails it is said, unless it was before."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        if not code:
            remark(f"weightless: standard output: {describe(error)}")
        return code or EXIT_USAGE
    return code


def _drop_output() -> None:
    """What is left in the buffer can't be written; Python would try once more at its end, and say so."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str] | None) -> int:
    try:
        options = _parser(sys.argv[1:] if arguments is None else arguments).parse_args(arguments)
        _check_outputs(options)
        code: int = options.run(options)
        return code
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:
        if _is_interrupt(error):
            raise KeyboardInterrupt from error
        code, reason = _explain(error)
        if not code:
            raise
        remark(f"weightless: {reason}")
        return code


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt is behind the error: C code, and imports, that did not look for one make another of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _explain(error: Exception) -> tuple[int, str]:
    """(exit code, what is said of it); 0 for an error that is a fault of ours."""
    if isinstance(error, OSError):
        return EXIT_USAGE, describe(error)
    if isinstance(error, ValueError):  # the project's input errors are ValueErrors with a full message
        return EXIT_USAGE, str(error)
    if isinstance(error, MemoryError):
        return EXIT_USAGE, f"not enough memory: {error or 'for this input'}"
    if isinstance(error, ImportError):
        from weightless_sim import extras

        reason = extras.missing(error)
        return EXIT_USAGE if reason else 0, reason
    if isinstance(error, RuntimeError):  # simulation and synthesis
        return EXIT_FAILED, str(error)
    return 0, ""


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


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for these arguments: only the command that they name is imported, the others are a line of help."""
    parser = argparse.ArgumentParser(
        prog="weightless",
        description="Neural-network weights in a table that hardware decodes at a constant rate.",
    )
    parser.add_argument("--version", action="version", version=f"weightless {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    called = next((word for word in arguments if not word.startswith("-")), "")
    for name, (module, text) in COMMANDS.items():
        if module != COMMANDS.get(called, ("",))[0]:
            commands.add_parser(name, help=text)
        elif name not in commands.choices:
            import_module(f"weightless_sim.commands.{module}").add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
