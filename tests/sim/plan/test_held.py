from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_hw import decoders
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import load_of
from weightless_sim.model import cycles, grid
from weightless_sim.model.cycles import LayerCycles, predict
from weightless_sim.model.patterns import NO_TILES, Tile
from weightless_sim.plan import answer, held
from weightless_sim.plan.answer import Options
from weightless_sim.plan.array import Array
from weightless_sim.plan.network import Layer, Network
from weightless_sw import codec, inputs, layouts
from weightless_sw.records import to_record

SERVED = LayerCycles(0, 1, 2, 3, 2)


def test_the_order_of_tiles():
    """A 3 x 5 layer on 2 x 2: tiles of the same outputs together; in a tile an input's row after the other."""
    weights = np.arange(1, 16).reshape(3, 5)
    tiles = held.in_tiles(weights, Array(2, 2))
    assert tiles.tolist() == [
        [1, 6, 2, 7], [3, 8, 4, 9], [5, 10, 0, 0], [11, 0, 12, 0], [13, 0, 14, 0], [15, 0, 0, 0],
    ]  # fmt: skip
    assert held.in_tiles(weights.reshape(3, 5, 1, 1), Array(2, 2)).tolist() == tiles.tolist()


def records(seed=5, density=0.15, shape=(40, 96)):
    """A record of each layout, and its decoder."""
    rng = np.random.default_rng(seed)
    array = np.where(rng.random(shape) < density, rng.integers(1, 8, shape) / 8, 0).astype(np.float32)
    for layout in decoders.BY_NAME:
        own = {"lanes": 4} if layouts.has_option(layout, "lanes") else {}
        tensor, _ = codec.encode(array, layout=layout, order="rows", live="off", slot_bits=6, **own)
        load = load_of(to_record(tensor))
        yield decoders.for_layers([load.geometry], lanes=4), load


@pytest.mark.parametrize(
    "tile", [Tile(16, 100), Tile(16, 16), Tile(64, 3), Tile(7, 20), Tile(1, 5), NO_TILES]
)
def test_the_windows_are_the_arrays_rule_step_by_step(tile):
    """Under the pattern that the windows make the cycle model gives the beats that the windows say."""
    for config, load in records():
        windows = cycles.windows(config, load, tile)
        n_beats = -(-load.geometry.n_weights // config.lanes)
        assert len(windows) == -(-n_beats // tile.beats)
        (layer,) = predict(config, [load], sink=held.to_pattern(windows))
        assert layer.last_beat + 1 == windows[-1, 1]
        opens = free = 0
        for start, end in windows:  # the rule: two buffers
            assert start == opens
            opens = max(int(end), free)
            free = opens + tile.busy
        used = held.uses(windows, tile, layer)
        assert used.busy + used.waiting == used.cycles == free


def test_without_an_array_nothing_stalls():
    for config, load in records():
        windows = cycles.windows(config, load, NO_TILES)
        (layer,) = predict(config, [load])
        assert (windows[0, 1] - 1, windows[-1, 1] - 1) == (layer.first_valid, layer.last_beat)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 7), st.integers(0, 40))
def test_windows_are_told_from_beats(gaps, beats, busy):
    """Of beats at any cycles; and the last tile may be shorter."""
    came = np.cumsum(gaps).tolist()
    windows = held.windows_of(came, Tile(beats, busy))
    assert len(windows) == -(-len(came) // beats)
    assert windows[-1, 1] == came[-1] + 1
    assert all(later[0] >= earlier[1] and later[0] >= earlier[0] for earlier, later in pairwise(windows))


def test_uses_by_hand():
    """Tiles that come at 10, 12 and 40, each used for 8 cycles: from 10, 18 and 40 on."""
    windows = np.array([[0, 10], [10, 12], [18, 40]])
    assert held.uses(windows, Tile(2, 8), SERVED) == held.Uses(
        cycles=48, busy=24, waiting=24, stalled=SERVED.stalled
    )


OPTIONS = Options(array=Array(8, 16), clock_hz=1e9, batch=40)


@pytest.fixture(scope="module")
def small():
    """A corner of a real layer, whose last tiles are not full."""
    weights = inputs.load_tensors("lenet300_simplified")["fc2.weight"]
    corner = weights[:60, :90]
    layer = Layer("corner", corner.shape, np.count_nonzero(corner) / corner.size)
    return Network("small", [layer]), {"corner": corner}


@pytest.mark.skipif(bool(runner.missing("icarus")), reason=runner.missing("icarus"))
def test_what_was_planned_is_what_the_rtl_does(small):
    for batch in (1, 40):
        rows = held.hold(*small, replace(OPTIONS, batch=batch), answer.known_technology(), step, "icarus")
        assert {row.layout for row in rows} == set(grid.layouts())
        for row in rows:
            assert row.n_mismatches == 0
            assert row.rtl == row.model
            assert row.rtl.busy == 12 * 4 * max(8, batch)
            assert abs(row.bytes_error) < 0.05
            assert abs(row.cycles_error) < 0.15  # keys of real layers lie together
            if row.layout == "classic" and row.bytes_planned == row.bytes:
                assert row.cycles_planned == row.rtl.cycles
            assert (row.rtl.stalled > 0) == (batch == 40)


@pytest.mark.skipif(bool(runner.missing("icarus")), reason=runner.missing("icarus"))
def test_an_array_of_other_stalls_is_found(small, monkeypatch):
    """The planted fault: the RTL's array opens for its second tile a cycle late."""
    right = held.to_pattern

    def late(windows):
        moved = windows.copy()
        moved[1:, 0] += 1
        moved[1:, 1] += 2
        return right(moved)

    monkeypatch.setattr(held, "to_pattern", late)
    with pytest.raises(
        held.HeldError, match=r"corner, .*: the array was fed otherwise than planned, \d+ of 48 tiles"
    ):
        held.hold(*small, OPTIONS, answer.known_technology(), step, "icarus")


def test_lanes_that_are_no_part_of_a_tile(small):
    with pytest.raises(ValueError, match="a tile of 9 weights is no whole number of beats of 2"):
        held.hold(
            *small, replace(OPTIONS, array=Array(3, 3), batch=5), answer.known_technology(), step, "icarus"
        )


def step(_):
    """No progress is shown."""
    from contextlib import nullcontext

    return nullcontext(lambda *_: None)
