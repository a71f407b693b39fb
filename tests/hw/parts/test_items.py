import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_hw.parts.items import Items, Skid


def cut(width, words, valid, ready=(True,)):
    """(items, cycle in which all were given) of these words; ``valid`` and ``ready`` are repeated."""
    dut = Items(width)
    n_items, items, done_at = 32 * len(words) // width, [], []

    async def bench(ctx):
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        place = 0
        for cycle in range(40 + 8 * len(words) * len(valid) * len(ready) * (32 // width + 1)):
            offer = place < len(words) and valid[cycle % len(valid)]
            ctx.set(dut.i.valid, offer)
            ctx.set(dut.i.payload, words[place] if offer else 0)
            ctx.set(dut.o.ready, ready[cycle % len(ready)])
            if place == len(words) and len(items) == n_items:
                done_at.append(cycle)
                break
            if ctx.get(dut.o.valid) and ready[cycle % len(ready)]:
                items.append(ctx.get(dut.o.payload))
            place += offer and ctx.get(dut.i.ready)
            await ctx.tick()
        assert place == len(words)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return items, done_at[0]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([1, 5, 8, 16, 24, 32, 36, 64, 72, 100]),
    st.lists(st.integers(0, 2**32 - 1), max_size=12),
    st.lists(st.booleans(), min_size=1, max_size=5).filter(any),
    st.lists(st.booleans(), min_size=1, max_size=5).filter(any),
)
def test_words_are_cut_into_items_whoever_waits(width, words, valid, ready):
    items, _ = cut(width, words, valid, ready)
    whole = sum(word << 32 * k for k, word in enumerate(words))
    n_items = 32 * len(words) // width
    assert items == [whole >> k * width & (1 << width) - 1 for k in range(n_items)]


@pytest.mark.parametrize(
    ("width", "n_words", "cycles"), [(32, 10, 11), (64, 10, 11), (8, 10, 41), (72, 9, 10)]
)
def test_it_keeps_up(width, n_words, cycles):
    """A word a clock, or an item a clock where a word holds several."""
    assert cut(width, [0] * n_words, [True])[1] == cycles


@pytest.mark.parametrize("ready", [1.0, 0.5, 0.1])
def test_a_skid_keeps_every_word_and_their_order(ready):
    """Its own ready does not look at the taker's; a word a clock goes through where nobody waits."""
    rng = np.random.default_rng(3)
    dut, sent, got, cycles = Skid(8), list(range(200)), [], 0

    async def bench(ctx):
        nonlocal cycles
        place = 0
        while len(got) < len(sent):
            offers, takes = (
                int(place < len(sent) and (ready == 1.0 or rng.random() < 0.7)),
                int(rng.random() < ready),
            )
            ctx.set(dut.i.valid, offers)
            ctx.set(dut.i.payload, sent[place] if offers else 255)
            before = ctx.get(dut.i.ready)
            ctx.set(dut.o.ready, takes)
            assert ctx.get(dut.i.ready) == before
            if takes and ctx.get(dut.o.valid):
                got.append(ctx.get(dut.o.payload))
            place += offers and before
            await ctx.tick()
            cycles += 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == sent
    assert ready < 1 or cycles == len(sent) + 1
