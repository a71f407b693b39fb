import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structured import random_tensor

from weightless_sw import codec
from weightless_sw.arrangement import Arrangement
from weightless_sw.codebook import EncodeError
from weightless_sw.ribbon import encoder, golden, kernels
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.record import DESCRIPTOR_BYTES, ValueFormat
from weightless_sw.tensor import EncodedTensor, TableRequest


def build(keys, codes, n_weights, slot_bits=8, n_codes=16, **options):
    request = TableRequest(
        n_weights=n_weights, slot_bits=slot_bits, n_codes=n_codes, value_format=ValueFormat.FP16, scale=1.0
    )
    table = encoder.build(
        np.asarray(keys, np.uint32), np.asarray(codes, np.uint16), request, encoder.OPTIONS | options
    )
    codebook = np.ones(n_codes, np.float16)
    return EncodedTensor(Arrangement((n_weights,)), table.geometry, codebook, table.entries)


def random_keys(n_keys, density, slot_bits, seed):
    rng = np.random.default_rng(seed)
    n_weights = round(n_keys / density)
    keys = np.sort(rng.choice(n_weights, n_keys, replace=False))
    return keys, rng.integers(0, min(16, (1 << slot_bits) - 1), n_keys), n_weights


def overhead(tensor, n_keys):
    """c: chunks and descriptor, the codebook left out, per key and slot bit."""
    return 8 * (4 * tensor.geometry.table_words + DESCRIPTOR_BYTES) / (n_keys * tensor.geometry.slot_bits)


@pytest.mark.parametrize(
    ("n_keys", "most"), [(1_000, 1.072), (10_000, 1.018), (100_000, 1.011), (1_000_000, 1.011)]
)
def test_slots_per_key(n_keys, most):
    """The promise at 4 %, t = 8."""
    keys, codes, n_weights = random_keys(n_keys, 0.04, 8, 5)
    tensor = build(keys, codes, n_weights)
    assert overhead(tensor, n_keys) <= most
    decoded = kernels.decode_codes(tensor)
    assert np.array_equal(decoded[keys], codes)
    others = n_weights - n_keys
    n_false = np.count_nonzero(decoded < 16) - n_keys
    expected = others * 16 / 256
    assert abs(n_false - expected) < 5 * np.sqrt(expected)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, (1 << 17) + 1) | st.sampled_from([1, 7, 8, 9, 8191, 8192, 8193, (1 << 17) + 1]),
    st.floats(0, 1),
    st.integers(1, 16),
    st.integers(0, 2**32 - 1),
)
def test_every_key_has_its_code(n_weights, density, slot_bits, seed):
    rng = np.random.default_rng(seed)
    keys = np.flatnonzero(rng.random(n_weights) < density)
    n_codes = int(rng.integers(1, 1 << slot_bits))
    codes = rng.integers(0, n_codes, keys.size)
    tensor = build(keys, codes, n_weights, slot_bits, n_codes)
    decoded = kernels.decode_codes(tensor)
    assert np.array_equal(decoded[keys], codes)
    assert np.array_equal(golden.decode_codes(tensor), decoded)
    tensor.geometry.check_table(tensor.table)


def test_structured_tensors(effort):
    """600 of eight kinds, every t, chunk sizes and dead groups as they come: `make fuzz-ribbon` goes on."""
    rng = np.random.default_rng(int(os.environ.get("WEIGHTLESS_SEED", "1")))
    for number in range(600 * effort):
        case = random_tensor(rng, most=20_000 if number % 20 else 200_000)
        tensor = build(case.keys, case.codes, case.n_weights, case.slot_bits, case.n_codes, **case.options)
        assert np.array_equal(kernels.decode_codes(tensor)[case.keys], case.codes), (number, case)
        tensor.geometry.check_table(tensor.table)


