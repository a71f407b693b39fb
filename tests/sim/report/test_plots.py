import dataclasses
import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reports import ENTRY, energy, row, with_decoders

from weightless_hw import decoders
from weightless_hw.classic.config import ClassicConfig
from weightless_sim.report import plots
from weightless_sw.baselines import Rate, Stored


@pytest.mark.parametrize("lanes", [1, 8, 64])
def test_picture_of_the_data_path_adds_up(lanes, tmp_path):
    config = ClassicConfig(lanes=lanes)
    plots.save(plots.data_path(config), tmp_path / "path.svg")
    drawn = (tmp_path / "path.svg").read_text()
    assert all(f">{name}<" in drawn for name, _, _ in config.data_path.stages)


@pytest.mark.parametrize(
    ("layout", "picture"), [("classic", "datapath"), ("ribbon", "ribbon"), ("bitmask", "bitmask")]
)
def test_picture_in_the_docs_is_of_this_decoder(layout, picture):
    committed, config = (Path("docs") / f"{picture}.svg").read_text(), decoders.configure(layout)
    for name, text, registers in config.data_path.stages:
        for line in [name, *text.split("\n"), f"{registers} register{'s' if registers != 1 else ''}"]:
            assert f">{html.escape(line, quote=False)}<" in committed
    assert f"fill latency {config.fill_latency} cycles" in committed


def test_a_plot_leaves_out_the_run_of_all_layers(result, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots.Axes, "set_yticks", lambda self, places, names: drawn.extend(names))
    plots.throughput(result)
    assert drawn[::-1] == [name for name in result.runs if name != "in turn"]


STORED = [Stored(f"table, {n}", n, 0.02, Rate.SERIAL, lossless=False) for n in (90, 2_000)]


def known(result):
    """The result with an energy."""
    rows = (
        row("table", on_chip=(4.0, 5.0), HBM2=(40.0, 60.0)),
        row("bitmask, reads alone", complete=False, on_chip=(0.2, 0.2), HBM2=(4.0, 4.0)),
    )
    told = with_decoders(result, energy=[dataclasses.replace(ENTRY, library="lib")])
    return dataclasses.replace(told, energy=energy(*rows))


def texts(draw, path):
    """What a picture says."""
    with plots.plain_text():
        plots.save(draw(), path)
    return re.findall(r">([^<>]+)</text>", path.read_text())


def test_parts_are_functions_and_equal_figures_stand_once(result, tmp_path):
    said = texts(lambda: plots.parts(known(result)), tmp_path / "x.svg")
    assert {
        "hash",
        "codes that wait, and output",
        "registers and counts",
        "memory reads (45 nm itrs-lop)",
        "leakage",
    } <= set(said)
    assert any(text.strip() == "14.0 to 15.0" for text in said)
    assert any(text.strip() == "2.7" for text in said)
    assert not any("2.7 to" in text for text in said)


def test_the_picture_of_energy_says_library_voltage_and_memory(result, tmp_path):
    said = " ".join(texts(lambda: plots.energy(known(result)), tmp_path / "x.svg"))
    assert "lib, 1.1 V, memory 45 nm itrs-lop" in said
    assert "hollow: reads alone" in said
    assert "4.0 to 5" in said


def test_what_is_stored_is_compared_by_what_a_user_gets(tmp_path):
    said = " ".join(texts(lambda: plots.storages(STORED, "fc1"), tmp_path / "x.svg"))
    assert "2,000 B; test error 2.00%" in said
    assert "serial" in said


@pytest.mark.parametrize("name", ["false_positives", "energy"])
def test_figures_along_a_logarithmic_axis_are_read_where_formulas_are_off(name, result, tmp_path):
    """What they say as they stand: no source of a formula."""
    path = tmp_path / "plot.svg"
    with plots.plain_text():
        plots.save(getattr(plots, name)(known(result)), path)
    drawn = path.read_text()
    assert "mathdefault" not in drawn
    assert any(f">{power}<" in drawn for power in ("0.1", "1", "10"))


DRAW = """
import sys
from pathlib import Path
from weightless_sim.report import plots
from weightless_sw.baselines import Rate, Stored
rows = [Stored(f"table, {n}", n, 0.02, Rate.SERIAL, lossless=False) for n in (90, 2_000)]
with plots.plain_text():
    plots.save(plots.storages(rows, "a"), Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "backend", ["module://matplotlib_inline.backend_inline", "module://nobody.has_it", "TkAgg"]
)
def test_a_users_matplotlib_is_not_ours(tmp_path, backend):
    """A notebook's backend, an rc file, a style: the same bytes as without."""
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 30\nsavefig.facecolor: red\naxes.grid: True\nlines.linewidth: 9\ntext.usetex: True\n"
    )
    pictures = []
    for settings in ({}, {"MPLBACKEND": backend, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("M")} | settings
        path = tmp_path / f"{len(pictures)}.png"
        command = [sys.executable, "-c", DRAW, str(path)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]
