"""Single stages on Amaranth's simulator; the whole decoder is tested in tests/sim/test_cosim.py."""

import pytest
from amaranth.sim import Simulator

from weightless_hw.config import DecoderConfig
from weightless_hw.decoder import HashRounds, LanePermutation, RangeReduction
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.hash import hash_words, initial_state, rotate_left


def simulate(dut, set_inputs, get_output, cases, latency):
    """Feed one case a clock; the outputs, ``latency`` clocks later."""
    outputs = []

    async def bench(ctx):
        ctx.set(dut.en, 1)
        for k in range(len(cases) + latency):
            if k < len(cases):
                set_inputs(ctx, cases[k])
            if k >= latency:
                outputs.append(get_output(ctx))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return outputs


@pytest.mark.parametrize("per_stage", [1, 2, 3])
def test_vectors_hash(vectors, per_stage):
    cases = [case for case in vectors["hash"] if case["rounds"] == spec.ADDRESS_ROUNDS]
    dut = HashRounds(spec.ADDRESS_ROUNDS, per_stage)

    def feed(ctx, case):
        state = initial_state(case["index"], case["seed"], case["domain"], rotate_left)
        for k, word in enumerate(state):
            ctx.set(dut.i[k], word)

    stages = -(-spec.ADDRESS_ROUNDS // per_stage)
    outputs = simulate(dut, feed, lambda ctx: [ctx.get(dut.o[k]) for k in range(3)], cases, stages)
    assert outputs == [case["words"] for case in cases]


@pytest.mark.parametrize("bank_rows", [1, 2, 474, 1000])
def test_range_reduction_is_the_specification(bank_rows):
    config = DecoderConfig(max_bank_rows=1000)
    geometry = ClassicGeometry(n_weights=8000, lanes=8, slot_bits=8, bank_rows=bank_rows, n_codes=1, seed=5)
    dut = RangeReduction(config)

    def feed(ctx, group):
        ctx.set(dut.bank_rows, bank_rows)
        for k, word in enumerate(hash_words(group, 5, spec.DOMAIN, spec.ADDRESS_ROUNDS)):
            ctx.set(dut.words[k], word)

    outputs = simulate(
        dut, feed, lambda ctx: tuple(ctx.get(dut.rows[k]) for k in range(3)), list(range(200)), 2
    )
    assert outputs == [geometry.rows(group) for group in range(200)]


@pytest.mark.parametrize("lanes", [2, 8, 16, 64])
def test_permutation(lanes):
    config = DecoderConfig(lanes=lanes, slot_bits=6)
    dut = LanePermutation(config)
    row = sum(lane << 6 * lane for lane in range(lanes))

    def feed(ctx, offset):
        ctx.set(dut.offset, offset)
        ctx.set(dut.i, row)

    outputs = simulate(dut, feed, lambda ctx: ctx.get(dut.o), list(range(lanes)), config.permute_stages)
    assert outputs == [sum((lane ^ offset) << 6 * lane for lane in range(lanes)) for offset in range(lanes)]
