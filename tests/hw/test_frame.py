"""The reader of frames where the layout streams: what is under way when a record ends, well or badly."""

from typing import ClassVar

import pytest
from amaranth import Elaboratable, Module
from amaranth.sim import Simulator
from frames import cut, record

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.frame import FrameReader
from weightless_hw.registers import LoadError, Phase
from weightless_sim.cosim.scenario import LAST, frame
from weightless_sw.spec.record import DESCRIPTOR_WORDS

STORED = ClassicConfig(lanes=4, slot_bits=8, max_bank_rows=20, max_codes=7)


class StreamedConfig(ClassicConfig):
    """As if the layout's table were decoded while it comes."""

    LOADING: ClassVar[str] = "streamed"


CONFIG = StreamedConfig(lanes=4, slot_bits=8, max_bank_rows=20, max_codes=7)
RECORD = record(STORED, 60, 9, 3)
WORDS = frame(RECORD)
BODY = len(WORDS) - 1 - DESCRIPTOR_WORDS - 2  # the codebook has two words


class Top(Elaboratable):
    """Alone: nobody refuses the fields, the words are stored at once."""

    def __init__(self):
        self.reader = FrameReader(CONFIG)

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = self.reader
        m.d.comb += [self.reader.body_done.eq(1), self.reader.body_starved.eq(1)]
        return m


def run(words, *, finished_at=None, fault_at=None, ready=(True,)):
    """What happened by the cycle: starts, words of the body, aborts, faults, and the phase in the end.

    ``finished_at``: the last beat is taken so many cycles after the last word; ``fault_at``: with that body word.
    """
    top = Top()
    seen = {"start": 0, "body": [], "abort": 0, "faults": LoadError(0)}

    async def bench(ctx):
        dut, place, behind = top.reader, 0, 0
        for cycle in range(400):
            offered = place < len(words)
            ctx.set(dut.load.valid, offered)
            if offered:
                ctx.set(dut.load.payload, {"data": words[place] & LAST - 1, "last": words[place] >> 32})
            ctx.set(dut.body.ready, ready[cycle % len(ready)])
            ctx.set(dut.finished, finished_at is not None and not offered and behind == finished_at)
            ctx.set(dut.body_faults, 64 if fault_at is not None and len(seen["body"]) == fault_at else 0)
            taken = offered and ctx.get(dut.load.ready)
            if ctx.get(dut.body.valid) and ready[cycle % len(ready)]:
                assert taken
                seen["body"].append(ctx.get(dut.body.payload))
            seen["start"] += ctx.get(dut.start)
            seen["abort"] += ctx.get(dut.abort)
            seen["faults"] |= LoadError(ctx.get(dut.faults))
            behind += not offered
            await ctx.tick()
            place += taken
        assert place == len(words)
        seen["phase"] = Phase(ctx.get(dut.phase))

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize("ready", [(True,), (False, True, False)], ids=["free", "stalled"])
@pytest.mark.parametrize("finished_at", [0, 1, 2, 3, 9, None])
def test_a_good_record_is_over_when_crc_word_and_last_beat_are_both_through(finished_at, ready):
    seen = run(WORDS, finished_at=finished_at, ready=ready)
    assert (seen["start"], seen["abort"], seen["faults"]) == (1, 0, LoadError(0))
    assert seen["body"] == [word & LAST - 1 for word in WORDS[-BODY - 1 : -1]]
    assert seen["phase"] is (Phase.DECODE if finished_at is None else Phase.DESCRIPTOR)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (cut(WORDS, len(WORDS) - 3), LoadError.SHORT),
        ([*WORDS[:-1], WORDS[-1] ^ 1], LoadError.CRC),
        ([*WORDS[:-1], 0, 1, 2 | LAST], LoadError.LONG),
    ],
    ids=["short", "crc", "long"],
)
def test_a_bad_record_aborts_the_layer_and_waits_for_its_last_beat(words, error):
    waiting, over = run(words), run(words, finished_at=5)
    for seen in (waiting, over):
        assert (seen["start"], seen["abort"], seen["faults"]) == (1, 1, error)
    assert (waiting["phase"], over["phase"]) == (Phase.DECODE, Phase.DESCRIPTOR)


def test_a_fault_in_the_payload_drains_the_rest():
    seen = run(WORDS, fault_at=1, finished_at=4)
    assert seen["faults"] == LoadError(64)
    assert seen["abort"] == 1
    assert len(seen["body"]) <= 2 < BODY
    assert seen["phase"] is Phase.DESCRIPTOR


def test_before_the_payload_there_is_nothing_to_abort():
    seen = run(cut(WORDS, DESCRIPTOR_WORDS + 1))
    assert (seen["start"], seen["abort"], seen["faults"]) == (0, 0, LoadError.SHORT)
    assert seen["phase"] is Phase.DESCRIPTOR