def test_the_same_bytes_on_any_number_of_threads(monkeypatch):
    keys, codes, n_weights = random_keys(200_000, 0.1, 8, 2)
    once = build(keys, codes, n_weights, chunk_log2=14).table
    for cores in ({0}, {0, 1, 2, 3, 4}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        assert np.array_equal(build(keys, codes, n_weights, chunk_log2=14).table, once)


def test_dead_segments_have_no_false_positive():
    """A row without a weight every second: with a small dial none of it comes back wrong, and bytes are more."""
    keys, codes, _ = random_keys(20_000, 0.1, 4, 3)
    keys = keys // 4096 * 8192 + keys % 4096
    n_weights = int(keys[-1] // 8192 + 1) * 8192
    as_usual, dialled, never = (build(keys, codes, n_weights, 4, 15, dead_groups=n) for n in (0, 8, 1 << 20))
    dead = np.arange(n_weights) % 8192 >= 4096 + 64
    for tensor in (as_usual, dialled):
        assert np.count_nonzero(kernels.decode_codes(tensor)[dead] < 15) < 400
    assert np.count_nonzero(kernels.decode_codes(never)[dead] < 15) > 50_000
    assert as_usual.geometry.table_words <= dialled.geometry.table_words


def test_progress_is_told_by_chunk():
    keys, codes, n_weights = random_keys(50_000, 0.25, 8, 4)
    told = []
    request = TableRequest(
        n_weights=n_weights, slot_bits=8, n_codes=16, value_format=ValueFormat.FP16, scale=1.0
    )
    encoder.build(keys.astype(np.uint32), codes.astype(np.uint16), request, encoder.OPTIONS | {"chunk_log2": 14},
                  lambda done, total, text: told.append((done, total, text)))  # fmt: skip
    n_chunks = -(-n_weights >> 14)
    assert [done for done, _, _ in told] == list(range(1, n_chunks + 1))
    assert told[-1] == (n_chunks, n_chunks, f"chunk {n_chunks} of {n_chunks}")


def test_smaller_chunks_where_one_overflows():
    """2^20 weights that are all keys are four words more than a header counts."""
    n_weights = 1 << 20
    rng = np.random.default_rng(6)
    tensor = build(np.arange(n_weights), rng.integers(0, 3, n_weights), n_weights, 2, 3, chunk_log2=22)
    assert tensor.geometry.chunk_log2 == 19
    assert overhead(tensor, n_weights) < 1.05


def test_what_can_not_be_encoded_is_said(monkeypatch):
    monkeypatch.setattr(kernels, "encode_chunk", lambda *_: (np.zeros(0, np.uint16), np.zeros(0, np.uint64)))
    with pytest.raises(
        EncodeError, match=r"no table of these keys, .* took no seed of 16\); take the classic"
    ):
        build([1], [0], 100)
    weights = np.eye(40, dtype=np.float32)
    with pytest.raises(EncodeError, match=r"^fc1, rows: the ribbon has no table of these keys"):
        codec.encode(weights, layout="ribbon", name="fc1")
    tensor, report = codec.encode(weights, layout="auto", name="fc1")  # what encodes
    assert report.layout == "classic"
    assert np.array_equal(codec.decode(tensor)[weights != 0], weights[weights != 0])


@pytest.mark.parametrize("lane", range(8))
@pytest.mark.parametrize("step", [8, 16, 64])
def test_keys_of_one_lane(lane, step):
    """Lanes 1 to 7 read seven of the window's eight columns, so that a word in eight stays empty: c is 8/7 and more."""
    n_weights = 2000 * step
    keys = np.arange(lane, n_weights, step)
    codes = np.random.default_rng(lane).integers(0, 3, keys.size)
    tensor = build(keys, codes, n_weights)
    assert np.array_equal(kernels.decode_codes(tensor)[keys], codes)
    assert overhead(tensor, keys.size) < (1.2 if lane else 1.06)


def test_keys_of_one_lane_beside_others():
    """A strided matrix with a dense row; a stretch of one lane amid random keys, with a few others in it."""
    matrix = np.zeros((64, 1024), bool)
    matrix[:, 1::8] = matrix[0] = True
    rng = np.random.default_rng(0)
    amid = rng.random(200_000) < 0.1
    amid[60_000:140_000] = (np.arange(80_000) % 8 == 3) | (rng.random(80_000) < 0.005)
    for keys, most in ((np.flatnonzero(matrix), 1.18), (np.flatnonzero(amid), 1.12)):
        codes = rng.integers(0, 3, keys.size)
        tensor = build(keys, codes, int(keys[-1]) + 1)
        assert np.array_equal(kernels.decode_codes(tensor)[keys], codes)
        assert overhead(tensor, keys.size) < most


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lanes": 8}, "ribbon has no option lanes; its groups have 8 weights, and a decoder of any number"),
        ({"chunk_log2": 12}, "chunk_log2 must be an integer from 13 to 22, not 12"),
        ({"dead_groups": -1}, "dead_groups must be an integer from 0"),
        ({"size": 1}, "ribbon has no option size; it has: chunk_log2, dead_groups"),
    ],
)
def test_options_that_it_does_not_have(options, message):
    with pytest.raises(ValueError, match=message):
        codec.encode(np.eye(4), layout="ribbon", **options)


@pytest.mark.parametrize("n_keys", [0, 1, 100, 10**6])
def test_chunks_hold_enough_keys(n_keys):
    k = encoder.choose_chunk_log2(10**8, n_keys)
    assert spec.MIN_CHUNK_LOG2 <= k <= spec.MAX_CHUNK_LOG2
    assert k == spec.MAX_CHUNK_LOG2 or n_keys << k >= 10**8 * encoder.CHUNK_KEYS
