"""The counter of a tile's runs, and what says whether the layer has them, on Amaranth's own simulator."""

import pytest
from amaranth.sim import Simulator
from frames import bad_runs, random_runs
from hypothesis import example, given, settings
from hypothesis import strategies as st

from weightless_hw.classic.tiles import RunCounter
from weightless_sim.model.stored import check_cycles
from weightless_sw.spec.record import Runs

TOP = (1 << 32) - 1


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def begin(ctx, dut, n_weights, runs=None, pause=0):
    """A descriptor, and the words of a tile; returns in the cycle behind the last one."""
    ctx.set(dut.n_weights, n_weights)
    ctx.set(dut.begin, 1)
    await ctx.tick()
    ctx.set(dut.begin, 0)
    for word in runs or ():
        for _ in range(pause):
            await ctx.tick()
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, word)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)


def beats(runs, lanes):
    """(group, head, tail, last) of each beat that must come."""
    found = []
    for k in range(runs.number):
        first = runs.first + k * runs.stride
        behind = first + runs.length
        for group in range(first // lanes, -(-behind // lanes)):
            head, tail = max(first - group * lanes, 0), min(behind - group * lanes, lanes) - 1
            found.append([group, head, tail, 0])
    found[-1][3] = 1
    return [tuple(beat) for beat in found]


def counted(tiles, lanes, go=(True,), pause=0):
    """What comes of these tiles, one behind the other; None for the whole layer of 300 weights."""
    dut, seen = RunCounter(lanes), []

    async def bench(ctx):
        for runs in tiles:
            await begin(ctx, dut, 300, runs, pause)
            await ctx.tick().repeat(40)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for cycle in range(3000):
                if not ctx.get(dut.valid):
                    break
                goes = go[cycle % len(go)]
                ctx.set(dut.go, goes)
                if goes:
                    seen.append(
                        tuple(ctx.get(getattr(dut, name)) for name in ("group", "head", "tail", "last"))
                    )
                await ctx.tick()
            ctx.set(dut.go, 0)

    simulate(dut, bench)
    return seen


@pytest.mark.parametrize("lanes", [1, 2, 8, 64])
@pytest.mark.parametrize("go", [(True,), (False, True, True)], ids=["free", "stalled"])
def test_a_whole_layer_is_one_run(lanes, go):
    assert counted([None, None], lanes, go) == 2 * beats(Runs(0, 300, 1, 300), lanes)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 2, 4, 8, 16, 64]), st.randoms(use_true_random=False), st.integers(0, 2))
def test_groups_and_lanes_of_any_runs(lanes, rng, pause):
    """Tiles and whole layers in turn; each beat counted by ``Runs.n_beats`` as well."""
    tiles = [random_runs(rng, 300), None, random_runs(rng, 300)]
    expected = []
    for runs in tiles:
        one = beats(runs or Runs(0, 300, 1, 300), lanes)
        assert (runs or Runs(0, 300, 1, 300)).n_beats(lanes) == len(one)
        expected += one
    assert counted(tiles, lanes, [rng.random() < 0.7 for _ in range(20)] + [True], pause) == expected


@pytest.mark.parametrize("lanes", [1, 8])
def test_numbers_of_32_bits(lanes):
    """The last weights of the largest layer."""
    dut, runs, seen = RunCounter(lanes), Runs(TOP - 1000, 20, 3, 490), []

    async def bench(ctx):
        await begin(ctx, dut, TOP, runs)
        await ctx.tick().repeat(10)
        assert ctx.get(dut.known)
        assert ctx.get(dut.fit)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.go, 1)
        while ctx.get(dut.valid):
            seen.append(tuple(ctx.get(getattr(dut, name)) for name in ("group", "head", "tail", "last")))
            await ctx.tick()

    simulate(dut, bench)
    assert seen == beats(runs, lanes)


def verdicts(asked):
    """Of each (runs, N): whether it fits, and after how many cycles behind the last word that was known."""
    dut, found = RunCounter(8), []

    async def bench(ctx):
        for runs, n_weights in asked:
            await begin(ctx, dut, n_weights, runs)
            cycles = 1
            while not ctx.get(dut.known):
                await ctx.tick()
                cycles += 1
            found.append((bool(ctx.get(dut.fit)), cycles))

    simulate(dut, bench)
    return found


NUMBERS = (
    st.integers(0, TOP) | st.integers(0, 70) | st.integers(0, 31).map(lambda bit: 1 << bit) | st.just(TOP)
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.builds(Runs, NUMBERS, NUMBERS, NUMBERS, NUMBERS), NUMBERS), min_size=1, max_size=5)
)
@example(
    [
        (Runs(0, 1, TOP, 1), TOP),
        (Runs(0, TOP, 1, TOP), TOP),
        (Runs(0, 1, 1 << 31, 2), TOP),
        (Runs(0, 1, 5, 1 << 31), TOP),
    ]
)
@example([(Runs(3, 4, 1 << 30, 4), TOP), (Runs(2, 4, (1 << 30) - 1, 4), TOP), (Runs(0, 1, 2, TOP), TOP)])
def test_what_fits_is_what_software_says(asked):
    expected = [(runs.fit(n_weights), check_cycles(runs)) for runs, n_weights in asked]
    assert verdicts(asked) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.randoms(use_true_random=False), st.integers(1, 200)), min_size=1, max_size=4))
def test_what_ends_with_the_last_weight_fits_and_one_more_does_not(asked):
    tiles = [(random_runs(rng, n), n) for rng, n in asked]
    ends = [runs.first + (runs.number - 1) * runs.stride + runs.length for runs, _ in tiles]
    found = verdicts([(runs, end) for (runs, _), end in zip(tiles, ends, strict=True)])
    assert all(fits for fits, _ in found)
    found = verdicts([(runs, end - 1) for (runs, _), end in zip(tiles, ends, strict=True)])
    assert not any(fits for fits, _ in found)


def test_what_the_benches_take_for_bad_is_bad():
    bad = bad_runs(123)
    assert not any(runs.fit(123) for runs in bad.values())
    assert [fits for fits, _ in verdicts([(runs, 123) for runs in bad.values()])] == [False] * len(bad)
