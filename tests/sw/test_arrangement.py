import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_sw.arrangement import Arrangement, live_map, read_live_map
from weightless_sw.reader import FormatError, Reader


@st.composite
def arrangements(draw):
    """Any tensor of up to four dimensions, any of its rows and columns live, by rows or by columns."""
    shape = tuple(draw(st.lists(st.integers(1, 6), max_size=4)))
    whole = Arrangement(shape)
    live = [
        np.array(sorted(draw(st.sets(st.integers(0, n - 1), min_size=1)))) if draw(st.booleans()) else None
        for n in (whole.n_rows, whole.n_columns)
    ]
    return Arrangement(shape, *live, by_columns=draw(st.booleans()))


@given(arrangements())
def test_scatter_is_the_inverse_of_gather(arrangement):
    array = np.arange(1, np.prod(arrangement.shape, dtype=int) + 1).reshape(arrangement.shape)
    block = arrangement.gather(array)
    assert block.shape == (arrangement.n_weights,)
    back = arrangement.scatter(block)
    assert back.shape == arrangement.shape
    assert set(back[back != 0].tolist()) == set(block.tolist())
    assert np.array_equal(back[back != 0], array[back != 0])


@given(arrangements(), st.data())
def test_runs_of_a_rectangle_are_its_live_weights_in_the_records_order(arrangement, data):
    n_rows, n_columns = arrangement.n_rows, arrangement.n_columns
    rows, columns = (
        slice(*sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2))))
        for n in (n_rows, n_columns)
    )
    numbers = np.arange(arrangement.n_weights)
    expected = arrangement.part(rows, columns).positions
    runs = arrangement.runs(rows, columns)
    if not expected.size:
        assert runs is None
        return
    found = [numbers[runs.first + k * runs.stride :][: runs.length] for k in range(runs.number)]
    assert np.array_equal(np.concatenate(found), expected.ravel("F" if arrangement.by_columns else "C"))
    assert runs.fit(arrangement.n_weights)


def test_runs_leave_nothing_out():
    with pytest.raises(ValueError, match="a tile has every row and column between two"):
        Arrangement((4, 4)).runs(slice(0, 4, 2), slice(None))


def test_order_of_the_block():
    array = np.arange(12).reshape(3, 4)
    rows, columns = np.array([0, 2]), np.array([1, 3])
    assert Arrangement((3, 4), rows, columns).gather(array).tolist() == [1, 3, 9, 11]
    assert Arrangement((3, 4), rows, columns, by_columns=True).gather(array).tolist() == [1, 9, 3, 11]


@given(
    st.integers(2, 300).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1, max_size=n - 1))
    )
)
def test_live_maps_round_trip_in_the_shorter_form(case):
    n, live = case
    data = live_map(np.array(sorted(live)), n)
    assert read_live_map(Reader(data), n, "map").tolist() == sorted(live)
    assert len(data) <= 1 + -(-n // 8)


@pytest.mark.parametrize(
    ("n", "data", "message"),
    [
        (9, "00 00 00", "none, all, or one behind 9"),
        (9, "00 ff 01", "none, all, or one behind 9"),
        (9, "00 01 02", "none, all, or one behind 9"),
        (9, "00 01", "truncated"),
        (9, "01 01 04", "not in the shorter form"),
        (99, "00 01 00 00 00 00 00 00 00 00 00 00 00 00", "not in the shorter form"),
        (99, "01 01 63", "they end behind 99"),
        (99, "01 02 04 80 00", "a number is not in its shortest form"),
        (99, "01 ff ff ff ff 0f 00", "4294967295 of them, more than there are bytes"),
        (99, "02 00", "unknown form 2"),
    ],
)
def test_live_maps_that_no_writer_writes_are_refused(n, data, message):
    with pytest.raises(FormatError, match=message):
        read_live_map(Reader(bytes.fromhex(data)), n, "map")
