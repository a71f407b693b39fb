"""How the window moves, and what it reads, against the specification's scalar functions."""

from itertools import islice

import numpy as np
import pytest
from amaranth.sim import Simulator

from weightless_hw.ribbon.config import RibbonConfig
from weightless_hw.ribbon.stages import Position, Segments, Window
from weightless_sw.spec import ribbon as spec


def starts_of(entries):
    """The start word of each group, of segments (words or DEAD, groups)."""
    word = 0
    for w, d in entries:
        for q in range(d):
            yield word if w == spec.DEAD else word + q * w // d
        word += 0 if w == spec.DEAD else w


@pytest.mark.parametrize("lanes", [8, 16])
def test_segments_move_the_window_as_the_specification_says(lanes):
    """Segments of all kinds, one after another, whenever the taker likes."""
    rng = np.random.default_rng(lanes)
    entries = [
        (62, 62),
        (0, 2),
        (2, 2),
        (1, 2),
        (spec.DEAD, 4),
        (40, 100),
        (62, 4096),
        (spec.DEAD, 2),
        (5, 6),
    ]
    entries += [(int(rng.integers(0, min(d, 62) + 1)), d) for d in 2 * rng.integers(1, 200, 30)]
    config = RibbonConfig(lanes=lanes)
    dut, moves, is_dead = Segments(config), [], []

    async def bench(ctx):
        place = 0
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        while place < len(entries):
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, {"units": int(entries[place][1]) // 2, "advance": entries[place][0]})
            ctx.set(dut.o.ready, int(rng.random() < 0.8))
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                one = ctx.get(dut.o.payload)
                moves.extend(one.moves >> k & 1 for k in range(config.groups))
                is_dead.extend([one.dead] * config.groups)
            place += ctx.get(dut.i.ready)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    expected = list(islice(starts_of(entries), len(moves)))
    assert len(moves) > 4000
    assert np.cumsum(moves).tolist() == expected
    kinds = [w == spec.DEAD for w, d in entries for _ in range(d)]
    assert is_dead == kinds[: len(is_dead)]


def test_a_beat_waits_until_its_last_word_is_there():
    dut, seen = Position(RibbonConfig(lanes=16)), []

    async def bench(ctx):
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        for _ in range(3):
            ctx.set(dut.block_done, 1)
            await ctx.tick()
            ctx.set(dut.block_done, 0)
            for moves in range(4):
                ctx.set(dut.moves, moves)
                seen.append(ctx.get(dut.full))
        ctx.set(dut.moves, 3)
        ctx.set(dut.taken, 1)
        seen.append([ctx.get(dut.places[k]) for k in range(2)])
        await ctx.tick()
        ctx.set(dut.moves, 0)
        seen.append(ctx.get(dut.places[0]))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    four, eight, twelve = (0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 1, 1)
    assert seen == [*four, *eight, *twelve, [1, 2], 2]


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize("registers", [0, 1])
@pytest.mark.parametrize("slot_bits", [1, 8])
def test_the_window_reads_the_taps_of_each_lane(lanes, registers, slot_bits):
    """All of a ring's words, from every place, every part of a group, at random rotations."""
    rng = np.random.default_rng(lanes)
    config = RibbonConfig(lanes=lanes, slot_bits=slot_bits, max_codes=1, window_registers=registers)
    dut = Window(config)
    ring = rng.integers(0, 1 << slot_bits, (config.RING_WORDS, spec.WORD_SLOTS)).tolist()

    async def bench(ctx):
        for block in range(config.RING_WORDS // spec.BLOCK_WORDS):
            for slot in range(spec.WORD_SLOTS):
                words = ring[block * spec.BLOCK_WORDS : (block + 1) * spec.BLOCK_WORDS]
                slots = sum(word[slot] << k * slot_bits for k, word in enumerate(words))
                write = {"columns": 1 << block % 2, "half": block // 2, "slot": slot, "slots": slots}
                ctx.set(dut.write, write)
                await ctx.tick()
        ctx.set(dut.write, {"columns": 0})
        ctx.set(dut.en, 1)
        for start in list(range(config.RING_WORDS)) * 4:
            rotations, part = int(rng.integers(0, 1 << 24)), int(rng.integers(0, config.beats))
            words = [(start + k) % config.RING_WORDS for k in range(spec.WINDOW)]
            halves = sum((word // spec.WINDOW) << word % spec.WINDOW for word in words)
            ctx.set(dut.rotations, rotations)
            ctx.set(dut.halves, halves)
            ctx.set(dut.part, part)
            await ctx.tick()
            sums = ctx.get(dut.sums)
            for lane in range(lanes):
                own, expected = part * lanes + lane, 0
                for word in words:
                    column = word % spec.WINDOW
                    if spec.is_tapped(own, column):
                        expected ^= ring[word][spec.tap(rotations, own, column)]
                assert sums >> lane * slot_bits & (1 << slot_bits) - 1 == expected, (start, part, lane)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
