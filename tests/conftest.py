"""Shared helpers: sparse layers, the frozen vectors, and what to do about a missing tool."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from weightless_sw.provenance import install_line

ROOT = Path(__file__).parent.parent
settings.register_profile("weightless", deadline=None)  # a busy machine is no fault
settings.load_profile("weightless")


@pytest.fixture(scope="session")
def effort() -> int:
    """How many times as many random cases are wanted: 1, or what `make test-long` asks for."""
    return int(os.environ.get("WEIGHTLESS_EFFORT", "1"))


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    """The frozen known-answer vectors."""
    return json.loads((ROOT / "tests" / "vectors" / "classic.json").read_text())


@pytest.fixture(scope="session")
def ribbon_vectors() -> Any:
    """The frozen vectors of the ribbon layout."""
    return json.loads((ROOT / "tests" / "vectors" / "ribbon.json").read_text())


@pytest.fixture(scope="session")
def bitmask_vectors() -> Any:
    """The frozen vectors of the bitmask layout; a code of -1 is a zero weight there."""
    return json.loads((ROOT / "tests" / "vectors" / "bitmask.json").read_text())


@pytest.fixture(scope="session")
def coded_vectors() -> Any:
    """The frozen vectors of coded records; a code of -1 is a zero weight there."""
    return json.loads((ROOT / "tests" / "vectors" / "coded.json").read_text())


@pytest.fixture(scope="session")
def sparse_layer() -> Any:
    """A function that makes a pruned and clustered layer: (shape, n_nonzero, n_values, seed) -> array."""

    def make(shape: Any, n_nonzero: int, n_values: int = 15, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        weights = np.zeros(int(np.prod(shape)), np.float32)
        values = (np.arange(n_values) - n_values // 2 + 0.5).astype(np.float32) / 16
        places = rng.choice(weights.size, n_nonzero, replace=False)
        weights[places] = np.resize(values, n_nonzero)  # every value comes
        return weights.reshape(shape)

    return make


@pytest.fixture(scope="session")
def need() -> Any:
    """A function that skips when told a reason; in CI a missing tool is a failure."""

    def check(reason: str) -> None:
        if reason and os.environ.get("CI"):
            pytest.fail(f"missing in CI: {reason}")
        if reason:
            pytest.skip(reason)

    return check


@pytest.fixture(scope="session", autouse=True)
def in_repository_root() -> None:
    """Builds go to build/ of the repository, wherever pytest was started; output is that of a pipe."""
    os.chdir(ROOT)
    os.environ.pop("COLUMNS", None)  # pytest-xdist sets it


@pytest.fixture(scope="session")
def torch(need: Any) -> Any:
    """torch, or a skip: users install it with the extra `train`."""
    missing = [name for name in ("torch", "sklearn") if importlib.util.find_spec(name) is None]
    need(f"{', '.join(missing)} not installed: {install_line('train')}" if missing else "")
    import torch

    torch.set_num_threads(1)
    return torch
