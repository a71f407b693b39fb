import dataclasses

import numpy as np
import pytest

from weightless_sw import codec
from weightless_sw.arrangement import Arrangement
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import ValueFormat
from weightless_sw.tensor import EncodedTensor


@pytest.fixture
def tensor():
    geometry = ClassicGeometry(
        n_weights=3, lanes=1, slot_bits=4, bank_rows=2, n_codes=2, seed=0,
        value_format=ValueFormat.FIXED8, scale=0.5,
    )  # fmt: skip
    return EncodedTensor(
        Arrangement((3,)), geometry, np.array([-3, 8], np.int8), np.zeros(geometry.n_slots, np.uint16)
    )


def test_no_values_code_is_a_zero(tensor):
    assert tensor.values.tolist() == [-1.5, 4.0]
    assert tensor.look_up(np.array([1, 2, 15], np.uint16)).tolist() == [4.0, 0.0, 0.0]


def test_record_bytes(tensor):
    assert tensor.record_bytes == 28 + 4 + 4  # two entries of a byte, six slots of four bits


def test_encoded_tensors_compare():
    """By what they are in a file; a comparison gives one answer, and they may be in a set."""
    weights = np.where(np.random.default_rng(1).random((300, 40)) < 0.1, np.float32(0.5), np.float32(0))
    weights[3:280] = 0
    first, again = (codec.encode(weights)[0] for _ in range(2))
    assert first == again
    assert len({first, again}) == 1
    assert first != codec.encode(2 * weights)[0]
    assert first != codec.encode(weights, live="off")[0]
    assert first != codec.encode(weights.reshape(40, 300))[0]
    assert first != dataclasses.replace(first, codebook=first.codebook.astype(np.float32))
    coded = codec.encode_coded(weights)
    assert coded == codec.encode_coded(weights)
    assert coded != first
    assert first != "a tensor"
