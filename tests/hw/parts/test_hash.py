import pytest

from weightless_hw.parts.hash import HashRounds
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
