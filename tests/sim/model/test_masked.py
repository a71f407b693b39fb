"""The model of the bitmask's decoder; that it is exact, each run of the bench asserts (tests/sim/cosim)."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from rooms import CONFIGS, bitmask

from weightless_hw.bitmask.config import BitmaskConfig
from weightless_sim.cosim.scenario import load_of
from weightless_sim.model import masked, streamed
from weightless_sim.model.cycles import estimate, predict, steady
from weightless_sim.model.patterns import Load
from weightless_sw import codec, records

CONFIG = CONFIGS["bitmask"]


@pytest.mark.parametrize(
    ("lanes", "density", "slot_bits"), [(8, 0.04, 8), (8, 0.5, 8), (16, 0.1, 4), (16, 0.1, 16), (1, 0.3, 5)]
)
def test_the_closed_form_is_near_the_exact_model(lanes, density, slot_bits):
    """Where lanes or words are what is waited for; where both are, in turn, it is too few."""
    rng = np.random.default_rng(lanes)
    weights = np.where(rng.random(60_000) < density, rng.integers(1, 8, 60_000) / 4, 0).astype(np.float32)
    tensor, _ = codec.encode(weights, layout="bitmask", slot_bits=slot_bits, live="off")
    config = BitmaskConfig.for_layers([tensor.geometry], lanes=lanes)
    exact = predict(config, [load_of(records.to_record(tensor))])[0].end
    begin, rate = steady(config, tensor.geometry)
    assert begin + 60_000 / rate == pytest.approx(exact, rel=0.05)
    assert estimate(config, tensor.geometry, density) == pytest.approx(exact, rel=0.05)


def test_a_record_is_needed_for_exact_cycles():
    tensor, _ = codec.encode(np.eye(10), layout="bitmask", slot_bits=8, live="off")
    with pytest.raises(ValueError, match="depend on its record"):
        predict(CONFIG, [Load(tensor.geometry)])


def test_every_weight_has_its_beat():
    """Full rate where nothing waits, and the bubbles account for all other cycles."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        load = load_of(bitmask.random_record(CONFIG, rng))
        (layer,) = predict(CONFIG, [load])
        assert layer.n_beats == -(-load.geometry.n_weights // CONFIG.lanes)
        assert layer.stalled == 0
        assert layer.first_word == 1


def test_compiled_code_is_kept_apart_by_what_it_calls():
    """The kernel calls some of another file: what was compiled before those changed must not be taken."""
    own, called = (Path(kernel._cache.cache_path).parent for kernel in (masked._run, streamed.code_stage))
    assert own != called
    text = Path(streamed.__file__).read_bytes()
    assert f"{zlib.crc32(text):08x}" in str(own)
