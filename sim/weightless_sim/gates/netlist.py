"""The mapped decoder as yosys wrote it, in arrays: gates with truth tables, flip-flops, memories."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from weightless_hw.config import MemoryBlock
from weightless_sim.gates.liberty import MAX_INPUTS, LibertyError, Library, truth_table

SRAM = "weightless_sram"  # what memories of tables are mapped to
CONSTANTS = {"0": 0, "1": 1, "x": 0, "z": 0}  # nets 0 and 1
# Read by yosys's memory_libmap: one write port, one read port with an enable; its cost keeps what is smaller than 2,048
# bits in flip-flops.
SRAM_LIBRARY = """
ram block $__{name}_{width}_ {{
  abits {abits};
  width {width};
  cost 2048;
  init any;
  option "style" "block" {{ style "block"; }}
  port sw "W" {{ clock posedge; wrtrans all old; }}
  port sr "R" {{ clock posedge; rden; rdinit any; }}
}}
"""


def sram_library(blocks: Sequence[MemoryBlock]) -> str:
    """The kinds of memory that the decoder's tables take: one for each width, as deep as the deepest."""
    rows: dict[int, int] = {}
    for block in blocks:
        rows[block.row_bits] = max(block.rows, rows.get(block.row_bits, 2))
    return "".join(
        SRAM_LIBRARY.format(name=SRAM, width=width, abits=(n - 1).bit_length()) for width, n in rows.items()
    )


@dataclass(frozen=True)
class Memory:
    """A memory: the nets of its ports, lowest bit first."""

    name: str
    read_enable: int
    read_address: NDArray[np.int32]
    read_data: NDArray[np.int32]
    write_enable: int
    write_address: NDArray[np.int32]
    write_data: NDArray[np.int32]


@dataclass
class Netlist:
    """Nets by number: 0 and 1 are constants.

    A gate is one output of a cell: ``gate_inputs`` (gates, MAX_INPUTS), ``gate_table`` (gates,) uint64 and
    ``gate_output`` (gates,), in an order in which every input comes before its reader.  A flip-flop's next state is
    a gate of its own kind (``ff_inputs``, ``ff_table``), taken where the net ``ff_enable`` is 1.
    """

    library: Library
    n_nets: int = 2
    names: dict[int, str] = field(default_factory=dict)
    ports: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    cells: list[tuple[str, str, dict[str, int]]] = field(default_factory=list)  # (name, type, pin -> net)
    memories: list[Memory] = field(default_factory=list)
    gate_cell: list[tuple[int, str]] = field(default_factory=list)  # (cell, output pin) of each gate
    ff_cell: list[int] = field(default_factory=list)
    depth: int = 0

    gate_inputs: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, MAX_INPUTS), np.int32))
    gate_table: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    gate_output: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    ff_inputs: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, MAX_INPUTS), np.int32))
    ff_table: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    ff_enable: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    ff_true: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))  # net, or -1
    ff_inverse: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))


def read(path: Path, top: str, library: Library) -> Netlist:
    """The netlist of module ``top`` in yosys's JSON.  Raises LibertyError for a cell that can't be simulated."""
    design = msgspec.json.decode(path.read_bytes(), type=_Design)
    return _Builder(design.modules[top], library).netlist


Bit = int | str  # a net, or a constant


class _Net(msgspec.Struct):
    bits: list[Bit]


class _Cell(msgspec.Struct):
    type: str
    connections: dict[str, list[Bit]]


class _Module(msgspec.Struct):
    ports: dict[str, _Net]
    netnames: dict[str, _Net]
    cells: dict[str, _Cell]


class _Design(msgspec.Struct):
    """What is read of yosys's JSON."""

    modules: dict[str, _Module]


