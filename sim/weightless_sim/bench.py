"""The cocotb bench, run inside the simulator: drivers, monitors, rule checkers, model, scoreboard.

Each cycle: inputs are set at the falling clock edge, everything is sampled once it has settled, and
what was sampled is what happens at the rising edge that follows.  The model knows only what the load
monitor saw; the stimulus is never its input.  Environment: WEIGHTLESS_SCENARIO names the scenario's
file, WEIGHTLESS_RESULT the file for the result.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from weightless_hw.config import DecoderConfig
from weightless_sim.cycles import LayerCycles, Pattern, predict
from weightless_sim.scenario import Scenario, geometry_of, is_resident
from weightless_sw import container
from weightless_sw.classic import golden
from weightless_sw.files import write_atomically
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import DESCRIPTOR_WORDS
from weightless_sw.tensor import Arrangement, EncodedTensor

IDLE_CYCLES = 40  # watched after the last beat: nothing more may come
PROGRESS_CYCLES = 500


class SourceDriver:
    """Offers ``words`` as the pattern allows; an offer stands until it is taken."""

    def __init__(self, valid: Any, payload: Any, words: list[int], pattern: Pattern):
        self.valid, self.payload, self.words, self.pattern = valid, payload, words, pattern
        self.place = 0
        self.offering = False

    def drive(self, cycle: int) -> None:
        """Set the inputs of this cycle."""
        if not self.offering and self.place < len(self.words):
            self.offering = bool(self.pattern[cycle % len(self.pattern)])
            if self.offering:
                self.payload.value = self.words[self.place]
        self.valid.value = int(self.offering)

    def taken(self) -> None:
        """The word that is offered was transferred."""
        self.offering = False
        self.place += 1


@dataclass
class StreamMonitor:
    """Collects transfers, and checks the stream rule: an offer stands, unchanged, until it is taken."""

    name: str
    valid: Any
    ready: Any
    payload: Any
    transfers: list[tuple[int, int]] = field(default_factory=list)  # (cycle, payload)
    first_valid: list[int] = field(default_factory=list)  # cycle in which each transfer was first offered
    waiting: int | None = None  # payload offered and not taken in the cycle before

    def sample(self, cycle: int) -> bool:
        """Look at one settled cycle; True when it transfers.  X or Z on a control signal is an error."""
        valid, ready = int(self.valid.value), int(self.ready.value)
        if not valid:
            assert self.waiting is None, f"{self.name}: valid fell in cycle {cycle} before the transfer"
            return False
        payload = int(self.payload.value)
        if self.waiting is None:
            self.first_valid.append(cycle)
        else:
            assert payload == self.waiting, f"{self.name}: payload changed in cycle {cycle} while it waited"
        self.waiting = None if ready else payload
        if ready:
            self.transfers.append((cycle, payload))
        return bool(ready)


class GoldenModel:
    """Turns the words that the load monitor saw into the beats that must come, as payload integers.

    A layout decides which beats a word completes: the classic table's all come with the record's last
    word, since any group may read any row.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        self.words: list[int] = []
        self.loaded: EncodedTensor | None = None
        self.record_ended = False  # with the word that was taken last

    def take(self, word: int) -> list[int]:
        """One more word; the beats that it completes."""
        self.words.append(word)
        self.record_ended = False
        if len(self.words) < DESCRIPTOR_WORDS:
            return []
        record = b"".join(word.to_bytes(4, "little") for word in self.words)
        geometry = geometry_of(record)
        if is_resident(record):
            assert self.loaded is not None and self.loaded.geometry == geometry
        else:
            if len(self.words) < geometry.record_words:
                return []
            self.loaded = container.from_record(record, Arrangement((geometry.n_weights,)))
        self.words = []
        self.record_ended = True
        return self.beats(self.loaded)

    def beats(self, tensor: EncodedTensor) -> list[int]:
        """The beats of a layer, by the golden decoder."""
        lanes, value_bytes = self.config.lanes, self.config.value_bits // 8
        n_weights = tensor.geometry.n_weights
        n_beats = -(-n_weights // lanes)
        entries = np.append(tensor.codebook, tensor.codebook.dtype.type(0)).view(f"<u{value_bytes}")
        codes = golden.decode_codes(tensor)
        values = np.zeros((n_beats, lanes), dtype=entries.dtype)
        values.reshape(-1)[:n_weights] = entries[np.minimum(codes, len(tensor.codebook))]
        tail = n_weights - (n_beats - 1) * lanes
        all_lanes = (1 << lanes) - 1
        flags = [all_lanes << self.config.lanes * self.config.value_bits] * n_beats
        flags[-1] = ((1 << tail) - 1 | 1 << lanes) << self.config.lanes * self.config.value_bits
        return [
            int.from_bytes(row.tobytes(), "little") | flag for row, flag in zip(values, flags, strict=True)
        ]


@dataclass
class Scoreboard:
    """Compares beats with the model's, in order, and keeps count of what it compared."""

    config: DecoderConfig
    expected: list[int] = field(default_factory=list)
    n_beats: int = 0
    n_weights: int = 0
    n_mismatches: int = 0
    first_mismatch: str = ""

    def compare(self, cycle: int, beat: int) -> None:
        """One beat that came out."""
        assert self.n_beats < len(self.expected), f"a beat in cycle {cycle} that no word so far has completed"
        expected = self.expected[self.n_beats]
        bits = self.config.value_bits
        self.n_weights += (expected >> self.config.lanes * bits & (1 << self.config.lanes) - 1).bit_count()
        if beat != expected:
            wrong = [
                k for k in range(self.config.lanes + 1) if (beat ^ expected) >> k * bits & (1 << bits) - 1
            ]
            self.n_mismatches += max(1, len(wrong))
            place = f"beat {self.n_beats}, cycle {cycle}: {beat:#x} instead of {expected:#x}"
            self.first_mismatch = self.first_mismatch or place
        self.n_beats += 1


class Bench:
    """One run: everything is connected here, and stepped cycle by cycle."""

    def __init__(self, dut: Any, scenario: Scenario):
        self.dut, self.scenario = dut, scenario
        words = np.frombuffer(b"".join(scenario.records), "<u4").tolist()
        self.driver = SourceDriver(dut.load__valid, dut.load__payload, words, scenario.source)
        self.load = StreamMonitor("load", dut.load__valid, dut.load__ready, dut.load__payload)
        self.weights = StreamMonitor("weights", dut.weights__valid, dut.weights__ready, dut.weights__payload)
        self.model = GoldenModel(scenario.config)
        self.scoreboard = Scoreboard(scenario.config)
        self.layers: list[LayerCycles] = []
        self.layer_starts = [(0, 0)]  # (words, beats) before each layer
        self.n_layers_loaded = 0
        self.fault_planted = False

    async def cycle(self, cycle: int) -> None:
        """One clock cycle, from falling edge to falling edge."""
        sink = self.scenario.sink
        self.driver.drive(cycle)
        self.dut.weights__ready.value = int(sink[cycle % len(sink)])
        await ReadOnly()
        self.check(cycle)
        await FallingEdge(self.dut.clk)

    def check(self, cycle: int) -> None:
        """Look at one settled cycle: beats first, what they may depend on came in the cycles before."""
        if self.weights.sample(cycle):
            self.scoreboard.compare(*self.weights.transfers[-1])
            starts = self.layer_starts
            if (
                len(starts) > len(self.layers) + 1
                and len(self.weights.transfers) == starts[len(self.layers) + 1][1]
            ):
                self._close_layer()
        assert len(self.weights.first_valid) <= len(self.scoreboard.expected), (
            f"a beat was offered in cycle {cycle} before the words that it depends on"
        )
        if self.load.sample(cycle):
            self.driver.taken()
            self._take(self.load.transfers[-1][1])

    def _take(self, word: int) -> None:
        """A word was loaded: what it completes is expected from the next cycle on."""
        beats = self.model.take(word)
        if beats and self.scenario.fault == "expectation":
            beats[len(beats) // 2] ^= 1
        self.scoreboard.expected += beats
        if self.model.record_ended:
            self.n_layers_loaded += 1
            self.layer_starts.append((len(self.load.transfers), len(self.scoreboard.expected)))

    def _close_layer(self) -> None:
        """The last beat of a layer was taken: note when it was served."""
        k = len(self.layers)
        (word, beat), (next_word, next_beat) = self.layer_starts[k : k + 2]
        self.layers.append(
            LayerCycles(
                first_word=self.load.transfers[word][0],
                last_word=self.load.transfers[next_word - 1][0],
                first_valid=self.weights.first_valid[beat],
                last_beat=self.weights.transfers[-1][0],
                n_beats=next_beat - beat,
            )
        )

    def flip_slot_bit(self) -> None:
        """The planted fault: one bit of the slot that the last non-zero weight reads in bank 0.

        The weight gets another code, and so another value or none: the fault can't stay hidden.
        """
        tensor = self.model.loaded
        assert tensor is not None and tensor.geometry.n_codes > 0
        g = tensor.geometry
        assert isinstance(g, ClassicGeometry)
        index = int(np.flatnonzero(golden.decode_codes(tensor) < g.n_codes)[-1])
        group, lane = divmod(index, g.lanes)
        row = self.dut.bank_0.memory[g.rows(group)[0]]
        row.value = int(row.value) ^ 1 << (lane ^ g.lane_offsets(group)[0]) * g.slot_bits

    async def run(self, n_cycles: int, progress: Path) -> None:
        """Run to the end, then watch some idle cycles; ``n_cycles`` is the model's prediction."""
        for cycle in range(n_cycles + IDLE_CYCLES):
            await self.cycle(cycle)
            if self.scenario.fault == "slot" and self.n_layers_loaded == 1 and not self.fault_planted:
                self.flip_slot_bit()
                self.fault_planted = True
            if cycle % PROGRESS_CYCLES == 0:
                progress.write_text(f"{cycle} {n_cycles}")


async def reset(dut: Any) -> None:
    """Two cycles of reset; returns at a falling edge, with the inputs idle."""
    dut.rst.value = 1
    dut.load__valid.value = 0
    dut.load__payload.value = 0
    dut.weights__ready.value = 0
    for _ in range(2):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


async def read_registers(dut: Any) -> list[int]:
    """The eight registers."""
    values = []
    for address in range(8):
        dut.reg_addr.value = address
        await FallingEdge(dut.clk)
        values.append(int(dut.reg_data.value))
    return values


@cocotb.test()
async def run_scenario(dut: Any) -> None:
    """Send the scenario's records, compare every beat, and compare every cycle with the cycle model."""
    scenario = Scenario.load(Path(os.environ["WEIGHTLESS_SCENARIO"]))
    result_path = Path(os.environ["WEIGHTLESS_RESULT"])
    progress = result_path.with_suffix(".progress")
    predicted = predict(
        scenario.config, scenario.geometries, scenario.source, scenario.sink, scenario.resident
    )
    Clock(dut.clk, 10, unit="ns").start(start_high=False)
    await FallingEdge(dut.clk)
    if scenario.reset_at is not None:
        await reset(dut)
        await Bench(dut, scenario).run(scenario.reset_at - IDLE_CYCLES, progress)
    await reset(dut)
    registers = await read_registers(dut)
    await reset(dut)
    bench = Bench(dut, scenario)
    await bench.run(predicted[-1].last_beat + 1, progress)

    board = bench.scoreboard
    result = {
        "n_weights": board.n_weights,
        "n_beats": board.n_beats,
        "n_mismatches": board.n_mismatches,
        "first_mismatch": board.first_mismatch,
        "registers": registers,
        "layers": [layer.as_dict() for layer in bench.layers],
        "predicted": [layer.as_dict() for layer in predicted],
        "output_transfers": [cycle for cycle, _ in bench.weights.transfers],
    }
    write_atomically(result_path, json.dumps(result).encode())
    assert registers[1] == spec.DIGEST, "the decoder follows another specification"
    assert bench.driver.place == len(bench.driver.words), "the decoder did not take every word"
    assert board.n_mismatches == 0, f"{board.n_mismatches} mismatches; the first: {board.first_mismatch}"
    assert board.n_beats == len(board.expected), f"{board.n_beats} beats of {len(board.expected)} came out"
    assert bench.layers == predicted, f"cycles: RTL {bench.layers}, model {predicted}"
