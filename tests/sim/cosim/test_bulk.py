"""The compiled harness: every weight and cycle, under stalls; what is planted in it is found."""

import dataclasses

import numpy as np
import pytest

from weightless_hw import decoders
from weightless_sim.cosim import bulk, runner
from weightless_sim.cosim.runner import SimulationError
from weightless_sim.cosim.scenario import stall_patterns
from weightless_sw import codec, inputs
from weightless_sw.records import to_record
from weightless_sw.spec.ribbon import MAX_CHUNK_LOG2

LAYOUTS = {
    "classic": {"lanes": 4, "value_format": "fixed8", "slot_bits": 9},
    "ribbon": {"slot_bits": 8},
}
LANES = {"classic": 4, "ribbon": 16}


@pytest.fixture(autouse=True)
def soon_compiled(monkeypatch):
    """These runs are short."""
    monkeypatch.setattr(bulk, "COMPILER", "-O0")


@pytest.fixture(scope="module", params=LAYOUTS)
def layers(request):
    """(decoder, tables): a long one and one of a beat, whose last beats are not whole."""
    rng = np.random.default_rng(3)
    tables = []
    for n, m in ((150, 401), (1, 3)):
        weights = np.where(rng.random((n, m)) < 0.1, rng.integers(1, 8, (n, m)), 0).astype(np.float32)
        weights[0, 0] = 1
        own = LAYOUTS[request.param]
        tables.append(codec.encode(weights, layout=request.param, order="rows", live="off", **own)[0])
    config = decoders.for_layers([table.geometry for table in tables], lanes=LANES[request.param])
    return config, tables


def run(layers, **options):
    config, tables = layers
    entries = np.concatenate([bulk.entries_of(table) for table in tables])
    return bulk.run(config, [to_record(table) for table in tables], entries, **options)


@pytest.mark.parametrize("stall", stall_patterns())
def test_every_weight_and_cycle(layers, stall):
    """As the golden decoder and the cycle model have them, record after record."""
    source, sink = stall_patterns()[stall]
    seen = []
    result = run(layers, source=source, sink=sink, progress=lambda *step: seen.append(step))
    result.check()
    assert result.n_weights == 150 * 401 + 3 and len(result.layers) == 2
    assert result.layers[1].n_beats == 1


def test_a_wrong_expectation_is_found(layers, monkeypatch):
    """One entry of all, in the last lane of the last beat but one."""
    place = 150 * 401 - 2
    true = bulk.entries_of

    def wrong(table):
        entries = true(table)
        if len(entries) > place:
            entries[place] ^= 1
        return entries

    monkeypatch.setattr(bulk, "entries_of", wrong)
    result = run(layers)
    lanes = layers[0].lanes
    assert (result.n_mismatches, result.first_mismatch) == (1, place // lanes * lanes)
    with pytest.raises(SimulationError, match="1 mismatches, the first in the beat of weight"):
        result.check()


@pytest.mark.parametrize(("layout", "own"), [("classic", {"lanes": 8}), ("ribbon", {})])
def test_the_whole_first_layer_of_lenet(layout, own, need):
    """All 235,200 weights of the bundled model's largest layer, eight a clock."""
    need(runner.missing("verilator"))
    weights = inputs.load_tensors("lenet300_pruned")["fc1.weight"]
    table, _ = codec.encode(weights, layout=layout, order="rows", slot_bits=8, live="off", **own)
    result = run((decoders.for_layers([table.geometry]), [table]))
    result.check()
    (layer,) = result.layers
    assert result.n_weights == 235_200
    assert layer.bubbles < (30 if layout == "ribbon" else 1)
    assert layer.decode_cycles == 29_400 + layer.bubbles


def test_another_cycle_is_found(layers):
    """Than the model says."""
    result = run(layers)
    moved = [dataclasses.replace(result.predicted[0], last_beat=1), result.predicted[1]]
    with pytest.raises(SimulationError, match=r"record 0: .* the cycle model says"):
        dataclasses.replace(result, predicted=moved).check()


def test_a_refused_record_hangs_nothing(layers, monkeypatch):
    """A wrong CRC, with or without beats before it."""
    sent = bulk.frame
    monkeypatch.setattr(bulk, "frame", lambda record: [*sent(record)[:-1], sent(record)[-1] ^ 1])
    with pytest.raises(SimulationError, match=r"a record is refused after .* record 0 \(CRC\)"):
        run(layers)


def test_a_run_that_does_not_end_is_ended(layers, monkeypatch):
    """Here a little before the model's last cycle."""
    monkeypatch.setattr(bulk, "MARGIN", -10)
    with pytest.raises(SimulationError, match="no end after"):
        run(layers)


def test_a_ribbon_of_more_weights_than_a_chunk_can_have():
    """Whether a chunk is the layer's last is seen at all bits of its number."""
    rng = np.random.default_rng(5)
    weights = np.zeros(4_300_000, np.float32)
    weights[rng.choice(len(weights), 2000, replace=False)] = 1
    tensor, _ = codec.encode(weights.reshape(4300, -1), layout="ribbon", order="rows", live="off")
    assert tensor.geometry.n_chunks > 1 and tensor.geometry.n_weights > 1 << MAX_CHUNK_LOG2
    config = decoders.configure("ribbon", lanes=16, max_codes=7)
    bulk.run(config, [to_record(tensor)], bulk.entries_of(tensor)).check()
