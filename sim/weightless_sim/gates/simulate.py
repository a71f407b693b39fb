"""A netlist simulated cycle by cycle, its toggles counted under one of two delay models.

*Settled*: each net changes once a cycle at most.  *Unit delay*: every gate takes the same time, and every change
counts, glitches included.  Real delays lie between; both are quoted.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sim.gates.netlist import Netlist
from weightless_sw.compiled import jit

SETTLED, UNIT_DELAY = "settled", "unit delay"
DELAY_MODELS = (SETTLED, UNIT_DELAY)


@jit
def _look_up(values: Any, inputs: Any, table: Any, k: int) -> Any:
    row = np.uint64(0)
    for j in range(inputs.shape[1]):
        row |= np.uint64(values[inputs[k, j]]) << np.uint64(j)
    return np.int64((table[k] >> row) & np.uint64(1))


@jit
def _settle(values: Any, toggles: Any, inputs: Any, table: Any, output: Any, counting: int) -> None:
    for k in range(output.size):
        value = _look_up(values, inputs, table, k)
        if values[output[k]] != value:
            values[output[k]] = value
            toggles[output[k]] += counting


@jit
def _unit_delay(
    values: Any, toggles: Any, changed: Any, n_changed: int, reader_start: Any, readers: Any, inputs: Any,
    table: Any, output: Any, marked: Any,
) -> int:  # fmt: skip
    """Steps until nothing changes; in each, all gates with a changed input are looked at, then all changes made."""
    now, new_value = np.empty(output.size, np.int64), np.empty(output.size, np.int64)
    nets = np.empty(max(changed.size, output.size), np.int64)
    nets[:n_changed] = changed[:n_changed]
    n_nets, steps = n_changed, 0
    while n_nets:
        n_now = 0
        for i in range(n_nets):
            for place in range(reader_start[nets[i]], reader_start[nets[i] + 1]):
                gate = readers[place]
                if not marked[gate]:
                    marked[gate] = 1
                    now[n_now] = gate
                    n_now += 1
        for i in range(n_now):
            marked[now[i]] = 0
            new_value[i] = _look_up(values, inputs, table, now[i])
        n_nets = 0
        for i in range(n_now):
            net = output[now[i]]
            if values[net] != new_value[i]:
                values[net] = new_value[i]
                toggles[net] += 1
                nets[n_nets] = net
                n_nets += 1
        steps += 1
    return steps


class Simulator:
    """A netlist with its state; :meth:`step` is a clock edge."""

    def __init__(self, netlist: Netlist):
        n = self.netlist = netlist
        self.values = np.zeros(n.n_nets, np.uint8)
        self.values[1] = 1
        self.state = np.zeros(len(n.ff_cell), np.uint8)
        self.contents = [np.zeros((1 << len(m.read_address), len(m.read_data)), np.uint8) for m in n.memories]
        self.toggles = np.zeros(n.n_nets, np.int64)
        self.ones = np.zeros(n.n_nets, np.int64)  # cycles in which a net is 1
        self.clocked = np.zeros(len(n.ff_cell), np.int64)  # cycles in which a flip-flop's clock comes
        self.reads = np.zeros(len(n.memories), np.int64)
        self.writes = np.zeros(len(n.memories), np.int64)
        self.cycles = 0
        self.counting: str | None = None  # a delay model, or None
        flat, gates = (
            n.gate_inputs.reshape(-1),
            np.repeat(np.arange(len(n.gate_table)), n.gate_inputs.shape[1]),
        )
        order = np.argsort(flat, kind="stable")
        self.readers = gates[order]
        self.reader_start = np.searchsorted(flat[order], np.arange(n.n_nets + 1))
        self.marked = np.zeros(len(n.gate_table), np.uint8)
        self._show(np.arange(len(n.ff_cell)))
        self._settle_all(np.zeros(0, np.int64))

    def get(self, port: str) -> int:
        """The value of a port."""
        return int.from_bytes(
            np.packbits(self.values[self.netlist.ports[port]], bitorder="little").tobytes(), "little"
        )

    def step(self, **inputs: int) -> None:
        """A clock edge, then new values of input ports, then everything settles."""
        n, values = self.netlist, self.values
        rows = np.zeros(len(n.ff_cell), np.uint64)
        for j in range(n.ff_inputs.shape[1]):
            rows |= values[n.ff_inputs[:, j]].astype(np.uint64) << np.uint64(j)
        enabled = values[n.ff_enable].astype(bool)
        new = np.where(enabled, (n.ff_table >> rows) & np.uint64(1), self.state).astype(np.uint8)
        memories = [self._clock_memory(k) for k in range(len(n.memories))]
        if self.counting:
            self.clocked += enabled
            self.cycles += 1
        moved = np.flatnonzero(new != self.state)
        self.state = new
        changed = [self._show(moved)]
        changed += [self._put(nets, bits) for nets, bits in memories if bits is not None]
        for port, value in inputs.items():
            nets = n.ports[port]
            changed.append(self._put(nets, np.array([value >> k & 1 for k in range(len(nets))], np.uint8)))
        self._settle_all(np.concatenate(changed))
        if self.counting:
            self.ones += self.values

    def _show(self, moved: NDArray[np.int64]) -> NDArray[np.int64]:
        """Put the states of these flip-flops on their outputs; the nets that changed."""
        nets = []
        for outputs, bits in ((self.netlist.ff_true, self.state), (self.netlist.ff_inverse, 1 - self.state)):
            used = moved[outputs[moved] >= 0]
            nets.append(self._put(outputs[used], bits[used]))
        changed: NDArray[np.int64] = np.concatenate(nets)
        return changed

    def _put(self, nets: NDArray[np.int32], bits: NDArray[np.uint8]) -> NDArray[np.int64]:
        differ = self.values[nets] != bits
        changed: NDArray[np.int64] = nets[differ].astype(np.int64)
        self.values[changed] = bits[differ]
        if self.counting:
            self.toggles[changed] += 1
        return changed

    def _settle_all(self, changed: NDArray[np.int64]) -> None:
        n = self.netlist
        if self.counting == UNIT_DELAY:
            _unit_delay(self.values, self.toggles, changed, len(changed), self.reader_start, self.readers,
                        n.gate_inputs, n.gate_table, n.gate_output, self.marked)  # fmt: skip
        else:
            counting = int(self.counting is not None)
            _settle(self.values, self.toggles, n.gate_inputs, n.gate_table, n.gate_output, counting)

    def _clock_memory(self, k: int) -> tuple[NDArray[np.int32], NDArray[np.uint8] | None]:
        """What memory ``k`` does at this edge: (nets of its read data, their new bits or None)."""
        memory, values = self.netlist.memories[k], self.values
        bits = None
        if values[memory.read_enable]:
            bits = self.contents[k][self._address(memory.read_address)]
            self.reads[k] += self.counting is not None
        if values[memory.write_enable]:
            self.contents[k][self._address(memory.write_address)] = values[memory.write_data]
            self.writes[k] += self.counting is not None
        return memory.read_data, bits

    def _address(self, nets: NDArray[np.int32]) -> int:
        return int(self.values[nets].astype(np.int64) @ (1 << np.arange(len(nets))))
