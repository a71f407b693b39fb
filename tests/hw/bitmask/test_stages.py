"""Masks that become beats, and codes that find their lanes, against what the words say."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.bitmask.stages import Codes, Masks


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("lanes", [1, 2, 8, 16])
def test_a_mask_becomes_beats(lanes):
    """Whenever masks come, and whenever they are taken."""
    rng, config = np.random.default_rng(lanes), BitmaskConfig(lanes=lanes, slot_bits=5, max_codes=9)
    words = [0, 0xFFFFFFFF, 1, 1 << 31, *rng.integers(0, 1 << 32, 40).tolist()]
    dut, beats = Masks(config), []

    async def bench(ctx):
        place = 0
        while len(beats) < len(words) * 32 // lanes:
            ctx.set(dut.i.valid, int(place < len(words) and rng.random() < 0.7))
            ctx.set(dut.i.payload, words[min(place, len(words) - 1)])
            ctx.set(dut.go, int(ctx.get(dut.has_beat) and rng.random() < 0.8))
            if ctx.get(dut.go):
                before = [ctx.get(dut.before[lane]) for lane in range(lanes)]
                n_set, used = ctx.get(dut.n_set), ctx.get(dut.used)
                beats.append((ctx.get(dut.lanes), before, n_set, used, ctx.get(dut.last)))
            place += ctx.get(dut.i.valid) & ctx.get(dut.i.ready)
            await ctx.tick()

    simulate(dut, bench)
    for k, (found, before, n_set, used, last) in enumerate(beats):
        word, part = divmod(k, 32 // lanes)
        bits = words[word] >> part * lanes & (1 << lanes) - 1
        assert found == bits
        assert before == [(bits & (1 << lane) - 1).bit_count() for lane in range(lanes)]
        assert n_set == bits.bit_count()
        assert used == 5 * n_set  # of one bit each
        assert last == (part == 32 // lanes - 1)


@pytest.mark.parametrize(("lanes", "slot_bits"), [(1, 16), (4, 1), (8, 8), (16, 7), (16, 16), (2, 3)])
def test_a_beat_takes_as_many_codes_as_it_has(lanes, slot_bits):
    rng, config = np.random.default_rng(lanes), BitmaskConfig(lanes=lanes, slot_bits=slot_bits, max_codes=2)
    words = rng.integers(0, 1 << 32, 60).tolist()
    string = sum(word << 32 * k for k, word in enumerate(words))
    dut, taken, found = Codes(config), [], []

    async def bench(ctx):
        place, n_set = 0, int(rng.integers(0, lanes + 1))
        for _ in range(4000):
            ctx.set(dut.i.valid, int(place < len(words) and rng.random() < 0.8))
            ctx.set(dut.i.payload, words[min(place, len(words) - 1)])
            ctx.set(dut.used, n_set * (slot_bits // config.unit))
            ctx.set(dut.go, int(ctx.get(dut.has_codes) and rng.random() < 0.7))
            going = ctx.get(dut.go)
            if going:
                taken.append(n_set)
                codes = ctx.get(dut.codes)
                found.extend(codes >> slot_bits * k & (1 << slot_bits) - 1 for k in range(n_set))
            place += ctx.get(dut.i.valid) & ctx.get(dut.i.ready)
            await ctx.tick()
            n_set = int(rng.integers(0, lanes + 1)) if going else n_set

    simulate(dut, bench)
    assert sum(taken) * slot_bits > 32 * len(words) - slot_bits * lanes - 1
    assert found == [string >> slot_bits * k & (1 << slot_bits) - 1 for k in range(len(found))]
