"""Single parts on Amaranth's simulator; the whole decoder is tested in tests/sim/test_cosim.py."""

import re

import pytest
from amaranth.hdl import Fragment
from amaranth.lib import wiring
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_hw import parts
from weightless_hw.classic import decoder, load
from weightless_hw.classic.config import ClassicConfig
from weightless_hw.parts import HashRounds, LanePermutation, Unpacker
from weightless_sw.spec import classic as spec
from weightless_sw.spec.hash import initial_state, rotate_left


@pytest.mark.parametrize("per_stage", range(1, spec.ADDRESS_ROUNDS + 1))
def test_vectors_hash(vectors, per_stage, clock_through):
    cases = [case for case in vectors["hash"] if case["rounds"] == spec.ADDRESS_ROUNDS]
    dut = HashRounds(spec.ADDRESS_ROUNDS, per_stage)

    def feed(ctx, case):
        state = initial_state(case["index"], case["seed"], case["domain"], rotate_left)
        for k, word in enumerate(state):
            ctx.set(dut.i[k], word)

    stages = -(-spec.ADDRESS_ROUNDS // per_stage)
    outputs = clock_through(dut, feed, lambda ctx: [ctx.get(dut.o[k]) for k in range(3)], cases, stages)
    assert outputs == [case["words"] for case in cases]


@pytest.mark.parametrize("lanes", [2, 8, 16, 64])
def test_permutation(lanes, clock_through):
    dut = LanePermutation(lanes, 6)
    config = ClassicConfig(lanes=lanes)
    row = sum(lane << 6 * lane for lane in range(lanes))

    def feed(ctx, offset):
        ctx.set(dut.offset, offset)
        ctx.set(dut.i, row)

    outputs = clock_through(dut, feed, lambda ctx: ctx.get(dut.o), list(range(lanes)), config.permute_stages)
    assert outputs == [sum((lane ^ offset) << 6 * lane for lane in range(lanes)) for offset in range(lanes)]


def unpack(width, words, valid):
    """(items, cycle in which done rose) of a section; ``valid`` is repeated."""
    dut = Unpacker(width, max(1, len(words)))
    items, done_at = [], []

    async def bench(ctx):
        ctx.set(dut.n_words, len(words))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        place = 0
        for cycle in range(40 + 8 * len(words) * len(valid) * (32 // width + 1)):
            offer = place < len(words) and valid[cycle % len(valid)]
            ctx.set(dut.i.valid, offer)
            ctx.set(dut.i.payload, words[place] if offer else 0)
            if ctx.get(dut.item_valid):
                items.append(ctx.get(dut.item))
            if ctx.get(dut.done):
                done_at.append(cycle)
                break
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
)
def test_unpacker_cuts_words_into_items(width, words, valid):
    items, _ = unpack(width, words, valid)
    whole = sum(word << 32 * k for k, word in enumerate(words))
    n_items = 32 * len(words) // width
    assert items == [whole >> k * width & (1 << width) - 1 for k in range(n_items)]


@pytest.mark.parametrize(
    ("width", "n_words", "cycles"), [(32, 10, 11), (64, 10, 11), (8, 10, 41), (72, 9, 10)]
)
def test_unpacker_keeps_up(width, n_words, cycles):
    """A word a clock, or an item a clock where a word holds several."""
    assert unpack(width, [0] * n_words, [True])[1] == cycles


def components():
    """One of every component, the parts' and the classic decoder's."""
    config = ClassicConfig(lanes=2)
    return [
        parts.HashRounds(2, 1), parts.LanePermutation(2, 8), parts.Codebook(config), parts.OutputBuffer(8),
        parts.Unpacker(8, 4), decoder.IndexGenerator(config), decoder.RangeReduction(config), decoder.Bank(config),
        decoder.Pipeline(config), decoder.Decoder(config), load.Loader(config),
    ]  # fmt: skip


def test_every_port_is_described_and_every_elaborate_opens_with_a_word():
    written = [
        cls
        for module in (parts, decoder, load)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, wiring.Component) and cls.__module__ == module.__name__
    ]
    instances = components()
    assert {type(component) for component in instances} == set(written)
    for component in instances:
        described = type(component).__doc__.split("Attributes\n", 1)[1]
        missing = [name for name in component.signature.members if not re.search(rf"\b{name}\b", described)]
        assert not missing, f"{type(component).__name__}: {missing}"
        assert type(component).elaborate.__doc__, type(component).__name__
        Fragment.get(component, None)  # an elaboratable that is never elaborated warns
