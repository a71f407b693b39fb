"""``weightless doctor``: what is installed, what it unlocks, what installs the rest."""

import argparse
import sys
from typing import Any

from weightless_sim import extras
from weightless_sim.commands import common


def add(commands: Any) -> None:
    """The command of this file."""
    common.add_json(common.command(commands, "doctor", _doctor))


def _doctor(options: argparse.Namespace) -> int:
    from weightless_sw import provenance

    rows, version, commit = extras.rows(), provenance.version(), provenance.commit()
    if options.json:
        keys = ("kind", "name", "found", "unlocks", "install")
        found = [dict(zip(keys, row, strict=True)) for row in rows]
        common.print_json(
            {"version": version, "commit": commit, "python": sys.version.split()[0], "rows": found}
        )
        return 0
    table = common.table("", "", "found", "unlocks", "install")
    for kind, name, found_, unlocks, line in rows:
        table.add_row(kind, name, "yes" if found_ else "no", unlocks, "" if found_ else line)
    console = common.console()
    console.print(table)
    console.print(f"weightless {version}, commit {commit}, Python {sys.version.split()[0]}")
    return 0
