"""Stages that the ribbon alone has: how the window moves, and the window."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weightless_hw.ribbon.config import RibbonConfig
from weightless_hw.ribbon.load import ADVANCE_BITS, ENTRY, ENTRY_UNITS, SLOT_BITS, write_layout
from weightless_sw.spec import ribbon as spec

GROUPS_BITS = ENTRY_UNITS + (spec.UNIT - 1).bit_length()
MOVE = data.StructLayout(
    {"moves": 1, "dead": 1}
)  # of a group: the window moves by a word before it; it is dead


class Segments(wiring.Component):
    """Walks along the segments of a chunk, a group a clock: how the window moves is known ahead of the beats.

    Of a segment of w words over d groups the window has moved floor(q w / d) words before its q-th group: w is added
    up, and whenever the sum reaches d a word is passed.  The sum is zero again at the segment's end.

    Parameters
    ----------
    None

    Attributes
    ----------
    begin : unsigned(1), in
        A chunk begins.
    i : Stream(ENTRY), in
        Its segments.
    o : Stream(MOVE), out
        Its groups, one after another, and others behind its last one.
    """

    def __init__(self) -> None:
        super().__init__({"begin": In(1), "i": In(stream.Signature(ENTRY)), "o": Out(stream.Signature(MOVE))})

    def elaborate(self, platform: Any) -> Module:
        """``next_moves``: the window moves before the group that comes next.  Two groups wait at most, so that neither
        the taker's ``ready`` nor a segment's end is in series with the sum."""
        m = Module()
        known, last, dead = Signal(), Signal(reset_less=True), Signal(reset_less=True)
        words, groups = Signal(ADVANCE_BITS, reset_less=True), Signal(GROUPS_BITS, reset_less=True)
        less = Signal(signed(GROUPS_BITS + 1), reset_less=True)  # words - groups of the whole segment
        total, over = Signal(GROUPS_BITS), Signal(signed(GROUPS_BITS + 1))
        next_moves, steps, loads = Signal(), Signal(), Signal()
        group = Signal(MOVE)
        m.d.comb += [
            steps.eq(known & self._room(m, steps, group)),
            self.i.ready.eq(~known | (steps & last)),
            loads.eq(self.i.valid & self.i.ready),
            over.eq(total + less),
            group.moves.eq(next_moves),
            group.dead.eq(dead),
        ]
        with m.If(steps):
            m.d.sync += next_moves.eq(~dead & (over >= 0))
            with m.If(~dead):
                m.d.sync += total.eq(Mux(over >= 0, over, total + words))
        with m.If(self.i.ready):
            m.d.sync += known.eq(loads)
        with m.If(steps | loads):
            of_next = self.i.payload.units << (spec.UNIT - 1).bit_length()
            m.d.sync += [
                groups.eq(Mux(loads, of_next, groups - 1)),
                last.eq(~loads & (groups == 2)),  # a segment has two groups at least
            ]
        with m.If(loads):
            m.d.sync += [
                words.eq(self.i.payload.advance),
                less.eq(self.i.payload.advance - of_next),
                dead.eq(self.i.payload.advance == spec.DEAD),
            ]
        with m.If(self.begin):
            m.d.sync += [known.eq(0), total.eq(0), next_moves.eq(0)]
        return m

    def _room(self, m: Module, pushed: Value, group: Any) -> Value:
        """The groups that wait; whether there is room for another."""
        count, taken = Signal(2), Signal()
        waiting, behind = Signal(MOVE, reset_less=True), Signal(MOVE, reset_less=True)
        m.d.comb += [
            self.o.valid.eq(count != 0),
            self.o.payload.eq(waiting),
            taken.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += count.eq(count + pushed - taken)
        with m.If(pushed):
            m.d.sync += behind.eq(group)
        with m.If(taken | (count == 0)):
            m.d.sync += waiting.eq(Mux(count == 2, behind, group))
        with m.If(self.begin):
            m.d.sync += count.eq(0)
        return ~count[1]


class Position(wiring.Component):
    """Where the window is, and whether the words of the next group's are there.

    Parameters
    ----------
    None

    Attributes
    ----------
    begin : unsigned(1), in
        A chunk begins: no words are there.
    block_done : unsigned(1), in
        Four more are.
    moves : unsigned(1), in
        The window moves by a word before the next group.
    taken : unsigned(1), in
        The next group is taken, and has moved it.
    full : unsigned(1), out
        All words of the next group's window are there.
    place : unsigned(4), out
        The first of them, in the ring.
    """

    def __init__(self, config: RibbonConfig) -> None:
        self.place_bits = (config.RING_WORDS - 1).bit_length()
        super().__init__(
            {
                "begin": In(1),
                "block_done": In(1),
                "moves": In(1),
                "taken": In(1),
                "full": Out(1),
                "place": Out(self.place_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``ahead``: words behind the window as it is; what is asked of it is known a cycle ahead."""
        m = Module()
        before = Signal(self.place_bits)
        ahead, then = Signal(signed(self.place_bits + 2)), Signal(signed(self.place_bits + 2))
        none_missing, one_ahead = Signal(), Signal()
        m.d.comb += [
            self.place.eq(before + self.moves),
            self.full.eq(Mux(self.moves, one_ahead, none_missing)),
            then.eq(ahead + Mux(self.block_done, spec.BLOCK_WORDS, 0) - (self.taken & self.moves)),
        ]
        m.d.sync += [ahead.eq(then), none_missing.eq(then >= 0), one_ahead.eq(then >= 1)]
        with m.If(self.taken):
            m.d.sync += before.eq(self.place)
        with m.If(self.begin):
            m.d.sync += [before.eq(0), ahead.eq(-spec.WINDOW), none_missing.eq(0), one_ahead.eq(0)]
        return m


