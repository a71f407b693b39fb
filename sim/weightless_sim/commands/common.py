"""What the sub-commands share: output, progress, options.

Results go to standard output, progress and remarks to standard error; results, too, where a file goes to standard
output.  Names of tensors are data: what is shown is what they are, no markup, control characters escaped; on a pipe no
table is cut to a terminal's width.
"""

import argparse
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from rich import progress as bars
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from weightless_hw import decoders
from weightless_sim.commands import COMMANDS
from weightless_sim.commands.streams import EXIT_FAILED as EXIT_FAILED
from weightless_sim.commands.streams import EXIT_USAGE as EXIT_USAGE
from weightless_sim.commands.streams import Results
from weightless_sim.commands.streams import remark as remark
from weightless_sim.shown import shown, to_json
from weightless_sw import arrangement, codec
from weightless_sw.progress import Progress

PIPE_WIDTH = 10_000  # wider than any table


class _Console(Console):
    def render_str(self, text: str, **options: Any) -> Text:
        """Of every text that is printed, in tables, too."""
        return super().render_str(shown(text), **options)

    def on_broken_pipe(self) -> None:
        """Leave it to the command line, which ends well."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """For results, or with ``stderr`` for progress and remarks."""
    made = _Console(stderr=stderr or Results.on_stderr, markup=False, emoji=False, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPE_WIDTH
    return made


def table(*columns: str, **options: Any) -> Table:
    """A table whose cells are folded, never cut; a column whose name begins with ``>`` is of numbers."""
    return Table(
        *(
            Column(
                name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold"
            )
            for name in columns
        ),
        **options,
    )


def print_json(result: Any) -> None:
    """Strict: what is not finite becomes null."""
    print_text(to_json(result) + "\n")


def print_text(text: str) -> None:
    """As it is, where results go."""
    print(text, end="", file=sys.stderr if Results.on_stderr else sys.stdout)


class Steps:
    """Progress bars on standard error, one per step; on a pipe, a line per step as it begins."""

    def __init__(self) -> None:
        self.console = console(stderr=True)

    @contextmanager
    def __call__(self, title: str) -> Iterator[Progress]:
        """A step called ``title``; what it gives is told how far the step is."""
        columns = (
            bars.TextColumn("{task.description:<44}", markup=False),
            bars.BarColumn(bar_width=30),
            bars.TimeElapsedColumn(),
            bars.TextColumn("{task.fields[text]}", markup=False),
        )
        if not self.console.is_terminal:
            self.console.print(title)
        with bars.Progress(*columns, console=self.console, disable=not self.console.is_terminal) as display:
            task = display.add_task(shown(title), total=None, text="")
            yield lambda done, total, text: display.update(
                task, completed=done, total=total or None, text=shown(text)
            )
            display.update(task, completed=1, total=1, text="")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Says the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def command(commands: Any, name: str, run: Callable[[Any], int]) -> argparse.ArgumentParser:
    """A sub-command of COMMANDS: its parser, ``run`` called with the options; help says the defaults."""
    text = COMMANDS[name][1]
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, formatter_class=_Help
    )
    parser.set_defaults(run=run)
    return parser


LAYOUT, SIZE = "classic", 8  # defaults of a decoder's --layout, of --lanes and --slot-bits


def add_size(command: argparse.ArgumentParser, option: str, default: int, text: str) -> None:
    """A number of a decoder that is None where it is not typed: a file may say otherwise than the default."""
    command.add_argument(option, type=int, help=f"{text} (default: {default})")


def add_decoder_options(command: argparse.ArgumentParser, *but: str) -> None:
    """What a decoder can be told, as the configurations have it, but for the options of these names."""
    for name, (default, text) in decoders.options().items():
        if name not in but:
            add_size(command, f"--{name.replace('_', '-')}", default, text)


def decoder_sizes(options: argparse.Namespace, *but: str) -> dict[str, Any]:
    """Those of them that were typed."""
    return typed(options, *(name for name in decoders.options() if name not in but))


def typed(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the options of these names that were typed."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def add_layout(command: argparse.ArgumentParser) -> None:
    """Which layout's decoder; None where it is not typed."""
    command.add_argument(
        "--layout", choices=decoders.BY_NAME, help=f"how tables are laid out (default: {LAYOUT})"
    )


def add_encoding(command: argparse.ArgumentParser, known: Collection[str]) -> None:
    """Layout, one of ``known``, and order of an encoding; None where they are not typed."""
    auto = "auto, the smaller table"
    command.add_argument(
        "--layout", choices=(*known, codec.AUTO), help=f"how tables are laid out (default: {auto})"
    )
    command.add_argument(
        "--order",
        choices=(*arrangement.ORDERS, codec.AUTO),
        help=f"order of the weights in a table (default: {auto})",
    )


def add_slot_bits(command: argparse.ArgumentParser) -> None:
    """Of an encoding, which needs more than log2 of the values."""
    add_size(command, "--slot-bits", SIZE, "bits per slot (t), 1 to 16; more than log2 of the values")


def add_layout_options(command: argparse.ArgumentParser) -> None:
    """Which layout, and its sizes."""
    add_layout(command)
    add_size(command, "--lanes", SIZE, "weights per row group and per clock: 1, 2, 4 .. 64")
    add_slot_bits(command)


def add_selection(command: argparse.ArgumentParser) -> None:
    """Which tensors go into tables."""
    command.add_argument(
        "--tensor",
        action="append",
        default=[],
        metavar="NAME",
        help="tensor to put in a table (may be repeated; else all of floating point and two or more dimensions "
        "that a table holds exactly)",
    )
    command.add_argument(
        "--exclude", action="append", default=[], metavar="NAME", help="tensor to keep out of the tables"
    )


def add_exact_values(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--exact-values", action="store_true", help="refuse values that the value format must round"
    )


def add_apply_masks(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--apply-masks", action="store_true",
        help="multiply each NAME_orig with its NAME_mask, as torch.nn.utils.prune leaves them, to NAME",
    )  # fmt: skip


def add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
