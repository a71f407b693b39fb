"""One study of a small model on the real simulator, for the tests of study and report."""

import contextlib

import numpy as np
import pytest

from weightless_sim.cosim import runner
from weightless_sim.study import run as study
from weightless_sw import inputs


@contextlib.contextmanager
def quiet(title):
    """Steps without a display."""
    yield lambda done, total, text: None


@pytest.fixture(scope="session")
def step():
    """Steps of a study without a display."""
    return quiet


@pytest.fixture(scope="session")
def small_model(tmp_path_factory, sparse_layer):
    path = tmp_path_factory.mktemp("model") / "small.npz"
    arrays = {"a": sparse_layer((40, 60), 200), "b": sparse_layer((10, 40), 40, seed=1), "c": np.arange(3.0)}
    inputs.save_tensors(path, arrays)
    return path


@pytest.fixture(scope="session")
def result(tmp_path_factory, need, small_model):
    """A whole study of a small model, on Icarus: Verilator would build for half a minute in each process."""
    need(runner.missing("icarus"))
    build = tmp_path_factory.mktemp("study")
    return study.run(
        study.Options(
            model=str(small_model),
            sizes={"layout": "classic", "order": "rows", "lanes": 8, "slot_bits": 8},
            build=build,
            simulator="icarus",
        ),
        quiet,
    )
