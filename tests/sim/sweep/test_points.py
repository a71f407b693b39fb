import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from weightless_hw import decoders
from weightless_sim.fpga.implementation import Area, Implementation
from weightless_sim.gates import characterise, liberty
from weightless_sim.model import grid
from weightless_sim.model.cycles import predict
from weightless_sim.model.patterns import Load
from weightless_sim.sweep.points import COLUMNS, ESTIMATED, MEASURED, Found, Measure, Point, evaluate, points
from weightless_sw import codec, container, records
from weightless_sw.simplify import simplify


def test_each_point_once_and_no_axis_that_a_layout_has_not():
    found = points(["classic", "ribbon", "bitmask"], [4, 8], [6, 8], [0.1], [3, 4], [13, 14])
    assert len(found) == len(set(found)) == 2 * 2 * (2 + 4 + 1)
    assert {(one.slot_bits, one.chunk_log2) for one in found if one.layout == "bitmask"} == {(None, None)}
    assert {one.chunk_log2 for one in found if one.layout == "classic"} == {None}
    assert {one.chunk_log2 for one in found if one.layout == "ribbon"} == {13, 14}


@pytest.mark.parametrize("layout", decoders.BY_NAME)
def test_figures_are_those_of_encoder_cycle_model_and_grid(layout, arrays):
    point = points([layout], [4], [8], [None], [None], [None])[0]
    row = evaluate(point, arrays, Measure())
    width = None if layout == "bitmask" else 8
    lanes = {"lanes": 4} if layout == "classic" else {}
    made = [codec.encode(one, layout=layout, slot_bits=width, round_values=True, name=name, **lanes)
            for name, one in arrays.items()]  # fmt: skip
    if layout == "bitmask":  # both layers on one decoder: as wide as the one of seven values needs
        assert [tensor.geometry.slot_bits for tensor, _ in made] == [2, 3]
        made = [codec.encode(one, layout=layout, slot_bits=3, round_values=True) for one in arrays.values()]
    assert row.error == ""
    assert row.bytes == sum(container.stored_bytes(tensor) for tensor, _ in made)
    assert row.n_false_positives == sum(report.n_false_positives for _, report in made)
    assert (row.n_nonzero, row.n_weights) == (140, 1800)
    config = decoders.for_layers([tensor.geometry for tensor, _ in made], lanes=4)
    loads = [Load(tensor.geometry, records.to_record(tensor)) for tensor, _ in made]
    assert row.cycles == predict(config, loads)[-1].end
    (placement,) = grid.placements(config)
    assert (row.mhz, row.luts) == (placement.fmax_mhz, placement.area["luts"] + placement.area["luts_memory"])
    assert {row.mhz_how, row.luts_how, row.um2_how, row.energy_how} == {ESTIMATED}
    assert row.microseconds == row.cycles / row.mhz
    assert row.pj_per_nonzero == pytest.approx(1e3 * row.energy_nj / 140)
    nanojoules = sum(
        tensor.geometry.n_weights
        * grid.entry(
            config.for_cells(), row.library, report.n_nonzero / report.n_stored
        ).pj_per_weight_glitches
        for tensor, report in made
    )
    assert row.energy_nj == pytest.approx(nanojoules / 1e3)
    assert set(COLUMNS) == set(dataclasses.asdict(row))


def test_weights_are_pruned_where_it_is_asked(dense):
    point = Point(layout="ribbon", lanes=8, slot_bits=8, density=0.1, n_codes=5)
    row = evaluate(point, dense, Measure())
    weights, report = simplify(dense["a"], density=0.1, n_codes=5)
    assert (row.n_nonzero, report.n_codes) == (200, 5)
    assert row.bytes == codec.encode(weights, layout="ribbon", slot_bits=8, round_values=True)[1].bytes
    as_dense = evaluate(dataclasses.replace(point, density=None), dense, Measure())
    assert as_dense.n_nonzero == np.count_nonzero(dense["a"])


@pytest.mark.parametrize(
    ("point", "said"),
    [
        (Point(layout="classic", lanes=4, slot_bits=2), "needs at least|slot_bits|codes"),
        (Point(layout="ribbon", lanes=64, slot_bits=8), "lanes"),
        (Point(layout="classic", lanes=3, slot_bits=8), "lanes must be a power of two"),
        (Point(layout="classic", lanes=4, slot_bits=8, density=2.0), "density must be above 0"),
    ],
)
def test_what_can_not_be_is_a_row_that_says_why(arrays, point, said):
    row = evaluate(point, arrays, Measure())
    assert re.search(said, row.error)
    assert row == Found(**dataclasses.asdict(point), error=row.error)


def test_what_is_measured_stands_in_the_place_of_estimates(arrays, monkeypatch):
    """The flows themselves are tested where they are."""
    monkeypatch.setattr(Implementation, "area", lambda self: Area(100, 20, 30, 2, 0, "t"))
    monkeypatch.setattr(Implementation, "place", lambda self, seed: (float(100 + seed), {}, None))
    point = Point(layout="ribbon", lanes=4, slot_bits=8)
    row = evaluate(point, arrays, Measure(fpga="ecp5-85k", seeds=3))
    assert (row.luts, row.luts_how, row.mhz, row.mhz_how) == (120, MEASURED, 102.0, MEASURED)
    assert row.microseconds == row.cycles / 102.0
    row = evaluate(point, arrays, Measure(fpga="ecp5-85k", seeds=0))
    assert (row.luts_how, row.mhz_how) == (MEASURED, ESTIMATED)


def test_a_library_is_asked_as_the_grids_were(arrays, monkeypatch):
    """Clock gates where it has them, memories of its node; the largest table's energy is every layer's."""
    asked = []

    def run(config, tensor, n_nonzero, options, progress):
        asked.append((config, tensor.geometry.n_weights, n_nonzero, options))
        figures = SimpleNamespace(area_um2=123.0, pj_per_weight=2.0)
        return SimpleNamespace(figures=lambda: (None, figures), library=SimpleNamespace(name="asap7 x"))

    monkeypatch.setattr(characterise, "run", run)
    monkeypatch.setattr(liberty, "read", lambda paths: SimpleNamespace(name="asap7 x", clock_gates=["ICG"]))
    row = evaluate(Point(layout="ribbon", lanes=4, slot_bits=8), arrays, Measure(liberty=("a.lib",)))
    ((config, n_weights, n_nonzero, options),) = asked
    assert config.window_registers == 1  # the form for cells
    assert (n_nonzero, options.clock_gates, options.sram_node_nm) == (100, True, 22)
    assert (row.um2, row.um2_how, row.energy_how, row.library) == (123.0, MEASURED, MEASURED, "asap7 x")
    assert row.energy_nj > 2 * n_weights / 1e3
    assert row.pj_per_nonzero == pytest.approx(1e3 * row.energy_nj / 140)


def test_keys_name_content_and_point():
    point = Point(layout="ribbon", lanes=4, slot_bits=8)
    assert point.key("x") == dataclasses.replace(point).key("x")
    assert len({point.key("x"), point.key("y"), dataclasses.replace(point, lanes=8).key("x")}) == 3
