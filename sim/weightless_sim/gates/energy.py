"""From toggles to picojoules, by part of the decoder.

Per toggle of a gate's output: the cell's internal energy and C V^2 / 2 of the net, C being the pins that it drives
and a wire.  Per clock of a flip-flop: internal energy of a rise and a fall of the clock pin and C V^2 of the pin.
Not counted: the clock's own tree and its wire, placement, buffers.
"""

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from weightless_sim.gates.simulate import Simulator

WIRE_FF = 1.5  # of every net; an assumption, stated with every result
GATED = "clock gates"


@dataclass
class Part:
    """A part of the decoder: energies in fJ per beat, area in um2, leakage in nW."""

    internal: float = 0.0
    switching: float = 0.0
    clock: float = 0.0
    area: float = 0.0
    leakage: float = 0.0
    cells: int = 0
    flip_flops: int = 0

    @property
    def energy(self) -> float:
        """All but leakage."""
        return self.internal + self.switching + self.clock


def part_of(name: str) -> str:
    """The part that a cell belongs to: the innermost module in its flattened name, copies together.

    ``pipeline.permute_2.$abc$..`` is of ``permute``; what has no module but the top is of ``top``.
    """
    path = name.removeprefix("$flatten").replace("\\", "").split("$")[0]
    *modules, _ = path.split(".")
    return re.sub(r"_\d+$", "", modules[-1]) if modules else "top"


def energies(simulator: Simulator, n_beats: int, wire_ff: float = WIRE_FF) -> dict[str, Part]:
    """By part, per beat of the window of ``n_beats`` in which ``simulator`` counted."""
    n = simulator.netlist
    library = n.library
    volts2 = library.voltage**2
    load = np.full(n.n_nets, wire_ff)
    for _, kind, pins in n.cells:
        for pin, net in pins.items():
            if not library.cells[kind].pins[pin].is_output:
                load[net] += library.cells[kind].pins[pin].capacitance
    parts: dict[str, Part] = defaultdict(Part)
    rate = simulator.toggles / n_beats

    def toggled(part: Part, kind: str, pin: str, net: int) -> None:
        part.internal += rate[net] * library.cells[kind].pins[pin].toggle_energy(load[net])
        part.switching += rate[net] * load[net] * volts2 / 2

    names = [part_of(name) for name, _, _ in n.cells]
    for place, pin in n.gate_cell:
        _, kind, pins = n.cells[place]
        toggled(parts[names[place]], kind, pin, pins[pin])
    for k, place in enumerate(n.ff_cell):
        _, kind, pins = n.cells[place]
        cell, part = library.cells[kind], parts[names[place]]
        for pin, net in pins.items():
            if cell.pins[pin].is_output:
                toggled(part, kind, pin, net)
        clock = cell.pins[cell.clock]
        part.clock += simulator.clocked[k] / n_beats * (clock.cycle_energy + clock.capacitance * volts2)
        part.flip_flops += 1
    for place, (_, kind, pins) in enumerate(n.cells):
        cell = library.cells[kind]
        part = parts[GATED if cell.gate else names[place]]
        part.area += cell.area
        part.leakage += cell.leakage
        part.cells += 1
        if cell.gate:
            clock, out = cell.pins[cell.gate["clock"]], cell.gate["out"]
            open_ = simulator.ones[pins[cell.gate["enable"]]] / n_beats
            part.clock += clock.cycle_energy + clock.capacitance * volts2
            # Its own load is counted with the flip-flops; here its inside and the wire, twice a cycle while open.
            part.clock += open_ * (2 * cell.pins[out].toggle_energy(load[pins[out]]) + wire_ff * volts2)
    for part in parts.values():
        part.internal, part.switching, part.clock = map(float, (part.internal, part.switching, part.clock))
    return dict(parts)


def saif(simulator: Simulator, top: str, period_ns: float) -> str:
    """The window's activity in SAIF 2.0, net by net, for a user's own power tool."""
    n = simulator.netlist
    duration = round(simulator.cycles * period_ns * 1000)
    lines = [
        "(SAIFILE", '(SAIFVERSION "2.0")', '(DIRECTION "backward")', '(DESIGN "decoder")', "(TIMESCALE 1 ps)",
        f"(DURATION {duration})", f"(INSTANCE {top}", "(NET",
    ]  # fmt: skip
    for net, name in sorted(n.names.items(), key=lambda item: item[1]):
        if net > 1:
            high = round(int(simulator.ones[net]) * period_ns * 1000)
            escaped = re.sub(r"([^\w])", r"\\\1", name)
            lines.append(
                f"({escaped} (T0 {duration - high}) (T1 {high}) (TX 0) (TC {int(simulator.toggles[net])}))"
            )
    return "\n".join([*lines, ")", ")", ")", ""])
