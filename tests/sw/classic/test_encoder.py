from math import sqrt

import numpy as np
import pytest

from weightless_sw.classic import encoder, kernels
from weightless_sw.codebook import EncodeError
from weightless_sw.codec import encode
from weightless_sw.spec import classic as spec


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 64])
def test_size_is_near_the_peeling_threshold(sparse_layer, lanes):
    _, report = encode(sparse_layer(10**6, 40_000), lanes=lanes)
    assert 1.20 < report.slots_per_key < 1.235


@pytest.mark.parametrize("lanes", [1, 4])
def test_the_bank_size_is_the_smallest_of_those_tried(sparse_layer, lanes):
    weights = sparse_layer(20_000, 900)
    tensor, report = encode(weights, lanes=lanes)
    bank_rows = tensor.geometry.bank_rows
    keys = np.flatnonzero(weights).astype(np.uint32)
    search = encoder._Search(keys, lanes, 8, None)
    assert search._first_seed(bank_rows) == report.seed
    assert search._first_seed(bank_rows - 1) is None


def test_free_slots_are_random_and_reproducible():
    table = kernels.random_table(4096, 8, 5)
    assert np.array_equal(table, kernels.random_table(4096, 8, 5))
    counts = np.bincount(table, minlength=256)
    assert ((counts - 16) ** 2 / 16).sum() < 255 + 5 * sqrt(2 * 255)


def test_too_many_keys_for_the_lanes(sparse_layer, monkeypatch):
    monkeypatch.setattr(spec, "MAX_BANK_ROWS", 100)
    assert encode(sparse_layer(5000, 500), lanes=4)[0].geometry.bank_rows < 100
    with pytest.raises(
        EncodeError, match=r"500 keys need about 2[0-9]+ rows a bank, the format has 100; use more lanes"
    ):
        encode(sparse_layer(5000, 500), lanes=1)
