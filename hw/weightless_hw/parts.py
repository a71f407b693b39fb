"""Components and signals that decoders of all layouts share.

Terms.  A *beat* is one transfer of ``lanes`` weights.  ``en`` moves every register between the index
generator and the output buffer; when it is low they all hold.
"""

from math import gcd
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weightless_hw.config import DecoderConfig
from weightless_sw.spec.hash import WORD_BITS, mix_round

WORDS = data.ArrayLayout(WORD_BITS, 3)


def beat_layout(config: DecoderConfig) -> data.StructLayout:
    """A beat: ``values`` are raw codebook entries, zero for a zero weight or a lane that is not valid.

    ``lane_valid`` is all ones but for the last beat of a layer whose size is no multiple of ``lanes``.
    """
    return data.StructLayout(
        {
            "values": data.ArrayLayout(config.value_bits, config.lanes),
            "lane_valid": config.lanes,
            "last": 1,
        }
    )


def rotate(word: Value, k: int) -> Value:
    """A 32-bit word rotated left by ``k`` bits."""
    return word.rotate_left(k)


def shift(word: Value, k: int) -> Value:
    """A 32-bit word shifted left by ``k`` bits."""
    return Cat(Const(0, k), word[: WORD_BITS - k])


def delayed(m: Module, en: Value, value: Value, n_stages: int, name: str) -> Value:
    """``value`` behind ``n_stages`` registers."""
    for k in range(n_stages):
        register = Signal(len(value), name=f"{name}_{k}")
        with m.If(en):
            m.d.sync += register.eq(value)
        value = register
    return value


class HashRounds(wiring.Component):
    """``n_rounds`` rounds of the hash, ``per_stage`` of them between two registers."""

    def __init__(self, n_rounds: int, per_stage: int):
        self.n_rounds = n_rounds
        self.per_stage = per_stage
        super().__init__({"en": In(1), "i": In(WORDS), "o": Out(WORDS)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        state: tuple[Any, Any, Any] = (self.i[0], self.i[1], self.i[2])
        for k in range(1, self.n_rounds + 1):
            state = mix_round(*state, rotate, shift)
            if k % self.per_stage == 0 or k == self.n_rounds:
                registers = [Signal(WORD_BITS, name=f"{word}_{k}") for word in "xyz"]
                with m.If(self.en):
                    m.d.sync += [r.eq(word) for r, word in zip(registers, state, strict=True)]
                state = (registers[0], registers[1], registers[2])
        m.d.comb += [self.o[k].eq(word) for k, word in enumerate(state)]
        return m


class LanePermutation(wiring.Component):
    """Lane l of the output is lane l ^ offset of the input: a butterfly, three steps per register."""

    def __init__(self, lanes: int, slot_bits: int):
        self.lanes, self.slot_bits = lanes, slot_bits
        self.offset_width = lanes.bit_length() - 1
        super().__init__(
            {
                "en": In(1),
                "offset": In(self.offset_width),
                "i": In(lanes * slot_bits),
                "o": Out(lanes * slot_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
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
                row = delayed(m, self.en, row, 1, f"row_{k}")
                offset = delayed(m, self.en, offset, 1, f"offset_{k}")
        m.d.comb += self.o.eq(row)
        return m


class Codebook(wiring.Component):
    """Compare and look up, one memory per lane: ``hit`` and ``value`` are valid a cycle after ``code``."""

    def __init__(self, config: DecoderConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "n_codes": In(config.slot_bits),
                "codes": In(data.ArrayLayout(config.slot_bits, config.lanes)),
                "values": Out(data.ArrayLayout(config.value_bits, config.lanes)),
                "hits": Out(config.lanes),
                "write": In(1),
                "write_addr": In(config.code_addr_bits),
                "write_data": In(config.value_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for lane in range(self.config.lanes):
            memory = Memory(shape=self.config.value_bits, depth=1 << len(self.write_addr), init=[])
            m.submodules[f"memory_{lane}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(self.write),
                write.addr.eq(self.write_addr),
                write.data.eq(self.write_data),
                read.en.eq(self.en & ~self.write),
                read.addr.eq(self.codes[lane]),
                self.values[lane].eq(read.data),
            ]
            with m.If(self.en):
                m.d.sync += self.hits[lane].eq(self.codes[lane] < self.n_codes)
        return m


class OutputBuffer(wiring.Component):
    """Two entries that cut the ready path: ``i.ready`` is a register, and no beat is lost behind it."""

    def __init__(self, shape: Any):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        """``spare`` takes the beat that arrives in the cycle in which the sink stops."""
        m = Module()
        spare = Signal.like(self.i.payload)
        spare_full = Signal()
        m.d.comb += self.i.ready.eq(~spare_full)
        with m.If(self.o.ready | ~self.o.valid):
            with m.If(spare_full):
                m.d.sync += [self.o.payload.eq(spare), self.o.valid.eq(1), spare_full.eq(0)]
            with m.Else():
                m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [spare.eq(self.i.payload), spare_full.eq(1)]
        return m


class Unpacker(wiring.Component):
    """Cuts ``n_words`` (at most ``max_words``) 32-bit words into items of ``width`` bits, low bits first.

    ``start`` begins a section and drops what was left of the one before.  An item on ``item`` is
    there for one cycle while ``item_valid`` is high; nobody may stall it.  ``done`` is high when every
    word was taken and every item was given.  Items come one a clock, or as fast as the words do.
    """

    def __init__(self, width: int, max_words: int):
        self.width = width
        super().__init__(
            {
                "start": In(1),
                "n_words": In(range(max_words + 1)),
                "i": In(stream.Signature(32)),
                "item": Out(width),
                "item_valid": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``count`` units of ``unit`` bits wait in ``bits``; ``kept`` of them are left after this cycle's item."""
        m = Module()
        unit = gcd(self.width, 32)
        per_item, per_word = self.width // unit, 32 // unit
        bits = Signal((per_item - 1 + per_word) * unit)
        count = Signal(range(per_item + per_word))
        kept = Signal.like(count)
        words_left = Signal.like(self.n_words)
        any_left = Signal()

        m.d.comb += [
            self.item.eq(bits[: self.width]),
            self.item_valid.eq(count >= per_item),
            kept.eq(Mux(self.item_valid, count - per_item, count)),
            any_left.eq(words_left != 0),
            self.i.ready.eq(any_left & (kept < per_item)),
            self.done.eq(~any_left & ~self.item_valid),
        ]
        rest = Mux(self.item_valid, bits[self.width :], bits)
        m.d.sync += [bits.eq(rest), count.eq(kept)]
        with m.If(self.i.valid & self.i.ready):
            with m.Switch(kept):
                for k in range(per_item):
                    with m.Case(k):
                        m.d.sync += bits.eq(Cat(rest[: k * unit], self.i.payload))
            m.d.sync += [count.eq(kept + per_word), words_left.eq(words_left - 1)]
        with m.If(self.start):
            m.d.sync += [count.eq(0), words_left.eq(self.n_words)]
        return m
