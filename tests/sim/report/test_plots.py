import os
import subprocess
import sys

import matplotlib as mpl
import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_sim.cosim import runner
from weightless_sim.report import plots


@pytest.mark.parametrize("lanes", [1, 8, 64])
def test_picture_of_the_data_path_adds_up(lanes, tmp_path):
    config = ClassicConfig(lanes=lanes)
    plots.data_path(config, tmp_path / "path.svg")
    drawn = (tmp_path / "path.svg").read_text()
    assert all(f">{name}<" in drawn for name, _, _ in config.data_path.stages)


def test_picture_in_the_docs_is_of_this_decoder(tmp_path):
    committed = (runner.BUILD.parent / "docs" / "datapath.svg").read_text()
    for name, text, registers in ClassicConfig().data_path.stages:
        for line in [name, *text.split("\n"), f"{registers} register{'s' if registers != 1 else ''}"]:
            assert f">{line.replace('<', '&lt;')}<" in committed
    assert f"fill latency {ClassicConfig().fill_latency} cycles" in committed


def test_a_plot_leaves_out_the_run_of_all_layers(result, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots.Axes, "set_yticks", lambda self, places, names: drawn.extend(names))
    plots.throughput(result, tmp_path / "x.png")
    assert drawn[::-1] == [name for name in result["runs"] if name != "in turn"]


STEPS = [{"step": step, "error": 0.02, "bytes": 2_000_000 // n, "layer_bytes": 900_000 // n} for step, n in
         (("dense", 1), ("encoded", 90))]  # fmt: skip


ENERGY = {"drams": ["HBM2"], "rows": [{"name": "table", "on_chip": (4.0, 5.0), "HBM2": (40.0, 60.0)}]}


@pytest.mark.parametrize("name", ["false_positives", "energy", "steps"])
def test_figures_along_a_logarithmic_axis_are_read_where_formulas_are_off(name, result, tmp_path):
    """What they say as they stand: no source of a formula."""
    path = tmp_path / "plot.svg"
    with plots.plain_text(), mpl.rc_context({"svg.fonttype": "none"}):
        if name == "steps":
            plots.steps(STEPS, "a", path)
        else:
            getattr(plots, name)(result | {"energy": ENERGY}, path)
    drawn = path.read_text()
    assert "mathdefault" not in drawn
    assert any(f">{power}<" in drawn for power in ("0.1", "10", "100000"))


DRAW = """
import sys
from pathlib import Path
from weightless_sim.report import plots
with plots.plain_text():
    plots.steps({steps}, "a", Path(sys.argv[1]))
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
        command = [sys.executable, "-c", DRAW.format(steps=STEPS), str(path)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]
