"""A small model, and points of it."""

import numpy as np
import pytest

from weightless_sim.sweep.points import points


@pytest.fixture(scope="session")
def arrays(sparse_layer):
    return {"a": sparse_layer((30, 40), 100, 3), "b": sparse_layer((20, 30), 40, 7, seed=1)}


@pytest.fixture(scope="session")
def asked():
    """Eight of them, one that no encoder can do (t = 2 does not hold seven values)."""
    return points(["classic", "ribbon"], [4], [2, 7, 8, 9], [None], [None], [None])


@pytest.fixture
def dense():
    return {"a": np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)}
