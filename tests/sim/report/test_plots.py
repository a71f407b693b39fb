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
