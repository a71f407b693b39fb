"""What the sub-commands share: progress, options, output."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich import progress as bars
from rich.console import Console

from weightless_sw import layouts
from weightless_sw.progress import Progress

EXIT_FAILED, EXIT_USAGE = 1, 2


class Steps:
    """Progress bars, one per step; on a pipe, a line per step as it ends."""

    def __init__(self, console: Console):
        self.console = console

    @contextmanager
    def __call__(self, title: str) -> Iterator[Progress]:
        """A step called ``title``; what it gives is told how far the step is."""
        columns = (
            bars.TextColumn("{task.description:<44}"),
            bars.BarColumn(bar_width=30),
            bars.TimeElapsedColumn(),
            bars.TextColumn("{task.fields[text]}"),
        )
        if not self.console.is_terminal:
            self.console.print(title)
        with bars.Progress(*columns, console=self.console, disable=not self.console.is_terminal) as display:
            task = display.add_task(title, total=None, text="")
            yield lambda done, total, text: display.update(
                task, completed=done, total=total or None, text=text
            )
            display.update(task, completed=1, total=1, text="")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Says the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def command(commands: Any, name: str, run: Callable[[Any], int], text: str) -> argparse.ArgumentParser:
    """A sub-command: its parser, ``run`` called with the options; help says the defaults."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, formatter_class=_Help
    )
    parser.set_defaults(run=run)
    return parser


def add_layout(command: argparse.ArgumentParser) -> None:
    """Which layout."""
    command.add_argument(
        "--layout", choices=layouts.BY_NAME, default="classic", help="how tables are laid out"
    )


def add_slot_bits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--slot-bits", type=int, default=8, help="bits per slot (t), 1 to 16; more than log2 of the values"
    )


def add_layout_options(command: argparse.ArgumentParser) -> None:
    """Which layout, and its sizes."""
    add_layout(command)
    command.add_argument(
        "--lanes", type=int, default=8, help="weights per row group and per clock: 1, 2, 4 .. 64"
    )
    add_slot_bits(command)


def add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