class Window(wiring.Component):
    """The words that groups read, each lane its own slots of them.

    Parameters
    ----------
    config : RibbonConfig
        The width of a slot.

    Attributes
    ----------
    en : unsigned(1), in
        Reads; ``sums`` hold while it is low.
    rotations : unsigned(ROTATION_BITS * WINDOW), in
        Of the group that reads, for each column.
    halves : unsigned(WINDOW), in
        In which half of the ring its word of each column is.
    write : write_layout(config), in
        What is written.
    sums : ArrayLayout(lanes * slot_bits, 2), out
        Of each lane's slots the XOR, of the lower and of the upper columns, a cycle later.
    """

    def __init__(self, config: RibbonConfig) -> None:
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "rotations": In(spec.ROTATION_BITS * spec.WINDOW),
                "halves": In(spec.WINDOW),
                "write": In(write_layout(config)),
                "sums": Out(data.ArrayLayout(config.lanes * config.slot_bits, 2)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A small memory for each lane and column.  A slot is written into all of them at once, each time to where the
        lane's place puts it, so that the read address is the rotation, the same for all lanes."""
        m = Module()
        config, t = self.config, self.config.slot_bits
        turned = [Signal(SLOT_BITS, name=f"slot_less_{place}") for place in range(spec.WORD_SLOTS)]
        m.d.comb += [less.eq(self.write.slot - place) for place, less in enumerate(turned)]
        for lane in range(config.lanes):
            slots = [[], []]  # type: list[list[Value]]
            for column in range(spec.WINDOW):
                if not spec.is_tapped(lane, column):
                    continue
                m.submodules[f"memory_{lane}_{column}"] = memory = Memory(
                    shape=t, depth=config.RING_WORDS // spec.WINDOW * spec.WORD_SLOTS, init=[]
                )
                write, read = memory.write_port(), memory.read_port(domain="comb")
                upper, nth = divmod(column, spec.BLOCK_WORDS)
                m.d.comb += [
                    write.en.eq(self.write.columns[upper]),
                    write.addr.eq(Cat(turned[spec.tap(0, lane, column)], self.write.half)),
                    write.data.eq(self.write.slots.word_select(nth, t)),
                    read.addr.eq(
                        Cat(self.rotations.word_select(column, spec.ROTATION_BITS), self.halves[column])
                    ),
                ]
                slots[upper].append(read.data)
            for upper, read_slots in enumerate(slots):
                value, *others = read_slots
                for other in others:
                    value = value ^ other
                with m.If(self.en):
                    m.d.sync += self.sums[upper].word_select(lane, t).eq(value)
        return m
