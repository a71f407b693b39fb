"""The table of a sweep as CSV, fronts, picture and page; and the command that makes them."""

import csv
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightless_sim import cli
from weightless_sim.report import plots
from weightless_sim.sweep.points import COLUMNS, Found, Measure, Point, evaluate, failed
from weightless_sim.sweep.show import FRONTS, on_front, page, picture, said, to_csv
from weightless_sw import inputs


def row(**figures):
    return Found(
        layout="ribbon", lanes=8, slot_bits=8, density=None, n_codes=None, chunk_log2=None, **figures
    )


@given(st.lists(st.tuples(st.integers(0, 9) | st.none(), st.integers(0, 9)), max_size=12))
def test_a_front_is_what_nothing_beats(figures):
    rows = [row(bytes=x, energy_nj=float(y)) for x, y in figures]
    found = on_front(rows, FRONTS["energy"])
    known = [(one.bytes, one.energy_nj) for one in rows if one.bytes is not None]
    for k, one in enumerate(rows):
        if one.bytes is None:
            assert k not in found
            continue
        at = one.bytes, one.energy_nj
        beaten = any(other != at and other[0] <= at[0] and other[1] <= at[1] for other in known)
        assert beaten <= (k not in found)
        first = next(j for j, other in enumerate(rows) if (other.bytes, other.energy_nj) == at)
        assert (k in found) == (not beaten and k == first)


@pytest.fixture(scope="module")
def rows(arrays, asked):
    hostile = failed(Point(layout="classic", lanes=4, slot_bits=2), '<script>alert("x")</script>')
    return [*(evaluate(point, arrays, Measure()) for point in asked), hostile]


def test_csv_has_a_line_for_each_point(rows):
    lines = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert len(lines) == len(rows)
    assert list(lines[0]) == [*COLUMNS, "fronts"]
    for line, one in zip(lines, rows, strict=True):
        assert line["bytes"] == ("" if one.bytes is None else str(one.bytes))
        assert line["error"] == one.error
    fronts = list(csv.DictReader(io.StringIO(to_csv(rows, only_fronts=True))))
    assert fronts == [line for line in lines if line["fronts"]]
    for name, front in FRONTS.items():
        assert sum(name in line["fronts"].split() for line in lines) == len(on_front(rows, front)) > 0


def test_the_picture_has_every_layout_and_a_line(rows):
    drawn = picture(rows, "model")
    labels = {line.get_label() for line in drawn.axes[0].lines}
    assert labels >= {"classic", "ribbon"}
    for axes, front in zip(drawn.axes, FRONTS.values(), strict=True):
        line = axes.lines[-1].get_xydata()
        expected = [(getattr(rows[k], front.x), getattr(rows[k], front.y)) for k in on_front(rows, front)]
        assert np.array_equal(line, np.array(expected, float))


def test_a_picture_of_nothing_is_one(tmp_path):
    plots.save(picture([failed(Point(layout="ribbon", lanes=8), "no")], "x"), tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_the_page_stands_alone_and_names_are_data(rows):
    html = page(rows, "<b>model</b>", "weightless sweep '<b>'")
    assert "<b>" not in html.replace("</b>", "")
    assert html.count("<script") == 2
    assert not re.search(r"https?:|url\(|@import", html)
    assert html.count("<circle") == sum(
        None not in (getattr(one, front.x), getattr(one, front.y))
        for one in rows
        for front in FRONTS.values()
    )
    assert html.count("<tr>") == 1 + len(rows)
    assert said(rows[1]) in html


@pytest.mark.parametrize("width", [1200, 320])
def test_the_page_sorts_and_is_no_wider_than_its_window(open_page, rows, width):
    driver = open_page(page(rows, "m" * 300, "weightless sweep m"), width, dark=width < 500)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.title.startswith("Weightless sweep: ")
    place = COLUMNS.index("bytes")
    driver.execute_script("document.querySelectorAll('#table th button')[arguments[0]].click()", place)
    cells = "[...document.querySelectorAll('#table tbody tr')].map(row => row.cells[arguments[0]])"
    found = driver.execute_script(f"return {cells}.map(cell => cell.dataset.value)", place)
    known = sorted(one.bytes for one in rows if one.bytes is not None)
    assert found == [""] * (len(rows) - len(known)) + [str(n) for n in known]


def test_the_command(tmp_path, capsys, arrays):
    model, out = tmp_path / "m.npz", tmp_path / "out"
    inputs.save_tensors(model, arrays | {"bias": np.arange(3.0)})
    command = ["sweep", str(model), "--layout", "ribbon", "classic", "--lanes", "4", "8", "--slot-bits", "7", "8",
               "--jobs", "1", "-o", str(out)]  # fmt: skip
    assert cli.main(command) == 0
    told = capsys.readouterr().out
    assert "sweep.csv, pareto.csv, sweep.html, sweep.png" in told
    assert {path.name for path in out.iterdir()} == {
        "sweep.csv",
        "pareto.csv",
        "sweep.html",
        "sweep.png",
        "points",
    }
    assert (
        len(list(csv.DictReader(io.StringIO((out / "sweep.csv").read_text()))))
        == 8
        == len(list((out / "points").iterdir()))
    )
    first = (out / "sweep.csv").read_bytes()
    assert cli.main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["lanes"] for one in found] == [4, 4, 8, 8] * 2
    assert (out / "sweep.csv").read_bytes() == first
    assert f"weightless sweep {model}" in (out / "sweep.html").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tensor", "x"], "no tensor x in"),
        (["--measure", "asic"], "--measure asic goes with --liberty FILE"),
        (["--library", "x"], "--library x: the grid has"),
        (["--measure", "fpga", "--device", "x"], "--device x: there are"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--exclude", "a", "--exclude", "b"], "to put in a table"),
    ],
)
def test_what_can_not_be_asked(tmp_path, capsys, arrays, options, said):
    inputs.save_tensors(tmp_path / "m.npz", arrays)
    assert cli.main(["sweep", str(tmp_path / "m.npz"), "-o", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err
