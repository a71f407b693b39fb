"""Loading: the payload's words become rows of the banks; and what a descriptor of this layout is refused for."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.classic.stages import row_layout
from weightless_hw.frame import to_bits
from weightless_hw.parts.items import Items
from weightless_hw.registers import LoadError
from weightless_sw.spec import classic as spec


class BankLoader(wiring.Component):
    """Fills the banks: rows go to bank 0, then 1, then 2; rows past the last bank are padding and go nowhere.

    Parameters
    ----------
    config : ClassicConfig
        Rows, and their width.

    Attributes
    ----------
    start : unsigned(1), in
        Begins a table.
    bank_rows : range(max_bank_rows + 1), in
        Its rows.
    i : Stream(32), in
        Its words.
    row : row_layout(config), out
        What is written.
    done : unsigned(1), out
        Of the words that were taken every row was written.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "bank_rows": In(range(config.max_bank_rows + 1)),
                "i": In(stream.Signature(32)),
                "row": Out(row_layout(config)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``bank`` has the bit of the bank that is filled, none behind the last one."""
        m = Module()
        m.submodules.items = items = Items(self.config.row_bits)
        bank = Signal(spec.N_BANKS, init=1)
        addr = Signal(self.config.row_addr_bits, reset_less=True)
        m.d.comb += [
            items.clear.eq(self.start),
            items.i.payload.eq(self.i.payload),
            items.i.valid.eq(self.i.valid),
            self.i.ready.eq(items.i.ready),
            items.o.ready.eq(1),
            self.row.write.eq(Mux(items.o.valid, bank, 0)),
            self.row.addr.eq(addr),
            self.row.data.eq(items.o.payload),
            self.done.eq(~items.o.valid),
        ]
        with m.If(items.o.valid):
            m.d.sync += addr.eq(addr + 1)
            with m.If(addr == self.bank_rows - 1):
                m.d.sync += [addr.eq(0), bank.eq(Cat(Const(0, 1), bank))]
        with m.If(self.start):
            m.d.sync += [addr.eq(0), bank.eq(1)]
        return m


def own_faults(config: ClassicConfig, fields: Any) -> Value:
    """What a descriptor of these fields is refused for that the layout adds, a bit each."""
    rows = fields.bank_rows[: config.max_bank_rows.bit_length()]
    payload_words = (_times(rows, spec.N_BANKS * config.row_bits) + 31) >> 5
    faults = {
        LoadError.WIDTHS: fields.widths != ((config.lanes.bit_length() - 1) | (config.slot_bits - 1) << 4),
        LoadError.BANK_ROWS: (fields.bank_rows == 0) | (fields.bank_rows > config.max_bank_rows),
        LoadError.PAYLOAD_WORDS: fields.payload_words != payload_words,
    }
    return to_bits(config, faults)


def _times(value: Value, factor: int) -> Value:
    """The product with a constant, of adders: synthesis would spend a multiplier on it."""
    places = [k for k in range(factor.bit_length()) if factor >> k & 1]
    return sum((value << k for k in places[1:]), value << places[0])
