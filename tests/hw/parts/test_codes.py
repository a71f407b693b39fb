"""The code stage against a list: masked slots in, values out, whoever waits, nothing lost and nothing twice."""

import random

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.config import CODE_UNITS
from weightless_hw.parts.codes import CodebookLoader, CodeStage
from weightless_hw.ribbon.config import RibbonConfig

FILLED = ClassicConfig(lanes=4, slot_bits=5, max_codes=6, value_bits=8)
COMPARED = ClassicConfig(lanes=4, slot_bits=5, max_codes=17, value_bits=8)
ENABLED = RibbonConfig(lanes=4, slot_bits=5, max_codes=6, value_bits=8, window_registers=1)  # lane by lane
ENTRIES = [11, 22, 33, 44, 55]  # K = 5 of 8 entries, or of 32
patterns = st.lists(st.booleans(), min_size=1, max_size=6).filter(any)


def beats(seed, n):
    """(codes, masks, valid lanes, last) of n beats."""
    rng = random.Random(seed)
    return [
        ([rng.randrange(32) if rng.random() < 0.5 else rng.randrange(5) for _ in range(4)], rng.getrandbits(8),
         15 if k < n - 1 else rng.choice([1, 3, 7, 15]), k == n - 1)
        for k in range(n)
    ]  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 99), st.integers(1, 12), patterns, patterns, st.sampled_from([FILLED, COMPARED, ENABLED])
)
def test_values_of_masked_codes_under_stalls(seed, n, source, sink, config):
    """Entries of no code are zeros, or else whatever they are."""
    dut, sent, got, first = CodeStage(config), beats(seed, n), [], []
    no_code = 0 if config.zero_filled else 99

    async def bench(ctx):
        for addr in range(8):
            ctx.set(dut.entry, {"write": 1, "addr": addr, "data": ENTRIES[addr] if addr < 5 else no_code})
            await ctx.tick()
        ctx.set(dut.entry.write, 0)
        ctx.set(dut.n_codes, 5)
        ctx.set(dut.tail_lanes, sent[-1][2])
        place, offered_at = 0, []
        for cycle in range(20 + n * len(source) * len(sink)):
            valid = place < n and source[cycle % len(source)]
            ctx.set(dut.i.valid, valid)
            if valid:
                codes, masks, _, last = sent[place]
                windows = sum((masks >> lane & 31) << 5 * lane for lane in range(4))
                slots = sum(code << 5 * lane for lane, code in enumerate(codes)) ^ windows
                ctx.set(dut.i.payload, {"slots": slots, "masks": masks, "last": last})
            ready = sink[cycle % len(sink)]
            ctx.set(dut.o.ready, ready)
            if valid and ctx.get(dut.i.ready):
                place += 1
                offered_at.append(cycle)
            if ctx.get(dut.o.valid):
                first.append(cycle - offered_at[0])
                if ready:
                    values = [ctx.get(dut.o.payload["values"][lane]) for lane in range(4)]
                    got.append((values, ctx.get(dut.o.payload.lane_valid), ctx.get(dut.o.payload.last)))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == [
        (
            [ENTRIES[code] if code < 5 and lanes >> lane & 1 else 0 for lane, code in enumerate(codes)],
            lanes,
            last,
        )
        for codes, _, lanes, last in sent
    ]
    assert first[0] == len(CODE_UNITS)


@pytest.mark.parametrize("config", [FILLED, COMPARED])
@pytest.mark.parametrize("n_codes", range(7))
def test_the_codebook_is_loaded_and_filled(n_codes, config):
    """With zeros, or the padding of the last word is written, too."""
    dut = CodebookLoader(config)
    words, written, taken = [0x04030201, 0x08070605], [], []

    async def bench(ctx):
        ctx.set(dut.n_codes, n_codes)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.fill, 1)
        await ctx.tick()
        ctx.set(dut.fill, 0)
        ctx.set(dut.i.valid, 1)
        for _ in range(20):
            ctx.set(dut.i.payload, words[len(taken)] if len(taken) < 2 else 0xFFFFFFFF)
            if ctx.get(dut.entry.write):
                written.append((ctx.get(dut.entry.addr), ctx.get(dut.entry.data)))
            if ctx.get(dut.i.ready):
                taken.append(len(written))
            await ctx.tick()
        assert ctx.get(dut.done)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    n_words = -(-n_codes // 4)
    assert len(taken) == n_words
    if config.zero_filled:
        assert written == [(k, k + 1 if k < n_codes else 0) for k in range(8)]
    else:
        assert written == [(k, k + 1) for k in range(4 * n_words)]


def test_a_codebook_that_is_refused_writes_nothing():
    """Its loader is started before that is known."""
    dut, written = CodebookLoader(FILLED), []

    async def bench(ctx):
        ctx.set(dut.n_codes, 0)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for _ in range(20):
            written.append(ctx.get(dut.entry.write))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert not any(written)
