"""The cocotb bench, run inside the simulator: connects the agents and steps them cycle by cycle.

The model knows only what the load monitor saw; the stimulus is never its input.  Environment: WEIGHTLESS_RUN names
the folder with the scenarios' files, to which the results go.
"""

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, Timer

from weightless_hw.registers import ADDRESS, COUNTS, SOFT_RESET, LoadError
from weightless_sim.cosim.agents import EventCounter, Scoreboard, SourceDriver, StreamMonitor
from weightless_sim.cosim.faults import wrong_table
from weightless_sim.cosim.golden import GoldenModel, RegisterModel
from weightless_sim.cosim.scenario import LAST, CosimResult, Scenario
from weightless_sim.model.cycles import LayerCycles, predict
from weightless_sim.model.events import RunEvents, UnitEvents, predict_events

Tell = Callable[[int, int], None]  # called now and then with the cycle, and how many there are
IDLE_CYCLES = 40  # watched after the last beat: nothing more may come
PROGRESS_CYCLES = 500
NAMES = tuple(ADDRESS)  # of the registers


class Bench:
    """One run: everything is connected here, and stepped cycle by cycle."""

    def __init__(self, dut: Any, scenario: Scenario, before: dict[str, int] | None = None):
        self.dut, self.scenario = dut, scenario
        self.registers = RegisterModel(scenario.config, before or dict.fromkeys(ADDRESS, 0))
        self.names = random.Random(1)  # of the registers that are read, one in each cycle
        self.reading = ""
        # The planted fault: bits by the word's place, of which monitors and models do not know.
        self.planted = wrong_table(scenario.config, scenario.words) if scenario.fault == "slot" else {}
        sent = [word ^ self.planted.get(place, 0) for place, word in enumerate(scenario.words)]
        self.driver = SourceDriver(dut.load__valid, dut.load__payload, sent, scenario.source)
        self.load = StreamMonitor("load", dut.load__valid, dut.load__ready, dut.load__payload)
        self.weights = StreamMonitor("weights", dut.weights__valid, dut.weights__ready, dut.weights__payload)
        self.model = GoldenModel(scenario.config)
        self.scoreboard = Scoreboard(scenario.config)
        # Of layers that are decoded: places of their first word and their CRC word, and cycles of their beats, with
        # the number of beats and of those that waited.  Either may end first.
        self.loaded: list[tuple[int, int]] = []
        self.served: list[tuple[int, int, int, int]] = []
        self.begun = (0, 0)  # beats taken, and cycles in which one waited, when the last layer was out
        config = scenario.config
        self.last_bit = (
            config.lanes * config.value_bits + config.lanes
        )  # of a beat, behind values and valid lanes
        self.n_words = 0  # of the frame under way
        self.events: RunEvents | None = None
        self.counter = EventCounter(dut, scenario.config) if scenario.count else None

    async def cycle(self, cycle: int) -> None:
        """One clock cycle, from falling edge to falling edge."""
        sink = self.scenario.sink
        self.driver.drive(cycle)
        self.dut.weights__ready.value = int(sink[cycle % len(sink)])
        self.reading = self.names.choice(NAMES)
        self.dut.reg_addr.value = ADDRESS[self.reading]
        await ReadOnly()
        self.check(cycle)
        await FallingEdge(self.dut.clk)

    def check(self, cycle: int) -> None:
        """Look at one settled cycle: beats first, what they may depend on came in the cycles before."""
        expected = self.registers.expected(self.reading)
        if expected is not None:
            found = int(self.dut.reg_data.value)
            assert found == expected, f"{self.reading} is {found:#x} in cycle {cycle}, not {expected:#x}"
        if taken := self.weights.sample(cycle):
            beat = self.weights.transfers[-1][1]
            self.scoreboard.compare(cycle, beat, self.weights.first_valid[len(self.weights.transfers) - 1])
            if (
                self.scoreboard.expected[self.scoreboard.n_beats - 1] >> self.last_bit
                and not self.scenario.frames
            ):
                self._close_layer(cycle)
        assert len(self.weights.first_valid) <= len(self.scoreboard.expected), (
            f"a beat was offered in cycle {cycle} before the words that it depends on"
        )
        if self.counter and not (self.scenario.fault == "event" and cycle == 0):
            self.counter.sample()
        word = None
        if self.load.sample(cycle):
            self.driver.taken()
            place = len(self.load.transfers) - 1
            word = self.load.transfers[-1][1] ^ self.planted.get(place, 0)
            self._take(cycle, word, place)
        is_last = taken and bool(self.weights.transfers[-1][1] >> self.last_bit & 1)
        stalls = self.load.waiting is not None, self.weights.waiting is not None
        self.registers.step(word, self.model, taken, is_last, stalls)

    def _take(self, cycle: int, word: int, place: int) -> None:
        """A word was loaded: what it completes is expected from the next cycle on."""
        self.n_words += 1
        beats = self.model.take(word)
        if beats and self.scenario.fault == "expectation":
            beats[len(beats) // 2] ^= 1
        self.scoreboard.expected += beats
        if self.model.failed:
            # What is wrong with the payload may wait for words before it; a wrong end is known at once.
            at_once = self.model.refused in (LoadError.CRC, LoadError.LONG)
            latest = cycle + RegisterModel.SETTLE + 2 if at_once else sys.maxsize
            self.scoreboard.fail(not self.model.beats.left, latest)
        if self.model.record_ended:
            self.loaded.append((place + 1 - self.n_words, place))
        if word & LAST:
            self.n_words = 0

    def _close_layer(self, cycle: int) -> None:
        """The last beat of a layer was taken: note when it was served."""
        beats, waited = self.begun
        self.begun = len(self.weights.transfers), self.weights.stalled
        self.served.append(
            (self.weights.first_valid[beats], cycle, self.begun[0] - beats, self.begun[1] - waited)
        )

    @property
    def layers(self) -> list[LayerCycles]:
        """When each layer was served, as far as words and beats of it are all through."""
        result = []
        for (first, last), (first_valid, last_beat, n_beats, waited) in zip(
            self.loaded, self.served, strict=False
        ):
            bubbles = last_beat - first_valid + 1 - n_beats - waited
            words = self.load.transfers[first][0], self.load.transfers[last][0]
            result.append(LayerCycles(*words, first_valid, last_beat, n_beats, bubbles))
        return result

    def counted(self) -> RunEvents | None:
        """The events up to this cycle, where they are counted."""
        if not self.counter:
            return None
        cycles, held, units = self.counter.events()
        by_name = {name: UnitEvents(*counts) for name, counts in units.items()}
        return RunEvents(cycles, held, len(self.load.transfers), by_name)

    async def run(self, n_cycles: int, tell: Tell) -> None:
        """Run to the end, then watch some idle cycles; ``n_cycles`` is the model's prediction.

        Where frames are refused it is only a bound: the end is when all words were taken and all beats came.
        """
        left = IDLE_CYCLES
        for cycle in range(n_cycles + IDLE_CYCLES):
            if cycle == n_cycles:
                self.events = self.counted()
                self.counter = None
            await self.cycle(cycle)
            if cycle % PROGRESS_CYCLES == 0:
                tell(cycle, n_cycles)
            if self.scenario.frames:
                left = left - 1 if self._through() else IDLE_CYCLES
                if not left:
                    return

    def _through(self) -> bool:
        """Whether every word was taken and every beat came."""
        taken = self.driver.place == len(self.driver.words)
        return taken and len(self.weights.transfers) == len(self.scoreboard.expected)


async def reset(dut: Any) -> None:
    """One cycle of reset, which must do; returns at a falling edge, with the inputs idle."""
    dut.rst.value = 1
    dut.load__valid.value = 0
    dut.load__payload.value = 0
    dut.weights__ready.value = 0
    dut.reg_addr.value = dut.reg_write.value = dut.reg_write_data.value = 0
    await FallingEdge(dut.clk)
    assert not int(dut.load__ready.value), "load is ready under reset"
    for name in (*COUNTS, "errors", "phase"):
        dut.reg_addr.value = ADDRESS[name]
        await ReadOnly()
        assert not int(dut.reg_data.value), f"{name} is not 0 after a reset"
        await Timer(100, "ps")  # all of them long before the next edge
    dut.rst.value = 0


async def write_register(dut: Any, name: str, value: int) -> None:
    """Write it; takes effect with the next rising edge."""
    dut.reg_addr.value, dut.reg_write.value, dut.reg_write_data.value = ADDRESS[name], 1, value
    await FallingEdge(dut.clk)
    dut.reg_write.value = 0


async def soft_reset(dut: Any) -> None:
    """Through the register; returns when the decoder is as after a reset, its counts and errors kept."""
    dut.load__valid.value = 0
    dut.weights__ready.value = 0
    await write_register(dut, "control", SOFT_RESET)
    await FallingEdge(dut.clk)


async def check_registers(dut: Any, bench: "Bench", registers: dict[str, int]) -> None:
    """What the run left in them; an error stays until its bit is cleared."""
    model = bench.model
    expected = {name: bench.registers.expected(name) for name in registers}
    found = {name: value for name, value in registers.items() if expected[name] is not None}
    assert found == {name: expected[name] for name in found}, f"registers {found}, not {expected}"
    assert int(dut.error.value) == bool(model.errors), "the error pin is not that of the register"
    left = model.errors
    for error in model.errors:
        await write_register(dut, "errors", int(error))
        left &= ~error
        now = LoadError((await read_registers(dut))[ADDRESS["errors"]])
        assert now == left, f"errors {now!r}, not {left!r}, after {error!r} was cleared"
    assert not int(dut.error.value), "the error pin stands after all errors were cleared"


async def read_registers(dut: Any) -> list[int]:
    """The registers, by address."""
    values = []
    for address in ADDRESS.values():
        dut.reg_addr.value = address
        await FallingEdge(dut.clk)
        values.append(int(dut.reg_data.value))
    return values


@cocotb.test()
async def run_scenarios(dut: Any) -> None:
    """One after another, a reset before each."""
    folder = Path(os.environ["WEIGHTLESS_RUN"])
    paths = sorted(folder.glob("scenario_*.json"))
    Clock(dut.clk, 10, unit="ns", impl="gpi").start(start_high=False)
    await FallingEdge(dut.clk)
    for k, path in enumerate(paths):

        def tell(cycle: int, n_cycles: int, k: int = k) -> None:
            (folder / "progress").write_text(f"{k} {len(paths)} {cycle} {n_cycles}")

        result_path = folder / path.name.replace("scenario", "result")
        try:
            await run_scenario(dut, Scenario.load(path), result_path, tell)
        except AssertionError as error:
            where = f" in {path.name}" if len(paths) > 1 else ""
            raise AssertionError(f"{error}{where}") from None


async def run_scenario(dut: Any, scenario: Scenario, result_path: Path, tell: Tell) -> None:
    """Send the scenario's records, compare every beat, and compare every cycle with the cycle model."""
    asked = scenario.config, scenario.loads, scenario.source, scenario.sink
    predicted, events = predict(*asked), predict_events(*asked)
    n_cycles = predicted[-1].end
    if scenario.frames:  # refused ones take their time, too, which no model knows
        n_cycles += 40 * len(scenario.words)
    await reset(dut)
    registers = await read_registers(dut)
    await reset(dut)
    before = dict.fromkeys(ADDRESS, 0)
    if scenario.reset_at is not None:
        await Bench(dut, scenario).run(scenario.reset_at - IDLE_CYCLES, tell)
        if scenario.soft:
            await soft_reset(dut)
            before = dict(zip(ADDRESS, await read_registers(dut), strict=True))
            await soft_reset(dut)  # once more: reading took its time
        else:
            await reset(dut)
    bench = Bench(dut, scenario, before)
    await bench.run(n_cycles, tell)

    board, board_errors = bench.scoreboard, bench.model.errors
    CosimResult(
        scenario_sha256=scenario.digest,
        n_weights=board.n_weights,
        n_beats=board.n_beats,
        n_mismatches=board.n_mismatches,
        first_mismatch=board.first_mismatch,
        registers=registers,
        errors=int(board_errors),
        layers=bench.layers,
        predicted=predicted,
        events=bench.events,
        predicted_events=events if scenario.count else None,
        output_transfers=[cycle for cycle, _ in bench.weights.transfers],
    ).save(result_path)
    digest = scenario.config.GEOMETRY.layout_digest()
    assert registers[ADDRESS["digest"]] == digest, "the decoder follows another specification"
    assert bench.driver.place == len(bench.driver.words), "the decoder did not take every word"
    assert board.n_mismatches == 0, f"{board.n_mismatches} mismatches; the first: {board.first_mismatch}"
    assert board.n_beats == len(board.expected), f"{board.n_beats} beats of {len(board.expected)} came out"
    if not scenario.frames:
        assert bench.layers == predicted, f"cycles: RTL {bench.layers}, model {predicted}"
        assert not bench.model.errors, f"refused: {bench.model.errors!r}"
    if bench.events:
        assert bench.events == events, f"events: RTL {bench.events}, model {events}"
    await check_registers(dut, bench, dict(zip(ADDRESS, await read_registers(dut), strict=True)))
