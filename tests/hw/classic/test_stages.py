"""Single stages on Amaranth's simulator; the whole decoder is tested in tests/sim/cosim/test_runner.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.classic.stages import LanePermutation, RangeReduction
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.hash import hash_words


@pytest.mark.parametrize("bank_rows", [1, 2, 474, 1000])
def test_range_reduction_is_the_specification(bank_rows, clock_through):
    config = ClassicConfig(max_bank_rows=1000)
    geometry = ClassicGeometry(n_weights=8000, lanes=8, slot_bits=8, bank_rows=bank_rows, n_codes=1, seed=5)
    dut = RangeReduction(config)

    def feed(ctx, group):
        ctx.set(dut.bank_rows, bank_rows)
        for k, word in enumerate(hash_words(group, 5, spec.DOMAIN, spec.ADDRESS_ROUNDS)):
            ctx.set(dut.words[k], word)

    outputs = clock_through(
        dut, feed, lambda ctx: tuple(ctx.get(dut.rows[k]) for k in range(3)), list(range(200)), 2
    )
    assert outputs == [geometry.rows(group) for group in range(200)]


@pytest.mark.parametrize("max_bank_rows", [2, 3, 473, 1000])
def test_no_group_reaches_a_row_that_is_not_built(max_bank_rows, clock_through):
    """The row grows with the hash word, so that all ones are the worst; banks need not be powers of two deep."""
    config = ClassicConfig(max_bank_rows=max_bank_rows)
    dut = RangeReduction(config)

    def feed(ctx, bank_rows):
        ctx.set(dut.bank_rows, bank_rows)
        for k in range(spec.N_BANKS):
            ctx.set(dut.words[k], 0xFFFFFFFF)

    sizes = [1, 2, max_bank_rows - 1, max_bank_rows]
    outputs = clock_through(
        dut, feed, lambda ctx: max(ctx.get(dut.rows[k]) for k in range(spec.N_BANKS)), sizes, 2
    )
    assert outputs == [rows - 1 for rows in sizes]
    assert config.bank_depth == max_bank_rows


@given(
    st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.integers(1, spec.MAX_BANK_ROWS)
)  # fmt: skip
def test_rows_of_the_specification_are_below_the_layers(group, seed, bank_rows):
    geometry = ClassicGeometry(n_weights=8, lanes=8, slot_bits=8, bank_rows=bank_rows, n_codes=1, seed=seed)
    assert max(geometry.rows(group)) < bank_rows


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
