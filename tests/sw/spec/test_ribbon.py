import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.record import MAX_WEIGHTS, digest, pack_fields, unpack_fields
from weightless_sw.spec.ribbon import Header, RibbonGeometry

FIELDS = {"n_weights": 20_000, "slot_bits": 8, "n_codes": 15, "seed": 3, "chunk_log2": 13, "table_words": 100}


def test_the_digest_is_of_the_text():
    assert digest(spec.digest_text()) == spec.DIGEST == RibbonGeometry.layout_digest() == 0xF001FAA0


def test_vectors_chunks(ribbon_vectors):
    """Every frozen layer by the scalar functions alone."""
    for case in ribbon_vectors["layers"]:
        table = struct.unpack(f"<{len(case['chunks']) // 8}I", bytes.fromhex(case["chunks"]))
        fields = {name: case[name] for name in ("n_weights", "slot_bits", "n_codes", "seed", "chunk_log2")}
        geometry = RibbonGeometry(table_words=len(table), **fields)
        codes = [code for chunk in geometry.chunks(table) for code in chunk.codes()]
        assert codes == case["codes"]


def test_vectors_hashes_and_entries(ribbon_vectors):
    for group, seed, rotations, masks in ribbon_vectors["hashes"]:
        assert spec.group_hash(group, seed) == (rotations, masks)
    for entry, w, d in ribbon_vectors["entries"]:
        assert (spec.entry_advance(entry), spec.entry_groups(entry)) == (w, d)


def test_a_descriptor_and_back():
    geometry = RibbonGeometry(**FIELDS)
    assert RibbonGeometry.from_descriptor(geometry.to_descriptor()) == geometry
    assert geometry.n_chunks == 3
    assert geometry.payload_words == 100
    assert geometry.record_words == 7 + 8 + 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk_log2": 12}, "chunk_log2 must be an integer from 13 to 22, not 12"),
        ({"chunk_log2": 23}, "chunk_log2 must be an integer from 13 to 22, not 23"),
        ({"table_words": 5}, "table_words must be an integer from 6 to 4294967295, not 5"),
        ({"slot_bits": 17}, "slot_bits must be an integer from 1 to 16"),
        ({"n_codes": 256}, "n_codes must be an integer from 0 to 255"),
        ({"n_weights": MAX_WEIGHTS + 1}, "n_weights must be"),
    ],
)
def test_what_no_geometry_can_be(changes, message):
    with pytest.raises(ValueError, match=message):
        RibbonGeometry(**FIELDS | changes)


@pytest.mark.parametrize("field", ["zeros", "widths"])
def test_bits_that_must_be_zero(field):
    fields = unpack_fields(RibbonGeometry.FIELDS, RibbonGeometry(**FIELDS).to_descriptor())
    data = pack_fields(RibbonGeometry.FIELDS, fields | {field: fields[field] | 1})
    with pytest.raises(ValueError, match="bits set that must be zero"):
        RibbonGeometry.from_descriptor(data)


@given(st.integers(0, 65_535))
def test_an_entry_has_an_even_number_of_groups(entry):
    d = spec.entry_groups(entry)
    assert d % spec.UNIT == 0
    assert 0 <= d <= 127 << 15
    assert 0 <= spec.entry_advance(entry) <= spec.DEAD


@given(st.integers(0, (1 << 17) - 1), st.integers(0, 2047), st.integers(0, 15))
def test_a_header_and_back(n_words, n_entries, step):
    header = Header(n_words, n_entries, step)
    assert Header.from_word(header.to_word()) == header


@given(st.integers(0, (1 << 24) - 1))
def test_lanes_tap_other_slots_of_a_word(rotations):
    """What no two lanes of a group share is where they tap a word of one column: their equations differ in each."""
    for column in range(spec.WINDOW):
        lanes = [lane for lane in range(spec.LANES) if spec.is_tapped(lane, column)]
        assert len(lanes) == (8 if column == 0 else 7)
        assert len({spec.tap(rotations, lane, column) for lane in lanes}) == len(lanes)


# By hand: 20 weights (3 groups), t = 8.  One entry of w = 0, d = 4: two words of stream after those of the table.
WORDS = (0, 1, 0)
GOOD = (Header(*WORDS).to_word(), 2)


def chunk(*table, n_weights=20):
    return spec.read_chunk(table, 0, 0, n_weights, 8, 0)


def test_a_chunk_without_a_word_is_masks_alone():
    read = chunk(*GOOD)
    assert read.entries == (2,)
    assert list(read.starts()) == [0, 0, 0]
    masks = [spec.group_hash(g, 0)[1] for g in range(3)]
    assert list(read.codes()) == [masks[i // 8] >> i % 8 & 255 for i in range(20)]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ((), "no words are left"),
        ((Header(0, 1, 0).to_word(),), "it needs 2 words, 1 are left"),
        ((Header(2, 1, 0).to_word(), 2), "2 words, 1 entries: none can be so"),
        ((Header(0, 0, 0).to_word(), 2), "0 words, 0 entries: none can be so"),
        ((Header(0, 1, 0).to_word(), 0), "an entry of 0 words over 0 groups"),
        ((Header(0, 1, 0).to_word(), 5 << 10 | 2), "an entry of 5 words over 4 groups"),
        ((Header(0, 1, 0).to_word(), 1), "its entries cover 2 of 3 groups"),
        ((Header(0, 2, 0).to_word(), 2 | 2 << 16), "an entry behind the last of 3 groups"),
        ((Header(0, 1, 0).to_word(), 2 | 1 << 16), "bits behind a pair of entries are not zero"),
    ],
)
def test_what_no_encoder_writes(table, message):
    with pytest.raises(ValueError, match=message):
        chunk(*table)


def test_words_that_nobody_calls_for():
    """Twelve words, and a map that stays at word 0: the window is eight."""
    table = [Header(12, 1, 0).to_word(), *[0] * 16, 2, *[0] * 8]
    with pytest.raises(ValueError, match="12 words, its entries call for 8"):
        chunk(*table)


def test_words_behind_the_last_chunk():
    geometry = RibbonGeometry(n_weights=20, slot_bits=8, n_codes=1, seed=0, chunk_log2=13, table_words=3)
    with pytest.raises(ValueError, match="1 words behind the last chunk"):
        geometry.check_table([*GOOD, 0])


def test_padding_must_be_zero():
    """t = 3: a pair takes three items of 12 bits, 36 bits; 28 bits are padding."""
    assert spec.pair_bits(3) == 36
    good = (Header(0, 1, 0).to_word(), 2, 0)
    assert spec.read_chunk(good, 0, 0, 20, 3, 0).entries == (2,)
    with pytest.raises(ValueError, match="the padding behind it is not zero"):
        spec.read_chunk((*good[:2], 1 << 31), 0, 0, 20, 3, 0)
    with pytest.raises(ValueError, match="bits behind a pair"):
        spec.read_chunk((*good[:2], 1 << 2), 0, 0, 20, 3, 0)
