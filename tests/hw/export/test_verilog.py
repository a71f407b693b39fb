import re
import subprocess

import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.export.verilog import TOP, to_rtlil, to_verilog
from weightless_sim.cosim import runner
from weightless_sw.spec import classic as spec

CONFIGS = [ClassicConfig(lanes=1, max_bank_rows=64), ClassicConfig(lanes=8, slot_bits=9, max_bank_rows=100)]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_header_and_ports_are_stable(config):
    text = to_verilog(config)
    assert f"layout digest {spec.DIGEST:08x}" in text
    assert f"fill latency {config.fill_latency} cycles" in text
    ports = re.search(rf"module {TOP}\((.*?)\);", text)
    assert ports
    assert set(ports[1].split(", ")) == {
        "clk", "rst", "load__payload", "load__valid", "load__ready", "weights__payload", "weights__valid",
        "weights__ready", "reg_addr", "reg_data",
    }  # fmt: skip
    assert "ram_style" in text
    assert re.search(rf"weights__payload;\s+wire \[{config.lanes * 17}:0\] weights__payload", text)


def test_verilog_is_reproducible():
    assert to_verilog(CONFIGS[0]) == to_verilog(CONFIGS[0])
    assert to_rtlil(CONFIGS[0]) == to_rtlil(CONFIGS[0])


def test_no_process_is_left_that_icarus_would_not_start():
    """Combinational logic must be assignments: an `always @*` does not run before an input changes."""
    assert not re.search(r"always\s*@\s*\*|always_comb", to_verilog(CONFIGS[1]))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_verilator_finds_nothing_to_warn_of(tmp_path, config, need):
    need(runner.missing("verilator"))
    path = tmp_path / f"{TOP}.v"
    path.write_text(to_verilog(config))
    run = subprocess.run(
        ["verilator", "--lint-only", *runner.LINT_FLAGS, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=runner.environment(),
    )
    assert run.returncode == 0, run.stderr


def test_lint_finds_a_planted_fault(tmp_path, need):
    need(runner.missing("verilator"))
    path = tmp_path / f"{TOP}.v"
    path.write_text(
        to_verilog(CONFIGS[0]).replace("endmodule", "wire nobody; assign load__ready = nobody; endmodule", 1)
    )
    run = subprocess.run(
        ["verilator", "--lint-only", *runner.LINT_FLAGS, str(path)],
        capture_output=True,
        check=False,
        env=runner.environment(),
    )
    assert run.returncode != 0


def test_ready_is_known_at_once_on_icarus(tmp_path, need):
    """The regression for which processes are turned into assignments."""
    need(runner.missing("icarus"))
    bench = """`timescale 1ns/1ps
module bench;
  reg clk = 0, rst = 1;
  wire ready;
  weightless_decoder dut(.clk(clk), .rst(rst), .load__valid(1'b0), .load__payload(32'd0), .load__ready(ready),
    .weights__ready(1'b0), .weights__valid(), .weights__payload(), .reg_addr(3'd0), .reg_data());
  initial begin
    #1 clk = 1; #1 clk = 0; rst = 0; #1;
    if (ready !== 1'b1) begin $display("ready is %b", ready); $finish; end
    $display("known"); $finish;
  end
endmodule
"""
    (tmp_path / "bench.v").write_text(bench)
    (tmp_path / "dut.v").write_text(to_verilog(CONFIGS[0]))
    subprocess.run(["iverilog", "-g2005", "-o", "bench", "bench.v", "dut.v"], cwd=tmp_path, check=True)
    run = subprocess.run(["vvp", "bench"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "known" in run.stdout
