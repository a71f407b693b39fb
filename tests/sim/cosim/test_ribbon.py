"""The ribbon's decoder: every width of a slot, the frozen vectors, and streams that no encoder writes."""

from itertools import chain

import numpy as np
import pytest
from frames import codebook, frame, layers, record, to_record
from rooms import CONFIGS, ribbon

from weightless_hw.registers import STREAM_ERRORS, LoadError
from weightless_hw.ribbon.config import RibbonConfig
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import Scenario, load_of, stall_patterns
from weightless_sim.model.cycles import predict
from weightless_sw import records
from weightless_sw.arrangement import Arrangement
from weightless_sw.records import unpack_bits
from weightless_sw.spec.ribbon import RibbonGeometry

IDLE = 80  # clocks between two chunks, at most (docs/hardware.md)


def of_vector(case, rng):
    """The record of a frozen layer; the codes are what its decoder must find."""
    data = bytes.fromhex(case["chunks"])
    geometry = RibbonGeometry(
        **{name: case[name] for name in ("n_weights", "slot_bits", "n_codes", "seed", "chunk_log2")},
        table_words=len(data) // 4,
    )
    return to_record(geometry, codebook(geometry, rng), unpack_bits(data, len(data) // 4, 32))


@pytest.mark.parametrize("slot_bits", range(1, 17))
def test_every_width_of_a_slot(slot_bits, ribbon_vectors, need):
    """Random streams of two chunks, and the frozen layers of that width, under stalls; every number of lanes in both
    forms."""
    need(runner.missing("icarus"))
    rng = np.random.default_rng(slot_bits)
    cases = [case for case in ribbon_vectors["layers"] if case["slot_bits"] == slot_bits]
    config = RibbonConfig(
        lanes=2 ** (slot_bits % 5),
        window_registers=slot_bits % 2,
        slot_bits=slot_bits,
        max_codes=min(max([5, *(case["n_codes"] for case in cases)]), (1 << slot_bits) - 1),
        rounds_per_stage=slot_bits % 4 + 1,
    )
    chunks = [ribbon.random_chunk(config, n_groups, rng) for n_groups in (1024, 61)]
    sent = [
        ribbon.record(config, 8192 + 483, chunks, rng, n_codes=1),
        *(of_vector(case, rng) for case in cases),
    ]
    source, sink = stall_patterns(seed=slot_bits)["both"]
    scenario = Scenario(config=config, records=sent, source=source, sink=sink)
    result = runner.run(scenario, f"ribbon t {slot_bits}", simulator="icarus")
    assert result.n_weights == 8192 + 483 + sum(case["n_weights"] for case in cases)
    assert result.layers == result.predicted


def test_all_frozen_layers_are_simulated(ribbon_vectors):
    assert {case["slot_bits"] for case in ribbon_vectors["layers"]} <= set(range(1, 17))


@pytest.mark.parametrize("slot_bits", [1, 3, 8, 9, 16])
def test_the_idle_clocks_between_two_chunks(slot_bits):
    """Of chunks of which nothing but their beginning costs time."""
    rng = np.random.default_rng(0)
    config = RibbonConfig(slot_bits=slot_bits, max_codes=1)
    sparse = [ribbon.entry(8, 120), 8 << 10 | 0x100]

    def bubbles(n_chunks):
        chunks = [ribbon.chunk(config, sparse, 24, rng) for _ in range(n_chunks)]
        data = ribbon.record(config, 8192 * n_chunks, chunks, rng, n_codes=1)
        return predict(config, [load_of(data)])[0].bubbles

    one, two, four = map(bubbles, (1, 2, 4))
    assert one <= 1
    assert 20 < two - one <= IDLE
    assert four - two == 2 * (two - one)


@pytest.mark.parametrize("config", [CONFIGS["ribbon"]], ids=["ribbon"])
def test_frames_of_any_words_are_refused_and_drained(config, need, effort):
    """Random words, and good streams with a bit flipped; the golden model says which errors.  A good record between."""
    need(runner.missing("verilator"))
    rng, good = np.random.default_rng(8), record(config, 123, 10, 2, seed=1)
    bad = ribbon.random_frames(config, 300 * effort, rng)
    frames = list(
        chain.from_iterable([one, frame(good)] if k % 10 == 0 else [one] for k, one in enumerate(bad))
    )
    scenario = Scenario(config=config, records=[good] * (len(frames) - len(bad)), frames=frames)
    result = runner.run(scenario, "random words", simulator="verilator")
    assert LoadError(result.errors) | LoadError.COVER == STREAM_ERRORS | LoadError.CRC


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("ribbon")])
def test_software_refuses_what_hardware_refuses(name):
    """Of the table of bad payloads each record; its frame is the decoder's to refuse."""
    config = CONFIGS[name]
    for what, (bad, _) in ribbon.bad_payloads(config).items():
        with pytest.raises(records.FormatError):
            print(what, records.from_record(bad, Arrangement((load_of(bad).geometry.n_weights,))))


def test_a_late_word_makes_bubbles_and_nothing_else(need):
    """A source that pauses in the middle of a dense layer."""
    need(runner.missing("icarus"))
    config = CONFIGS["ribbon"]
    source = np.ones(1500, np.bool_)
    source[300:700] = False
    scenario = Scenario(config=config, records=[layers(config)[2]], source=source, count=True)
    (late,) = runner.run(scenario, "late words", simulator="icarus").layers
    (free,) = predict(config, scenario.loads)
    assert late.bubbles - free.bubbles > 300
    assert late.n_beats == free.n_beats
