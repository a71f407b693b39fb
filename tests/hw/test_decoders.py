import pytest
from amaranth.back import rtlil

from weightless_hw import decoders
from weightless_sw import layouts
from weightless_sw.spec.classic import ClassicGeometry


def geometry(**changes):
    fields = {"n_weights": 1000, "lanes": 4, "slot_bits": 8, "bank_rows": 50, "n_codes": 15, "seed": 0}
    return ClassicGeometry(**(fields | changes))


def test_a_decoder_is_one_of_a_layout():
    """The ribbon is read by software alone, so far."""
    assert set(layouts.BY_NAME) - set(decoders.BY_NAME) == {"ribbon"}
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
