import shutil
import subprocess

import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.export.harness import HARNESS, to_harness
from weightless_hw.export.verilog import to_verilog


@pytest.mark.parametrize(
    "config", [ClassicConfig(lanes=1), ClassicConfig(lanes=64, value_bits=8)], ids=["1", "64"]
)
def test_every_port_is_connected(config, need, tmp_path):
    need("" if shutil.which("iverilog") else "Icarus is not installed: apt-get install iverilog")
    (tmp_path / "x.v").write_text(to_verilog(config) + to_harness(config))
    command = ["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-s", HARNESS, "-o", "x", "x.v"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "port" not in run.stderr  # too wide, too narrow, or left out


def test_the_tree_reads_every_output():
    """As many leaves as the decoder has output bits, each in one group of four."""
    text = to_harness(ClassicConfig(lanes=8))
    n_outputs = 1 + 1 + (8 * 17 + 1) + 32 + 1
    assert f"wire [{n_outputs - 1}:0] made;" in text
    assert text.count("^level_0[") == -(-n_outputs // 4)
    assert "assign made_out = level_4[0];" in text
