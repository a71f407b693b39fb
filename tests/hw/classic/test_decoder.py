"""Single stages on Amaranth's simulator; the whole decoder is tested in tests/sim/cosim/test_runner.py."""

import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.classic.decoder import RangeReduction
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
