import pytest
from amaranth.sim import Simulator

from weightless_hw.parts.beats import BeatCounter


@pytest.mark.parametrize(("lanes", "n_weights"), [(1, 3), (4, 1), (4, 8), (4, 11), (16, 33), (2, 1100)])
@pytest.mark.parametrize("go", [[True], [False, True, True], [False, False, True]])
def test_it_counts_where_it_is_told_to(lanes, n_weights, go):
    dut = BeatCounter(lanes)
    seen = []

    async def bench(ctx):
        ctx.set(dut.start, 1)
        ctx.set(dut.n_weights, n_weights)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for cycle in range(4 * n_weights + 10):
            goes = go[cycle % len(go)] and ctx.get(dut.valid)
            ctx.set(dut.go, goes)
            if goes:
                seen.append((ctx.get(dut.group), ctx.get(dut.last)))
            await ctx.tick()
        assert ctx.get(dut.tail_lanes) == (1 << (n_weights - 1) % lanes + 1) - 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    n_groups = -(-n_weights // lanes)
    assert seen == [(group, int(group == n_groups - 1)) for group in range(n_groups)]
