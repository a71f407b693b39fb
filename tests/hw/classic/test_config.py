import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.export.verilog import to_verilog
from weightless_hw.registers import LoadError
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import ValueFormat

LAYER = ClassicGeometry(n_weights=1000, lanes=4, slot_bits=8, bank_rows=50, n_codes=15, seed=0)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("lanes", 5, "lanes must be a power of two"),
        ("lanes", 8.0, "lanes must be a power of two from 1 to 64, not 8.0"),
        ("lanes", True, "lanes must be a power of two from 1 to 64, not True"),
        ("lanes", "8", "lanes must be a power of two from 1 to 64, not '8'"),
        ("value_bits", 16.0, "value_bits must be an integer"),
        ("max_codes", None, "max_codes must be an integer"),
        ("slot_bits", 0, "slot_bits must be"),
        ("max_bank_rows", 0, "max_bank_rows must be an integer from 1 to 16777216, not 0"),
        ("max_codes", 256, "max_codes must be an integer from 1 to 255, not 256"),
        ("value_bits", 12, "value_bits must be 8 or 16, not 12"),
        ("rounds_per_stage", 0, "rounds_per_stage must be an integer from 1 to"),
    ],
)
def test_refuses(parameter, value, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        ClassicConfig(**{parameter: value})


def test_for_layer_fits_and_nothing_smaller_does():
    config = ClassicConfig.for_layers([LAYER])
    assert config.misfits(LAYER) == []
    assert ClassicConfig.for_layers([LAYER], max_bank_rows=49).misfits(LAYER)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"lanes": 8}, "lanes"),
        ({"slot_bits": 9}, "slot_bits"),
        ({"value_format": ValueFormat.FIXED8}, "value_bits"),
        ({"bank_rows": 51}, "bank_rows: the layer has 51, the decoder 50"),
        ({"n_codes": 16}, "n_codes"),
    ],
)
def test_misfits_say_why(change, word):
    reasons = ClassicConfig.for_layers([LAYER]).misfits(ClassicGeometry(**(vars(LAYER) | change)))
    assert len(reasons) == 1
    assert reasons[0].startswith(word)


def test_names_tell_configurations_apart():
    configs = [
        ClassicConfig(),
        ClassicConfig(lanes=4),
        ClassicConfig(slot_bits=9),
        ClassicConfig(rounds_per_stage=2),
    ]
    assert len({config.name for config in configs}) == len(configs)


def test_latency_is_the_sum_of_the_stages():
    config = ClassicConfig(lanes=8)
    assert config.hash_stages == spec.ADDRESS_ROUNDS
    assert ClassicConfig(rounds_per_stage=4).hash_stages == -(-spec.ADDRESS_ROUNDS // 4)
    assert config.fill_latency == 1 + config.hash_stages + 2 + 2 + 1 + 1 + 1 + 1
    assert ClassicConfig(lanes=1).fill_latency == config.fill_latency - 1  # nothing to permute
    assert ClassicConfig(lanes=16).fill_latency == config.fill_latency + 1  # four bits of offset


def test_what_tiles_are_made_of_is_left_out():
    """By default there are none; a decoder that has them says so where a driver looks."""
    plain, tiled = ClassicConfig(lanes=2), ClassicConfig(lanes=2, tiles=1)
    assert (plain.takes_tiles, tiled.takes_tiles) == (False, True)
    assert tiled.widths == plain.widths | 1 << 24
    assert (plain.name, tiled.name) == ("g2_t8_r1024_k16_v16_h1", "g2_t8_r1024_k16_v16_h1_tiles")
    assert LoadError.TILE in tiled.errors()
    assert LoadError.TILE not in plain.errors()
    has_counter = [
        "pipeline_index_check" in to_verilog(config).replace(".", "_") for config in (plain, tiled)
    ]
    assert has_counter == [False, True]
