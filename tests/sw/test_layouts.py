import pytest

from weightless_sw import layouts
from weightless_sw.spec.classic import ClassicGeometry

GEOMETRY = ClassicGeometry(n_weights=1000, lanes=8, slot_bits=8, bank_rows=50, n_codes=15, seed=3)


def test_a_layout_has_its_own_number_name_and_folder():
    for row in (layouts.BY_NAME, layouts.BY_NUMBER):
        assert len(row) == len(layouts.LAYOUTS)
    assert not set(layouts.BY_NUMBER) & set(layouts.FUTURE)


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=lambda layout: layout.geometry.NAME)
def test_a_folder_has_what_is_asked_of_it(layout):
    assert set(layouts.encoder(layout).OPTIONS) <= set(layout.geometry.__dataclass_fields__)
    for modules in (layouts.golden, layouts.fast):
        assert callable(modules(layout.geometry).decode_codes)


def test_descriptors_are_read_by_their_number():
    assert layouts.read_descriptor(GEOMETRY.to_descriptor()) == GEOMETRY


@pytest.mark.parametrize(
    ("number", "message"),
    [(2, r"layout 2 \(ribbon\) is unknown to this version"), (9, "layout 9 is unknown")],
)
def test_an_unknown_layout_is_refused_by_name(number, message):
    data = bytes([number]) + GEOMETRY.to_descriptor()[1:]
    with pytest.raises(ValueError, match=f"^{message}.*reads layout 1 .classic.$"):
        layouts.read_descriptor(data)


@pytest.mark.parametrize("n_bytes", [0, 1, 27, 29])
def test_a_descriptor_has_seven_words(n_bytes):
    with pytest.raises(ValueError, match=f"a descriptor has 28 bytes, not {n_bytes}"):
        layouts.read_descriptor((GEOMETRY.to_descriptor() + b"x")[:n_bytes])
