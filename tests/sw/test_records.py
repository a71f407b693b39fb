import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_hw import decoders
from weightless_sw import codec, layouts, records
from weightless_sw.records import pack_bits, unpack_bits
from weightless_sw.spec.record import DESCRIPTOR_BYTES


@given(st.integers(1, 16), st.lists(st.integers(0, 65_535), max_size=60))
def test_bits_round_trip(bits, numbers):
    values = np.array(numbers, np.uint16) & np.uint16((1 << bits) - 1)
    packed = pack_bits(values, bits)
    assert len(packed) == -(-len(values) * bits // 8)
    assert int.from_bytes(packed, "little") == sum(int(v) << k * bits for k, v in enumerate(values))
    assert np.array_equal(unpack_bits(packed, len(values), bits), values)


def test_bits_round_trip_over_chunks(monkeypatch):
    monkeypatch.setattr(records, "BITS_CHUNK", 16)
    values = np.arange(1000, dtype=np.uint16) % 512
    assert np.array_equal(unpack_bits(pack_bits(values, 9), 1000, 9), values)


@pytest.mark.parametrize("layout", decoders.BY_NAME)
def test_word_by_word_the_codes_are_those_of_the_tensor(layout, sparse_layer):
    tensor, _ = codec.encode(sparse_layer((10, 30), 40), layout=layout, live="off")
    golden, words = layouts.golden(tensor.geometry), np.frombuffer(records.to_record(tensor), "<u4")
    reader = golden.reader(records.to_record(tensor)[:DESCRIPTOR_BYTES])
    payload = words[DESCRIPTOR_BYTES // 4 + tensor.geometry.codebook_section.n_words :]
    codes = [reader.take(int(word)) for word in payload]
    assert np.array_equal(np.concatenate(codes), golden.decode_codes(tensor))
