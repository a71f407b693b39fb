import pytest

from weightless_hw import decoders
from weightless_hw.registers import STREAM_ERRORS, LoadError
from weightless_hw.ribbon.config import RibbonConfig
from weightless_sw.spec.ribbon import RibbonGeometry

GEOMETRY = RibbonGeometry(n_weights=50_000, slot_bits=5, n_codes=9, seed=0, chunk_log2=14, table_words=100)


def test_the_smallest_decoder_of_a_layer_fits_it():
    config = decoders.for_layers([GEOMETRY])
    assert isinstance(config, RibbonConfig)
    assert (config.lanes, config.slot_bits, config.max_codes) == (8, 5, 9)
    assert config.misfits(GEOMETRY) == []
    assert "slot_bits" in RibbonConfig(slot_bits=6).misfits(GEOMETRY)[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lanes", 0),
        ("lanes", 3),
        ("lanes", 32),
        ("window_registers", 2),
        ("rounds_per_stage", 0),
        ("rounds_per_stage", 5),
        ("slot_bits", 17),
    ],
)
def test_what_can_not_be_built_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        RibbonConfig(**{name: value})


def test_there_is_no_table():
    config = RibbonConfig()
    assert (config.memories, config.table_bits, config.table_size) == ((), 0, 0)
    assert not config.keeps_table()


def test_a_decoder_that_streams_has_more_errors():
    classic = decoders.configure("classic")
    assert set(RibbonConfig().errors()) - set(classic.errors()) == set(STREAM_ERRORS)
    assert [*RibbonConfig().errors(), LoadError.TILE] == list(LoadError)  # a bit's place is its number's


@pytest.mark.parametrize(("rounds", "stages"), [(1, 4), (2, 2), (3, 2), (4, 1)])
def test_the_registers_of_the_hash(rounds, stages):
    config = RibbonConfig(rounds_per_stage=rounds)
    assert config.hash_stages == stages
    assert config.fill_latency == 1 + stages + 1 + 3
