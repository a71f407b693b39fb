"""The golden and the fast decoder: equal to the frozen vectors, and to the scalar functions."""

import numpy as np
import pytest

from weightless_sw import codec, compiled
from weightless_sw.arrangement import Arrangement
from weightless_sw.ribbon import golden, kernels
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.ribbon import Header, RibbonGeometry
from weightless_sw.tensor import EncodedTensor

DECODERS = pytest.mark.parametrize("decoder", [golden, kernels], ids=["golden", "fast"])


def tensor(table, **fields):
    geometry = RibbonGeometry(table_words=len(table), **fields)
    codebook = np.ones(geometry.n_codes, np.float16)
    return EncodedTensor(Arrangement((geometry.n_weights,)), geometry, codebook, np.asarray(table, np.uint32))


@DECODERS
def test_vectors_chunks(ribbon_vectors, decoder):
    for case in ribbon_vectors["layers"]:
        fields = {name: case[name] for name in ("n_weights", "slot_bits", "n_codes", "seed", "chunk_log2")}
        table = np.frombuffer(bytes.fromhex(case["chunks"]), "<u4")
        assert decoder.decode_codes(tensor(table, **fields)).tolist() == case["codes"]


@pytest.mark.parametrize("slot_bits", range(1, 17))
def test_random_tables_decode_alike(slot_bits):
    """Any words, and maps that move, stay, are dead, and go on behind the last word."""
    rng = np.random.default_rng(slot_bits)
    for n_weights in (1, 7, 8, 9, 1000, 2005):
        n_groups = -(-n_weights // 8)
        entries, covered = [], 0
        while covered < n_groups:
            field = int(rng.integers(1, 80))
            d = spec.entry_groups(field)
            w = int(rng.choice([spec.DEAD, 0, min(d, 62), rng.integers(0, min(d, 62) + 1)]))
            entries.append(w << spec.GROUPS_BITS | field)
            covered += d
        called = 8 + sum(e >> 10 for e in entries if e >> 10 != spec.DEAD)
        n_words = int(rng.integers(0, called // 4 + 1)) * 4
        slots = rng.integers(0, 1 << slot_bits, 8 * n_words).astype(np.uint64)
        header = Header(n_words, len(entries), 2)
        table = np.zeros(1 + -(-header.stream_bits(slot_bits) // 32), np.uint32)
        table[0] = header.to_word()
        pair_bits = spec.pair_bits(slot_bits)
        assert kernels.to_stream(table[1:], np.array(entries, np.uint16), slots, slot_bits, pair_bits)
        made = tensor(table, n_weights=n_weights, slot_bits=slot_bits, n_codes=1, seed=65_535, chunk_log2=13)
        (chunk,) = made.geometry.chunks(table.tolist())
        assert [chunk.slot(k // 8, k % 8) for k in range(8 * n_words)] == slots.tolist()
        codes = list(chunk.codes())
        assert golden.decode_codes(made).tolist() == codes
        assert kernels.decode_codes(made).tolist() == codes


def test_a_slice_touches_only_its_chunks(sparse_layer, monkeypatch):
    made, _ = codec.encode(sparse_layer((10, 5000), 2000), layout="ribbon", chunk_log2=13, live="off")
    whole = kernels.decode_codes(made)
    ran = []

    def counted(kernel, calls):
        calls = list(calls)
        ran.append(len(calls))
        return compiled.run_all(kernel, calls)

    monkeypatch.setattr(kernels, "run_all", counted)
    slices = {(0, 1): 1, (8191, 8193): 2, (16_384, 24_576): 1, (49_999, 50_000): 1, (0, 50_000): 7}
    for (first, last), n_chunks in slices.items():
        assert np.array_equal(kernels.decode_codes(made, first, last), whole[first:last])
        assert ran.pop() == n_chunks, (first, last)
    assert kernels.decode_codes(made, 20_000, 20_000).size == 0
    assert not ran


def test_the_number_of_a_bit():
    for k in range(64):
        assert kernels._first_bit(np.uint64(1 << k | (1 << 63))) == k


def test_the_field_of_a_number_of_groups():
    """The largest below, the smallest from there on, for every number up to 5,000."""
    values = sorted({spec.entry_groups(field) for field in range(1, 1024)})
    for d in range(2, 5000):
        below = max(v for v in values if v <= d)
        above = min(v for v in values if v >= d)
        assert spec.entry_groups(int(kernels._groups_field(d, False))) == below
        assert spec.entry_groups(int(kernels._groups_field(d, True))) == above
