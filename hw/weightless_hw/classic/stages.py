"""Stages that the classic layout alone has: range reduction, banks, lane permutation."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.parts.beats import delayed
from weightless_hw.parts.hash import WORDS
from weightless_sw.spec import classic as spec
from weightless_sw.spec.hash import WORD_BITS


def row_layout(config: ClassicConfig) -> data.StructLayout:
    """A write of a row: into which banks, where, and what."""
    return data.StructLayout({"write": spec.N_BANKS, "addr": config.row_addr_bits, "data": config.row_bits})


class RangeReduction(wiring.Component):
    """row = (word * bank_rows) >> ROW_WORD_BITS, for the top ROW_WORD_BITS bits of each hash word.

    Parameters
    ----------
    config : ClassicConfig
        The largest bank.

    Attributes
    ----------
    words : WORDS, in
        The hash words.
    bank_rows : range(max_bank_rows + 1), in
        Rows of a bank of this layer.
    rows : ArrayLayout(row_addr_bits, N_BANKS), out
        The row of each bank, two cycles later.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "words": In(WORDS),
                "bank_rows": In(range(config.max_bank_rows + 1)),
                "rows": Out(data.ArrayLayout(config.row_addr_bits, spec.N_BANKS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Each word goes in two *halves*, so that a partial product fits one 18-bit multiplier.

        The first register holds the partial products ``low`` and ``high``, the second their sum.
        """
        m = Module()
        half = spec.ROW_WORD_BITS // 2
        for bank in range(spec.N_BANKS):
            word = self.words[bank][WORD_BITS - spec.ROW_WORD_BITS :]
            low = Signal(half + len(self.bank_rows), name=f"low_{bank}", reset_less=True)
            high = Signal.like(low, name=f"high_{bank}")
            row = Signal.like(self.rows[bank], name=f"row_{bank}", reset_less=True)
            m.d.sync += [
                low.eq(word[:half] * self.bank_rows),
                high.eq(word[half:] * self.bank_rows),
                row.eq((high + (low >> half)) >> half),
            ]
            m.d.comb += self.rows[bank].eq(row)
        return m


class Bank(wiring.Component):
    """One bank: a memory of rows, written by the loader, read by the pipeline.

    Parameters
    ----------
    config : ClassicConfig
        Rows, and their width.

    Attributes
    ----------
    en : unsigned(1), in
        Reads; ``row`` holds while it is low.
    addr : unsigned(row_addr_bits), in
        The row to read.
    row : unsigned(row_bits), out
        That row, two cycles later.
    write : unsigned(1), in
        Writes ``write_data`` into row ``write_addr``; reading waits meanwhile.
    write_addr : unsigned(row_addr_bits), in
        The row that is written.
    write_data : unsigned(row_bits), in
        What is written.
    """

    def __init__(self, config: ClassicConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "addr": In(config.row_addr_bits),
                "row": Out(config.row_bits),
                "write": In(1),
                "write_addr": In(config.row_addr_bits),
                "write_data": In(config.row_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The memory's own output register, and one behind it for its slow clock-to-output.

        A group's row is below the layer's rows, and these are no more than there are.  What is read beside that, of an
        address that may not exist, belongs to no group and is never used.
        """
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=self.config.row_bits, depth=self.config.bank_depth, init=[], attrs={"ram_style": "block"}
        )
        write, read = memory.write_port(), memory.read_port()
        # One address and never both enables: a single-port RAM serves, and no logic for collisions.
        addr = Signal.like(self.addr)
        m.d.comb += [
            write.en.eq(self.write),
            addr.eq(Mux(self.write, self.write_addr, self.addr)),
            write.addr.eq(addr),
            write.data.eq(self.write_data),
            read.en.eq(self.en & ~self.write),
            read.addr.eq(addr),
        ]
        m.d.comb += self.row.eq(delayed(m, self.en, read.data, 1, "output"))
        return m


class LanePermutation(wiring.Component):
    """Lane l of the output is lane l ^ offset of the input.

    Parameters
    ----------
    lanes : int
        Slots of a row, a power of two.
    slot_bits : int
        Width of a slot.

    Attributes
    ----------
    offset : unsigned(log2(lanes)), in
        What the lane numbers are XORed with.
    i : unsigned(lanes * slot_bits), in
        The row, lane 0 lowest.
    o : unsigned(lanes * slot_bits), out
        The permuted row, ceil(log2(lanes) / 3) cycles later; at once where there is one lane.
    """

    def __init__(self, lanes: int, slot_bits: int):
        self.lanes, self.slot_bits = lanes, slot_bits
        self.offset_width = lanes.bit_length() - 1
        super().__init__(
            {
                "offset": In(self.offset_width),
                "i": In(lanes * slot_bits),
                "o": Out(lanes * slot_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A butterfly: *step* k swaps lanes 2^k apart where bit k of the offset is set; three steps a register."""
        m = Module()
        t, lanes = self.slot_bits, self.lanes
        row: Value = self.i
        offset: Value = self.offset
        for k in range(self.offset_width):
            # A signal per step: nested expressions would grow with the power of the steps.
            step = Signal(lanes * t, name=f"step_{k}")
            swapped = Cat(row.word_select(lane ^ 1 << k, t) for lane in range(lanes))
            m.d.comb += step.eq(Mux(offset[k], swapped, row))
            row = step
            if k % 3 == 2 or k == self.offset_width - 1:
                row_register = Signal(lanes * t, name=f"row_{k}", reset_less=True)
                offset_register = Signal(self.offset_width, name=f"offset_{k}", reset_less=True)
                m.d.sync += [row_register.eq(row), offset_register.eq(offset)]
                row, offset = row_register, offset_register
        m.d.comb += self.o.eq(row)
        return m
