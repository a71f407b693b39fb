"""The model of a decoder that streams; that it is exact, each run of the bench asserts (tests/sim/cosim)."""

import numpy as np
import pytest
from rooms import CONFIGS, ribbon

from weightless_hw.ribbon.config import RibbonConfig
from weightless_sim.cosim.scenario import load_of
from weightless_sim.model.cycles import estimate, predict
from weightless_sim.model.patterns import Load
from weightless_sw import codec, records

CONFIG = CONFIGS["ribbon"]


def encoded(n_weights, density, slot_bits, **options):
    """The geometry and the load of a random layer."""
    rng = np.random.default_rng(n_weights)
    weights = np.zeros(n_weights, np.float32)
    keys = rng.choice(n_weights, int(density * n_weights), replace=False)
    weights[keys] = rng.integers(1, 8, len(keys)) / 4
    tensor, _ = codec.encode(weights, layout="ribbon", slot_bits=slot_bits, live="off", **options)
    return tensor.geometry, load_of(records.to_record(tensor))


@pytest.mark.parametrize(
    ("n_weights", "density", "slot_bits", "off"),
    [
        (100_000, 0.04, 8, 0.002),
        (3_000, 0.05, 8, 0.01),
        (60_000, 0.1, 4, 0.002),
        (60_000, 0.1, 16, 0.002),
        (60_000, 0.7, 8, 0.15),
        (40_000, 0.5, 8, 0.25),  # the window is filled as fast as it is read
    ],
)
def test_the_estimate_is_near_the_exact_model(n_weights, density, slot_bits, off):
    geometry, load = encoded(n_weights, density, slot_bits, **({"chunk_log2": 13} if density == 0.1 else {}))
    config = RibbonConfig.for_layers([geometry])
    exact = predict(config, [load])[0].end
    about = estimate(config, geometry, density)
    assert about == pytest.approx(exact, rel=off)


def test_a_record_is_needed_for_exact_cycles():
    geometry, _ = encoded(100, 0.1, 8)
    with pytest.raises(ValueError, match="depend on its record"):
        predict(CONFIG, [Load(geometry)])


def test_every_weight_of_every_chunk_has_its_beat():
    """Full rate where nothing waits, and the bubbles account for all other cycles."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        load = load_of(ribbon.random_record(CONFIG, rng))
        (layer,) = predict(CONFIG, [load])
        assert layer.n_beats == -(-load.geometry.n_weights // CONFIG.lanes)
        assert layer.stalled == 0
        assert layer.first_word == 1
