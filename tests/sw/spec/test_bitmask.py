import pytest

from weightless_sw.spec import bitmask as spec
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.spec.record import digest, pack_fields, unpack_fields

FIELDS = {"n_weights": 40, "slot_bits": 2, "n_codes": 3, "seed": 0, "n_nonzero": 3}
WORDS = [0x80000001, 0x00000009, 0x00000002]  # of the example: weights 0, 31, 33 have the codes 1, 2, 0


def test_the_digest_is_of_the_text():
    assert digest(spec.digest_text()) == spec.DIGEST == BitmaskGeometry.layout_digest() == 0xBDB6F74C


def test_the_example():
    codes = [3] * 40
    codes[0], codes[31], codes[33] = 1, 2, 0
    assert spec.write(codes, 2, 3) == WORDS
    assert list(BitmaskGeometry(**FIELDS).codes(WORDS)) == codes


def test_vectors_words(bitmask_vectors):
    """Every frozen layer by the scalar functions alone, both ways."""
    assert bitmask_vectors["digest"] == spec.DIGEST
    for case in bitmask_vectors["layers"]:
        n_codes, codes = case["n_codes"], case["codes"]
        named = [n_codes if code < 0 else code for code in codes]
        geometry = BitmaskGeometry(
            n_weights=len(codes), slot_bits=case["slot_bits"], n_codes=n_codes, seed=0,
            n_nonzero=sum(code >= 0 for code in codes),
        )  # fmt: skip
        assert geometry.table_words == len(case["words"])
        assert list(geometry.codes(case["words"])) == named
        assert spec.write(named, case["slot_bits"], n_codes) == case["words"]


def test_a_descriptor_and_back():
    geometry = BitmaskGeometry(**FIELDS)
    assert BitmaskGeometry.from_descriptor(geometry.to_descriptor()) == geometry
    assert geometry.record_words == 7 + 2 + 3
    assert geometry.false_positive_rate == 0


@pytest.mark.parametrize(("slot_bits", "most"), [(1, 2), (8, 256), (16, 65_535)])
def test_every_code_may_name_a_value(slot_bits, most):
    assert BitmaskGeometry.most_codes(slot_bits) == most
    fields = FIELDS | {"slot_bits": slot_bits}
    assert BitmaskGeometry(**fields | {"n_codes": most}).n_codes == most
    with pytest.raises(ValueError, match=f"n_codes must be an integer from 0 to {most}, not {most + 1}"):
        BitmaskGeometry(**fields | {"n_codes": most + 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_nonzero": 41}, "n_nonzero must be an integer from 0 to 40, not 41"),
        ({"n_nonzero": 0}, "0 weights that are not zero, of 3 values"),
        ({"n_codes": 0}, "3 weights that are not zero, of 0 values"),
        ({"seed": 1}, "seed must be an integer from 0 to 0, not 1"),
        ({"slot_bits": 0}, "slot_bits must be"),
    ],
)
def test_what_no_geometry_can_be(changes, message):
    with pytest.raises(ValueError, match=message):
        BitmaskGeometry(**FIELDS | changes)


def test_bits_that_must_be_zero():
    fields = unpack_fields(BitmaskGeometry.FIELDS, BitmaskGeometry(**FIELDS).to_descriptor())
    data = pack_fields(BitmaskGeometry.FIELDS, fields | {"widths": fields["widths"] | 1})
    with pytest.raises(ValueError, match="bits set that must be zero"):
        BitmaskGeometry.from_descriptor(data)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([0x80000001, 0x0000000D, 2], "a code of 3 or more, which names no value"),
        ([0x80000001, 9, 0x100], "bits of a mask behind the last weight are set"),
        ([0x80000001, 0x49, 2], "bits behind the last code are set"),
        ([0x80000001, 9], "no mask word is left for weight 32"),
        ([0x80000001, 9, 2, 0], "3 bits of masks set of 3; 3 words called for of 4"),
        ([0x80000001, 9, 0], "2 bits of masks set of 3; 3 words called for of 3"),
        ([0x80000003, 9, 2], "4 bits of masks set of 3"),
        ([], "no mask word is left for weight 0"),
        ([0, 2, 9], "1 bits of masks set of 3"),
    ],
)
def test_tables_that_no_encoder_writes(words, message):
    with pytest.raises(ValueError, match=message):
        BitmaskGeometry(**FIELDS).check_table(words)
