"""``weightless tech``: what is known of energies, decoders' and others', each with its source."""

import argparse
from pathlib import Path
from typing import Any

from weightless_sim.commands import common


def add(commands: Any) -> None:
    """The command of this file."""
    command = common.command(commands, "tech", _tech)
    command.add_argument(
        "names", nargs="*", metavar="NAME", help="kinds or names of figures; all of them without"
    )
    command.add_argument(
        "--tech", type=Path, metavar="FILE", help="a TOML file of one's own, beside the shipped ones"
    )
    common.add_json(command)


def _tech(options: argparse.Namespace) -> int:

    from weightless_sim.model import technology

    own = [options.tech] if options.tech else []
    references, decoders = technology.references(own), technology.known(own)
    shown = list(references.values())
    if options.names:
        kinds = [name for name in options.names if name in technology.UNITS]
        names = [name for name in options.names if name not in (*kinds, "logic")]
        picked = [technology.reference(references, name) for name in names]
        shown = [one for one in shown if one.kind in kinds or one in picked]
        decoders = decoders if "logic" in options.names else []
    if options.json:
        common.print_json({"references": shown, "logic": decoders})
        return 0
    table = common.table("name", ">value", "unit", "node", "how", "source; what is in it, how sure")
    for one in shown:
        node = ", ".join([f"{one.node_nm} nm"] * bool(one.node_nm) + [f"{one.volts} V"] * bool(one.volts))
        text = f"{one.source}; {one.accuracy}" + (f" ({one.origin})" if one.origin != "shipped" else "")
        table.add_row(one.name, f"{one.value:g}", one.unit, node, one.how, text)
    for entry in decoders:
        low, high = entry.pj_per_weight()
        gates = ", clock gates" if entry.clock_gates else ""
        text = f"{entry.workload}; {entry.source}; {entry.accuracy} ({entry.origin})"
        node = f"{entry.library}{gates}, {entry.volts} V"
        table.add_row(entry.decoder, f"{low:.2f} to {high:.2f}", "pJ/weight", node, entry.how, text)
    common.console().print(table)
    return 0
