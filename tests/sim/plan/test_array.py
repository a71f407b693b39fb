import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_sim.plan.array import Array, lanes_for
from weightless_sim.plan.network import Layer


def test_by_hand():
    array = Array(32, 16)
    assert array.tile == 512
    assert array.tiles(Layer("a", (17, 33), 0.1)) == 2 * 2  # edges count whole
    assert array.tiles(Layer("conv", (16, 3, 3, 3), 0.1)) == 1
    assert array.busy(1) == 32  # a row a cycle through the load port
    assert array.busy(100) == 100
    assert array.needs(1) == 16  # no more than that port takes
    assert array.needs(256) == 2
    assert array.cycles(1, 16) == 32
    assert array.cycles(1, 64) == 32
    assert array.cycles(1, 4) == 128
    assert array.cycles(200, 4) == 200
    assert [lanes_for(rate) for rate in (0.02, 1, 1.01, 2, 31, 33)] == [1, 1, 2, 2, 32, 64]


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 10_000), st.floats(0.01, 100))
def test_what_it_needs_keeps_it_busy(rows, columns, vectors, rate):
    array = Array(rows, columns)
    assert array.cycles(vectors, array.needs(vectors)) == pytest.approx(array.busy(vectors))
    assert array.cycles(vectors, rate) >= array.busy(vectors)
    assert array.cycles(vectors, lanes_for(array.needs(vectors))) == array.busy(vectors)
