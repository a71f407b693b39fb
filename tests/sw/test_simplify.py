import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightless_sw import codec
from weightless_sw.codebook import EncodeError
from weightless_sw.simplify import kmeans_1d, simplify

arrays = hnp.arrays(
    np.float32, hnp.array_shapes(max_dims=3, max_side=20), elements=st.floats(-4, 4, width=16)
)


@settings(max_examples=25, deadline=None)
@given(arrays, st.floats(0.01, 1), st.integers(1, 20))
def test_what_is_left_can_be_encoded(weights, density, n_codes):
    weights = np.where(np.abs(weights) < 2**-10, 0, weights)
    result, report = simplify(weights, density=density, n_codes=n_codes)
    assert result.shape == weights.shape
    kept = result != 0
    assert np.count_nonzero(kept) == report.n_nonzero <= max(1, round(density * weights.size))
    assert len(np.unique(result[kept])) == report.n_codes <= n_codes
    if kept.any() and not kept.all():
        assert np.abs(weights[kept]).min() >= np.abs(weights[~kept]).max()
    tensor, _ = codec.encode(result, layout="classic", order="rows", slot_bits=8, lanes=1)
    assert np.array_equal(codec.decode(tensor)[kept], result[kept])


def test_nothing_is_lost_where_all_is_kept():
    weights = np.array([[0.5, -1.0], [0.0, 0.5]], np.float32)
    result, report = simplify(weights, density=1.0, n_codes=2)
    assert np.array_equal(result, weights)
    assert report.relative_error == 0
    assert (report.n_nonzero, report.density, report.n_codes) == (3, 0.75, 2)


def test_the_first_of_equal_magnitudes_stay():
    assert simplify(np.ones(10), density=0.3, n_codes=1)[0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_relative_error():
    assert simplify([3.0, 4.0], density=0.5, n_codes=1)[1].relative_error == pytest.approx(3 / 5)
    assert simplify(np.zeros((2, 3)), density=0.5, n_codes=1)[1].relative_error == 0


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ([1.0], {"density": 0}, "w: density must be above 0 and at most 1, not 0"),
        ([1.0], {"density": float("nan")}, "w: density must be above 0"),
        ([1.0], {"n_codes": 0}, "w: codes must be from 1 to 65535, not 0"),
        ([1.0, np.nan], {}, "w: 1 weights are NaN or infinite"),
        ([], {}, "w: a table holds 1 to"),
        ([1e6], {}, r"w: weights around 1e\+06 are out of fp16's range"),
        ([1e-9], {}, "w: weights around 1e-09 are out of fp16's range"),
    ],
)
def test_bad_input_is_refused(weights, options, message):
    with pytest.raises((ValueError, EncodeError), match=f"^{message}"):
        simplify(weights, **({"density": 0.5, "n_codes": 2, "name": "w"} | options))


def test_kmeans():
    values = np.concatenate([np.full(50, -1.0), np.full(30, 0.5), np.full(20, 2.0)])
    assert kmeans_1d(values, 3).tolist() == [-1.0, 0.5, 2.0]
    assert len(kmeans_1d(values, 15)) == 3
    rng = np.random.default_rng(0)
    spread = rng.normal(size=1000)
    centroids = kmeans_1d(spread, 8)
    nearest = np.abs(spread[:, None] - centroids).argmin(1)
    assert np.allclose(centroids, [spread[nearest == k].mean() for k in range(8)])


def test_centroids_are_the_means_of_what_is_nearest():
    """Against a plain round of Lloyd's: nothing moves any more."""
    values = np.random.default_rng(0).normal(size=5_000)
    for k in (1, 2, 16, 256):
        centroids = kmeans_1d(values, k, n_iterations=10_000)
        nearest = np.abs(values[:, None] - centroids).argmin(1)
        means = [values[nearest == j].mean() for j in range(len(centroids))]
        assert np.allclose(means, centroids, atol=1e-12)
    assert kmeans_1d(np.array([0.5, 0.5, 0.5]), 4).tolist() == [0.5]
