import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_sw.spec import record
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import COMMON_FIELDS, Field, Section, ValueFormat, pack_fields, unpack_fields


def test_common_fields_are_six_words():
    assert sum(bits for _, bits in COMMON_FIELDS) == 6 * WORD_BITS


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.data())
def test_fields_round_trip(widths, data):
    widths.append(-sum(widths) % 8)
    fields = tuple(Field(str(k), bits) for k, bits in enumerate(widths))
    values = {field.name: data.draw(st.integers(0, (1 << field.bits) - 1)) for field in fields}
    packed = pack_fields(fields, values)
    assert len(packed) == sum(widths) // 8
    assert unpack_fields(fields, packed) == values


@pytest.mark.parametrize(
    ("items", "bits", "words"), [(0, 72, 0), (1, 1, 1), (4, 8, 1), (3, 72, 7), (33, 1, 2)]
)
def test_sections_are_whole_words(items, bits, words):
    assert Section("table", items, bits).n_words == words


@given(st.floats(width=32, allow_nan=False))
def test_floats_round_trip(value):
    assert record.bits_float32(record.float32_bits(value)) == value
    assert record.round_to_float32(value) == value


def test_too_large_for_a_float():
    assert record.round_to_float32(1e39) == float("inf")


def test_widths_of_entries():
    assert [value_format.bits for value_format in ValueFormat] == [16, 8, 16]


def test_digest_is_of_the_text():
    assert record.digest("") == 0xE3B0C442


SPECIFICATION = sorted(Path(record.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", SPECIFICATION, ids=lambda path: path.stem)
def test_standard_library_only(path):
    tree = ast.parse(path.read_text())
    imported = {n.names[0].name for n in ast.walk(tree) if isinstance(n, ast.Import)}
    imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    standard = {
        "abc",
        "hashlib",
        "json",
        "struct",
        "collections.abc",
        "dataclasses",
        "enum",
        "math",
        "typing",
    }
    assert {name for name in imported if not name.startswith("weightless_sw.spec")} <= standard
