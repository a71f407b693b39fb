"""Stages that the bitmask alone has: masks become beats, and codes find their lanes."""

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weightless_hw.bitmask.config import BitmaskConfig
from weightless_sw.spec.bitmask import MASK_BITS
from weightless_sw.spec.hash import WORD_BITS

LUT_INPUTS = 4


def n_set(bits: Value) -> Value:
    """How many of the bits are set: of four by a table, then in pairs."""
    if len(bits) <= LUT_INPUTS:
        return Value.cast(
            Array(Const(k.bit_count(), LUT_INPUTS.bit_length()) for k in range(1 << len(bits)))[bits]
        )
    half = len(bits) // 2
    return n_set(bits[:half]) + n_set(bits[half:])


def set_before(bits: Value) -> list[Value]:
    """How many bits are set before each place, and in all; halves at once."""
    if len(bits) <= LUT_INPUTS:
        return [Const(0), *(n_set(bits[:k]) for k in range(1, len(bits) + 1))]
    half = len(bits) // 2
    low, high = set_before(bits[:half]), set_before(bits[half:])
    return low + [low[-1] + one for one in high[1:]]


def _rotated(value: Value, place: Value, unit: int) -> Value:
    """``value`` from bit ``unit * place`` on, and then from its first one: a mux for each bit of the place."""
    for k in reversed(range(len(place))):
        value = Mux(place[k], value.rotate_right(unit << k), value)
    return value


def aligned_layout(config: BitmaskConfig) -> data.StructLayout:
    """Codes from a beat's first one on, and how many are before each lane's; what else the beat has."""
    return data.StructLayout(
        {
            "codes": config.lanes * config.slot_bits,
            "before": data.ArrayLayout(config.lanes.bit_length(), config.lanes),
            "dead": config.lanes,
            "last": 1,
            "ends_block": 1,
        }
    )


class Masks(wiring.Component):
    """Masks that wait, and a beat's lanes of the first of them: how many codes lie before each lane's.

    Parameters
    ----------
    config : BitmaskConfig
        Lanes, and how many masks wait.

    Attributes
    ----------
    clear : unsigned(1), in
        Drops what waits.
    i : Stream(32), in
        Mask words.
    has_beat : unsigned(1), out
        There is one.
    go : unsigned(1), in
        It is taken.
    lanes : unsigned(lanes), out
        Which of its weights are not zero.
    before : ArrayLayout(range(lanes), lanes), out
        How many of them lie before each.
    n_set : range(lanes + 1), out
        How many there are.
    used : unsigned(config.units_bits), out
        Units of the code buffer that they take.
    last : unsigned(1), out
        It is its mask's last.
    """

    def __init__(self, config: BitmaskConfig):
        self.config = config
        count_bits = config.lanes.bit_length()
        super().__init__(
            {
                "clear": In(1),
                "i": In(stream.Signature(32)),
                "has_beat": Out(1),
                "go": In(1),
                "lanes": Out(config.lanes),
                "before": Out(data.ArrayLayout(count_bits, config.lanes)),
                "n_set": Out(count_bits),
                "used": Out(config.units_bits),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The first mask is *shifted*, a beat at a time; ``beats`` of it are left, less one."""
        m = Module()
        lanes, n_masks = self.config.lanes, self.config.MASKS
        waiting = Array(Signal(MASK_BITS, name=f"waiting_{k}", reset_less=True) for k in range(n_masks))
        place_in, place_out = Signal(range(n_masks)), Signal(range(n_masks))
        count = Signal(range(n_masks + 1))
        shifted, has_mask = Signal(MASK_BITS, reset_less=True), Signal()
        beats = Signal(range(self.config.block_beats), reset_less=True)
        moves, takes, puts = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(count != n_masks),
            puts.eq(self.i.valid & self.i.ready),
            moves.eq(has_mask & (~self.has_beat | self.go)),  # the next beat of the first mask
            takes.eq((count != 0) & (~has_mask | (moves & (beats == 0)))),
        ]
        with m.If(puts):
            m.d.sync += [waiting[place_in].eq(self.i.payload), place_in.eq(place_in + 1)]
        m.d.sync += count.eq(count + puts - takes)
        with m.If(moves):
            m.d.sync += [shifted.eq(shifted >> lanes), beats.eq(beats - 1), has_mask.eq(beats != 0)]
        with m.If(takes):
            m.d.sync += [
                shifted.eq(waiting[place_out]),
                place_out.eq(place_out + 1),
                has_mask.eq(1),
                beats.eq(self.config.block_beats - 1),
            ]
        sums = set_before(shifted[:lanes])
        with m.If(moves):
            m.d.sync += [
                self.lanes.eq(shifted[:lanes]),
                self.n_set.eq(sums[-1]),
                self.used.eq(sums[-1] * (self.config.slot_bits // self.config.unit)),
                self.last.eq(beats == 0),
                *(self.before[lane].eq(sums[lane]) for lane in range(lanes)),
            ]
        with m.If(moves | self.go):
            m.d.sync += self.has_beat.eq(moves)
        with m.If(self.clear):
            m.d.sync += [count.eq(0), place_in.eq(0), place_out.eq(0), has_mask.eq(0), self.has_beat.eq(0)]
        return m


class Codes(wiring.Component):
    """Codes that wait, of which a beat takes as many as it has.

    Parameters
    ----------
    config : BitmaskConfig
        Lanes, the width of a code, how much waits.

    Attributes
    ----------
    clear : unsigned(1), in
        Drops what waits.
    i : Stream(32), in
        Code words.
    used
        As Masks gives it.
    has_codes : unsigned(1), out
        So many codes are there.
    go : unsigned(1), in
        They are taken.
    codes : unsigned(lanes * slot_bits), out
        The next ones, whether or not they are there.
    """

    def __init__(self, config: BitmaskConfig):
        self.config = config
        super().__init__(
            {
                "clear": In(1),
                "i": In(stream.Signature(32)),
                "used": In(config.units_bits),
                "has_codes": Out(1),
                "go": In(1),
                "codes": Out(config.lanes * config.slot_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Words lie in a *ring*, and stay where they are: the next code is at ``place``, and ``filled`` units of bits
        are there."""
        m = Module()
        config, unit = self.config, self.config.unit
        n_words, per_word = config.ring_words, WORD_BITS // unit
        ring = [Signal(WORD_BITS, name=f"word_{k}", reset_less=True) for k in range(n_words)]
        place_in, place = Signal(range(n_words)), Signal(range(n_words * per_word))
        filled = Signal(config.units_bits)
        puts = Signal()
        m.d.comb += [
            self.has_codes.eq(filled >= self.used),
            self.i.ready.eq(filled <= (n_words - 1) * per_word),
            puts.eq(self.i.valid & self.i.ready),
        ]
        for k, word in enumerate(ring):
            with m.If(puts & (place_in == k)):
                m.d.sync += word.eq(self.i.payload)
        with m.If(puts):
            m.d.sync += place_in.eq(place_in + 1)
        with m.If(self.go):
            m.d.sync += place.eq(place + self.used)
        more = filled + Mux(puts, per_word, 0)
        m.d.sync += filled.eq(Mux(self.go, more - self.used, more))
        m.d.comb += self.codes.eq(_rotated(Cat(ring), place, unit))
        with m.If(self.clear):
            m.d.sync += [filled.eq(0), place.eq(0), place_in.eq(0)]
        return m
