import pytest

from weightless_sw import layouts
from weightless_sw.spec.classic import ClassicGeometry

GEOMETRY = ClassicGeometry(n_weights=1000, lanes=8, slot_bits=8, bank_rows=50, n_codes=15, seed=3)


def test_a_layout_has_its_own_number_name_and_folder():
    for row in (layouts.BY_NAME, layouts.BY_NUMBER):
        assert len(row) == len(layouts.LAYOUTS)


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=lambda layout: layout.geometry.NAME)
def test_a_folder_has_what_is_asked_of_it(layout):
    encoder = layouts.encoder(layout)
    assert all(isinstance(default, int) for default in encoder.OPTIONS.values())
    others = {
        option for other in layouts.LAYOUTS if other != layout for option in layouts.encoder(other).OPTIONS
    }
    assert set(encoder.NOT_OPTIONS) == others - set(encoder.OPTIONS)  # each says why
    for modules in (layouts.golden, layouts.fast):
        assert callable(modules(layout.geometry).decode_codes)


def test_descriptors_are_read_by_their_number():
    assert layouts.read_descriptor(GEOMETRY.to_descriptor()) == GEOMETRY


@pytest.mark.parametrize("number", [0, 4, 9, 255])
def test_an_unknown_layout_is_refused(number):
    data = bytes([number]) + GEOMETRY.to_descriptor()[1:]
    message = rf"^layout {number} is unknown .*reads layout 1 \(classic\), 2 \(ribbon\), 3 \(bitmask\)$"
    with pytest.raises(ValueError, match=message):
        layouts.read_descriptor(data)


@pytest.mark.parametrize("n_bytes", [0, 1, 27, 29])
def test_a_descriptor_has_seven_words(n_bytes):
    with pytest.raises(ValueError, match=f"a descriptor has 28 bytes, not {n_bytes}"):
        layouts.read_descriptor((GEOMETRY.to_descriptor() + b"x")[:n_bytes])
