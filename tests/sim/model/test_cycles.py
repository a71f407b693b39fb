import numpy as np
import pytest
from frames import random_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_hw.classic.config import ClassicConfig
from weightless_sim.model.cycles import STATES, LayerCycles, by_state, predict
from weightless_sim.model.patterns import ALWAYS, Load
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import DESCRIPTOR_WORDS

patterns = st.lists(st.booleans(), min_size=1, max_size=13).filter(any).map(lambda bits: np.array(bits))


def step_by_step(config, loads, source, sink):
    """The same run, cycle by cycle, from the rules alone: slow, and written without the model's formulas."""
    result, cycle, offering = [], 0, False

    def tick(ready):
        """One cycle of the source; True when a word goes over."""
        nonlocal cycle, offering
        offering = offering or bool(source[cycle % len(source)])
        went = offering and ready
        offering = offering and not went
        cycle += 1
        return went

    tick(False)  # nothing is taken in the first cycle after a reset
    for layer, _, again, tile in loads:
        taken = []
        while len(taken) < DESCRIPTOR_WORDS:
            if tick(True):
                taken.append(cycle - 1)
        for _ in range(2):  # the descriptor is checked
            tick(False)
        words_end = 0
        for _ in range(4 if tile else 0):  # a word a clock
            while not tick(True):
                pass
            words_end = cycle - 1
        if tile:
            tick(False)  # that there are no more is seen
        for section in [] if again else layer.sections:
            left, count, width = section.n_words, 0, section.item_bits
            while left or count >= width:
                count -= width if count >= width else 0
                if tick(left > 0 and count < width):
                    taken.append(cycle - 1)
                    left -= 1
                    count += 32
            tick(False)  # done is seen
        while not tick(True):  # the CRC word
            pass
        taken.append(cycle - 1)
        for _ in range(2):  # it is compared, and the decoding started
            tick(False)
        if tile:  # a bit of the number of runs behind the first at a time
            while cycle - 1 < words_end + 4 + len(f"{tile.number - 1:b}".lstrip("0")):
                tick(False)
        beats_left, loaded, first_valid = layer.n_groups, cycle - 1, None
        if tile:
            runs = [range(tile.first + k * tile.stride, tile.first + k * tile.stride + tile.length)
                    for k in range(tile.number)]  # fmt: skip
            beats_left = sum(len({weight // config.lanes for weight in run}) for run in runs)
        n_beats = beats_left
        while beats_left:
            if cycle >= loaded + config.fill_latency:
                first_valid = cycle if first_valid is None else first_valid
                beats_left -= bool(sink[cycle % len(sink)])
            tick(False)
        result.append(LayerCycles(taken[0], taken[-1], first_valid, cycle - 1, n_beats))
    return result


@st.composite
def runs(draw):
    lanes = draw(st.sampled_from([1, 2, 8, 32]))
    slot_bits = draw(st.integers(1, 16))
    max_codes = min(20, (1 << slot_bits) - 1)
    config = ClassicConfig(lanes=lanes, slot_bits=slot_bits, max_bank_rows=20, max_codes=max_codes)
    layers = [
        ClassicGeometry(
            n_weights=draw(st.integers(1, 100)), lanes=lanes, slot_bits=slot_bits, seed=0,
            bank_rows=draw(st.integers(1, 20)), n_codes=draw(st.integers(0, max_codes)),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    loads = [Load(layers[0])]
    for layer in layers[1:]:
        again = draw(st.booleans())
        tile = random_runs(draw(st.randoms(use_true_random=False)), layer.n_weights)
        loads.append(Load(layer, None, again, tile if again and draw(st.booleans()) else None))
    return config, loads, draw(patterns | st.just(ALWAYS)), draw(patterns | st.just(ALWAYS))


@settings(max_examples=300, deadline=None)
@given(runs())
def test_model_is_the_rules_step_by_step(run):
    assert predict(*run) == step_by_step(*run)


def test_no_bubble_without_stalls():
    config = ClassicConfig(lanes=8)
    layer = ClassicGeometry(n_weights=235_200, lanes=8, slot_bits=8, bank_rows=480, n_codes=15, seed=0)
    (cycles,) = predict(config, [Load(layer)])
    assert cycles.decode_cycles == cycles.n_beats == 29_400
    # Descriptor, check, 15 codebook entries and their padding at one a clock, table and its last row, CRC word;
    # between sections a cycle each.
    assert cycles.load_cycles == DESCRIPTOR_WORDS + 2 + 16 + layer.payload_words + 1 + 1 + 3


def test_a_layer_that_does_not_fit_is_refused():
    layer = ClassicGeometry(n_weights=8, lanes=8, slot_bits=8, bank_rows=2000, n_codes=1, seed=0)
    with pytest.raises(
        ValueError, match="refuses this layer: bank_rows: the layer has 2000, the decoder 1024"
    ):
        predict(ClassicConfig(lanes=8), [Load(layer)])


def test_a_pattern_that_never_comes_is_refused():
    layer = ClassicGeometry(n_weights=8, lanes=8, slot_bits=8, bank_rows=2, n_codes=1, seed=0)
    with pytest.raises(ValueError, match="must be true in at least one cycle"):
        predict(ClassicConfig(lanes=8), [Load(layer)], sink=np.zeros(3, dtype=bool))


def test_every_cycle_is_in_one_state():
    """By hand: a layer whose beats begin before its words end, with a bubble and a stall, and one loaded whole."""
    streamed = LayerCycles(first_word=1, last_word=30, first_valid=10, last_beat=19, n_beats=7, bubbles=2)
    stored = LayerCycles(first_word=31, last_word=40, first_valid=46, last_beat=49, n_beats=4)
    assert (streamed.stalled, streamed.end, stored.stalled, stored.end) == (1, 31, 0, 50)
    states = by_state([streamed, stored])
    assert states == {"load": 10 + 11 + 15, "beat": 11, "bubble": 2, "stalled": 1}
    assert sum(states.values()) == stored.end
    assert set(states) == set(STATES)
    assert by_state([streamed])["load"] == 10 + 11  # behind its last beat, until the CRC word is in
