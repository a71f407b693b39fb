"""Components and signals that decoders of all layouts share.

Terms.  A *beat* is one transfer of ``lanes`` weights.  A pipeline is *held* while its output buffer is
not ready: its parts know no stall, each stands under an ``EnableInserter``.  Parts with a memory take the
enable as a port instead, for the read side only: a write enable that waits for it, too, costs 140 LUT4 at
8 lanes, and nothing is written while a beat waits.  Registers that a reset need not clear, since nobody looks at
them before they are written, have none (``reset_less``): on an ASIC it is a gate each.
Ports are described as ``amaranth.lib`` does it: name, shape, direction, meaning.
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
WORD_LAYOUT = data.StructLayout({"data": 32, "last": 1})  # of a record, on its way in


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


def delayed(
    m: Module, en: Value, value: Value, n_stages: int, name: str, *, reset_less: bool = True
) -> Value:
    """``value`` behind ``n_stages`` registers that hold while ``en`` is low."""
    for k in range(n_stages):
        register = Signal(len(value), name=f"{name}_{k}", reset_less=reset_less)
        with m.If(en):
            m.d.sync += register.eq(value)
        value = register
    return value


class HashRounds(wiring.Component):
    """Rounds of the hash, pipelined.

    Parameters
    ----------
    n_rounds : int
        Rounds in all.
    per_stage : int
        Rounds between two registers; a last, shorter stage has a register, too.

    Attributes
    ----------
    i : WORDS, in
        The state before the first round.
    o : WORDS, out
        The state after the last round, ceil(n_rounds / per_stage) cycles later.
    """

    def __init__(self, n_rounds: int, per_stage: int):
        self.n_rounds = n_rounds
        self.per_stage = per_stage
        super().__init__({"i": In(WORDS), "o": Out(WORDS)})

    def elaborate(self, platform: Any) -> Module:
        """A *state* is three words; ``x_k``, ``y_k``, ``z_k`` are those behind round k, registers or not.

        A signal per round: nested expressions would grow with the power of the rounds.
        """
        m = Module()
        state: tuple[Any, Any, Any] = (self.i[0], self.i[1], self.i[2])
        for k in range(1, self.n_rounds + 1):
            state = mix_round(*state, rotate, shift)
            behind = [Signal(WORD_BITS, name=f"{word}_{k}", reset_less=True) for word in "xyz"]
            domain = m.d.sync if k % self.per_stage == 0 or k == self.n_rounds else m.d.comb
            domain += [signal.eq(word) for signal, word in zip(behind, state, strict=True)]
            state = (behind[0], behind[1], behind[2])
        m.d.comb += [self.o[k].eq(word) for k, word in enumerate(state)]
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


class Codebook(wiring.Component):
    """Compare and look up: one memory per lane, all with the same entries.

    Parameters
    ----------
    config : DecoderConfig
        Lanes, slot bits, value bits, and the number of entries.

    Attributes
    ----------
    en : unsigned(1), in
        Looks up; ``values`` and ``hits`` hold while it is low.
    n_codes : unsigned(slot_bits), in
        K; a code below it is a hit.
    codes : ArrayLayout(slot_bits, lanes), in
        A code per lane.
    values : ArrayLayout(value_bits, lanes), out
        The entry of each code, a cycle later; of no meaning where the code is no hit.
    hits : unsigned(lanes), out
        Which codes were hits, a cycle later.
    write : unsigned(1), in
        Writes ``write_data`` into entry ``write_addr`` of every memory; lookups wait meanwhile.
    write_addr : unsigned(code_addr_bits), in
        Entry that is written.
    write_data : unsigned(value_bits), in
        What is written.
    """

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
        """The memories' own output registers, and the hits delayed beside them, are the one stage."""
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
        hits = Cat(code < self.n_codes for code in self.codes)
        m.d.comb += self.hits.eq(delayed(m, self.en, hits, 1, "hit"))
        return m


class OutputBuffer(wiring.Component):
    """Two entries that cut the ready path: no beat is lost, and no input reaches an output in the same cycle.

    Parameters
    ----------
    shape : ShapeLike
        Shape of a beat.

    Attributes
    ----------
    i : Stream(shape), in
        Beats of the pipeline; ``i.ready`` is a register, and low for as long as the spare entry is full.
    o : Stream(shape), out
        The same beats, ``valid`` and ``payload`` registers.
    """

    def __init__(self, shape: Any):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        """``first`` is what is offered; ``spare`` takes the beat that arrives as the sink stops."""
        m = Module()
        first = Signal.like(self.o.payload, reset_less=True)
        spare = Signal.like(self.i.payload, reset_less=True)
        spare_full = Signal()
        m.d.comb += [self.i.ready.eq(~spare_full), self.o.payload.eq(first)]
        with m.If(self.o.ready | ~self.o.valid):
            with m.If(spare_full):
                m.d.sync += [first.eq(spare), self.o.valid.eq(1), spare_full.eq(0)]
            with m.Else():
                m.d.sync += [first.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [spare.eq(self.i.payload), spare_full.eq(1)]
        return m


class Unpacker(wiring.Component):
    """Cuts a section's 32-bit words into items, low bits first: one a clock, or as fast as the words do.

    Parameters
    ----------
    width : int
        Bits of an item.
    max_words : int
        Words of the longest section.

    Attributes
    ----------
    start : unsigned(1), in
        Begins a section, and drops what was left of the one before.
    n_words : range(max_words + 1), in
        Words of the section that ``start`` begins.
    i : Stream(32), in
        The words.
    item : unsigned(width), out
        An item, there for one cycle; nobody may stall it.
    item_valid : unsigned(1), out
        Whether there is one.
    done : unsigned(1), out
        Every word was taken and every item was given.
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
        bits = Signal((per_item - 1 + per_word) * unit, reset_less=True)
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
