"""The register `control`, cycle by cycle, on Amaranth's simulator: which writes reset, when, and what stays."""

import pytest
from amaranth.sim import Simulator
from frames import record

from weightless_hw import decoders
from weightless_hw.classic.config import ClassicConfig
from weightless_hw.registers import ADDRESS, LoadError, Phase
from weightless_sim.cosim.scenario import LAST, frame
from weightless_sw.records import resident_record

CONFIG = ClassicConfig(lanes=1, slot_bits=4, max_bank_rows=40, max_codes=4, rounds_per_stage=6)


def run(testbench):
    """Run it on a decoder that was reset by its power-up."""
    dut = decoders.component(CONFIG)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def bench(ctx):
        await testbench(ctx, dut)

    simulator.add_testbench(bench)
    simulator.run()


async def write(ctx, dut, name, value):
    """In one cycle."""
    ctx.set(dut.reg_addr, ADDRESS[name])
    ctx.set(dut.reg_write, 1)
    ctx.set(dut.reg_write_data, value)
    await ctx.tick()
    ctx.set(dut.reg_write, 0)


def read(ctx, dut, name):
    ctx.set(dut.reg_addr, ADDRESS[name])
    return ctx.get(dut.reg_data)


async def send(ctx, dut, words, n_cycles=600):
    """Offer words, take all beats; how many words went, and beats came."""
    ctx.set(dut.weights.ready, 1)
    place = beats = 0
    for _ in range(n_cycles):
        offered = place < len(words)
        ctx.set(dut.load.valid, offered)
        if offered:
            ctx.set(dut.load.payload, {"data": words[place] & LAST - 1, "last": words[place] >> 32})
        taken = offered and ctx.get(dut.load.ready)
        beats += ctx.get(dut.weights.valid)
        await ctx.tick()
        place += taken
    ctx.set(dut.load.valid, 0)
    return place, beats


@pytest.mark.parametrize("value", [0, 2, 1 << 8, 0xFFFFFFFE])
def test_only_the_lowest_bit_resets(value):
    async def bench(ctx, dut):
        words = frame(record(CONFIG, 30, 5, 2))
        assert await send(ctx, dut, words[:9], 60) == (9, 0)
        phase = read(ctx, dut, "phase")
        assert phase != Phase.DESCRIPTOR
        await write(ctx, dut, "control", value)
        for _ in range(3):
            assert read(ctx, dut, "phase") == phase
            await ctx.tick()
        assert await send(ctx, dut, words[9:]) == (len(words) - 9, 30)

    run(bench)


@pytest.mark.parametrize("value", [1, 3, 0xFFFFFFFF])
def test_a_reset_comes_in_the_cycle_after_the_next_and_keeps_counts_and_errors(value):
    async def bench(ctx, dut):
        good = record(CONFIG, 30, 5, 2)
        words = frame(good)
        wrong = [*words[:-1], words[-1] ^ 1]
        assert (await send(ctx, dut, wrong))[1] == 0
        assert await send(ctx, dut, words) == (len(words), 30)
        assert (await send(ctx, dut, words[:9], 60))[0] == 9
        kept = {name: read(ctx, dut, name) for name in ("records", "beats", "errors", "load_stalls")}
        assert (kept["records"], kept["beats"], kept["errors"]) == (1, 30, LoadError.CRC)
        phase = read(ctx, dut, "phase")
        await write(ctx, dut, "control", value)
        assert read(ctx, dut, "phase") == phase  # the write is in its register; the reset is on its way
        await ctx.tick()
        assert read(ctx, dut, "phase") == Phase.DESCRIPTOR
        assert {name: read(ctx, dut, name) for name in kept} == kept
        assert ctx.get(dut.error)
        await send(ctx, dut, frame(resident_record(good)))
        assert read(ctx, dut, "errors") == LoadError.CRC | LoadError.NOT_RESIDENT  # the table is forgotten
        assert await send(ctx, dut, words) == (len(words), 30)

    run(bench)


@pytest.mark.parametrize("n_words", [1, 7, 8, 10])
def test_a_reset_anywhere_in_a_record(n_words):
    async def bench(ctx, dut):
        words = frame(record(CONFIG, 30, 5, 2))
        await send(ctx, dut, words[:n_words], n_words + 20)
        await write(ctx, dut, "control", 1)
        await ctx.tick()
        assert await send(ctx, dut, words) == (len(words), 30)
        assert read(ctx, dut, "errors") == 0

    run(bench)
