"""The decoder behind AXI: records by AXI4-Stream, beats by AXI4-Stream, registers by AXI4-Lite.

AMBA 4 AXI4-Stream (ARM IHI 0051A) and AXI4-Lite (ARM IHI 0022E, B1).  The names of AXI are used here and nowhere else.
"""

from typing import Any

from amaranth import Cat, ClockDomain, ClockSignal, Const, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weightless_hw.config import DecoderConfig
from weightless_hw.decoders import component
from weightless_hw.export.ports import AXI_ADDRESS_BITS, WORD_BYTES, axi
from weightless_hw.registers import REGISTERS

OKAY, SLVERR = 0, 2
ATTRIBUTES = {"s_axis": "axis", "m_axis": "axis", "s_axi": "aximm"}


class AxiDecoder(wiring.Component):
    """A decoder in its AXI shell.

    Parameters
    ----------
    config : DecoderConfig
        The decoder.

    Attributes
    ----------
    aclk, aresetn : in
        Clock, and synchronous reset, low.
    s_axis_* : AXI4-Stream, in
        Records: TDATA 32, TLAST with the CRC word.
    m_axis_* : AXI4-Stream, out
        Beats: TDATA the values, TKEEP the bytes of valid lanes, TLAST with a record's last beat.
    s_axi_* : AXI4-Lite
        Register k at byte 4 k.  Bytes without a strobe are written as zero, which no register heeds.  Behind the
        last register everything is answered with SLVERR.
    error : unsigned(1), out
        Whether a bit of the register ``errors`` is set.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        super().__init__(
            {port.name: (In if port.direction == "input" else Out)(port.width) for port in axi(config)}
        )
        for port in axi(config):
            getattr(self, port.name).attrs.update(_interface(port.name))

    def elaborate(self, platform: Any) -> Module:
        """The decoder's streams are AXI's but for the names."""
        m = Module()
        config, decoder = self.config, component(self.config)
        m.domains.sync = ClockDomain()
        m.submodules.decoder = decoder
        lane_bytes = config.value_bits // 8
        beat = decoder.weights.payload
        m.d.comb += [
            ClockSignal().eq(self.aclk),
            ResetSignal().eq(~self.aresetn),
            decoder.load.payload.data.eq(self.s_axis_tdata),
            decoder.load.payload.last.eq(self.s_axis_tlast),
            decoder.load.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(decoder.load.ready),
            self.m_axis_tdata.eq(beat["values"]),
            self.m_axis_tkeep.eq(Cat(lane.replicate(lane_bytes) for lane in beat.lane_valid)),
            self.m_axis_tlast.eq(beat.last),
            self.m_axis_tvalid.eq(decoder.weights.valid),
            decoder.weights.ready.eq(self.m_axis_tready),
            self.error.eq(decoder.error),
        ]
        write, write_addr = self._write(m, decoder)
        self._read(m, decoder, write, write_addr)
        return m

    def _write(self, m: Module, decoder: Any) -> tuple[Value, Signal]:
        """(whether a register is written in this cycle, its number).

        Address and data wait in a register each until both are there and the answer before was taken.
        """
        addr, data, strobes = Signal(AXI_ADDRESS_BITS), Signal(32), Signal(WORD_BYTES)
        has_addr, has_data, write = Signal(), Signal(), Signal()
        m.d.comb += [
            self.s_axi_awready.eq(~has_addr),
            self.s_axi_wready.eq(~has_data),
            write.eq(has_addr & has_data & ~self.s_axi_bvalid),
            decoder.reg_write.eq(write),
            decoder.reg_write_data.eq(
                Cat(Mux(strobes[k], data.word_select(k, 8), 0) for k in range(WORD_BYTES))
            ),
        ]
        with m.If(self.s_axi_awvalid & self.s_axi_awready):
            m.d.sync += [addr.eq(self.s_axi_awaddr), has_addr.eq(1)]
        with m.If(self.s_axi_wvalid & self.s_axi_wready):
            m.d.sync += [data.eq(self.s_axi_wdata), strobes.eq(self.s_axi_wstrb), has_data.eq(1)]
        with m.If(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(write):
            m.d.sync += [
                has_addr.eq(0),
                has_data.eq(0),
                self.s_axi_bvalid.eq(1),
                self.s_axi_bresp.eq(_response(addr)),
            ]
        return write, addr

    def _read(self, m: Module, decoder: Any, write: Value, write_addr: Signal) -> None:
        """The registers have one address port: a read waits while one is written."""
        addr, has_addr = Signal(AXI_ADDRESS_BITS), Signal()
        m.d.comb += [
            self.s_axi_arready.eq(~has_addr),
            decoder.reg_addr.eq(Mux(write, write_addr, addr)[2:]),
        ]
        with m.If(self.s_axi_arvalid & self.s_axi_arready):
            m.d.sync += [addr.eq(self.s_axi_araddr), has_addr.eq(1)]
        with m.If(self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)
        with m.If(has_addr & ~self.s_axi_rvalid & ~write):
            m.d.sync += [
                has_addr.eq(0),
                self.s_axi_rvalid.eq(1),
                self.s_axi_rdata.eq(decoder.reg_data),
                self.s_axi_rresp.eq(_response(addr)),
            ]


def _response(addr: Signal) -> Value:
    """To an access of that byte."""
    return Mux(addr[2:] < Const(len(REGISTERS)), OKAY, SLVERR)


def _interface(name: str) -> dict[str, str]:
    """What Vivado reads to find the interfaces of a module that is dropped into a block design."""
    xilinx = "xilinx.com"
    if name == "aclk":
        busses = ":".join(ATTRIBUTES)
        return {
            "X_INTERFACE_INFO": f"{xilinx}:signal:clock:1.0 aclk CLK",
            "X_INTERFACE_PARAMETER": f"ASSOCIATED_BUSIF {busses}, ASSOCIATED_RESET aresetn",
        }
    if name == "aresetn":
        return {
            "X_INTERFACE_INFO": f"{xilinx}:signal:reset:1.0 aresetn RST",
            "X_INTERFACE_PARAMETER": "POLARITY ACTIVE_LOW",
        }
    bus, _, signal = name.rpartition("_")
    if not bus:
        return {}
    return {"X_INTERFACE_INFO": f"{xilinx}:interface:{ATTRIBUTES[bus]}:1.0 {bus} {signal.upper()}"}
