"""Stages that the ribbon alone has: how the window moves, and the window."""

from itertools import product
from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weightless_hw.ribbon.config import RibbonConfig
from weightless_hw.ribbon.load import ADVANCE_BITS, ENTRY, ENTRY_UNITS, SLOT_BITS, write_layout
from weightless_sw.spec import ribbon as spec

STEPS_BITS = ENTRY_UNITS + (spec.UNIT - 1).bit_length()


def move_layout(config: RibbonConfig) -> data.StructLayout:
    """Of the groups of a beat, or of the one that it is a part of: whether the window moves by a word before each, and
    whether they are dead."""
    return data.StructLayout({"moves": config.groups, "dead": 1})


class Segments(wiring.Component):
    """Walks along the segments of a chunk, the groups of a beat in a clock: how the window moves is known ahead.

    Of a segment of w words over d groups the window has moved floor(q w / d) words before its q-th group: w is added
    up, and whenever the sum reaches d a word is passed.  The sum is zero again at the segment's end.

    Parameters
    ----------
    config : RibbonConfig
        The groups of a beat, one or two.

    Attributes
    ----------
    begin : unsigned(1), in
        A chunk begins.
    i : Stream(ENTRY), in
        Its segments.
    o : Stream(move_layout(config)), out
        Its groups, one after another, and others behind its last one.
    """

    def __init__(self, config: RibbonConfig) -> None:
        self.config = config
        super().__init__(
            {
                "begin": In(1),
                "i": In(stream.Signature(ENTRY)),
                "o": Out(stream.Signature(move_layout(config))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``next_moves``: the window moves before the group that comes next.  Two *steps* wait at most, so that neither
        the taker's ``ready`` nor a segment's end is in series with the sum."""
        m = Module()
        known, last, dead = Signal(), Signal(reset_less=True), Signal(reset_less=True)
        words, left = Signal(ADVANCE_BITS, reset_less=True), Signal(STEPS_BITS, reset_less=True)
        less = Signal(signed(STEPS_BITS + 1), reset_less=True)  # words - groups of the whole segment
        next_moves, steps, loads = Signal(), Signal(), Signal()
        move = Signal(move_layout(self.config))
        groups = self.i.payload.units << (spec.UNIT - 1).bit_length()
        n_steps = groups >> (self.config.groups - 1).bit_length()
        inner, after = self._sum(m, steps & ~dead, words, less)
        m.d.comb += [
            steps.eq(known & self._room(m, steps, move)),
            self.i.ready.eq(~known | (steps & last)),
            loads.eq(self.i.valid & self.i.ready),
            move.moves.eq(Cat(next_moves, inner & ~dead)),
            move.dead.eq(dead),
        ]
        with m.If(steps):
            m.d.sync += next_moves.eq(~dead & after)
        with m.If(self.i.ready):
            m.d.sync += known.eq(loads)
        with m.If(steps | loads):
            m.d.sync += [
                left.eq(Mux(loads, n_steps, left - 1)),
                last.eq(Mux(loads, n_steps == 1, left == 2)),
            ]
        with m.If(loads):
            m.d.sync += [
                words.eq(self.i.payload.advance),
                less.eq(self.i.payload.advance - groups),
                dead.eq(self.i.payload.advance == spec.DEAD),
            ]
        with m.If(self.begin):
            m.d.sync += [known.eq(0), next_moves.eq(0)]
        return m

    def _sum(self, m: Module, adds: Value, words: Value, less: Value) -> tuple[Value, Value]:
        """Whether a word is passed before the second group of a beat, if it has one, and before the next beat.

        All sums that may be the next are made at once: that of two groups does not wait for that of the first.
        """
        total, over = Signal(STEPS_BITS), Signal(signed(STEPS_BITS + 1))
        m.d.comb += over.eq(total + less)
        passes: tuple[Value, Value]
        if self.config.groups == 1:
            following = Mux(over >= 0, over, total + words)
            passes = Const(0, 1), over >= 0
        else:
            once, twice = Signal(signed(STEPS_BITS + 2)), Signal(signed(STEPS_BITS + 2))
            m.d.comb += [once.eq(total + less + words), twice.eq(total + 2 * less)]
            following = Mux(twice >= 0, twice, Mux(once >= 0, once, total + 2 * words))
            passes = over >= 0, Mux(over >= 0, twice >= 0, once >= 0)
        with m.If(adds):
            m.d.sync += total.eq(following)
        with m.If(self.begin):
            m.d.sync += total.eq(0)
        return passes

    def _room(self, m: Module, pushed: Value, move: Any) -> Value:
        """The steps that wait; whether there is room for another."""
        count, taken = Signal(2), Signal()
        waiting, behind = Signal.like(move, reset_less=True), Signal.like(move, reset_less=True)
        m.d.comb += [
            self.o.valid.eq(count != 0),
            self.o.payload.eq(waiting),
            taken.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += count.eq(count + pushed - taken)
        with m.If(pushed):
            m.d.sync += behind.eq(move)
        with m.If(taken | (count == 0)):
            m.d.sync += waiting.eq(Mux(count == 2, behind, move))
        with m.If(self.begin):
            m.d.sync += count.eq(0)
        return ~count[1]


class Position(wiring.Component):
    """Where the window is, and whether the words of the next beat's are there.

    Parameters
    ----------
    config : RibbonConfig
        The groups of a beat.

    Attributes
    ----------
    begin : unsigned(1), in
        A chunk begins: no words are there.
    block_done : unsigned(1), in
        Four more are.
    moves : unsigned(groups), in
        The window moves by a word before each of the groups.
    taken : unsigned(1), in
        The next beat is taken, and has moved it.
    full : unsigned(1), out
        All words of the next beat's windows are there.
    places : ArrayLayout(4, groups), out
        The first of them for each group, in the ring.
    """

    def __init__(self, config: RibbonConfig) -> None:
        self.config = config
        self.place_bits = (config.RING_WORDS - 1).bit_length()
        super().__init__(
            {
                "begin": In(1),
                "block_done": In(1),
                "moves": In(config.groups),
                "taken": In(1),
                "full": Out(1),
                "places": Out(data.ArrayLayout(self.place_bits, config.groups)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """``ahead``: words behind the window as it is; what is asked of it, by the words that the beat moves it, is
        known a cycle ahead."""
        m = Module()
        n_groups = self.config.groups
        before = Signal(self.place_bits)
        ahead, come = Signal(signed(self.place_bits + 1)), Signal(signed(self.place_bits + 1))
        enough, moved = Signal(n_groups + 1), Signal(range(n_groups + 1))
        m.d.comb += [
            *(
                self.places[group].eq(before + sum(self.moves[1 : group + 1], self.moves[0]))
                for group in range(n_groups)
            ),
            moved.eq(sum(self.moves[1:], self.moves[0])),
            self.full.eq(enough.bit_select(moved, 1)),
            come.eq(ahead + Mux(self.block_done, spec.BLOCK_WORDS, 0)),
        ]
        # What is compared does not wait for the beat; which comparison counts does.
        reach = Cat(come >= words for words in range(2 * n_groups + 1))
        m.d.sync += [
            ahead.eq(come - Mux(self.taken, moved, 0)),
            enough.eq((reach >> Mux(self.taken, moved, 0))[: n_groups + 1]),
        ]
        with m.If(self.taken):
            m.d.sync += before.eq(self.places[n_groups - 1])
        with m.If(self.begin):
            m.d.sync += [before.eq(0), ahead.eq(-spec.WINDOW), enough.eq(0)]
        return m


class Window(wiring.Component):
    """The words that a group reads, each lane its own slots of them.

    Parameters
    ----------
    config : RibbonConfig
        Lanes, the width of a slot, and which form it has: memories, or registers.

    Attributes
    ----------
    en : unsigned(1), in
        Reads; ``sums`` hold while it is low.
    rotations : unsigned(ROTATION_BITS * WINDOW), in
        Of the group that reads, for each column.
    halves : unsigned(WINDOW), in
        In which half of the ring its word of each column is.
    part : unsigned(log2(beats)), in
        Which part of the group reads, where a beat is less than a group.
    write : write_layout(config), in
        What is written.
    sums : unsigned(mask_lanes * slot_bits), out
        Of each lane's slots the XOR, a cycle later.
    """

    def __init__(self, config: RibbonConfig) -> None:
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "rotations": In(spec.ROTATION_BITS * spec.WINDOW),
                "halves": In(spec.WINDOW),
                "part": In((config.beats - 1).bit_length()),
                "write": In(write_layout(config)),
                "sums": Out(config.mask_lanes * config.slot_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A lane's part of the group only adds to the rotation: the places of lanes of two parts differ by a number."""
        m = Module()
        lanes, t = self.config.mask_lanes, self.config.slot_bits
        turns = []
        for column in range(spec.WINDOW):
            turn = Signal(SLOT_BITS, name=f"turn_{column}")
            parts = Array(spec.tap(0, part * lanes, column) for part in range(self.config.beats))
            rotation = self.rotations.word_select(column, spec.ROTATION_BITS)
            m.d.comb += turn.eq(rotation + (parts[self.part] if self.config.beats > 1 else 0))
            turns.append(turn)
        read = self._registers if self.config.window_registers else self._memories
        slots = read(m, turns)
        for lane in range(lanes):
            value: Value = Const(0, t)
            for column in range(spec.WINDOW):
                value ^= self._tapped(lane, column, slots)
            with m.If(self.en):
                m.d.sync += self.sums.word_select(lane, t).eq(value)
        return m

    def _taps(self, lane: int, column: int) -> bool:
        """Whether the lane of any part reads the column."""
        lanes = range(lane, spec.LANES, self.config.mask_lanes)
        return any(spec.is_tapped(one, column) for one in lanes)

    def _tapped(self, lane: int, column: int, slots: dict[tuple[int, int], Value]) -> Value:
        """What it reads of it; nothing in the part in which it is the lane that leaves it out."""
        if not self._taps(lane, column):
            return Const(0, self.config.slot_bits)
        value = slots[lane, column]
        part, own_lane = divmod(column, self.config.mask_lanes)
        if own_lane == lane and not spec.is_tapped(column, column):
            value = Mux(self.part == part, 0, value)
        return value

    def _memories(self, m: Module, turns: list[Value]) -> dict[tuple[int, int], Value]:
        """A small memory for each lane and column.  A slot is written into all of them at once, each time to where the
        lane's place puts it, so that the read address is the same for all lanes."""
        t = self.config.slot_bits
        behind = [Signal(SLOT_BITS, name=f"slot_less_{place}") for place in range(spec.WORD_SLOTS)]
        m.d.comb += [less.eq(self.write.slot - place) for place, less in enumerate(behind)]
        slots: dict[tuple[int, int], Value] = {}
        for lane, column in product(range(self.config.mask_lanes), range(spec.WINDOW)):
            if not self._taps(lane, column):
                continue
            m.submodules[f"memory_{lane}_{column}"] = memory = Memory(
                shape=t, depth=self.config.RING_WORDS // spec.WINDOW * spec.WORD_SLOTS, init=[]
            )
            write, read = memory.write_port(), memory.read_port(domain="comb")
            upper, nth = divmod(column, spec.BLOCK_WORDS)
            m.d.comb += [
                write.en.eq(self.write.columns[upper]),
                write.addr.eq(Cat(behind[spec.tap(0, lane, column)], self.write.half)),
                write.data.eq(self.write.slots.word_select(nth, t)),
                read.addr.eq(Cat(turns[column], self.halves[column])),
            ]
            slots[lane, column] = read.data
        return slots

    def _registers(self, m: Module, turns: list[Value]) -> dict[tuple[int, int], Value]:
        """The ring once, in registers that are clocked as they are written; a column's word turns for all lanes."""
        t = self.config.slot_bits
        slots: dict[tuple[int, int], Value] = {}
        for column in range(spec.WINDOW):
            upper, nth = divmod(column, spec.BLOCK_WORDS)
            halves = []
            for half in range(self.config.RING_WORDS // spec.WINDOW):
                word = Signal(spec.WORD_SLOTS * t, name=f"word_{column}_{half}", reset_less=True)
                for slot in range(spec.WORD_SLOTS):
                    here = self.write.columns[upper] & (self.write.half == half) & (self.write.slot == slot)
                    with m.If(here):
                        m.d.sync += word.word_select(slot, t).eq(self.write.slots.word_select(nth, t))
                halves.append(word)
            row: Value = Mux(self.halves[column], halves[1], halves[0])
            for bit in range(SLOT_BITS):
                # A signal per step: nested expressions would grow with the power of the steps.
                step = Signal(spec.WORD_SLOTS * t, name=f"turned_{column}_{bit}")
                m.d.comb += step.eq(Mux(turns[column][bit], row.rotate_right(t << bit), row))
                row = step
            for lane in range(self.config.mask_lanes):
                slots[lane, column] = row.word_select(spec.tap(0, lane, column), t)
        return slots
