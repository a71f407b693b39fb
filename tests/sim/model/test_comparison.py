import numpy as np
import pytest

from weightless_sim.model import comparison
from weightless_sim.model.comparison import compare, crossing, fitted_gaps, reference


def layer(density, shape=(300, 784), n_values=15):
    rng = np.random.default_rng(0)
    return np.where(rng.random(shape) < density, rng.integers(1, n_values + 1, shape), 0).astype(np.float32)


def test_gaps_are_counted_as_a_coder_would_write_them():
    """Entry by entry, for every width; the fewest bits win."""
    array = layer(0.03, (20, 50), 3)
    sizes = {}
    for width in comparison.GAP_WIDTHS:
        entries, gap = 0, 0
        for weight in array.ravel()[: np.flatnonzero(array)[-1] + 1]:
            if weight:
                entries, gap = entries + 1, 0
            else:
                gap += 1
                if gap == 1 << width:
                    entries, gap = entries + 1, 0
        sizes[width] = entries * (width + 2), entries
    width = min(sizes, key=lambda w: sizes[w])
    assert fitted_gaps(array) == (width, sizes[width][1], sizes[width][0])


def test_rows_by_hand():
    array = layer(0.04)
    n = int(np.count_nonzero(array))
    rows = {
        row["name"]: row
        for row in compare(array, 235_200, 92_000, (6.0, 8.0), "gate_sim", {"bitmask": 270_000})
    }
    table = rows["table"]
    assert table["on_chip"] == [6.0 * 235_200 / n, 8.0 * 235_200 / n]
    assert table["HBM2"][0] == pytest.approx(table["on_chip"][0] + 3.92 * 92_000 / n)
    int8, fp16 = rows["dense int8"], rows["dense fp16"]
    assert int8["on_chip"][0] == pytest.approx(131, rel=0.05)  # 41.9 pJ a read of 64 bits from 1 MB
    assert int8["LPDDR4"][0] == pytest.approx(8 * 8 * 235_200 / n)  # instead of, not on top
    assert fp16["on_chip"][0] == pytest.approx(2 * int8["on_chip"][0])
    entries = fitted_gaps(array)[1]
    assert rows["gap-coded, as EIE"]["on_chip"][0] == pytest.approx(11.4 * entries / n)
    assert rows["bitmask, reads alone"]["HBM2"][0] > 3.92 * 270_000 / n


def test_crossing_is_where_the_two_are_level():
    """2.1 pJ per weight, as a leaner decoder takes: about 20 %."""
    assert crossing(2.1) == pytest.approx(0.18, abs=0.03)
    assert crossing(6.7) > crossing(2.1)
    assert crossing(50.0) is None


def test_references_say_where_they_are_from():
    for one in comparison.references().values():
        assert one.source
        assert one.accuracy
        assert one.unit in ("pJ/bit", "pJ/entry")
    with pytest.raises(ValueError, match="no figure is called 'HBM9'; there are: HBM2"):
        reference("HBM9")
