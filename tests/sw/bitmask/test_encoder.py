import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_sw import codec, container, layouts
from weightless_sw.bitmask import encoder
from weightless_sw.codebook import EncodeError
from weightless_sw.spec import bitmask as spec
from weightless_sw.tensor import CodedTensor


@st.composite
def layers(draw):
    """(weights, slot bits or None): any shape, density and burstiness, up to 2^t values."""
    slot_bits = draw(st.sampled_from([None, 1, 2, 5, 8, 11, 16]))
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 70)))
    most = min(60, 1 << (slot_bits or 8))
    n_values = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]))
    weights = np.where(rng.random(shape) < density, rng.integers(1, n_values + 1, shape) / 8, 0)
    if draw(st.booleans()):  # dead rows and columns
        weights[rng.random(shape[0]) < 0.6] = 0
        weights[:, rng.random(shape[1]) < 0.6] = 0
    return weights.astype(np.float32), slot_bits


@settings(max_examples=150, deadline=None)
@given(layers(), st.sampled_from(["rows", "columns", "auto"]), st.sampled_from(["off", "auto"]))
def test_every_weight_comes_back(layer, order, live):
    weights, slot_bits = layer
    tensor, report = codec.encode(weights, layout="bitmask", slot_bits=slot_bits, order=order, live=live)
    assert np.array_equal(codec.decode(tensor), weights)
    assert np.array_equal(codec.decode_golden(tensor), weights)
    assert report.n_false_positives == report.expected_false_positives == 0
    read = container.from_bytes(container.to_bytes({"w": tensor}))["w"]
    assert read == tensor
    g = tensor.geometry
    flat = tensor.arrangement.gather(weights)
    named = np.where(flat == 0, g.n_codes, np.searchsorted(tensor.codebook, flat)).tolist()
    assert tensor.table.tolist() == spec.write(named, g.slot_bits, g.n_codes)


@settings(max_examples=60, deadline=None)
@given(layers())
def test_the_live_block_is_the_smallest(layer):
    """Of the whole, without dead rows, without dead columns, without both: record and maps."""
    weights, _ = layer
    tensor, report = codec.encode(weights, layout="bitmask")
    rows, columns = ((weights != 0).any(axis) for axis in (1, 0))
    if rows.any():
        blocks = [weights, weights[rows], weights[:, columns], weights[np.ix_(rows, columns)]]
        sizes = [codec.encode(one, layout="bitmask", live="off")[1].record_bytes for one in blocks]
        assert report.record_bytes in sizes
        assert report.record_bytes == min(sizes) or report.map_bytes < min(sizes)
        assert container.stored_bytes(tensor) <= sizes[0]
    else:
        assert report.n_codes == 0


def test_the_least_bits_unless_more_are_asked_for(sparse_layer):
    for n_values, least in ((1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8)):
        weights = sparse_layer((30, 40), 400, n_values=n_values)
        assert codec.encode(weights, layout="bitmask")[0].geometry.slot_bits == least
    assert codec.encode(weights, layout="bitmask", slot_bits=11)[0].geometry.slot_bits == 11
    with pytest.raises(
        EncodeError, match="256 distinct non-zero values, but codes of 7 bits name at most 128"
    ):
        codec.encode(weights, layout="bitmask", slot_bits=7)


def test_auto_takes_no_exact_layout(sparse_layer):
    """A layer for which the mask is smaller than any table."""
    weights = sparse_layer((40, 50), 1800, n_values=2)
    exact = codec.encode(weights, layout="bitmask")[1]
    table = codec.encode(weights)[1]
    assert exact.bytes < table.bytes
    assert table.layout in layouts.TABLES == ["classic", "ribbon"]


def test_as_many_values_as_fp16_has():
    values = np.arange(1, 65_536, dtype=np.uint16).view(np.float16).astype(np.float32)
    values = np.unique(values[np.isfinite(values) & (values != 0)])
    tensor, _ = codec.encode(values, layout="bitmask")
    assert tensor.geometry.slot_bits == 16
    assert np.array_equal(codec.decode(tensor), values)


def test_against_the_coded_record(sparse_layer):
    """Both exact: the same weights, the coded record smaller."""
    weights = sparse_layer((60, 70), 300)
    coded = codec.encode_coded(weights)
    assert isinstance(coded, CodedTensor)
    tensor, report = codec.encode(weights, layout="bitmask")
    assert np.array_equal(codec.decode(coded), codec.decode(tensor))
    assert container.stored_bytes(coded) < report.bytes


def test_what_is_expected_is_what_is_made(sparse_layer):
    weights = sparse_layer((37, 41), 200)
    tensor, report = codec.encode(weights, layout="bitmask", live="off")
    told = codec.expected(
        weights.size, 200, layout="bitmask", slot_bits=tensor.geometry.slot_bits, n_codes=report.n_codes
    )
    assert told == tensor.geometry


def test_a_planted_fault_is_seen(sparse_layer):
    weights = sparse_layer((20, 30), 90)
    tensor, _ = codec.encode(weights, layout="bitmask", live="off")
    tensor.table[1] ^= 1
    assert np.count_nonzero(codec.decode(tensor) != weights) == 1
    tensor.table[0] ^= 1 << 5
    with pytest.raises(ValueError, match=r"bits of masks set|word is left"):
        tensor.geometry.check_table(tensor.table)


def test_places_of_masks():
    """By hand, t = 16: two codes a word."""
    assert encoder.mask_places(np.array([0, 3, 0, 1, 2], np.uint8), 16).tolist() == [0, 1, 4, 5, 6]
