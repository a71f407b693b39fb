"""The one place where Verilog and RTLIL are made."""

import hashlib

from amaranth.back import rtlil

from weightless_hw.config import DecoderConfig
from weightless_hw.decoder import Decoder
from weightless_sw.spec import classic as spec
from weightless_sw.spec.record import FORMAT_VERSION

TOP = "weightless_decoder"


def to_rtlil(config: DecoderConfig) -> str:
    """The decoder as RTLIL, which yosys reads as it is; port names are stable."""
    return str(rtlil.convert(Decoder(config), name=TOP, emit_src=False))


def to_verilog(config: DecoderConfig) -> str:
    """The decoder as one Verilog-2001 file, safe on Icarus and Verilator.

    Amaranth's own ``verilog.convert`` leaves processes for the Verilog writer to turn into ``always
    @*`` blocks, which Icarus does not run before an input changes: a combinational ``ready`` starts as
    X.  A full ``proc`` makes plain assignments of them.  Raises ``YosysError`` when yosys fails.
    """
    from amaranth._toolchain.yosys import find_yosys  # has no public name yet

    script = f"""
read_rtlil <<end_of_rtlil
{to_rtlil(config)}
end_of_rtlil
proc
opt_clean
memory_collect
write_verilog
"""
    yosys = find_yosys(lambda version: version >= (0, 40))
    text: str = yosys.run(["-q", "-"], script, ignore_warnings=True)
    body = text[text.index("module") if text.startswith("/*") else 0 :]
    return _header(config, body) + body


def _header(config: DecoderConfig, body: str) -> str:
    parameters = "\n".join(f"//   {name} = {value}" for name, value in vars(config).items())
    return f"""\
// Weightless streaming decoder, classic layout.  Generated; do not edit.
// layout digest {spec.DIGEST:08x}, format version {FORMAT_VERSION}
// text digest          {hashlib.sha256(body.encode()).hexdigest()[:16]}
// parameters:
{parameters}
// fill latency {config.fill_latency} cycles, then one beat of {config.lanes} weights per clock
`default_nettype none
`timescale 1ns/1ps
"""
