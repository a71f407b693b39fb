import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_sw.classic import kernels
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry


def test_vectors_hash(vectors):
    for case in vectors["hash"]:
        if case["rounds"] == spec.ADDRESS_ROUNDS:
            words = kernels._address_words(case["index"], case["seed"], np.uint64(case["domain"]))
            assert [int(word) for word in words] == case["words"]


def test_vectors_addresses(vectors):
    for case in vectors["addresses"]:
        keys = np.array([case["index"]], np.uint32)
        lanes_log2 = case["lanes"].bit_length() - 1
        slots, masks = kernels.address_keys(
            keys, lanes_log2, case["slot_bits"], case["bank_rows"], case["seed"]
        )
        assert slots[0].tolist() == case["slots"]
        assert masks[0] == case["mask"]


@given(
    st.sampled_from([1, 2, 8, 64]),
    st.integers(1, 16),
    st.integers(1, 10**6),
    st.integers(0, 65_535),
    st.data(),
)
def test_addresses_are_those_of_the_specification(lanes, slot_bits, bank_rows, seed, data):
    n_weights = 10**6
    places = data.draw(st.lists(st.integers(0, n_weights - 1), min_size=1, max_size=20, unique=True))
    keys = np.array(sorted(places), np.uint32)
    geometry = ClassicGeometry(
        n_weights=n_weights, lanes=lanes, slot_bits=slot_bits, bank_rows=bank_rows, n_codes=1, seed=seed
    )
    slots, masks = kernels.address_keys(keys, geometry.lanes_log2, slot_bits, bank_rows, seed)
    assert slots.tolist() == [list(geometry.slots(int(key))) for key in keys]
    assert masks.tolist() == [geometry.mask(int(key)) for key in keys]


def test_peeling_order_makes_assignment_possible():
    rng = np.random.default_rng(1)
    slots = (rng.integers(0, 500, (1000, 3)) + np.arange(3) * 500).astype(np.uint32)
    n_peeled, order, pivots = kernels.peel(slots, 1500)
    assert n_peeled == 1000
    assert sorted(order.tolist()) == list(range(1000))
    assert len(set(pivots.tolist())) == 1000
    for step, (key, pivot) in enumerate(zip(order, pivots, strict=True)):
        assert pivot in slots[key]
        assert (
            pivot not in slots[order[step + 1 :]]
        )  # later keys don't read it, so assignment in reverse works


def test_peeling_reports_what_is_left():
    twice = np.array([[0, 3, 6], [0, 3, 6], [1, 4, 7]], np.uint32)
    assert kernels.peel(twice, 9)[0] == 1


@pytest.mark.parametrize("n_groups", [1, 2, 1000])
def test_decoding_from_a_later_group_is_the_same(n_groups):
    rng = np.random.default_rng(2)
    table = rng.integers(0, 256, 3 * 40 * 8).astype(np.uint16)
    whole, part = np.empty(8 * (n_groups + 5), np.uint16), np.empty(8 * n_groups, np.uint16)
    kernels.fill_codes(whole, table, 3, 40, 8, 1, 0)
    kernels.fill_codes(part, table, 3, 40, 8, 1, 5)
    assert np.array_equal(whole[40:], part)
