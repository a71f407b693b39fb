import numpy as np
import pytest

from weightless_sim.model.technology import references
from weightless_sim.study import energy
from weightless_sim.study.energy import compare, fitted_gaps, winners


def layer(density, shape=(300, 784), n_values=15):
    rng = np.random.default_rng(0)
    return np.where(rng.random(shape) < density, rng.integers(1, n_values + 1, shape), 0).astype(np.float32)


def test_gaps_are_counted_as_a_coder_would_write_them():
    """Entry by entry, for every width; the fewest bits win."""
    array = layer(0.03, (20, 50), 3)
    sizes = {}
    for width in energy.GAP_WIDTHS:
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
        row.name: row
        for row in compare(array, 235_200, 92_000, (6.0, 8.0), "gate_sim", {"bitmask": 270_000}, references())
    }
    table = rows["table"]
    assert table.places["on_chip"] == (6.0 * 235_200 / n, 8.0 * 235_200 / n)
    assert table.places["HBM2"][0] == pytest.approx(table.places["on_chip"][0] + 3.92 * 92_000 / n)
    int8, fp16 = rows["dense int8"], rows["dense fp16"]
    assert int8.places["on_chip"][0] == pytest.approx(131, rel=0.05)  # 41.9 pJ a read of 64 bits from 1 MB
    assert int8.places["LPDDR4"][0] == pytest.approx(8 * 8 * 235_200 / n)  # instead of, not on top
    assert fp16.places["on_chip"][0] == pytest.approx(2 * int8.places["on_chip"][0])
    entries = fitted_gaps(array)[1]
    assert rows["gap-coded, as EIE"].places["on_chip"][0] == pytest.approx(11.4 * entries / n)
    assert rows["bitmask, reads alone"].places["HBM2"][0] > 3.92 * 270_000 / n


def test_any_dram_may_be_asked_for():
    rows = compare(layer(0.04), 235_200, 92_000, (6.0, 8.0), "gate_sim", {}, references(), ("DDR4",))
    n = np.count_nonzero(layer(0.04))
    assert rows[0].places["DDR4"][0] - rows[0].places["on_chip"][0] == pytest.approx(20.3 * 92_000 / n)
    assert "HBM2" not in rows[0].places
    for name in ("HBM9", "EIE entry"):
        with pytest.raises(ValueError, match=f"no figure of dram is called '{name}'; there are: HBM2; HBM2E"):
            compare(layer(0.04), 235_200, 92_000, (6.0, 8.0), "gate_sim", {}, references(), (name,))


def test_the_budget_of_an_unknown_decoder_is_said():
    array = layer(0.04)
    row = compare(array, 235_200, 92_000, (6.0, 8.0), "gate_sim", {"bitmask": 270_000}, references())[-1]
    n = np.count_nonzero(array)
    low, high = (pj * 235_200 / n - row.places["on_chip"][0] for pj in (6, 8))
    assert row.counts.endswith(f"takes less where that is over {low:.0f} to {high:.0f} pJ per non-zero")


def test_winners_are_the_least_at_their_density():
    """A lean decoder passes gap-coded entries at about 20 %; a dear one passes nothing."""
    (first, second) = winners(2.1, 9.8, 4, references())
    assert (first, second[1]) == ((0.0, "gap-coded, as EIE"), "table")
    assert second[0] == pytest.approx(0.18, abs=0.03)
    assert [name for _, name in winners(50.0, 9.8, 4, references())] == ["gap-coded, as EIE", "dense int8"]
    # From DRAM the bits decide: 6 a non-zero weight of the table against a gap of 2 to 10 and a value of 4.
    assert [name for _, name in winners(2.1, 9.8, 4, references(), "LPDDR4")] == ["gap-coded, as EIE"]
    found = winners(2.1, 6.0, 4, references(), "LPDDR4")
    assert [name for _, name in found] == ["gap-coded, as EIE", "table"]
    assert found[1][0] < 0.1
