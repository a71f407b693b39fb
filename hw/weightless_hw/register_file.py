"""The registers of a decoder (``registers.py`` lists them), in hardware."""

from typing import Any

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weightless_hw.config import DecoderConfig
from weightless_hw.frame import descriptor_layout
from weightless_hw.parts.beats import count_up
from weightless_hw.registers import ADDRESS, ADDRESS_BITS, COUNTS, IDENTITY, REGISTERS, SOFT_RESET, Phase
from weightless_sw.spec.record import FORMAT_VERSION

EVENTS = data.StructLayout(dict.fromkeys(COUNTS, 1))


class RegisterFile(wiring.Component):
    """What a decoder is, what it is doing, what went wrong, and how often things happened.

    Parameters
    ----------
    config : DecoderConfig
        The decoder.

    Attributes
    ----------
    addr : unsigned(ADDRESS_BITS), in
        Which register ``data`` shows, and a write goes to.
    data : unsigned(32), out
        That register, in the same cycle; 0 where there is none.
    write : unsigned(1), in
        Writes ``write_data``.
    write_data : unsigned(32), in
        What is written.
    error : unsigned(1), out
        Whether a bit of ``errors`` is set.
    soft_reset : unsigned(1), out
        Resets all but this and the memories.
    fields : descriptor_layout(GEOMETRY), in
        Of the record under way.
    record_crc : unsigned(32), in
        Its CRC word.
    phase : Phase, in
        What the loader is doing.
    faults : unsigned(len(config.errors())), in
        Why a record is refused, for a cycle.
    events : EVENTS, in
        What happens in this cycle, of what is counted; where it is.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        super().__init__(
            {
                "addr": In(ADDRESS_BITS),
                "data": Out(32),
                "write": In(1),
                "write_data": In(32),
                "error": Out(1),
                "soft_reset": Out(1),
                "fields": In(descriptor_layout(config.GEOMETRY)),
                "record_crc": In(32),
                "phase": In(Phase),
                "faults": In(len(config.errors())),
            }
            | ({"events": In(EVENTS)} if config.counters else {})
        )

    def elaborate(self, platform: Any) -> Module:
        """*Counts* are cleared by a reset, not by a soft one; errors stay until they are cleared."""
        m = Module()
        writes = {name: Signal(name=f"write_{name}") for name in ("errors", "control")}
        for name, write in writes.items():
            m.d.comb += write.eq(self.write & (self.addr == ADDRESS[name]))
        m.d.sync += self.soft_reset.eq(writes["control"] & self.write_data[SOFT_RESET.bit_length() - 1])
        errors = Signal(len(self.faults))
        m.d.sync += errors.eq(
            errors & ~Mux(writes["errors"], self.write_data[: len(errors)], 0) | self.faults
        )
        m.d.comb += self.error.eq(errors.any())
        values = self._constants() | {
            "phase": self.phase,
            "errors": errors,
            "n_weights": self.fields.n_weights,
            "n_codes": self.fields.n_codes[: self.config.n_codes_bits],
            "scale": self.fields.scale,
            "record_crc": self.record_crc,
        }
        if self.config.counters:
            counts = {name: Signal(32, name=name) for name in COUNTS}
            for name, count in counts.items():
                count_up(m, count, self.events[name])
            values |= counts
        with m.Switch(self.addr):
            for address, register in enumerate(REGISTERS):
                if register.name in values:
                    with m.Case(address):
                        m.d.comb += self.data.eq(values[register.name])
        return m

    def connect_to(self, m: Module, decoder: Any, loader: Any, taken: Value) -> None:
        """To the ports of its decoder, its FrameReader, and whether a beat is *taken*."""
        events = {
            "records": loader.finished,
            "beats": taken,
            "load_stalls": decoder.load.valid & ~decoder.load.ready,
            "weights_stalls": decoder.weights.valid & ~decoder.weights.ready,
        }
        if self.config.counters:
            m.d.comb += [self.events[name].eq(event) for name, event in events.items()]
        m.d.comb += [
            getattr(self, name).eq(getattr(loader, name))
            for name in ("fields", "record_crc", "phase", "faults")
        ]
        m.d.comb += [
            self.addr.eq(decoder.reg_addr),
            self.write.eq(decoder.reg_write),
            self.write_data.eq(decoder.reg_write_data),
            decoder.reg_data.eq(self.data),
            decoder.error.eq(self.error),
        ]

    def _constants(self) -> dict[str, Any]:
        """What the decoder is."""
        config = self.config
        numbers = {
            "identity": IDENTITY,
            "digest": config.GEOMETRY.layout_digest(),
            "format_version": FORMAT_VERSION,
            "widths": config.widths,
            "table_size": config.table_size,
            "max_codes": config.max_codes,
            "fill_latency": config.fill_latency,
        }
        return {name: Const(number, 32) for name, number in numbers.items()}
