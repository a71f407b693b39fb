import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_sw.spec import classic as spec
from weightless_sw.spec import hash as spec_hash
from weightless_sw.spec import record
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import (
    DESCRIPTOR_BYTES,
    DESCRIPTOR_WORDS,
    MAX_SEED,
    MAX_WEIGHTS,
    ValueFormat,
    digest,
    pack_fields,
    unpack_fields,
)

FIELDS = {"n_weights": 1000, "lanes": 8, "slot_bits": 8, "bank_rows": 50, "n_codes": 15, "seed": 3}


def geometries() -> st.SearchStrategy[ClassicGeometry]:
    @st.composite
    def build(draw: st.DrawFn) -> ClassicGeometry:
        slot_bits = draw(st.integers(1, 16))
        return ClassicGeometry(
            n_weights=draw(st.integers(1, MAX_WEIGHTS)),
            lanes=draw(st.sampled_from([1, 2, 4, 8, 16, 32, 64])),
            slot_bits=slot_bits,
            bank_rows=draw(st.integers(1, 1 << 20)),
            n_codes=draw(st.integers(0, (1 << slot_bits) - 1)),
            seed=draw(st.integers(0, MAX_SEED)),
            value_format=(value_format := draw(st.sampled_from(list(ValueFormat)))),
            scale=1.0 if value_format is ValueFormat.FP16 else draw(st.floats(2.0**-100, 2.0**100, width=32)),
        )

    return build()


def test_vectors_addresses(vectors):
    for case in vectors["addresses"]:
        names = ("lanes", "slot_bits", "bank_rows", "seed")
        geometry = ClassicGeometry(n_weights=MAX_WEIGHTS, n_codes=1, **{name: case[name] for name in names})
        assert list(geometry.slots(case["index"])) == case["slots"]
        assert geometry.mask(case["index"]) == case["mask"]


@given(geometries(), st.integers(0, MAX_WEIGHTS - 1))
def test_addresses_lie_in_the_table(geometry, index):
    slots = geometry.slots(index)
    per_bank = geometry.bank_rows * geometry.lanes
    assert [slot // per_bank for slot in slots] == [0, 1, 2]
    assert 0 <= geometry.mask(index) < 1 << geometry.slot_bits


@given(geometries(), st.integers(0, 1000))
def test_lanes_of_a_group_never_share_a_slot(geometry, group):
    slots = [geometry.slots(group * geometry.lanes + lane) for lane in range(geometry.lanes)]
    assert len({slot for three in slots for slot in three}) == 3 * geometry.lanes


@given(geometries())
def test_descriptor_round_trip(geometry):
    data = geometry.to_descriptor()
    assert len(data) == 4 * DESCRIPTOR_WORDS
    assert ClassicGeometry.from_descriptor(data) == geometry


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n_weights", 0, "n_weights must be an integer from 1"),
        ("n_weights", 1 << 32, "n_weights must be"),
        ("lanes", 3, "lanes must be a power of two from 1 to 64, not 3"),
        ("lanes", 128, "lanes must be a power of two"),
        ("slot_bits", 17, "slot_bits must be an integer from 1 to 16, not 17"),
        ("bank_rows", 0, "bank_rows must be"),
        ("n_codes", 256, "n_codes must be an integer from 0 to 255, not 256"),
        ("seed", 1 << 16, "seed must be"),
        ("seed", True, "seed must be"),
        ("value_format", 1, "value_format must be a ValueFormat"),
        ("scale", 0.0, "scale must be a positive"),
        ("scale", float("nan"), "scale must be a positive"),
        ("scale", 0.1, "scale must be a positive, finite 32-bit float"),
    ],
)
def test_geometry_refuses(field, value, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        ClassicGeometry(**(FIELDS | {field: value}))


@pytest.mark.parametrize("place", range(DESCRIPTOR_BYTES))
def test_a_changed_descriptor_is_refused_or_another_geometry(place):
    good = ClassicGeometry(**FIELDS)
    data = bytearray(good.to_descriptor())
    data[place] ^= 0x81
    try:
        assert ClassicGeometry.from_descriptor(bytes(data)) != good
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


def test_geometry_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ClassicGeometry(**FIELDS).seed = 4


def test_digest_follows_constants_and_formulas(monkeypatch):
    assert digest(spec.digest_text()) == spec.DIGEST
    monkeypatch.setattr(spec, "MASK_ROUNDS", spec.MASK_ROUNDS + 1)
    assert digest(spec.digest_text()) != spec.DIGEST
    monkeypatch.undo()
    monkeypatch.setattr(spec_hash, "mix_round", lambda x, y, z, rotate, shift: (y, z, x))
    assert digest(spec.digest_text()) != spec.DIGEST
    monkeypatch.undo()
    monkeypatch.setattr(record, "FORMAT_VERSION", 99)
    monkeypatch.setattr(spec_hash, "DOMAIN_FILL", 1)
    monkeypatch.setattr(record, "MAX_SEED", 99)
    monkeypatch.setattr(spec, "NEW_CONSTANT", 7, raising=False)
    assert digest(spec.digest_text()) == spec.DIGEST


def test_the_layout_adds_one_word():
    assert sum(bits for _, bits in ClassicGeometry.FIELDS) == DESCRIPTOR_WORDS * WORD_BITS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": 2}, r"layout 2, not 1 \(classic\)"),
        ({"digest": 1}, "written for classic layout 00000001, this program follows"),
        ({"flags": 1}, "unknown flags 0x1 in a stored descriptor"),
        ({"payload_words": 299}, "payload words are 299, but the geometry needs 300"),
        ({"scale": 0x40000000}, "scale must be 1.0 for fp16, not 2.0"),
        ({"value_format": 0}, "0 is not a valid ValueFormat"),
    ],
)
def test_descriptor_refuses(changes, message):
    fields = unpack_fields(ClassicGeometry.FIELDS, ClassicGeometry(**FIELDS).to_descriptor())
    with pytest.raises(ValueError, match=f"^{message}"):
        ClassicGeometry.from_descriptor(pack_fields(ClassicGeometry.FIELDS, fields | changes))
