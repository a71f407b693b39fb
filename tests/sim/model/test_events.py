import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_hw.classic.config import ClassicConfig
from weightless_sim.model.cycles import predict
from weightless_sim.model.events import predict_events
from weightless_sim.model.patterns import ALWAYS, Events, Load
from weightless_sim.model.stored import _held
from weightless_sim.shown import plain
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.hash import WORD_BITS

# (outputs, inputs) of VGG-16's matrices, kernels counted to the inputs.
VGG16 = [(64, 27), (64, 576), (128, 576), (128, 1152), (256, 1152), (256, 2304), (256, 2304), (512, 2304), (512, 4608),
         (512, 4608), (512, 4608), (512, 4608), (512, 4608), (4096, 25088), (4096, 4096), (1000, 4096)]  # fmt: skip


def code_stage_step_by_step(first_valid, n_beats, sink):
    """(cycles held, cycle of the last transfer): the code stage's rules, cycle by cycle, from the first beat offered.

    Behind the pipeline a beat has *arrived*, or waits as the *spare* one; it is *looked up*, then *out*.
    """
    came, taken, held, cycle = min(3, n_beats), 0, 0, first_valid
    out, looked_up, arrived, spare = True, n_beats > 1, n_beats > 2, False
    while taken < n_beats:
        moves, was_spare = bool(sink[cycle % len(sink)]) or not out, spare
        held += spare
        if moves:
            taken += out
            out, looked_up, spare = looked_up, arrived or spare, False
        elif arrived:
            spare = True
        if not was_spare:
            arrived = came < n_beats
            came += arrived
        cycle += 1
    return held, cycle - 1


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 30),
    st.integers(1, 40),
    st.lists(st.booleans(), min_size=1, max_size=9).filter(any).map(np.array),
)
def test_held_cycles_are_the_code_stages(first_valid, n_beats, sink):
    takes = Events(sink)
    held, last = code_stage_step_by_step(first_valid, n_beats, sink)
    assert last == takes.at_or_after(first_valid, n_beats - 1)
    assert _held(first_valid, n_beats, takes) == held


def vgg16(config):
    """All layers as tables of 4 % of the weights, 15 values."""
    for rows, columns in VGG16:
        n = rows * columns
        bank_rows = max(2, round(0.04 * n * 1.21 / 3 / config.lanes))
        yield ClassicGeometry(
            n_weights=n,
            lanes=config.lanes,
            slot_bits=config.slot_bits,
            bank_rows=bank_rows,
            n_codes=15,
            seed=0,
        )


def test_all_layers_of_vgg16():
    config = ClassicConfig(lanes=8, max_bank_rows=1 << 20)
    layers = list(vgg16(config))
    loads = [Load(layer) for layer in layers]
    events = predict_events(config, loads)
    beats = sum(layer.n_groups for layer in layers)
    assert events.held == 0
    assert events.words == sum(layer.record_words + 1 for layer in layers)
    assert events.units["hash"].useful == beats
    assert events.units["banks"].useful == 3 * beats
    written = sum(3 * layer.bank_rows for layer in layers)
    assert events.units["banks"].enabled == 3 * events.cycles - written
    codebooks = len(layers) * -(-15 * 16 // WORD_BITS) * 2
    assert events.units["codebook"].enabled == events.cycles - codebooks
    assert events.units["output"].enabled == events.cycles
    assert events.cycles == predict(config, loads)[-1].last_beat + 1


def test_a_stalled_sink_holds_all_but_the_output_register():
    config = ClassicConfig(lanes=8)
    layer = ClassicGeometry(n_weights=800, lanes=8, slot_bits=8, bank_rows=10, n_codes=3, seed=0)
    free, slow = (
        predict_events(config, [Load(layer)], sink=sink) for sink in (ALWAYS, np.array([True, False, False]))
    )
    assert slow.units["hash"].useful == free.units["hash"].useful == 100
    assert slow.held == slow.cycles - slow.units["hash"].enabled > 150
    assert slow.units["output"].enabled - slow.units["hash"].enabled <= 2
    assert plain(slow)["units"]["hash"]["idle"] == slow.units["hash"].idle


def test_a_layer_that_does_not_fit_is_refused():
    layer = ClassicGeometry(n_weights=8, lanes=4, slot_bits=8, bank_rows=2, n_codes=1, seed=0)
    with pytest.raises(ValueError, match="refuses this layer: lanes"):
        predict_events(ClassicConfig(lanes=8), [Load(layer)])
