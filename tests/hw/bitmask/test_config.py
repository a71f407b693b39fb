import pytest

from weightless_hw import decoders
from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.registers import LoadError
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.spec.record import unpack_fields

GEOMETRY = BitmaskGeometry(n_weights=50_000, slot_bits=5, n_codes=9, seed=0, n_nonzero=700)


def test_the_smallest_decoder_of_a_layer_fits_it():
    config = decoders.for_layers([GEOMETRY])
    assert isinstance(config, BitmaskConfig)
    assert (config.lanes, config.slot_bits, config.max_codes) == (8, 5, 9)
    assert config.misfits(GEOMETRY) == []
    assert "slot_bits" in BitmaskConfig(slot_bits=6).misfits(GEOMETRY)[0]
    assert "n_codes" in BitmaskConfig(slot_bits=5, max_codes=8).misfits(GEOMETRY)[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("lanes", 0), ("lanes", 3), ("lanes", 32), ("slot_bits", 17), ("max_codes", 257), ("lane_registers", 2)],
)
def test_what_can_not_be_built_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        BitmaskConfig(**{name: value})


@pytest.mark.parametrize("slot_bits", [1, 2, 8, 16])
def test_every_code_may_name_a_value(slot_bits):
    """A zero weight has none: so a decoder of all codes counts to 2^t."""
    most = min(1 << slot_bits, 65_535)
    config = BitmaskConfig(slot_bits=slot_bits, max_codes=most)
    assert config.n_codes_bits == most.bit_length()


def test_there_is_no_table():
    config = BitmaskConfig()
    assert (config.memories, config.table_bits, config.table_size) == ((), 0, 0)
    assert not config.keeps_table()
    assert config.on_chip_bits == 4 * 32 + 8 * 8 + 64  # masks and codes that wait


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"widths": 4 << 4 | 1}, LoadError.WIDTHS),
        ({"widths": 5 << 4}, LoadError.WIDTHS),
        ({"seed": 1}, LoadError.WIDTHS),
        ({"n_nonzero": 50_001}, LoadError.N_WEIGHTS),
        ({"n_nonzero": 0}, LoadError.N_CODES),
        ({"n_codes": 0}, LoadError.N_CODES),
        ({"n_codes": 10}, LoadError.N_CODES),
    ],
)
def test_what_a_descriptor_is_refused_for(change, error):
    fields = unpack_fields(BitmaskGeometry.FIELDS, GEOMETRY.to_descriptor())
    config = decoders.for_layers([GEOMETRY])
    assert not any(config.faults(fields).values())
    assert {one for one, holds in config.faults(fields | change).items() if holds} == {error}
