import numpy as np
import pytest

from weightless_sw import codec
from weightless_sw.training.recipes import Recipe


@pytest.mark.parametrize(
    ("layout", "lanes", "n_keys"), [("auto", 8, 400), ("classic", 4, 150), ("ribbon", None, 400)]
)
def test_tables_of_other_seeds_have_the_same_keys_and_other_errors(sparse_layer, layout, lanes, n_keys):
    """Also where a recipe's lanes are of no use to the layout that is the smaller one."""
    from weightless_sw.training import tables

    weights = sparse_layer((60, 80), n_keys, n_values=3)
    told = []
    recipe = Recipe(tables={}, layout=layout, lanes=lanes)
    made = tables.smallest(weights, 7, "w", recipe, ("auto", "off"), 4, lambda *at: told.append(at[0]))
    assert len({report.bytes for _, report in made}) == 1
    assert len(made) > 1
    decoded = [codec.decode(tensor) for tensor, _ in made]
    for one in decoded:
        assert np.array_equal(one[weights != 0], weights[weights != 0])
    assert len({one.tobytes() for one in decoded}) == len(made)
    assert 3 in told


def test_other_values_of_the_same_keys_leave_the_other_chunks_as_they_are(sparse_layer):
    from weightless_sw.training import tables

    weights = sparse_layer((150, 200), 2_500, n_values=4)
    recipe = Recipe(tables={}, layout="ribbon", chunk_log2=13)
    (first, _), *_ = tables.smallest(weights, 7, "w", recipe, ("auto", "off"), 5, lambda *_: None)
    frozen = tables.in_first_chunks(first, 0.5)
    assert frozen.sum() == 2 << 13
    tall = np.zeros((300, 200), np.float32)
    tall[20:170] = weights
    behind, _ = codec.encode(tall, layout="ribbon", order="rows", live="off", slot_bits=7, chunk_log2=13)
    assert tables.in_first_chunks(behind, 0.5).sum() == 3 << 13  # five of eight chunks have weights
    values = np.unique(weights[weights != 0])
    places = np.flatnonzero((weights != 0) & ~frozen)
    weights.reshape(-1)[places[::2]] = values[0]
    second, _ = tables.once_more(weights, first)
    decoded = codec.decode(second)
    assert np.array_equal(decoded[frozen], codec.decode(first)[frozen])
    assert np.array_equal(decoded[weights != 0], weights[weights != 0])


def test_what_is_dead_behind_needs_no_map(sparse_layer):
    """Rows in front: a dead stretch takes less than their map; and it is taken only where that may be."""
    from weightless_sw.training import tables

    weights = np.zeros((500, 80), np.float32)
    weights[:40] = sparse_layer((40, 80), 1_600, n_values=3)
    recipe = Recipe(tables={}, layout="ribbon", order="rows")
    (off, less), *_ = tables.smallest(weights, 7, "w", recipe, ("auto", "off"), 1, lambda *_: None)
    (auto, more), *_ = tables.smallest(weights, 7, "w", recipe, ("auto",), 1, lambda *_: None)
    assert off.arrangement.live_rows is None
    assert auto.arrangement.live_rows is not None
    assert less.bytes < more.bytes
