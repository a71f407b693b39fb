"""The command ``weightless``: one sub-command per job; errors are one line and exit code 2.

Exit codes: 0 done; 1 a check failed (mismatch, simulation failure); 2 the input or the call is wrong.
What a command needs is imported when it runs: help, version and ``info`` start at once.
"""

import argparse
import sys

from weightless_sim.commands import asic, files, hardware, simulate, tech, train
from weightless_sim.commands.common import EXIT_FAILED, EXIT_USAGE
from weightless_sw import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except (ValueError, OSError) as error:  # the project's input errors are ValueErrors with a full message
        print(f"weightless: {error}", file=sys.stderr)
        return EXIT_USAGE
    except RuntimeError as error:  # simulation and synthesis
        print(f"weightless: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("weightless: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="weightless",
        description="Neural-network weights in a table that hardware decodes at a constant rate.",
    )
    parser.add_argument("--version", action="version", version=f"weightless {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (files, train, hardware, asic, tech, simulate):
        group.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
