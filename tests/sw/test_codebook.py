import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_sw import codec
from weightless_sw.codebook import (
    CODEBOOK_DTYPES,
    EncodeError,
    check_weights,
    largest_difference,
    quantize_codebook,
)
from weightless_sw.codec import encode
from weightless_sw.spec.record import ValueFormat


@pytest.mark.parametrize("value_format", list(ValueFormat))
def test_value_formats(value_format):
    weights = np.array([0, 0.5, -1.0, 0.28125, 0, 1.0, float(np.float16(0.12345))])
    tensor, _ = encode(weights, slot_bits=12, value_format=value_format, round_values=True)
    decoded = codec.decode(tensor)
    tolerance = {ValueFormat.FP16: 0, ValueFormat.FIXED8: 1 / 254, ValueFormat.FIXED16: 1 / 65534}[
        value_format
    ]
    assert np.abs(decoded - weights)[weights != 0].max() <= tolerance
    if value_format is ValueFormat.FIXED8:
        with pytest.raises(EncodeError, match="not exact in FIXED"):
            encode(weights, slot_bits=12, value_format=value_format)


@pytest.mark.parametrize("value_format", list(ValueFormat))
def test_exact_values_come_back_exactly(value_format):
    values = np.array([-127, 1, 64, 127], np.float32) / 4
    entries, scale = quantize_codebook(values, value_format, value_format is ValueFormat.FIXED16, "w")
    assert entries.dtype == CODEBOOK_DTYPES[value_format]
    assert np.array_equal(entries.astype(np.float32) * np.float32(scale), values)


@given(
    st.sampled_from([ValueFormat.FIXED8, ValueFormat.FIXED16]),
    st.data(),
    st.floats(2.0**-60, 2.0**60, width=32),
)
def test_grids_are_exact_whatever_their_largest_entry(value_format, data, scale):
    """Any multiples of any scale, as float32 rounds them, come back."""
    largest = (1 << (value_format.bits - 1)) - 1
    numbers = data.draw(
        st.lists(st.integers(-largest, largest).filter(bool), min_size=1, max_size=20, unique=True)
    )
    values = np.array(numbers, np.float32) * np.float32(scale)
    entries, found = quantize_codebook(values, value_format, False, "w")
    assert np.array_equal(entries.astype(np.float32) * np.float32(found), values)
    assert entries.all()


@pytest.mark.parametrize(("value_format", "top"), [(ValueFormat.FIXED16, 32767), (ValueFormat.FIXED8, 127)])
def test_exact_is_as_decoders_compute_in_float32(value_format, top):
    """In float64 these products are exact, and in float32 most are rounded: refused, not called exact."""
    numbers = np.zeros(4096)
    numbers[::8] = np.arange(512) % (top - 3) + 3
    numbers[0] = top
    weights = np.float64(np.float32(0.0123)) * numbers
    with pytest.raises(EncodeError, match="not exact in FIXED"):
        encode(weights, slot_bits=16, value_format=value_format)
    rounded = (np.float32(0.0123) * numbers.astype(np.float32)).astype(np.float32)
    tensor, _ = encode(rounded, slot_bits=16, value_format=value_format)
    assert np.array_equal(codec.decode(tensor)[rounded != 0], rounded[rounded != 0])


def test_no_value_becomes_a_zero_unsaid():
    for value_format in (ValueFormat.FIXED8, ValueFormat.FP16):
        with pytest.raises(EncodeError, match="rounds them to zero; prune or rescale them first"):
            encode(np.array([1.0, 1e-12, 0]), value_format=value_format, round_values=True)


def test_values_that_rounding_makes_one_share_an_entry():
    tensor, report = encode(
        np.array([1.0, 0.5001, 0.5002, 0]), value_format=ValueFormat.FIXED8, round_values=True
    )
    assert report.n_codes == 2
    assert codec.decode(tensor)[1] == codec.decode(tensor)[2]


def test_a_value_format_by_its_name():
    tensor, _ = encode(np.array([0.5, 0]), value_format="fp16")
    assert tensor.geometry.value_format is ValueFormat.FP16
    tensor = codec.encode_coded(np.array([0.5, 0]), value_format="FIXED8")
    assert tensor.value_format is ValueFormat.FIXED8
    with pytest.raises(
        ValueError, match="no value format is called 'fp32'; there are: fp16, fixed8, fixed16"
    ):
        encode(np.array([0.5, 0]), value_format="fp32")


def test_weights_are_returned_as_they_are():
    weights = np.array([1, 0, -3], np.int8)
    assert check_weights(weights, "w") is weights


EXTENDED = np.longdouble(1) + np.longdouble(2) ** -60


@pytest.mark.parametrize(
    "values",
    [
        np.array([2**53 + 1, 2**53], np.int64),
        np.array([32767 * 2**40 + 1], np.int64),
        np.array([2**64 - 1], np.uint64),
        np.array([1, EXTENDED], np.longdouble),
    ],
    ids=["int64", "above an entry", "uint64", "longdouble"],
)
@pytest.mark.parametrize("value_format", [ValueFormat.FIXED16, ValueFormat.FIXED8])
def test_values_are_compared_in_their_own_type(values, value_format):
    """What float64 makes equal may differ; coded records are exact in the same way."""
    if values.dtype == np.longdouble and np.finfo(np.longdouble).nmant < 60:
        values = values[:0]  # no more than float64 here: nothing to compare
    for encoder in (codec.encode, codec.encode_coded):
        if len(values):
            with pytest.raises(EncodeError, match="values are not exact in FIXED"):
                encoder(values, value_format=value_format, name="w")
            encoder(values, value_format=value_format, round_values=True, name="w")


def test_large_integers_that_are_exact_stay_so():
    values = np.array([3 * 2**40, -(2**41), 2**40], np.int64)
    for encoder in (lambda v, **o: codec.encode(v, **o)[0], codec.encode_coded):
        assert np.array_equal(
            codec.decode(encoder(values, value_format="fixed16")), values.astype(np.float32)
        )


def test_the_largest_difference_is_never_lost():
    values = np.array([2**60 + 1], np.int64)
    assert largest_difference(values.astype(np.float32), values) == 1.0
    assert 0 < largest_difference(values.astype(np.float32), values, relative=True) < 1e-17
    assert largest_difference(np.array([0.5], np.float32), np.array([0.5], np.float16)) == 0
