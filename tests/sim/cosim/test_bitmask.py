"""The bitmask's decoder: every width of a code, the frozen vectors, and streams that no encoder writes."""

import numpy as np
import pytest
from frames import codebook, frame, record, to_record
from rooms import CONFIGS, bitmask

from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.registers import LoadError
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import Scenario, load_of, stall_patterns
from weightless_sim.model.cycles import predict
from weightless_sw import records
from weightless_sw.arrangement import Arrangement
from weightless_sw.spec.bitmask import BitmaskGeometry


def of_vector(case, rng):
    """The record of a frozen layer; the codes are what its decoder must find."""
    codes, n_codes = case["codes"], case["n_codes"]
    geometry = BitmaskGeometry(
        n_weights=len(codes), slot_bits=case["slot_bits"], n_codes=n_codes, seed=0,
        n_nonzero=sum(code >= 0 for code in codes),
    )  # fmt: skip
    return to_record(geometry, codebook(geometry, rng), np.array(case["words"], np.uint32))


@pytest.mark.parametrize("slot_bits", range(1, 17))
def test_every_width_of_a_code(slot_bits, bitmask_vectors, need):
    """A layer of all densities, and the frozen layers of that width, under stalls; every number of lanes."""
    need(runner.missing("icarus"))
    rng = np.random.default_rng(slot_bits)
    cases = [
        case
        for case in bitmask_vectors["layers"]
        if case["slot_bits"] == slot_bits and case["n_codes"] <= 199  # which frames.codebook has
    ]
    most = min(max([5, *(case["n_codes"] for case in cases)]), 1 << slot_bits)
    lanes = 2 ** (slot_bits % 5 if slot_bits < 9 else slot_bits % 3)
    config = BitmaskConfig(lanes=lanes, slot_bits=slot_bits, max_codes=most)
    codes = bitmask.random_codes(config, 700, rng, most)
    sent = [bitmask.record(config, codes, rng, n_codes=most), *(of_vector(case, rng) for case in cases)]
    source, sink = stall_patterns(seed=slot_bits)["both"]
    scenario = Scenario(config=config, records=sent, source=source, sink=sink)
    result = runner.run(scenario, f"bitmask t {slot_bits}", simulator="icarus")
    assert result.n_weights == 700 + sum(len(case["codes"]) for case in cases)
    assert result.layers == result.predicted


def test_frozen_layers_are_simulated(bitmask_vectors):
    assert sum(case["n_codes"] <= 199 for case in bitmask_vectors["layers"]) > 15


def test_frames_of_any_words_are_refused_and_drained(need, effort):
    """Random words, and good streams with a bit flipped; the golden model says which errors.  A good record between."""
    need(runner.missing("verilator"))
    config = CONFIGS["bitmask"]
    rng, good = np.random.default_rng(8), record(config, 123, 10, 2, seed=1)
    bad = bitmask.random_frames(config, 300 * effort, rng)
    frames = [one for k, b in enumerate(bad) for one in ([b, frame(good)] if k % 10 == 0 else [b])]
    scenario = Scenario(config=config, records=[good] * (len(frames) - len(bad)), frames=frames)
    result = runner.run(scenario, "random words", simulator="verilator")
    possible = LoadError.ENTRY | LoadError.COVER | LoadError.WORDS | LoadError.PADDING | LoadError.CRC
    assert LoadError(result.errors) == possible


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("bitmask")])
def test_software_refuses_what_hardware_refuses(name):
    """Of the table of bad payloads each record; its frame is the decoder's to refuse."""
    config = CONFIGS[name]
    for what, (bad, _) in bitmask.bad_payloads(config).items():
        with pytest.raises(records.FormatError):
            print(what, records.from_record(bad, Arrangement((len_of(bad),))))


def len_of(data):
    return bitmask.descriptor(data)["n_weights"]


@pytest.mark.parametrize(("density", "slot_bits"), [(0.0, 4), (0.04, 8), (0.3, 8), (1.0, 4), (1.0, 16)])
def test_words_set_the_rate(density, slot_bits):
    """min(G, 32 / (1 + p t)) weights a clock, once beats come."""
    rng, n = np.random.default_rng(1), 64_000
    for lanes in (1, 4, 16):
        config = BitmaskConfig(lanes=lanes, slot_bits=slot_bits, max_codes=2)
        codes = np.where(rng.random(n) < density, 1, 2)
        data = bitmask.record(config, codes, rng, n_codes=2 if density else 0)
        (layer,) = predict(config, [load_of(data)])
        rate = n / (layer.last_beat - layer.first_valid + 1)
        bound = min(lanes, 32 / (1 + density * slot_bits))
        assert 0.93 * bound < rate < 1.01 * bound
