"""The loader on Amaranth's own simulator."""

import pytest
from amaranth.sim import Simulator

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.classic.load import Loader
from weightless_hw.registers import LoadError, Phase
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import FLAG_RESIDENT, ValueFormat, pack_fields, unpack_fields

CONFIG = ClassicConfig(lanes=4, slot_bits=8, max_bank_rows=20, max_codes=7)
GOOD = ClassicGeometry(n_weights=100, lanes=4, slot_bits=8, bank_rows=20, n_codes=7, seed=0)


def load(descriptors, words_after=0):
    """Phase, error and whether decoding started, after descriptors and some words of payload."""
    dut = Loader(CONFIG)
    state = {}

    async def bench(ctx):
        ctx.set(dut.load.valid, 1)
        started = 0
        words = [int.from_bytes(d[k : k + 4], "little") for d in descriptors for k in range(0, len(d), 4)]
        for word in [*words, *[0] * words_after]:
            ctx.set(dut.load.payload, word)
            for _ in range(20):
                ready = ctx.get(dut.load.ready)
                started |= ctx.get(dut.start)
                await ctx.tick()
                if ready:
                    break
        for _ in range(3):
            started |= ctx.get(dut.start)
            await ctx.tick()
        state.update(phase=Phase(ctx.get(dut.phase)), error=LoadError(ctx.get(dut.error)), started=started)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return state


def changed(**fields):
    return pack_fields(
        ClassicGeometry.FIELDS, unpack_fields(ClassicGeometry.FIELDS, GOOD.to_descriptor()) | fields
    )


def test_a_good_record_starts_decoding():
    state = load([GOOD.to_descriptor()], sum(section.n_words for section in GOOD.sections))
    assert state == {"phase": Phase.DECODE, "error": LoadError(0), "started": 1}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"layout": 2}, LoadError.LAYOUT),
        ({"widths": 2 | 8 << 4}, LoadError.WIDTHS),
        ({"widths": 3 | 7 << 4}, LoadError.WIDTHS),
        ({"value_format": ValueFormat.FIXED8}, LoadError.VALUE_FORMAT),
        ({"value_format": 0}, LoadError.VALUE_FORMAT),
        ({"flags": 2}, LoadError.FLAGS),
        ({"n_weights": 0}, LoadError.N_WEIGHTS),
        ({"bank_rows": 0}, LoadError.BANK_ROWS),
        ({"bank_rows": 21}, LoadError.BANK_ROWS),
        ({"payload_words": 61}, LoadError.BANK_ROWS),
        ({"n_codes": 8}, LoadError.N_CODES),
        ({"flags": FLAG_RESIDENT}, LoadError.NOT_RESIDENT),
        ({"digest": spec.DIGEST ^ 1}, LoadError.DIGEST),
        ({"layout": 0, "n_weights": 0}, LoadError.LAYOUT | LoadError.N_WEIGHTS),
    ],
)
def test_a_bad_descriptor_stops_the_loader(fields, error):
    assert load([changed(**fields)], 5) == {"phase": Phase.ERROR, "error": error, "started": 0}


def test_fixed16_is_served_like_fp16():
    assert load([changed(value_format=ValueFormat.FIXED16)])["phase"] == Phase.CODEBOOK
