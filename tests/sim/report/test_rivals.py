"""What docs/rivals.md stands on: every decoder that is compared was measured, and the tables say what was."""

import pytest

from weightless_sim.model import grid
from weightless_sim.plan import measure
from weightless_sim.report import rivals
from weightless_sw.spec.record import MAX_SLOT_BITS


def test_every_rival_was_measured():
    asked = {(p.layout, p.slot_bits, p.lanes, p.density or grid.USUAL_DENSITY) for p in measure.rivals()}
    for library in grid.libraries():
        found = {
            (one.layout, one.slot_bits, one.lanes, grid._density(one))
            for one in rivals.entries()
            if one.library == library
        }
        assert found == asked
    placed = {(one.layout, one.slot_bits, one.lanes): len(one.fmax_mhz) for one in rivals.syntheses()}
    assert placed == {key[:3]: 5 if key[2] == 8 else 3 for key in asked}


def test_what_is_smallest_is_by_hand():
    """Two crossings: a bitmask takes 1 / p + t bits, a ribbon about 8.2, whatever the density."""
    found = rivals._smallest()
    (begin,) = (density for density, name in found if name == "bitmask")
    assert 1 / begin + 4 == pytest.approx(8.15, abs=0.2)
    assert {name for _, name in found} <= {"classic", "ribbon", "bitmask", "gap-coded"}


def test_a_layout_costs_what_its_slots_do():
    assert rivals._bits_per_nonzero("bitmask", 0.1, 4) == pytest.approx(14, rel=0.01)
    for slot_bits in (6, MAX_SLOT_BITS):
        assert rivals._bits_per_nonzero("ribbon", 0.1, slot_bits) == pytest.approx(1.02 * slot_bits, rel=0.02)
