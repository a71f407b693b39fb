"""A component on Amaranth's simulator, a case a clock."""

import pytest
from amaranth.sim import Simulator


@pytest.fixture(scope="session")
def clock_through():
    """The function below."""
    return simulate


def simulate(dut, set_inputs, get_output, cases, latency):
    """Feed one case a clock; the outputs, ``latency`` clocks later."""
    outputs = []

    async def bench(ctx):
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
