"""Codes to values: the codebook, what loads it, and the stage that every decoder ends with."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weightless_hw.config import DecoderConfig
from weightless_hw.parts.beats import beat_layout, delayed
from weightless_hw.parts.items import Items
from weightless_sw.spec.hash import WORD_BITS


def entry_layout(config: DecoderConfig) -> data.StructLayout:
    """A write of an entry into the codebook: whether there is one, where, and what."""
    return data.StructLayout({"write": 1, "addr": config.code_addr_bits, "data": config.value_bits})


def slots_layout(config: DecoderConfig) -> data.StructLayout:
    """What a pipeline gives for a beat: a code still masked in each lane, the masks, whose windows overlap, and the
    beat's own bits; ``dead``, where the layout has such beats: no code of it is a weight's; ``lanes``, where there are
    tiles: those that are of the run."""
    words = config.lanes // config.mask_lanes
    members = {
        "slots": config.lanes * config.slot_bits,
        "masks": words * mask_bits(config),
        "last": 1,
    }
    if config.takes_tiles:
        members["lanes"] = config.lanes
    return data.StructLayout(members | ({"dead": config.dead_bits} if config.dead_bits else {}))


def mask_bits(config: DecoderConfig) -> int:
    """Bits of a word whose windows are masks."""
    return config.mask_lanes + config.slot_bits - 1


class CodebookLoader(wiring.Component):
    """The words of a record's codebook, to entries.

    Parameters
    ----------
    config : DecoderConfig
        The width of an entry, and the most of them.

    Attributes
    ----------
    start : unsigned(1), in
        Begins a codebook.
    n_codes : unsigned(n_codes_bits), in
        Its entries, from ``start`` on.
    fill : unsigned(1), in
        It is taken: entries of no code become zeros, where they are filled.
    i : Stream(32), in
        Its words.
    entry : entry_layout(config), out
        What is written; the padding of the last word as well, where it is not filled with zeros.
    done : unsigned(1), out
        Every word was taken and every entry was given.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "fill": In(1),
                "n_codes": In(config.n_codes_bits),
                "i": In(stream.Signature(32)),
                "entry": Out(entry_layout(config)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The words are counted: behind the last one come others, which are not the codebook's.  Entries of no code are
        then filled with zeros, where the codebook is small enough that no beat comes before."""
        m = Module()
        bits = self.config.value_bits
        m.submodules.items = items = Items(bits)
        words_left = Signal(range(-(-self.config.max_codes * bits // WORD_BITS) + 1))
        any_left = Signal()
        addr, write = Signal(len(self.entry.addr), reset_less=True), Signal()
        entry = Signal.like(self.entry, reset_less=True)
        m.d.comb += [
            any_left.eq(words_left != 0),
            items.clear.eq(self.start),
            items.i.payload.eq(self.i.payload),
            items.i.valid.eq(self.i.valid & any_left),
            items.o.ready.eq(1),
            self.i.ready.eq(items.i.ready & any_left),
            write.eq(items.o.valid),
            self.entry.eq(entry),
            self.done.eq(~any_left & ~items.o.valid),
        ]
        m.d.sync += entry.write.eq(write)
        item = items.o.payload
        if self.config.zero_filled:
            filling = Signal()
            m.d.comb += write.eq(filling & (items.o.valid | ~any_left))
            if self.config.FILLS_FIRST:
                m.d.comb += self.done.eq(~any_left & ~items.o.valid & ~filling)
            item = Mux(addr < self.n_codes, item, 0)
            with m.If(write & addr.all()):
                m.d.sync += filling.eq(0)
            with m.If(self.fill):
                m.d.sync += filling.eq(1)
        with m.If(write):
            m.d.sync += [entry.addr.eq(addr), entry.data.eq(item), addr.eq(addr + 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += words_left.eq(words_left - 1)
        with m.If(self.start):
            m.d.sync += [addr.eq(0), words_left.eq((self.n_codes * bits + WORD_BITS - 1) >> 5)]
        return m


class Codebook(wiring.Component):
    """Looks up: one memory per lane, all with the same entries.

    Parameters
    ----------
    config : DecoderConfig
        Lanes, slot bits, value bits, and the number of entries.

    Attributes
    ----------
    en : unsigned(lanes) or unsigned(1), in
        Looks up; a lane's value holds while its bit is low, or that of all lanes.
    addresses : ArrayLayout(code_addr_bits, lanes), in
        An entry's number per lane.
    values : ArrayLayout(value_bits, lanes), out
        The entries, a cycle later.
    entry : entry_layout(config), in
        What is written into every memory; lookups wait meanwhile.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        super().__init__(
            {
                "en": In(config.lanes if config.lane_enables else 1),
                "addresses": In(data.ArrayLayout(config.code_addr_bits, config.lanes)),
                "values": Out(data.ArrayLayout(config.value_bits, config.lanes)),
                "entry": In(entry_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The memories' own output registers are the one stage."""
        m = Module()
        writing = Signal()
        m.d.comb += writing.eq(self.entry.write)
        for lane in range(self.config.lanes):
            memory = Memory(shape=self.config.value_bits, depth=1 << self.config.code_addr_bits, init=[])
            m.submodules[f"memory_{lane}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(writing),
                write.addr.eq(self.entry.addr),
                write.data.eq(self.entry.data),
                read.en.eq(self.en[lane % len(self.en)] & ~writing),
                read.addr.eq(self.addresses[lane]),
                self.values[lane].eq(read.data),
            ]
        return m


class CodeStage(wiring.Component):
    """The end of every decoder: masked slots to codes, codes to values, and where beats wait for their taker.

    A beat is offered three cycles after its slots came, one a clock.

    Parameters
    ----------
    config : DecoderConfig
        Lanes, slot bits, value bits, and the number of entries.

    Attributes
    ----------
    i : Stream(slots_layout(config)), in
        What the pipeline gives; ``i.ready`` is a register, and low for as long as the spare entry is full.
    n_codes : unsigned(n_codes_bits), in
        K; a code below it names a value.
    tail_lanes : unsigned(lanes), in
        The lanes of the last beat that hold weights; where there are no tiles.
    entry : entry_layout(config), in
        The codebook's write port.
    failed : unsigned(1), in
        The last beat has no lanes, if it is not offered yet; where the layout streams.
    o : Stream(beat_layout(config)), out
        Beats, ``valid`` and ``payload`` registers.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(slots_layout(config))),
                "n_codes": In(config.n_codes_bits),
                "entry": In(entry_layout(config)),
                "o": Out(stream.Signature(beat_layout(config))),
            }
            | ({} if config.takes_tiles else {"tail_lanes": In(config.lanes)})
            | ({} if config.keeps_table() else {"failed": In(1)})
        )

    def elaborate(self, platform: Any) -> Module:
        """What waits are numbers of entries, which are narrower than values: ``spare`` takes those that arrive as the
        sink stops.  Most codes are no *hit*: then the first entry's number stands there, and, where lanes have enables,
        no register of a value is clocked.

        Codebook and output *move* with the sink, and all before them holds while ``spare`` is full: no input reaches
        an output in the same cycle.
        """
        m = Module()
        config, t = self.config, self.config.slot_bits
        moves, spare_full, valid, looked_up = (
            Signal(name=name) for name in ("moves", "spare_full", "valid", "looked_up")
        )
        code_layout = data.StructLayout(
            {
                "addresses": data.ArrayLayout(config.code_addr_bits, config.lanes),
                "hits": config.lanes,
                "last": 1,
            }
            | ({"lanes": config.lanes} if config.takes_tiles else {})
        )
        arrived, spare, chosen = (
            Signal(code_layout, name=name, reset_less=True) for name in ("arrived", "spare", "chosen")
        )
        firsts = [
            word * mask_bits(config) + lane
            for word in range(config.lanes // config.mask_lanes)
            for lane in range(config.mask_lanes)
        ]
        windows = Cat(self.i.payload.masks[first : first + t] for first in firsts)
        codes = data.View(data.ArrayLayout(t, config.lanes), self.i.payload.slots ^ windows)
        m.d.comb += [
            moves.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(~spare_full),
            chosen.eq(Mux(spare_full, spare, arrived)),
        ]
        hits = Signal(config.lanes)
        m.d.comb += hits.eq(Cat(self._is_hit(codes[lane], lane) for lane in range(config.lanes)))
        with m.If(self.i.ready):
            m.d.sync += [
                valid.eq(self.i.valid),
                arrived.hits.eq(hits),
                *(
                    arrived.addresses[lane].eq(Mux(hits[lane], codes[lane], 0))
                    for lane in range(config.lanes)
                ),
                arrived.last.eq(self.i.payload.last),
            ]
            if config.takes_tiles:
                m.d.sync += arrived.lanes.eq(self.i.payload.lanes)
        with m.If(moves):
            m.d.sync += [spare_full.eq(0), looked_up.eq(valid | spare_full)]
        with m.Elif(valid & ~spare_full):
            m.d.sync += [spare.eq(arrived), spare_full.eq(1)]
        m.submodules.codebook = codebook = Codebook(config)
        m.d.comb += [
            codebook.en.eq(Mux(moves, chosen.hits, 0) if config.lane_enables else moves),
            codebook.addresses.eq(chosen.addresses),
            codebook.entry.eq(self.entry),
        ]
        self._drive_beat(m, moves, looked_up, chosen, codebook)
        return m

    def _is_hit(self, code: Value, lane: int) -> Value:
        """Whether a code names an entry; of those that are filled with zeros any may be named.  Where each lane says
        that it is dead, a code of the others does."""
        if self.config.GEOMETRY.EXACT:
            return ~self.i.payload.dead[lane]
        upper = code[self.config.code_addr_bits :]
        hit = ~upper.any() if self.config.zero_filled else code < self.n_codes
        return hit & ~self.i.payload.dead if self.config.dead_bits else hit

    def _drive_beat(self, m: Module, moves: Value, looked_up: Value, chosen: Any, codebook: Codebook) -> None:
        """Zero what is no weight.  Where lanes have enables, a value that is zero, and stays so, is not clocked."""
        last = delayed(m, moves, chosen.last, 1, "last")
        hits = delayed(m, moves, chosen.hits, 1, "hits")
        if self.config.takes_tiles:
            lane_valid = delayed(m, moves, chosen.lanes, 1, "lanes")
        else:
            tail = self.tail_lanes if self.config.keeps_table() else Mux(self.failed, 0, self.tail_lanes)
            lane_valid = Mux(last, tail, ~0)[: self.config.lanes]
        beat = Signal(beat_layout(self.config), reset_less=True)
        keep = Signal(self.config.lanes)
        m.d.comb += keep.eq(hits & lane_valid)
        with m.If(moves):
            m.d.sync += self.o.valid.eq(looked_up)
            with m.If(looked_up):
                m.d.sync += [beat.last.eq(last), beat.lane_valid.eq(lane_valid)]
        changes: Value = Const(~0, self.config.lanes)
        if self.config.lane_enables:
            not_zero = Signal(self.config.lanes, init=~0)  # the values that are out: unknown after a reset
            changes = keep | not_zero
            with m.If(moves & looked_up):
                m.d.sync += not_zero.eq(keep)
        for lane in range(self.config.lanes):
            with m.If(moves & looked_up & changes[lane]):
                m.d.sync += beat["values"][lane].eq(Mux(keep[lane], codebook.values[lane], 0))
        m.d.comb += self.o.payload.eq(beat)
