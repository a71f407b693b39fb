"""The bench's own checkers, each shown a planted fault, without a simulator."""

import types

import numpy as np
import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.registers import LoadError
from weightless_sim.cosim.agents import GoldenModel, Scoreboard, SourceDriver, StreamMonitor
from weightless_sim.cosim.bench import Bench
from weightless_sim.cosim.scenario import LAST, Scenario, frame, resident_record
from weightless_sw import codec, container


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
    board.compare(0, 0x1_0005)
    board.compare(1, 0x1_0007)
    assert (board.n_weights, board.n_mismatches) == (2, 1)
    assert board.first_mismatch == "beat 1, cycle 1: 0x10007 instead of 0x10006"
    with pytest.raises(AssertionError, match="a beat in cycle 2 that no word so far has completed"):
        board.compare(2, 0)


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


def test_model_knows_only_the_words(sparse_layer):
    weights = sparse_layer(10, 3, n_values=3)
    tensor, _ = codec.encode(weights, lanes=4)
    model = GoldenModel(ClassicConfig(lanes=4))
    record = container.to_record(tensor)
    words = frame(record)
    assert all(model.take(word) == [] and not model.record_ended for word in words[:-1])
    beats = model.take(words[-1])
    assert model.record_ended
    entries = [beat >> 16 * lane & 0xFFFF for beat in beats for lane in range(4)]
    values = np.array(entries, np.uint16).view(np.float16)
    assert values[:10].tolist() == codec.decode(tensor).tolist()
    assert [beat >> 64 for beat in beats] == [0b01111, 0b01111, 0b10011]
    again = [model.take(word) for word in frame(resident_record(record))]
    assert again[-1] == beats
    assert not model.errors


def test_model_refuses_what_is_wrong(sparse_layer):
    """Bit by bit of the CRC word, cut anywhere, and what a refused record means for a resident one."""
    tensor, _ = codec.encode(sparse_layer(10, 3, n_values=3), lanes=4)
    record = container.to_record(tensor)
    words, again = frame(record), frame(resident_record(record))

    def after(*frames):
        model = GoldenModel(ClassicConfig(lanes=4))
        decoded = [bool([beat for word in one for beat in model.take(word)]) for one in frames]
        return decoded, model.errors

    for bit in range(32):
        bad = [*words[:-1], words[-1] ^ 1 << bit]
        assert after(bad, words) == ([False, True], LoadError.CRC)
    for n in range(1, len(words)):
        assert after([*words[: n - 1], words[n - 1] | LAST], words) == ([False, True], LoadError.SHORT)
    assert after([*words[:-1], words[-1] & LAST - 1, LAST]) == ([False], LoadError.LONG)
    assert after(again, words, again) == ([False, True, True], LoadError.NOT_RESIDENT)
    assert after(words, bad, again) == ([True, False, False], LoadError.CRC | LoadError.NOT_RESIDENT)
    assert after(words, [*again[:-1], again[-1] ^ 1], again) == ([True, False, True], LoadError.CRC)
