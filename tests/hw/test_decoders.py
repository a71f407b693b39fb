import dataclasses

import pytest
from amaranth.back import rtlil

from weightless_hw import decoders
from weightless_sw import layouts
from weightless_sw.spec.classic import ClassicGeometry


def geometry(**changes):
    fields = {"n_weights": 1000, "lanes": 4, "slot_bits": 8, "bank_rows": 50, "n_codes": 15, "seed": 0}
    return ClassicGeometry(**(fields | changes))


def test_every_layout_has_a_decoder():
    assert set(layouts.BY_NAME) == set(decoders.BY_NAME)
    for name, kind in decoders.BY_NAME.items():
        assert kind.config.GEOMETRY is layouts.BY_NAME[name].geometry


@pytest.mark.parametrize("name", decoders.BY_NAME)
def test_a_decoder_has_the_ports_that_benches_drive(name):
    component = decoders.component(decoders.configure(name))
    assert set(component.signature.members) == {
        "load", "weights", "reg_addr", "reg_data", "reg_write", "reg_write_data", "error",
    }  # fmt: skip
    assert rtlil.convert(component, name="top")


@pytest.mark.parametrize("name", decoders.BY_NAME)
def test_the_data_path_adds_up(name):
    config = decoders.configure(name)
    stages, beside, loaded = config.data_path
    names = {stage.name for stage in stages}
    assert config.fill_latency == sum(stage.registers for stage in stages)
    assert {place for start, end, _ in beside for place in (start, end)} <= names
    assert {place for place, _ in loaded} <= names


def test_one_decoder_for_several_layers():
    layers = [geometry(), geometry(bank_rows=70, n_codes=3)]
    config = decoders.for_layers(layers)
    assert (config.max_bank_rows, config.max_codes) == (70, 15)
    assert [config.misfits(layer) for layer in layers] == [[], []]


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="no decoder for the layout 'cuckoo'; there are: classic"):
        decoders.configure("cuckoo")


@pytest.mark.parametrize("name", decoders.BY_NAME)
def test_a_size_that_a_layout_does_not_have_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"bogus: no size of a {name} decoder, which has: lanes, slot_bits"):
        decoders.configure(name, bogus=1)
    with pytest.raises(ValueError, match="bogus: no size of a classic decoder"):
        decoders.for_layers([geometry()], bogus=1)


def test_every_size_has_a_default_and_a_line_of_help():
    options = decoders.options()
    for kind in decoders.DECODERS:
        assert (
            set(kind.config.options())
            == {field.name for field in dataclasses.fields(kind.config)}
            <= set(options)
        )
    assert options["slot_bits"] == (8, "bits per slot (t)")
    assert options["rounds_per_stage"] == (
        1,
        "classic: hash rounds between two registers, 1 to 6; ribbon: hash rounds between two registers, 1 to 4",
    )
    assert all(text for _, text in options.values())


def test_the_memories_are_those_that_are_built():
    (banks,) = decoders.configure("classic", max_bank_rows=1).memories
    assert (banks.n, banks.rows, banks.row_bits, banks.bits) == (3, 2, 64, 384)
    assert decoders.configure("classic").table_bits == 3 * 1024 * 64
