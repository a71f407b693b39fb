import numpy as np
import pytest

from weightless_sw import codec
from weightless_sw.codebook import CODEBOOK_DTYPES, EncodeError, check_weights, quantize_codebook
from weightless_sw.codec import encode
from weightless_sw.spec.record import ValueFormat


@pytest.mark.parametrize("value_format", list(ValueFormat))
def test_value_formats(value_format):
    weights = np.array([0, 0.5, -1.0, 0.25, 0, 1.0], np.float64)
    tensor, _ = encode(weights, slot_bits=12, value_format=value_format, round_values=True)
    decoded = codec.decode(tensor)
    tolerance = {ValueFormat.FP16: 0, ValueFormat.FIXED8: 1 / 254, ValueFormat.FIXED16: 1 / 65534}[
        value_format
    ]
    assert np.abs(decoded - weights)[weights != 0].max() <= tolerance
    if value_format is not ValueFormat.FP16:
        with pytest.raises(EncodeError, match="not exact in FIXED"):
            encode(weights, slot_bits=12, value_format=value_format)


@pytest.mark.parametrize("value_format", list(ValueFormat))
def test_exact_values_come_back_exactly(value_format):
    values = np.array([-127, 1, 64, 127], np.float32) / 4
    entries, scale = quantize_codebook(values, value_format, value_format is ValueFormat.FIXED16, "w")
    assert entries.dtype == CODEBOOK_DTYPES[value_format]
    decoded = entries.astype(np.float32) * np.float32(scale)
    assert np.allclose(decoded, values, rtol=0 if value_format is not ValueFormat.FIXED16 else 1e-4)


def test_weights_are_returned_as_they_are():
    weights = np.array([1, 0, -3], np.int8)
    assert check_weights(weights, "w") is weights
