from math import sqrt

import numpy as np
import pytest

from weightless_sw.classic import encoder, kernels
from weightless_sw.codebook import EncodeError
from weightless_sw.codec import decode, encode
from weightless_sw.spec import classic as spec


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 64])
def test_size_is_near_the_peeling_threshold(sparse_layer, lanes):
    _, report = encode(sparse_layer(10**6, 40_000), layout="classic", order="rows", lanes=lanes)
    assert 1.20 < report.slots_per_key < 1.235


@pytest.mark.parametrize("lanes", [1, 4])
def test_the_bank_size_is_the_smallest_of_those_tried(sparse_layer, lanes):
    weights = sparse_layer(20_000, 900)
    tensor, report = encode(weights, layout="classic", order="rows", lanes=lanes)
    bank_rows = tensor.geometry.bank_rows
    keys = np.flatnonzero(weights).astype(np.uint32)
    search = encoder._Search(keys, lanes, 8, 0, None)
    assert search._first_seed(bank_rows) == report.seed
    assert search._first_seed(bank_rows - 1) is None


def test_free_slots_are_random_and_reproducible():
    table = kernels.random_table(4096, 8, 5)
    assert np.array_equal(table, kernels.random_table(4096, 8, 5))
    counts = np.bincount(table, minlength=256)
    assert ((counts - 16) ** 2 / 16).sum() < 255 + 5 * sqrt(2 * 255)


def test_too_many_keys_for_the_lanes(sparse_layer, monkeypatch):
    monkeypatch.setattr(spec, "MAX_BANK_ROWS", 100)
    assert (
        encode(sparse_layer(5000, 500), layout="classic", order="rows", lanes=4)[0].geometry.bank_rows < 100
    )
    with pytest.raises(
        EncodeError, match=r"500 keys need about 2[0-9]+ rows a bank, the format has 100; use more lanes"
    ):
        encode(sparse_layer(5000, 500), layout="classic", order="rows", lanes=1)


def test_seeds_are_tried_from_the_first_on(sparse_layer):
    """Tables of seeds far apart are draws of their own; the first seeds of an encoder are those of 0."""
    weights = sparse_layer(20_000, 900)
    false_positives = []
    for first in (0, 4096, 65_535):
        tensor, report = encode(weights, layout="classic", order="rows", first_seed=first)
        assert (report.seed - first) % 65_536 < 4096
        decoded = decode(tensor)
        assert np.array_equal(decoded[weights != 0], weights[weights != 0])
        false_positives.append(set(np.flatnonzero(decoded * (weights == 0))))
    assert len(false_positives[0] & false_positives[1]) < len(false_positives[0]) / 4
