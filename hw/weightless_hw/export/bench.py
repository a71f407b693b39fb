"""A bench that goes with the Verilog: it sends words, compares every beat, and says PASS or ends with an error.

Plain SystemVerilog, for any simulator: no cocotb, no Python.  Words and beats are in files beside it, a hexadecimal
number a line.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from weightless_hw.config import DecoderConfig
from weightless_hw.export import ports

_TEXT = """\
// Self-checking bench of {name}: {n_words} words in, {n_beats} beats out, both with pauses at random.
// Words and beats stand in {name}_words.hex and {name}_beats.hex: run it where they lie.
// Written by weightless rtl --vectors; do not edit.
module {name}_tb;
  reg clk = 1'b0, rst = 1'b1, pause_in = 1'b1, pause_out = 1'b1;
  reg [{word}:0] words [0:{n_words}];
  reg [{beat}:0] beats [0:{n_beats}];
  integer sent = 0, taken = 0, wrong = 0, quiet = 0, seed = 1;
  wire ready, valid, error;
  wire offered = !pause_in && sent < {n_words};
  wire [{word}:0] now = words[sent];
  wire [{beat}:0] came;

  always #5 clk = !clk;
  initial begin
    $readmemh("{name}_words.hex", words, 0, {n_words});
    $readmemh("{name}_beats.hex", beats, 0, {n_beats});
    repeat (2) @(negedge clk);
    rst = 1'b0;
  end

{instance}
  always @(posedge clk) if (!rst) begin
    if (offered && ready) sent <= sent + 1;
    if (!offered || ready) pause_in <= $urandom(seed) % 4 == 0;
    pause_out <= $urandom(seed) % 4 == 0;
    quiet <= (offered && ready) || valid ? 0 : quiet + 1;
    if (valid && !pause_out) begin
      taken <= taken + 1;
      if (taken >= {n_beats} || came !== beats[taken]) begin
        wrong <= wrong + 1;
        if (wrong == 0) $display("beat %0d is %h, not %h", taken, came, beats[taken]);
      end
    end
    if (quiet > 10000) begin
      if (wrong != 0 || sent != {n_words} || taken != {n_beats} || error)
        $fatal(1, "FAIL: %0d of {n_words} words taken, %0d of {n_beats} beats, %0d wrong, error %b",
               sent, taken, wrong, error);
      $display("PASS: %0d words, %0d beats", sent, taken);
      $finish;
    end
  end
endmodule
"""
# What the bench connects, by the decoder's port; the others rest.
_NATIVE = {
    "clk": "clk", "rst": "rst", "load__valid": "offered", "load__ready": "ready", "load__payload": "now",
    "weights__valid": "valid", "weights__ready": "!pause_out", "weights__payload": "came", "error": "error",
}  # fmt: skip
_AXI = {
    "aclk": "clk", "aresetn": "!rst", "s_axis_tvalid": "offered", "s_axis_tready": "ready",
    "s_axis_tdata": "now[31:0]", "s_axis_tlast": "now[32]", "m_axis_tvalid": "valid", "m_axis_tready": "!pause_out",
    "m_axis_tdata": "came[{last_data}:0]", "m_axis_tkeep": "came[{last_keep}:{keep}]", "m_axis_tlast": "came[{beat}]",
    "error": "error",
}  # fmt: skip


def to_bench(
    config: DecoderConfig, name: str, words: Sequence[int], beats: Sequence[int], *, axi: bool
) -> dict[str, str]:
    """The files by name: ``NAME_tb.sv``, ``NAME_words.hex``, ``NAME_beats.hex``.

    ``words`` are those of frames with ``last`` in bit 32, ``beats`` the payloads of the native port that must come of
    them: values, valid lanes, last; the AXI shell's are made of them here.
    """
    lanes, bits = config.lanes, config.value_bits
    if axi:
        beats = [_axi_beat(beat, lanes, bits) for beat in beats]
    n_bytes = lanes * bits // 8
    beat = (
        9 * n_bytes
        if axi
        else next(p.width for p in ports.native(config) if p.name == "weights__payload") - 1
    )
    fields = {
        "name": name,
        "beat": beat,
        "last_data": 8 * n_bytes - 1,
        "keep": 8 * n_bytes,
        "last_keep": 9 * n_bytes - 1,
    }
    text = _TEXT.format(
        **fields, word=32, n_words=len(words), n_beats=len(beats),
        instance=_instance(config, name, fields, axi),
    )  # fmt: skip
    files = {f"{name}_tb.sv": text}
    for kind, values in (
        ("words", words),
        ("beats", beats),
    ):  # one more, which is never sent and never compared
        files[f"{name}_{kind}.hex"] = "".join(f"{value:x}\n" for value in (*values, 0))
    return files


def _axi_beat(beat: int, lanes: int, bits: int) -> int:
    """TDATA, TKEEP and TLAST of a native beat, low bits first."""
    data = beat & (1 << lanes * bits) - 1
    lane_bytes = bits // 8
    keep = sum(
        (beat >> lanes * bits + lane & 1) * ((1 << lane_bytes) - 1) << lane * lane_bytes
        for lane in range(lanes)
    )
    last = beat >> lanes * bits + lanes
    n_bytes = lanes * bits // 8
    return data | keep << 8 * n_bytes | last << 9 * n_bytes


def _instance(config: DecoderConfig, name: str, fields: Mapping[str, Any], axi: bool) -> str:
    listed = ports.axi(config) if axi else ports.native(config)
    given = {port: value.format(**fields) for port, value in (_AXI if axi else _NATIVE).items()}
    return "\n".join(textwrap.wrap(f"{name} dut({ports.connected(listed, given)});", 110, initial_indent="  ",
                                   subsequent_indent="    ", break_long_words=False)) + "\n"  # fmt: skip