class _Builder:
    def __init__(self, module: _Module, library: Library):
        self.netlist = Netlist(library)
        self.number: dict[Any, int] = {}
        n = self.netlist
        for name, port in module.ports.items():
            n.ports[name] = self._nets(port.bits)
        for name, net in module.netnames.items():
            for k, bit in enumerate(net.bits):
                place = self._net(bit)
                known = n.names.get(place, "$")
                if known.startswith("$") or known.count(".") > name.count("."):
                    n.names[place] = f"{name}[{k}]" if len(net.bits) > 1 else name
        gates: list[tuple[list[int], int, int, int, str]] = []
        clock_enable = self._clock_gates(module)
        for name, cell in module.cells.items():
            kind = cell.type
            if kind == "$scopeinfo":
                continue
            if kind.startswith(f"$__{SRAM}"):
                n.memories.append(self._memory(name, cell.connections))
                continue
            if kind not in library.cells:
                raise LibertyError(f"yosys left a cell {kind} ({name}) that the library does not have")
            pins = {pin: self._net(bits[0]) for pin, bits in cell.connections.items() if bits}
            n.cells.append((name, kind, pins))
            if library.cells[kind].state:
                self._flip_flop(len(n.cells) - 1, clock_enable)
            elif not library.cells[kind].gate:
                gates += self._gates(len(n.cells) - 1)
        self._order(gates)
        n.n_nets = len(self.number) + 2

    def _net(self, bit: Bit) -> int:
        if isinstance(bit, str):
            return CONSTANTS[bit]
        return self.number.setdefault(bit, len(self.number) + 2)

    def _nets(self, bits: list[Bit]) -> NDArray[np.int32]:
        return np.array([self._net(bit) for bit in bits], np.int32)

    def _clock_gates(self, module: _Module) -> dict[int, int]:
        """Net of each gated clock -> net of its enable."""
        result = {}
        for cell in module.cells.values():
            found = self.netlist.library.cells.get(cell.type)
            if found and found.gate:
                nets = {role: self._net(cell.connections[pin][0]) for role, pin in found.gate.items()}
                result[nets["out"]] = nets["enable"]
        return result

    def _memory(self, name: str, connections: dict[str, list[Bit]]) -> Memory:
        nets = {port: self._nets(bits) for port, bits in connections.items()}
        return Memory(
            name, int(nets["PORT_R_RD_EN"][0]), nets["PORT_R_ADDR"], nets["PORT_R_RD_DATA"],
            int(nets["PORT_W_WR_EN"][0]), nets["PORT_W_ADDR"], nets["PORT_W_WR_DATA"],
        )  # fmt: skip

    def _flip_flop(self, place: int, clock_enable: dict[int, int]) -> None:
        n = self.netlist
        _, kind, pins = n.cells[place]
        cell = n.library.cells[kind]
        assert cell.state
        inputs = [pin for pin in pins if not cell.pins[pin].is_output and pin != cell.clock]
        row = np.zeros((1, MAX_INPUTS), np.int32)
        row[0, : len(inputs)] = [pins[pin] for pin in inputs]
        enable = clock_enable.get(pins[cell.clock], 1)
        true, inverse = (
            next((pins[pin] for pin in cell.pin_of(state) if pin in pins), -1) for state in cell.state
        )
        n.ff_cell.append(place)
        n.ff_inputs = np.concatenate([n.ff_inputs, row])
        n.ff_table = np.append(n.ff_table, np.uint64(truth_table(cell.next_state, inputs)))
        n.ff_enable = np.append(n.ff_enable, np.int32(enable))
        n.ff_true = np.append(n.ff_true, np.int32(true))
        n.ff_inverse = np.append(n.ff_inverse, np.int32(inverse))

    def _gates(self, place: int) -> list[tuple[list[int], int, int, int, str]]:
        """(input nets, truth table, output net, cell, output pin) of each output of a cell."""
        _, kind, pins = self.netlist.cells[place]
        cell = self.netlist.library.cells[kind]
        result = []
        for pin, net in pins.items():
            if cell.pins[pin].is_output:
                function = cell.pins[pin].function
                if function is None:
                    raise LibertyError(f"{kind}: the library gives no function of pin {pin}")
                inputs = [
                    p
                    for p in pins
                    if not cell.pins[p].is_output and re.search(rf"\b{re.escape(p)}\b", function)
                ]
                result.append(([pins[p] for p in inputs], _table(function, tuple(inputs)), net, place, pin))
        return result

    def _order(self, gates: list[tuple[list[int], int, int, int, str]]) -> None:
        """Sort by level; a loop is an error."""
        driver = {gate[2]: k for k, gate in enumerate(gates)}
        readers, waiting = defaultdict(list), np.zeros(len(gates), np.int64)
        for k, gate in enumerate(gates):
            for net in set(gate[0]) & driver.keys():
                readers[driver[net]].append(k)
                waiting[k] += 1
        level = np.zeros(len(gates), np.int64)
        order = [k for k in range(len(gates)) if not waiting[k]]
        for k in order:  # grows while it is walked
            for reader in readers[k]:
                waiting[reader] -= 1
                level[reader] = max(level[reader], level[k] + 1)
                if not waiting[reader]:
                    order.append(reader)
        if len(order) < len(gates):
            raise LibertyError("the netlist has a combinational loop")
        n = self.netlist
        n.depth = int(level.max(initial=-1)) + 1
        n.gate_inputs = np.zeros((len(gates), MAX_INPUTS), np.int32)
        for place, k in enumerate(order):
            n.gate_inputs[place, : len(gates[k][0])] = gates[k][0]
        n.gate_table = np.array([gates[k][1] for k in order], np.uint64)
        n.gate_output = np.array([gates[k][2] for k in order], np.int32)
        n.gate_cell = [(gates[k][3], gates[k][4]) for k in order]


_tables: dict[tuple[str, tuple[str, ...]], int] = {}


def _table(function: str, inputs: tuple[str, ...]) -> int:
    """Each function once: a library has hundreds, a netlist tens of thousands of gates."""
    if (function, inputs) not in _tables:
        _tables[function, inputs] = truth_table(function, list(inputs))
    return _tables[function, inputs]
