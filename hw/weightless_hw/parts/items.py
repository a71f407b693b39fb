"""Words to items."""

from math import gcd
from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Items(wiring.Component):
    """Cuts 32-bit words into items, low bits first: one a clock, or as fast as the words come.

    Parameters
    ----------
    width : int
        Bits of an item.

    Attributes
    ----------
    clear : unsigned(1), in
        Drops what is left of the words before.
    i : Stream(32), in
        The words.
    o : Stream(width), out
        The items; who never waits keeps ``ready`` high, and each is there for one cycle.
    any : unsigned(1), out
        Not all bits that wait are zero.
    """

    def __init__(self, width: int):
        self.width, self.unit = width, gcd(width, 32)
        n_units = width // self.unit - 1 + 32 // self.unit
        self.bits = Signal(
            n_units * self.unit, reset_less=True
        )  # that wait; zero behind them, but for whole words
        super().__init__(
            {
                "clear": In(1),
                "i": In(stream.Signature(32)),
                "o": Out(stream.Signature(width)),
                "any": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``count`` units of ``unit`` bits wait in ``bits``; ``kept`` of them are left after this cycle's item."""
        m = Module()
        unit, bits = self.unit, self.bits
        per_item, per_word = self.width // unit, 32 // unit
        count = Signal(range(per_item + per_word))
        kept = Signal.like(count)
        given = Signal()
        m.d.comb += [
            self.o.payload.eq(bits[: self.width]),
            self.o.valid.eq(count >= per_item),
            given.eq(self.o.valid & self.o.ready),
            kept.eq(Mux(given, count - per_item, count)),
            self.i.ready.eq(kept < per_item),
        ]
        whole = self.width == 32  # an item is a word, which need not be shifted
        rest = Mux(given, bits[self.width :], bits)
        word_any = Signal(reset_less=True)
        m.d.comb += self.any.eq(word_any & (count != 0) if whole else bits.any())
        takes = self.i.valid & self.i.ready
        with m.If(takes if whole else given | takes):  # else no bit is clocked
            m.d.sync += bits.eq(bits if whole else rest)
            with m.If(takes):
                with m.Switch(kept):
                    for k in range(per_item):
                        with m.Case(k):
                            m.d.sync += bits.eq(Cat(rest[: k * unit], self.i.payload))
        m.d.sync += count.eq(kept)
        with m.If(takes):
            m.d.sync += [count.eq(kept + per_word), word_any.eq(self.i.payload.any())]
        with m.If(self.clear):
            m.d.sync += count.eq(0)
        return m


class Skid(wiring.Component):
    """A word that waits, and a spare one: ``i.ready``, ``o.valid`` and ``o.payload`` are registers; a word a clock.

    Parameters
    ----------
    width : int
        Bits of a word.

    Attributes
    ----------
    clear : unsigned(1), in
        Drops what waits.
    i : Stream(width), in
        The words.
    o : Stream(width), out
        The same words, a cycle later at the least.
    """

    def __init__(self, width: int):
        self.width = width
        super().__init__(
            {"clear": In(1), "i": In(stream.Signature(width)), "o": Out(stream.Signature(width))}
        )

    def elaborate(self, platform: Any) -> Module:
        """``spare`` takes the word that comes as the taker stops."""
        m = Module()
        word, spare = Signal(self.width, reset_less=True), Signal(self.width, reset_less=True)
        valid, spare_full = Signal(), Signal()
        m.d.comb += [self.i.ready.eq(~spare_full), self.o.valid.eq(valid), self.o.payload.eq(word)]
        with m.If(self.o.ready | ~valid):
            m.d.sync += [
                word.eq(Mux(spare_full, spare, self.i.payload)),
                valid.eq(spare_full | self.i.valid),
                spare_full.eq(0),
            ]
        with m.Elif(self.i.valid & ~spare_full):
            m.d.sync += [spare.eq(self.i.payload), spare_full.eq(1)]
        with m.If(self.clear):
            m.d.sync += [valid.eq(0), spare_full.eq(0)]
        return m
