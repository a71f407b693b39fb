"""The bench's own checkers, each shown a planted fault, without a simulator."""

import types

import numpy as np
import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_sim.cosim.agents import Scoreboard, SourceDriver, StreamMonitor
from weightless_sim.cosim.bench import Bench
from weightless_sim.cosim.scenario import Scenario


class Wire:
    def __init__(self, value=0):
        self.value = value


@pytest.fixture
def monitor():
    return StreamMonitor("x", Wire(), Wire(), Wire())


def show(monitor, cycle, valid, ready, payload):
    monitor.valid.value, monitor.ready.value, monitor.payload.value = valid, ready, payload
    return monitor.sample(cycle)


def test_monitor_collects_transfers(monitor):
    assert not show(monitor, 0, 0, 1, 5)
    assert not show(monitor, 1, 1, 0, 6)
    assert show(monitor, 2, 1, 1, 6)
    assert show(monitor, 3, 1, 1, 7)
    assert monitor.transfers == [(2, 6), (3, 7)]
    assert monitor.first_valid == [1, 3]


def test_monitor_finds_a_withdrawn_offer(monitor):
    show(monitor, 0, 1, 0, 6)
    with pytest.raises(AssertionError, match="x: valid fell in cycle 1"):
        show(monitor, 1, 0, 0, 6)


def test_monitor_finds_a_changed_payload(monitor):
    show(monitor, 0, 1, 0, 6)
    with pytest.raises(AssertionError, match="x: payload changed in cycle 1"):
        show(monitor, 1, 1, 1, 7)


def test_driver_keeps_its_offer():
    driver = SourceDriver(Wire(), Wire(), [3, 4], np.array([False, True]))
    seen = []
    for cycle in range(6):
        driver.drive(cycle)
        seen.append((driver.valid.value, driver.payload.value))
        if cycle in (3, 4):
            driver.taken() if driver.offering else None
    assert [valid for valid, _ in seen] == [0, 1, 1, 1, 0, 1]
    assert [payload for valid, payload in seen if valid] == [3, 3, 3, 4]
    idle = {payload for valid, payload in seen if not valid}
    assert len(idle) == 2  # garbage, another one each time
    assert not idle & {3, 4}


def test_scoreboard_finds_what_is_wrong():
    board = Scoreboard(ClassicConfig(lanes=1, value_bits=16), expected=[0x1_0005, 0x1_0006])
    board.compare(0, 0x1_0005, 0)
    board.compare(1, 0x1_0007, 1)
    assert (board.n_weights, board.n_mismatches) == (2, 1)
    assert board.first_mismatch == "beat 1, cycle 1: 0x10007 instead of 0x10006"
    with pytest.raises(AssertionError, match="a beat in cycle 2 that no word so far has completed"):
        board.compare(2, 0, 2)


def test_bench_finds_a_beat_before_its_words():
    """The planted fault is a decoder that offers a beat when no record is complete."""
    dut = types.SimpleNamespace(clk=None)
    for name in ("load__valid", "load__payload", "load__ready", "weights__valid", "weights__payload"):
        setattr(dut, name, Wire())
    dut.weights__ready = Wire()
    scenario = Scenario(config=ClassicConfig(lanes=1), records=[b""], sink=np.array([False, True]))
    bench = Bench(dut, scenario)
    bench.check(0)
    dut.weights__valid.value = 1
    with pytest.raises(AssertionError, match="a beat was offered in cycle 1 before the words"):
        bench.check(1)


CLOSING = 1 << 17  # of one lane of 16 bits: last, and no lane
TRUE_LAST = CLOSING | 0x1_0006


@pytest.mark.parametrize(
    ("beats", "offered", "mismatches"),
    [
        ([0x1_0005, TRUE_LAST], 10, 0),  # it was offered in time
        ([0x1_0005, TRUE_LAST], 11, 1),
        ([0x1_0005, CLOSING], 11, 0),
        ([CLOSING], 3, 0),
        ([0x1_0007, CLOSING], 3, 1),
    ],
)
def test_a_layer_that_failed_ends_with_a_beat_without_lanes(beats, offered, mismatches):
    """Unless its last one was offered by cycle 10; the next layer's beats follow."""
    board = Scoreboard(ClassicConfig(lanes=1, value_bits=16), expected=[0x1_0005, TRUE_LAST])
    board.fail(is_whole=True, latest=10)
    board.expected.append(0x1_0009)
    for beat in [*beats, 0x1_0009]:
        board.compare(offered, beat, offered)
    assert (board.n_beats, bool(board.n_mismatches)) == (len(beats) + 1, bool(mismatches))
    assert len(board.expected) == board.n_beats


def test_a_layer_that_never_had_a_last_beat_has_to_end():
    board = Scoreboard(ClassicConfig(lanes=1, value_bits=16), expected=[0x1_0005])
    board.fail(is_whole=False, latest=10)
    assert board.expected == [0x1_0005, CLOSING]
    board.compare(0, 0x1_0005, 0)
    board.compare(1, CLOSING, 1)
    with pytest.raises(AssertionError, match="no word so far"):
        board.compare(2, CLOSING, 2)
