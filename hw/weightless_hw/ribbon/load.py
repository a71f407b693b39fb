"""Loading: the payload's words become the window's words and the entries that move it, chunk after chunk."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weightless_hw.frame import descriptor_layout, to_bits
from weightless_hw.parts.items import Items, Skid
from weightless_hw.registers import STREAM_ERRORS, LoadError
from weightless_hw.ribbon.config import RibbonConfig
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.hash import WORD_BITS

BLOCK_LOG2 = (spec.BLOCK_WORDS - 1).bit_length()
SLOT_BITS = (spec.WORD_SLOTS - 1).bit_length()
ADVANCE_BITS = spec.ENTRY_BITS - spec.GROUPS_BITS
FIRST_BLOCKS = spec.WINDOW // spec.BLOCK_WORDS  # they come before any entry
# Groups are counted in *units*, of which a segment has a whole number.
UNIT_LOG2 = (spec.UNIT * spec.LANES - 1).bit_length()  # weights
ENTRY_UNITS = (spec.entry_groups((1 << spec.GROUPS_BITS) - 1) // spec.UNIT).bit_length()
CHUNK_UNITS = spec.MAX_CHUNK_LOG2 - UNIT_LOG2
LAYER_UNITS = WORD_BITS - UNIT_LOG2

HEADER = data.StructLayout(
    {
        "odd_words": BLOCK_LOG2,
        "blocks": spec.WORDS_FIELD - BLOCK_LOG2,
        "entries": spec.ENTRIES_FIELD,
        "step": spec.STEP_FIELD,
    }
)
RAW_ENTRY = data.StructLayout(
    {"mantissa": spec.MANTISSA_BITS, "exponent": spec.EXPONENT_BITS, "advance": ADVANCE_BITS}
)
# A segment: over so many units the window moves by ``advance`` words, or it is dead.
ENTRY = data.StructLayout({"units": ENTRY_UNITS, "advance": ADVANCE_BITS})


def write_layout(config: RibbonConfig) -> data.StructLayout:
    """A write into the window: one slot of four words, of the lower or the upper columns of a half of the ring."""
    return data.StructLayout(
        {"columns": FIRST_BLOCKS, "half": 1, "slot": SLOT_BITS, "slots": config.item_bits}
    )


class EntryReader(wiring.Component):
    """Compares the entries of a pair, a clock each, and keeps them until they are taken.

    Parameters
    ----------
    None

    Attributes
    ----------
    clear : unsigned(1), in
        Drops what is kept; a chunk begins.
    last_unit : unsigned(CHUNK_UNITS), in
        Units of the chunk, less one, read while ``clear`` is high.
    take : unsigned(1), in
        ``raw`` is an entry.
    raw : RAW_ENTRY, in
        An entry as it is stored; nothing may be kept when the first of a pair comes.
    wrong : unsigned(1), out
        The entry that came a clock before is none that an encoder writes.
    advance : unsigned(ADVANCE_BITS), out
        By how many words it moves the window.
    uncovered : unsigned(1), out
        Units are left that no entry covers, of those up to the one that came two clocks before.
    kept : unsigned(1), out
        An entry waits.
    o : Stream(ENTRY), out
        The entries.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "clear": In(1),
                "last_unit": In(CHUNK_UNITS),
                "take": In(1),
                "raw": In(RAW_ENTRY),
                "wrong": Out(1),
                "advance": Out(ADVANCE_BITS),
                "uncovered": Out(1),
                "kept": Out(1),
                "o": Out(stream.Signature(ENTRY)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``entry`` *came*; ``left`` units have no entry yet, less one.  ``full`` has the bit
        of each that waits."""
        m = Module()
        came, odd, entry = Signal(), Signal(reset_less=True), Signal(ENTRY, reset_less=True)
        left = Signal(signed(ENTRY_UNITS + 1), reset_less=True)
        waiting = [Signal(ENTRY, name=f"waiting_{k}", reset_less=True) for k in range(2)]
        full = Signal(2)
        self._decode(m, entry, odd)
        m.d.sync += came.eq(self.take)
        m.d.comb += [
            self.wrong.eq(came & (odd | left[-1])),
            self.advance.eq(Mux(entry.advance == spec.DEAD, 0, entry.advance)),
            self.uncovered.eq(~left[-1]),
            self.kept.eq(full.any()),
            self.o.valid.eq(full.any()),
            self.o.payload.eq(Mux(full[0], waiting[0], waiting[1])),
        ]
        second = Signal()
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += full.eq(full & Cat(0, full[0]))
        with m.If(self.clear | came):
            m.d.sync += left.eq(Mux(self.clear, self.last_unit, left - entry.units))
        with m.If(came):
            m.d.sync += second.eq(~second)
            for k in range(2):
                with m.If(second == k):
                    m.d.sync += [waiting[k].eq(entry), full[k].eq(1)]
        with m.If(self.clear):
            m.d.sync += [full.eq(0), second.eq(0)]
        return m

    def _decode(self, m: Module, entry: Any, odd: Value) -> None:
        """The units are a small float; none, or fewer groups than words, is *odd*."""
        raw = self.raw
        small = raw.exponent == 0
        whole = Mux(small, raw.mantissa, Cat(raw.mantissa, 1) << (raw.exponent - 1)[: spec.EXPONENT_BITS])
        more_words = (raw.advance != spec.DEAD) & (raw.advance > spec.UNIT * raw.mantissa)
        with m.If(self.take):
            m.d.sync += [
                entry.units.eq(whole),
                entry.advance.eq(raw.advance),
                odd.eq(small & ((raw.mantissa == 0) | more_words)),
            ]


class State(enum.Enum, shape=7):
    """What the reader of chunks does.  A bit each: the handshakes wait for no decoder."""

    IDLE = 0  # nothing: no layer is under way
    HEAD = 1 << 0  # waits for a header, and until the chunk before is read
    BEGIN = 1 << 1  # compares it
    BLOCKS = 1 << 2  # takes the words that were called for
    PAIR = 1 << 3  # takes a pair of entries
    ENTRIES = 1 << 4  # compares them, one after the other, and calls for words
    END = 1 << 5  # compares what the chunk left
    DONE = 1 << 6  # the last chunk is whole


class ChunkReader(wiring.Component):
    """Takes the payload's words: headers, blocks of four words, pairs of entries; checks what the specification asks.

    Words behind a chunk's last one are zeros that nobody sends: they are written as the others are.

    Parameters
    ----------
    config : RibbonConfig
        The width of a slot.

    Attributes
    ----------
    start : unsigned(1), in
        Begins the layer of ``fields``.
    abort : unsigned(1), in
        Ends it.
    fields : descriptor_layout(RibbonGeometry), in
        The layer's.
    i : Stream(32), in
        The payload's words.
    ended : unsigned(1), in
        No other will come.
    unit : unsigned(LAYER_UNITS), in
        Number of the next unit of groups.
    final : unsigned(LAYER_UNITS), in
        Of the layer's last one.
    active : unsigned(1), in
        Groups of the chunk are still to be issued.
    quiet : unsigned(1), in
        None is, and none that was is still to read the window.
    freed : range(groups + 1), in
        Words of the window that are read no more.
    begin : unsigned(1), out
        A chunk begins; ``seed`` is its own from the next cycle on.
    mask : unsigned(CHUNK_UNITS), out
        Units of a whole chunk, less one.
    seed : unsigned(16), out
        Of its hash.
    entry : Stream(ENTRY), out
        Its segments.
    write : write_layout(config), out
        What is written into the window.
    block_done : unsigned(1), out
        With this write, four more words are in the window.
    starved : unsigned(1), out
        Nothing can be done before another word comes.
    done : unsigned(1), out
        The last chunk was taken whole.
    faults : unsigned(len(config.errors())), out
        What is wrong with the words, for a cycle.
    """

    def __init__(self, config: RibbonConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "abort": In(1),
                "fields": In(descriptor_layout(config.GEOMETRY)),
                "i": In(stream.Signature(32)),
                "ended": In(1),
                "unit": In(LAYER_UNITS),
                "final": In(LAYER_UNITS),
                "active": In(1),
                "quiet": In(1),
                "freed": In(range(config.groups + 1)),
                "begin": Out(1),
                "mask": Out(CHUNK_UNITS),
                "seed": Out(16),
                "entry": Out(stream.Signature(ENTRY)),
                "write": Out(write_layout(config)),
                "block_done": Out(1),
                "starved": Out(1),
                "done": Out(1),
                "faults": Out(len(config.errors())),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """*Stepping*: a slot of four words goes on, or is dropped where no group is left to read it."""
        m = Module()
        self._signals()
        m.submodules.skid, m.submodules.items, m.submodules.reader = self.skid, self.items, self.reader
        connect(m, flipped(self.i), self.skid.i)
        connect(m, self.reader.o, flipped(self.entry))
        last_item = self._blocks(m) | self._pair(m)
        self._feed(m, last_item)
        header, odd = Signal(HEADER, reset_less=True), Signal(reset_less=True)
        came = data.View(HEADER, self.skid.o.payload)  # what comes in HEAD stays for a cycle
        with m.If(self._is(State.HEAD)):
            m.d.sync += [header.eq(came), odd.eq((came.odd_words != 0) | (came.entries == 0))]
            with m.If(self.quiet & self.skid.o.valid):
                m.d.sync += self.state.eq(State.BEGIN)
        with m.If(self._is(State.BEGIN)):
            m.d.sync += self.state.eq(State.BLOCKS)
        with m.If(self._is(State.BLOCKS) & ~self.block_wanted):
            m.d.sync += self.state.eq(Mux(self.no_entries, State.END, State.PAIR))
        with m.If(self._is(State.ENTRIES)):
            self._entries(m)
        with m.If(self._is(State.END)):
            m.d.sync += self.state.eq(Mux(self.last_chunk, State.DONE, State.HEAD))
        self._begin(m, header)
        self._check(m, odd)
        return m

    def _is(self, state: Any) -> Value:
        """Whether that is what it does."""
        return self.state.as_value()[state.value.bit_length() - 1]

    def _signals(self) -> None:
        """``blocks`` and ``entries`` are those of the chunk that are still to come; ``wanted`` blocks were called for.

        ``room`` words may be written, less those of a block; ``surplus`` ones were called for by nobody.
        """
        self.state = Signal(State)
        self.skid, self.items, self.reader = Skid(WORD_BITS), Items(self.config.item_bits), EntryReader()
        self.blocks, self.no_blocks, self.one_block = Signal(HEADER["blocks"].shape), Signal(), Signal()
        self.entries, self.no_entries, self.one_pair = Signal(HEADER["entries"].shape), Signal(), Signal()
        self.wanted, self.block_wanted = Signal(6), Signal()
        self.surplus, self.last_chunk = Signal(BLOCK_LOG2), Signal()
        self.room = Signal(signed(BLOCK_LOG2 + self.config.RING_WORDS.bit_length()))
        self.slot, self.block = Signal(SLOT_BITS), Signal(2)
        self.pair = Signal(self.config.pair_items * self.config.item_bits)
        self.step, self.two = Signal(2), Signal()  # of comparing a pair, which has two entries or one
        self.found = {error: Signal(name=str(error.name).lower()) for error in STREAM_ERRORS}

    def _begin(self, m: Module, header: Any) -> None:
        """A chunk's own sizes.  Whether it is the last one, its first unit says."""
        is_last = Signal(reset_less=True)
        chunk_log2 = self.fields.chunk_log2[: spec.MAX_CHUNK_LOG2.bit_length()]  # a larger one is refused
        with m.If(self.start):
            m.d.sync += [
                self.state.eq(State.HEAD),
                self.mask.eq(Cat(chunk_log2 > bit + UNIT_LOG2 for bit in range(CHUNK_UNITS))),
            ]
        # As wide as a number, of which all bits are compared.
        within = Cat(self.mask, Const(0, LAYER_UNITS - CHUNK_UNITS))
        with m.If(self._is(State.HEAD)):  # where it waits until no unit is under way any more
            m.d.sync += is_last.eq(((self.unit ^ self.final) & ~within) == 0)
        m.d.comb += [
            self.begin.eq(self._is(State.BEGIN)),
            self.skid.clear.eq(self.start),
            self.items.clear.eq(self.begin),
            self.reader.clear.eq(self.begin),
            self.reader.last_unit.eq(Mux(is_last, self.final[:CHUNK_UNITS] & self.mask, self.mask)),
        ]
        with m.If(self.begin):
            m.d.sync += [
                self.seed.eq(self.fields.seed + header.step),
                self.blocks.eq(header.blocks),
                self.no_blocks.eq(header.blocks == 0),
                self.one_block.eq(header.blocks == 1),
                self.entries.eq(header.entries),
                self.no_entries.eq(0),
                self.one_pair.eq(header.entries <= 2),
                self.last_chunk.eq(is_last),
                self.wanted.eq(FIRST_BLOCKS),
                self.surplus.eq(0),
                self.room.eq(self.config.RING_WORDS - spec.BLOCK_WORDS),
                self.slot.eq(0),
                self.block.eq(0),
            ]

    def _feed(self, m: Module, last_item: Value) -> None:
        """Words go to the items as long as the chunk has others, behind which the next header comes."""
        streams = self._is(State.BLOCKS) | self._is(State.PAIR) | self._is(State.ENTRIES)
        feed, item = Signal(), self.items.o.valid
        m.d.comb += [
            feed.eq(streams & ~(self.no_blocks & self.no_entries) & ~(last_item & item)),
            self.items.i.payload.eq(self.skid.o.payload),
            self.items.i.valid.eq(feed & self.skid.o.valid),
            self.skid.o.ready.eq((feed & self.items.i.ready) | (self._is(State.HEAD) & self.quiet)),
        ]
        waits = (self.block_wanted | self._is(State.PAIR)) & ~item
        between = self._is(State.HEAD) | self._is(State.DONE)
        starved = Signal()
        m.d.sync += starved.eq((waits | between) & ~self.skid.o.valid)
        m.d.comb += [
            self.starved.eq(starved & ~self.skid.o.valid),  # since a cycle ago, and still
            self.done.eq(self._is(State.DONE) & ~self.skid.o.valid),
        ]

    def _blocks(self, m: Module) -> Value:
        """Takes blocks and writes them, zeros behind the last one; whether the item is the chunk's last."""
        has_room, is_zero, takes, steps, ends = (
            Signal(name=name) for name in ("has_room", "is_zero", "takes", "steps", "ends")
        )
        m.d.comb += [
            self.block_wanted.eq(self._is(State.BLOCKS) & (self.wanted != 0) & ~self.no_blocks),
            has_room.eq(self.room >= 0),
            is_zero.eq(self.no_blocks & self.active & has_room),
            takes.eq(self.block_wanted & self.items.o.valid & (has_room | ~self.active)),
            steps.eq(takes | is_zero),
            ends.eq(steps & self.slot.all()),
        ]
        written = ends & has_room  # a block of four words
        low = Cat(self.freed, Const(0, BLOCK_LOG2))[:BLOCK_LOG2]
        freed_less_block = Cat(low, written, written).as_signed()  # fewer than four are freed: no carry
        with m.If(steps):
            m.d.sync += [
                self.write.half.eq(self.block[1]),
                self.write.slot.eq(self.slot),
                self.write.slots.eq(self.items.o.payload),
            ]
        with m.If(is_zero):
            m.d.sync += self.write.slots.eq(0)
        m.d.sync += [
            self.write.columns.eq(Mux(steps & has_room, Cat(~self.block[0], self.block[0]), 0)),
            self.block_done.eq(written),
            self.slot.eq(self.slot + steps),
            self.block.eq(self.block + ends),
            self.room.eq(self.room + freed_less_block),
        ]
        with m.If(takes & self.slot.all()):
            m.d.sync += [
                self.blocks.eq(self.blocks - 1),
                self.no_blocks.eq(self.one_block),
                self.one_block.eq(self.blocks == 2),
                self.wanted.eq(self.wanted - 1),
            ]
        with m.If(takes):
            m.d.comb += self.items.o.ready.eq(1)
        return self.block_wanted & self.slot.all() & self.one_block & self.no_entries

    def _pair(self, m: Module) -> Value:
        """Takes the items of a pair; whether the item is the chunk's last."""
        nth = Signal(range(self.config.pair_items + 1))
        is_last = nth == self.config.pair_items - 1
        takes, first = Signal(), Signal()  # an item; the first entry is behind it
        m.d.comb += takes.eq(self._is(State.PAIR) & self.items.o.valid & ~self.reader.kept)
        m.d.comb += first.eq(self._is(State.ENTRIES) & (self.step == 0))
        item = Cat(self.pair, self.items.o.payload)[self.config.item_bits :]
        with m.If(takes | first):  # one enable, which gates its clock
            m.d.sync += self.pair.eq(Mux(first, self.pair >> spec.ENTRY_BITS, item))
        with m.If(takes):
            m.d.comb += self.items.o.ready.eq(1)
            m.d.sync += nth.eq(nth + 1)
            with m.If(is_last):
                m.d.sync += [
                    self.state.eq(State.ENTRIES),
                    nth.eq(0),
                    self.step.eq(0),
                    self.reader.take.eq(1),
                    self.two.eq(self.entries > 1),
                    self.entries.eq(self.entries - 2),
                    self.no_entries.eq(self.one_pair),
                    self.one_pair.eq(self.entries <= 4),
                ]
        with m.If(self.begin):
            m.d.sync += nth.eq(0)
        return self._is(State.PAIR) & is_last & self.one_pair & self.no_blocks

    def _entries(self, m: Module) -> None:
        """The first entry, the second if there is one, what they call for; a clock each."""
        words = Signal(
            range(2 * spec.MAX_ADVANCE + spec.BLOCK_WORDS)
        )  # with the block's that is begun, less one
        padded = Signal(reset_less=True)
        advance = Mux(self.two | (self.step == 1), self.reader.advance, 0)
        m.d.sync += self.step.eq(self.step + 1)
        m.d.comb += self.reader.raw.eq(self.pair[: spec.ENTRY_BITS])
        with m.Switch(self.step):
            with m.Case(0):
                m.d.sync += [
                    self.reader.take.eq(self.two),
                    words.eq(~self.surplus),  # three less those
                ]
            with m.Case(1):
                behind = self.pair >> spec.ENTRY_BITS
                m.d.sync += [
                    self.reader.take.eq(0),
                    words.eq(words + advance),
                    padded.eq(Mux(self.two, behind, self.pair).any()),
                ]
            with m.Case(2):
                m.d.comb += self.found[LoadError.PADDING].eq(padded)
                m.d.sync += words.eq(words + advance)
            with m.Case(3):
                m.d.sync += [
                    self.wanted.eq(words[BLOCK_LOG2:]),
                    self.surplus.eq(~words[:BLOCK_LOG2]),
                    self.state.eq(State.BLOCKS),
                ]

    def _check(self, m: Module, odd: Value) -> None:
        """What is wrong, which ends the work; a register before it goes out.  The header may be *odd*."""
        at_end, is_done = self._is(State.END), self._is(State.DONE)
        missing = self.starved & self.ended & ~is_done
        m.d.comb += [
            self.found[LoadError.HEADER].eq(self.begin & odd),
            self.found[LoadError.ENTRY].eq(self.reader.wrong),
            self.found[LoadError.COVER].eq(at_end & self.reader.uncovered),
            self.found[LoadError.WORDS].eq(
                (at_end & ~self.no_blocks) | missing | (is_done & self.skid.o.valid)
            ),
        ]
        with m.If(at_end):
            m.d.comb += self.found[LoadError.PADDING].eq(self.items.any)
        fault = to_bits(self.config, self.found)
        m.d.sync += self.faults.eq(fault)
        with m.If(self.abort | fault.any()):
            m.d.sync += [self.state.eq(State.IDLE), self.reader.take.eq(0)]
