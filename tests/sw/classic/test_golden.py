import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_sw import records
from weightless_sw.arrangement import Arrangement
from weightless_sw.classic import golden, kernels
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.tensor import EncodedTensor


@st.composite
def tables(draw):
    """Any geometry, its slots random: every table is a valid one."""
    slot_bits = draw(st.integers(1, 16))
    geometry = ClassicGeometry(
        n_weights=draw(st.integers(1, 200)),
        lanes=draw(st.sampled_from([1, 2, 4, 8, 16, 32, 64])),
        slot_bits=slot_bits,
        bank_rows=draw(st.integers(1, 50)),
        n_codes=1,
        seed=draw(st.integers(0, 65_535)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    slots = rng.integers(0, 1 << slot_bits, geometry.n_slots).astype(np.uint16)
    codebook = np.ones(1, np.float16)
    return EncodedTensor(Arrangement((geometry.n_weights,)), geometry, codebook, slots)


@settings(max_examples=30, deadline=None)
@given(tables())
def test_golden_decoder_is_the_scalar_definition(tensor):
    slots = tensor.table.tolist()
    expected = [tensor.geometry.code(i, slots) for i in range(tensor.geometry.n_weights)]
    assert golden.decode_codes(tensor).tolist() == expected
    assert kernels.decode_codes(tensor).tolist() == expected


def test_chunks_of_groups_change_nothing(monkeypatch):
    geometry = ClassicGeometry(n_weights=1003, lanes=4, slot_bits=8, bank_rows=20, n_codes=1, seed=1)
    slots = np.random.default_rng(0).integers(0, 256, geometry.n_slots).astype(np.uint16)
    tensor = EncodedTensor(Arrangement((1003,)), geometry, np.ones(1, np.float16), slots)
    whole = golden.decode_codes(tensor)
    monkeypatch.setattr(golden, "CHUNK", 7)
    assert np.array_equal(golden.decode_codes(tensor), whole)


def test_vectors_layers(vectors):
    for case in vectors["layers"]:
        record = bytes.fromhex(case["record"])
        tensor = records.from_record(record, Arrangement((len(case["codes"]),)))
        assert golden.decode_codes(tensor).tolist() == case["codes"]
        assert kernels.decode_codes(tensor).tolist() == case["codes"]
