import pytest

from weightless_hw import decoders
from weightless_hw.config import MemoryBlock
from weightless_sim.model import grid, sram
from weightless_sim.model.grid import Surface
from weightless_sim.plan import measure


def test_every_point_was_measured():
    asked = {
        (p.density or grid.USUAL_DENSITY, p.layout, p.lanes, p.slot_bits, grid.codebook_entries(p.codes))
        for p in measure.points()
    }
    points = {point for density, *point in asked if density == grid.USUAL_DENSITY for point in [tuple(point)]}
    for library in ("NangateOpenCellLibrary", "asap7sc7p5t_RVT_TT_nldm"):
        found = {
            (density, layout, *p)
            for layout in measure.LANES
            for density in grid._densities(layout, library)
            for p in grid._cells_of(layout, library, density)
        }
        assert found == asked
    found = {(s.layout, s.lanes, s.slot_bits, grid.codebook_entries(s.max_codes)) for s in grid.syntheses()}
    assert found == points
    for one in grid.syntheses():
        usual = one.slot_bits == measure.PLACED_SLOT_BITS and one.max_codes == 16
        seeds = (3 if one.lanes <= 16 else 1) if usual else 0
        assert len(one.fmax_mhz) == seeds


def test_block_rams_are_those_of_the_synthesis():
    for one in grid.syntheses():
        rows = {"max_bank_rows": 512} if one.layout == "classic" else {}
        config = decoders.configure(
            one.layout, lanes=one.lanes, slot_bits=one.slot_bits, max_codes=one.max_codes, **rows
        )
        assert config.name == one.config
        assert grid.ecp5_rams(config.memories) == one.block_rams


@pytest.mark.parametrize("layout", measure.LANES)
def test_at_its_points_the_grid_is_what_was_measured(layout):
    for known in grid.cells():
        if known.layout != layout or grid._codes(known) != 15:
            continue
        config = decoders.configure(layout, lanes=known.lanes, slot_bits=known.slot_bits, max_codes=15)
        told = grid.entry(config, known.library, grid._density(known))
        assert told.how == "estimated"
        for name in (
            "logic_settled_pj",
            "logic_glitches_pj",
            "leakage_pj",
            "area_um2",
            "cells",
            "flip_flops",
        ):
            assert getattr(told, name) == pytest.approx(getattr(known, name)), name
        for part, pair in known.parts.items():
            assert told.parts[part] == pytest.approx(pair)


def test_between_points_on_straight_lines():
    surface = Surface({(g, t, 16): 10 + 2 * g + 3 * t + g * t for g in (1, 4, 16) for t in (4, 8, 12)})
    for g, t in ((2, 8), (9, 10), (16, 16), (32, 2)):
        assert surface.at(g, t, 16).value == pytest.approx(10 + 2 * g + 3 * t + g * t)
    assert surface.errors == pytest.approx([0.0] * 6)
    assert surface.at(2, 8, 16).inside
    assert not surface.at(32, 8, 16).inside
    assert not surface.at(2, 13, 16).inside


@pytest.mark.parametrize("layout", ["ribbon", "bitmask"])
def test_a_decoder_that_streams_works_on_what_comes(layout):
    """Between two densities a straight line; of a stored table's decoder one density was run."""
    config = decoders.configure(layout, lanes=4, slot_bits=8, max_codes=15)
    for library in grid.libraries():
        at = {p: grid.logic(config, library, p)[0] for p in (0.01, 0.04, 0.15, 0.275, 0.4)}
        assert list(at.values()) == sorted(at.values())
        assert at[0.275] == pytest.approx((at[0.15] + at[0.4]) / 2)
        assert at[0.4] > 1.3 * at[0.01]
        classic = decoders.configure("classic", lanes=4)
        assert grid.logic(classic, library, 0.01) == grid.logic(classic, library, 0.4)
        assert "outside the grid" in grid.entry(config, library, 0.9).accuracy


def test_a_point_left_out_shows_its_error():
    """A planted fault: one point is a fifth too high."""
    points = {(g, 8, 16): float(10 * g) for g in (1, 4, 16)}
    assert Surface(points).error == pytest.approx(0.0)
    assert Surface(points | {(4, 8, 16): 50.0}).error == pytest.approx(0.2)
    assert Surface({(1, 8, 16): 1.0}).error is None


def test_entries_of_the_codebook_add_by_the_entry_and_lane():
    points = {(g, 8, 16): 100.0 * g for g in (1, 4, 16)}
    points |= {(4, 8, 64): 400 + 48 * (1 + 4 * 0.5), (16, 8, 4): 1600 - 12 * (1 + 16 * 0.5)}
    surface = Surface(points)
    assert surface.at(4, 8, 64).value == pytest.approx(points[4, 8, 64])
    assert surface.at(8, 8, 32).value == pytest.approx(800 + 16 * (1 + 8 * 0.5))


def test_large_memories_are_several_arrays():
    small, large = MemoryBlock("b", 3, 1 << 16, 64), MemoryBlock("b", 3, 1 << 21, 64)
    assert grid.read_pj(small, 45) == sram.read_energy_pj(1 << 19, 64)
    assert grid.read_pj(large, 45) == sram.read_energy_pj(1 << 22, 64)
    assert grid.area_um2([large], 45) == pytest.approx(3 * 4 * 1e6 * sram.area_mm2(1 << 22, 64))
    assert grid.write_pj(MemoryBlock("b", 3, 4, 8), 22) > 0  # smaller than the table's smallest


def test_other_libraries_are_refused():
    config = decoders.configure("ribbon", lanes=8)
    with pytest.raises(ValueError, match=r"no grid of ribbon decoders in x; libraries: Nangate"):
        grid.entry(config, "x")


def test_a_placement_between_lanes():
    known = {
        s.lanes: sorted(s.fmax_mhz.values()) for s in grid.syntheses() if s.layout == "ribbon" and s.fmax_mhz
    }
    assert grid.fmax("ribbon", 4).value == known[4][1]
    between = grid.fmax("ribbon", 8).value
    assert min(known[4][1], known[16][1]) <= between <= max(known[4][1], known[16][1])
    told = grid.placement(decoders.configure("ribbon", lanes=8))
    assert told.how == {"area": "estimated", "fmax": "estimated"}
    assert told.weights_per_second == pytest.approx(8e6 * between)
