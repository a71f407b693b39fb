"""Frames and banks, that is FrameReader and BankLoader, on Amaranth's own simulator."""

import pytest
from amaranth import Elaboratable, Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.classic.load import BankLoader, own_faults
from weightless_hw.frame import FrameReader
from weightless_hw.registers import LoadError, Phase
from weightless_sim.cosim.scenario import LAST, frame
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import DESCRIPTOR_BYTES, FLAG_RESIDENT, ValueFormat, pack_fields, unpack_fields

CONFIG = ClassicConfig(lanes=4, slot_bits=8, max_bank_rows=20, max_codes=7)
GOOD = ClassicGeometry(n_weights=100, lanes=4, slot_bits=8, bank_rows=20, n_codes=7, seed=0)


RECORD = GOOD.to_descriptor() + bytes(4 * sum(section.n_words for section in GOOD.sections))


class Loader(Elaboratable):
    """As a decoder connects them."""

    def __init__(self):
        self.reader = FrameReader(CONFIG)

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = self.reader
        m.submodules.table = table = BankLoader(CONFIG)
        connect(m, reader.body, table.i)
        m.d.comb += [
            reader.own_faults.eq(own_faults(CONFIG, reader.fields)),
            reader.body_done.eq(table.done),
            table.start.eq(reader.body_start),
            table.bank_rows.eq(reader.fields.bank_rows),
        ]
        return m


def load(*frames):
    """Phase, errors of all frames and how often decoding started, after these frames; each decoding ends at once."""
    loader = Loader()
    dut = loader.reader
    state = {}

    async def bench(ctx):
        started, errors = 0, LoadError(0)

        async def tick():
            nonlocal started, errors
            ctx.set(dut.finished, ctx.get(dut.phase) == Phase.DECODE)
            started += ctx.get(dut.start)
            errors |= LoadError(ctx.get(dut.faults))
            await ctx.tick()

        assert not ctx.get(dut.load.ready)  # awake from the second cycle on
        ctx.set(dut.load.valid, 1)
        for word in [word for words in frames for word in words]:
            ctx.set(dut.load.payload, {"data": word & LAST - 1, "last": word >> 32})
            for _ in range(40):
                ready = ctx.get(dut.load.ready)
                await tick()
                if ready:
                    break
            else:
                pytest.fail("a word was not taken")
        ctx.set(dut.load.valid, 0)
        for _ in range(4):
            await tick()
        state.update(phase=Phase(ctx.get(dut.phase)), errors=errors, started=started)

    simulator = Simulator(loader)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return state


def changed(**fields):
    descriptor = pack_fields(
        ClassicGeometry.FIELDS, unpack_fields(ClassicGeometry.FIELDS, GOOD.to_descriptor()) | fields
    )
    return frame(descriptor + RECORD[DESCRIPTOR_BYTES:])


def idle(errors, started):
    return {"phase": Phase.DESCRIPTOR, "errors": errors, "started": started}


def test_a_good_record_starts_decoding():
    assert load(frame(RECORD)) == idle(LoadError(0), 1)


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
        ({"bank_rows": 0, "payload_words": 0}, LoadError.BANK_ROWS),
        ({"bank_rows": 21, "payload_words": 63}, LoadError.BANK_ROWS),
        ({"payload_words": 61}, LoadError.PAYLOAD_WORDS),
        ({"payload_words": 59}, LoadError.PAYLOAD_WORDS),
        ({"bank_rows": 19}, LoadError.PAYLOAD_WORDS),
        ({"n_codes": 8}, LoadError.N_CODES),
        ({"flags": FLAG_RESIDENT}, LoadError.NOT_RESIDENT),
        ({"digest": spec.DIGEST ^ 1}, LoadError.DIGEST),
        ({"layout": 0, "n_weights": 0}, LoadError.LAYOUT | LoadError.N_WEIGHTS),
    ],
)
def test_a_bad_descriptor_is_drained_and_the_next_record_decodes(fields, error):
    assert load(changed(**fields)) == idle(error, 0)
    assert load(changed(**fields), frame(RECORD)) == idle(error, 1)


def test_frames_of_another_length_or_crc():
    words = frame(RECORD)
    for n in (*range(1, 12), len(words) - 1):
        assert load([*words[: n - 1], words[n - 1] | LAST], words) == idle(LoadError.SHORT, 1), n
    assert load([*words[:-1], words[-1] & LAST - 1, 5, LAST], words) == idle(LoadError.LONG, 1)
    for bit in (0, 17, 31):
        assert load([*words[:-1], words[-1] ^ 1 << bit], words) == idle(LoadError.CRC, 1)
    assert load([*words[:9], words[9] ^ 1, *words[10:]], words) == idle(LoadError.CRC, 1)


def test_resident_needs_a_whole_record_before_it():
    good, again = frame(RECORD), frame(RECORD[:3] + bytes([FLAG_RESIDENT]) + RECORD[4:DESCRIPTOR_BYTES])
    bad = [*good[:-1], good[-1] ^ 1]
    assert load(good, again, again) == idle(LoadError(0), 3)
    assert load(good, changed(layout=2), again) == idle(LoadError.LAYOUT, 2)  # it loaded nothing
    assert load(good, bad, again) == idle(LoadError.CRC | LoadError.NOT_RESIDENT, 1)
    assert load(good, [*again[:-1], again[-1] ^ 1], again) == idle(LoadError.CRC, 2)
    assert load(good, [*again[:-1], 0, LAST], again) == idle(LoadError.LONG, 2)


def test_fixed16_is_served_like_fp16():
    assert load(changed(value_format=ValueFormat.FIXED16)) == idle(LoadError(0), 1)
