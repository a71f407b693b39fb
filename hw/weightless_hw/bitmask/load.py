"""Loading: the payload's words are told apart, masks from codes, and checked."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weightless_hw.bitmask import stages
from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.frame import descriptor_layout, to_bits
from weightless_hw.parts.items import Skid
from weightless_hw.registers import LoadError
from weightless_sw.spec.bitmask import MASK_BITS
from weightless_sw.spec.hash import WORD_BITS

PLACE_BITS = (WORD_BITS - 1).bit_length()  # of a bit in a word


class MaskReader(wiring.Component):
    """Takes the payload's words: a mask, then as many code words as its set bits call for, and so on.

    What is wrong with a word is said when all blocks before are looked at: whose codes name no value, they come first.

    Parameters
    ----------
    config : BitmaskConfig
        The width of a code.

    Attributes
    ----------
    start : unsigned(1), in
        Begins the layer of ``fields``.
    abort : unsigned(1), in
        Ends it.
    fields : descriptor_layout(BitmaskGeometry), in
        The layer's.
    i : Stream(32), in
        The payload's words.
    ended : unsigned(1), in
        No other will come.
    mask : Stream(32), out
        Mask words.
    code : Stream(32), out
        Code words.
    block_done : unsigned(1), out
        With this word a block is whole.
    looked_at : unsigned(1), in
        So is every block that was.
    names_none : unsigned(1), in
        A code of a whole block names no value.
    starved : unsigned(1), out
        Nothing can be done before another word comes.
    done : unsigned(1), out
        The last block was taken whole, and is looked at.
    faults : unsigned(len(config.errors())), out
        What is wrong with the words, for a cycle.
    """

    def __init__(self, config: BitmaskConfig):
        self.config, t = config, config.slot_bits
        self.skid = Skid(WORD_BITS)
        # A word whose bytes' bits are counted, then all; how many bits of codes they call for; a bit of no weight.
        self.waiting, self.word = (
            Signal(WORD_BITS, name=name, reset_less=True) for name in ("waiting", "word")
        )
        self.waits, self.has_word = Signal(), Signal()
        self.n_set = Signal(range(MASK_BITS + 1), reset_less=True)
        self.called = Signal(range(MASK_BITS * t + 1), reset_less=True)
        self.outside, self.tail_mask = Signal(reset_less=True), Signal(MASK_BITS, reset_less=True)
        # Code words that are still to come for the block; bits of the last one that belong to blocks behind.
        self.left, self.spare = Signal(range(MASK_BITS * t // WORD_BITS + 2)), Signal(PLACE_BITS)
        # The next mask is the last, or the one before was; words are wanted, the last one came, and it was looked at.
        self.is_last, self.was_last = Signal(reset_less=True), Signal()
        self.running, self.at_end, self.whole = Signal(), Signal(), Signal()
        self.takes_mask, self.takes_code, self.pads = Signal(), Signal(), Signal()
        super().__init__(
            {
                "start": In(1),
                "abort": In(1),
                "fields": In(descriptor_layout(config.GEOMETRY)),
                "i": In(stream.Signature(32)),
                "ended": In(1),
                "mask": Out(stream.Signature(32)),
                "code": Out(stream.Signature(32)),
                "block_done": Out(1),
                "looked_at": In(1),
                "names_none": In(1),
                "starved": Out(1),
                "done": Out(1),
                "faults": Out(len(config.errors())),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A word's set bits are counted before it is known for a mask."""
        m = Module()
        m.submodules.skid = self.skid
        connect(m, flipped(self.i), self.skid.i)
        is_mask, more = Signal(), Signal()
        wanted = self.has_word & self.running
        m.d.comb += [
            is_mask.eq(self.left == 0),
            self.mask.payload.eq(self.word),
            self.code.payload.eq(self.word),
            self.mask.valid.eq(wanted & is_mask & ~self.pads),
            self.code.valid.eq(wanted & ~is_mask),
            self.takes_mask.eq(wanted & is_mask & (self.mask.ready | self.pads)),
            self.takes_code.eq(self.code.valid & self.code.ready),
            self.pads.eq(self.is_last & self.outside),
            more.eq(self.called > self.spare),
            self.block_done.eq((self.takes_mask & ~more & ~self.pads) | (self.takes_code & (self.left == 1))),
        ]
        self._count(m)
        with m.If(self.takes_mask):
            words = (self.called - self.spare + WORD_BITS - 1)[PLACE_BITS:]
            m.d.sync += [self.left.eq(Mux(more, words, 0)), self.spare.eq(self.spare - self.called)]
        with m.If(self.takes_code):
            m.d.sync += self.left.eq(self.left - 1)
        self._count_blocks(m)
        with m.If(self.block_done & Mux(self.takes_mask, self.is_last, self.was_last)):
            m.d.sync += [self.running.eq(0), self.at_end.eq(1)]
        with m.If(self.at_end):
            m.d.sync += [self.at_end.eq(0), self.whole.eq(1)]
        with m.If(self.start):
            m.d.sync += [self.running.eq(1), self.left.eq(0), self.spare.eq(0)]
            m.d.sync += [one.eq(0) for one in (self.whole, self.at_end, self.waits, self.has_word)]
        self._check(m, self._found(m))
        return m

    def _count(self, m: Module) -> None:
        """The bits of a word, in two cycles."""
        came, moves = self.skid.o, Signal()
        m.d.comb += [
            moves.eq(~self.has_word | self.takes_mask | self.takes_code),
            came.ready.eq(~self.waits | moves),
            self.skid.clear.eq(self.start),
        ]
        by_byte = Signal(data.ArrayLayout(4, WORD_BITS // 8), reset_less=True)
        with m.If(came.ready):
            m.d.sync += [self.waits.eq(came.valid), self.waiting.eq(came.payload)]
            m.d.sync += [by_byte[k].eq(stages.n_set(came.payload.word_select(k, 8))) for k in range(4)]
        n_set = (by_byte[0] + by_byte[1]) + (by_byte[2] + by_byte[3])
        with m.If(moves):
            m.d.sync += [
                self.has_word.eq(self.waits),
                self.word.eq(self.waiting),
                self.n_set.eq(n_set),
                self.called.eq(self.config.slot_bits * n_set),
                self.outside.eq((self.waiting & self.tail_mask).any()),
            ]

    def _count_blocks(self, m: Module) -> None:
        """Which mask is the last, and which of its bits are no weight's."""
        n_weights, low = self.fields.n_weights, (MASK_BITS - 1).bit_length()
        blocks = Signal(32 - low + 1, reset_less=True)
        tail = n_weights[:low]
        with m.If(self.start):
            m.d.sync += [
                blocks.eq(n_weights[low:] + (tail != 0)),
                self.is_last.eq(n_weights <= MASK_BITS),
                self.was_last.eq(0),
                self.tail_mask.eq(Mux(tail == 0, 0, Const(~0, MASK_BITS) << tail)),
            ]
        with m.Elif(self.takes_mask):
            m.d.sync += [
                blocks.eq(blocks - 1),
                self.is_last.eq(blocks == 2),
                self.was_last.eq(self.is_last),
            ]

    def _found(self, m: Module) -> dict[LoadError, Value]:
        """What is wrong with a mask, and with the last code word and the number of set bits in the end."""
        set_left, last_word = Signal(32, reset_less=True), Signal(WORD_BITS, reset_less=True)
        with m.If(self.start):
            m.d.sync += set_left.eq(self.fields.n_nonzero)
        with m.Elif(self.takes_mask):
            m.d.sync += set_left.eq(set_left - self.n_set)
        with m.If(self.takes_code):
            m.d.sync += last_word.eq(self.word)
        behind = Cat(last_word[WORD_BITS - k] & (self.spare >= k) for k in range(1, WORD_BITS))
        return {
            LoadError.PADDING: (self.takes_mask & self.pads) | (self.at_end & behind.any()),
            LoadError.COVER: self.at_end & (set_left != 0),
        }

    def _check(self, m: Module, found: dict[LoadError, Value]) -> None:
        """What is wrong waits until every block before is looked at."""
        n = len(self.faults)
        pending, waits, starved = Signal(n), Signal(), Signal()
        no_word = ~self.has_word & ~self.waits & ~self.skid.o.valid
        begun = self.running | self.whole
        m.d.sync += starved.eq(begun & no_word & self.looked_at & ~pending.any())
        m.d.comb += [
            waits.eq(starved & no_word),  # since a cycle ago, and still
            self.starved.eq(waits),
            self.done.eq(self.whole & waits & ~self.names_none & ~pending.any()),
        ]
        missing, unasked = self.running & no_word & self.ended, self.whole & self.has_word
        wrong = to_bits(self.config, found | {LoadError.WORDS: missing | unasked})
        none = to_bits(self.config, {LoadError.ENTRY: 1})
        report = Signal(n)
        with m.If(self.names_none):
            m.d.comb += report.eq(none)
        with m.Elif(self.looked_at):
            m.d.comb += report.eq(pending)
        with m.If(~pending.any()):
            m.d.sync += pending.eq(wrong)
            with m.If(wrong.any()):
                m.d.sync += self.running.eq(0)
        m.d.sync += self.faults.eq(report)
        with m.If(report.any() | self.abort | self.start):
            m.d.sync += pending.eq(0)
        with m.If(report.any() | self.abort):
            m.d.sync += [self.running.eq(0), self.whole.eq(0), self.at_end.eq(0)]
