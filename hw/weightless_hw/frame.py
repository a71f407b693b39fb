"""Framed records: descriptor and codebook are read here, the CRC is checked, and what lies between is passed on.

A record is a stream of little-endian 32-bit words: descriptor, codebook, the layout's payload (docs/format.md); behind
it comes its CRC word, with ``last``.
"""

from collections.abc import Mapping
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In, Out

from weightless_hw.config import DecoderConfig
from weightless_hw.parts.codes import CodebookLoader, entry_layout
from weightless_hw.registers import LoadError, Phase
from weightless_hw.signature import WORD_LAYOUT
from weightless_sw.spec.record import (
    DESCRIPTOR_WORDS,
    FLAG_RESIDENT,
    FLAG_TILE,
    TILE_WORDS,
    Geometry,
    ValueFormat,
)


def to_bits(config: DecoderConfig, faults: Mapping[LoadError, Any]) -> Value:
    """What a record is refused for, a bit each."""
    return Cat(faults.get(error, 0) for error in config.errors())


def hot(phase: Phase) -> int:
    """The phase as a bit of its own."""
    return 1 << phase


def descriptor_layout(geometry: type[Geometry]) -> data.StructLayout:
    """The fields of a layout's descriptor, by name."""
    return data.StructLayout(dict(geometry.FIELDS))


class FrameReader(wiring.Component):
    """Takes frames from ``load``: checks the descriptor, fills the codebook, passes the payload on, checks the CRC.

    A record that this decoder can't serve, one that is too short or too long, and one whose CRC is wrong, is
    drained up to ``last``; ``faults`` says why, for a cycle, and the next record is served.  Where the layout stores
    its table nothing of it was decoded; where it streams, ``abort`` says that no more words will come for the layer
    under way, and its last beat is waited for.

    Parameters
    ----------
    config : DecoderConfig
        What the decoder can serve.

    Attributes
    ----------
    load : Stream(WORD_LAYOUT), in
        The words of records, each record followed by its CRC word, which is ``last``.
    fields : descriptor_layout(GEOMETRY), out
        The descriptor's, from the end of the check on, but for ``payload_words``, which is counted down.
    own_faults : unsigned(len(config.errors())), in
        Why the layout refuses these fields.
    entry : entry_layout(config), out
        What is written into the codebook.
    body_start : unsigned(1), out
        The codebook is in; the payload's words follow, from the next cycle on.
    body : Stream(32), out
        Those words, as many as the descriptor says; they may be stalled.
    body_done : unsigned(1), in
        Nothing of the words that were taken is left to be stored.
    body_faults : unsigned(len(config.errors())), in
        What is wrong with the words, where the layout streams.
    body_starved : unsigned(1), in
        Nothing can be done before another word comes; where the layout streams.
    body_ended : unsigned(1), out
        No other word will come; where the layout streams.
    begin : unsigned(1), out
        The descriptor was looked at; where there are tiles.
    is_tile : unsigned(1), out
        From the next cycle on: the words of ``body`` are a tile's; where there are.
    runs_known, runs_fit : unsigned(1), in
        Whether it is known, and so, that the layer has that tile; where there are.
    start : unsigned(1), out
        The decoding begins: the CRC was right, or, where the layout streams, the codebook is in.
    abort : unsigned(1), out
        The layer under way ends here.
    finished : unsigned(1), in
        The layer's last beat was taken; the next record may come.
    record_crc : unsigned(32), out
        The CRC word of the record, once it came.
    phase : Phase, out
        What goes on.
    faults : unsigned(len(config.errors())), out
        Why a record is refused, in the cycle in which it is.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        self.at, self.passes = Signal(len(Phase)), Signal()
        n_faults = len(config.errors())
        own = {} if config.keeps_table() else {"body_starved": In(1), "body_ended": Out(1)}
        if config.takes_tiles:
            own = {"begin": Out(1), "is_tile": Out(1), "runs_known": In(1), "runs_fit": In(1)}
        super().__init__(
            {
                "load": In(stream.Signature(WORD_LAYOUT)),
                "fields": Out(descriptor_layout(config.GEOMETRY)),
                "own_faults": In(n_faults),
                "entry": Out(entry_layout(config)),
                "body_start": Out(1),
                "body": Out(stream.Signature(32)),
                "body_done": In(1),
                "body_faults": In(n_faults),
                "start": Out(1),
                "abort": Out(1),
                "finished": In(1),
                "record_crc": Out(32),
                "phase": Out(Phase),
                "faults": Out(n_faults),
            }
            | own
        )

    def elaborate(self, platform: Any) -> Module:
        """``words`` holds the descriptor, whose *fields* are named as in the specification; ``n_words`` counts it.

        *Taken*: a word is.  *Awake*: from the second cycle after a reset on; nothing is taken before.  *Settled*: the
        second cycle of a comparison, when a register holds what came of it; the comparisons are the longest paths
        here.  *At*: the phase, a bit each, so that no handshake waits for its number.  *Home*: the one after a record,
        which is its decoding's while beats are still to come.  *Passes*: a word of the payload does.
        """
        m = Module()
        words = Signal(32 * DESCRIPTOR_WORDS, reset_less=True)
        fields = data.View(descriptor_layout(self.config.GEOMETRY), words)
        awake, taken, settled = (Signal(name=name) for name in ("awake", "taken", "settled"))
        n_words = Signal(range(DESCRIPTOR_WORDS))
        refused = Signal(len(self.faults), reset_less=True)
        resident = Signal()
        more = Signal()  # words of a payload that streams may come
        m.submodules.entries = codebook = CodebookLoader(self.config)
        home = self._home(m)
        crc_is_right = self._crc(m, taken, n_words)
        refuses = self.own_faults | self._faults(m, fields, resident)
        m.d.sync += [awake.eq(1), settled.eq(0)]
        with m.If(self._is(Phase.CHECK)):
            m.d.sync += refused.eq(refuses)
        m.d.comb += [
            self.fields.eq(fields),
            codebook.n_codes.eq(fields.n_codes),
            codebook.i.payload.eq(self.load.payload.data),
            self.body.payload.eq(self.load.payload.data),
            self.entry.eq(codebook.entry),
            taken.eq(self.load.valid & self.load.ready),
        ]
        numbers = (Cat(self.at[one] for one in Phase if one >> bit & 1) for bit in range(len(self.phase)))
        m.d.comb += self.phase.eq(Cat(number.any() for number in numbers))
        self._shift(m, words)
        with m.If(self._is(Phase.DESCRIPTOR)):
            self._describe(m, n_words)
        with m.If(self._is(Phase.CHECK)):
            self._check(m, words, fields, refused, settled, resident, codebook)
        with m.If(self._is(Phase.CODEBOOK)):
            m.d.comb += [self.load.ready.eq(codebook.i.ready), codebook.i.valid.eq(self.load.valid)]
            with m.If(codebook.done):
                m.d.comb += [self.body_start.eq(1), self.start.eq(not self.config.keeps_table())]
                if not self.config.keeps_table():
                    m.d.sync += more.eq(self._left(words) != 0)
                m.d.sync += self.at.eq(hot(Phase.TABLE))
        with m.If(self._is(Phase.TABLE)):
            if self.config.keeps_table():
                self._pass_on(m, words)
            else:
                self._stream(m, words, more, home)
        with m.If(self._is(Phase.CRC)):
            self._take_crc(m)
        with m.If(self._is(Phase.VERIFY)):
            with m.If(self._is_open(settled)):
                m.d.sync += settled.eq(1)
            with m.Elif(self._is_right(crc_is_right)):
                self._accept(m, resident, home)
            with m.Else():
                m.d.comb += self.faults.eq(self._why_wrong(crc_is_right))
                m.d.sync += self.at.eq(home)
        with m.If(self._is(Phase.DECODE)):
            with m.If(self.finished):
                m.d.sync += self.at.eq(hot(Phase.DESCRIPTOR))
        with m.If(self._is(Phase.DRAIN)):
            m.d.comb += self.load.ready.eq(1)
            with m.If(self.load.valid & self.load.payload.last):
                m.d.sync += self.at.eq(home)
        # A record that ends before its CRC word; of a refused one the end is what is waited for, and of a payload that
        # streams the words before it come first.
        before_crc = self._is(Phase.DESCRIPTOR) | (self._is(Phase.CODEBOOK) & codebook.i.ready)
        if self.config.keeps_table():
            before_crc |= self._is(Phase.TABLE) & self.load.ready
        with m.If(self.load.valid & self.load.payload.last & before_crc):
            m.d.comb += self.faults.eq(LoadError.SHORT)
            m.d.sync += [self.at.eq(home), n_words.eq(0)]
        with m.If(~awake):
            m.d.sync += self.at.eq(hot(Phase.DESCRIPTOR))
        return m

    def _is(self, phase: Phase) -> Value:
        """Whether it is that phase."""
        return self.at[phase]

    def _shift(self, m: Module, words: Signal) -> None:
        """The descriptor is shifted in, and its number of words is counted down: one enable for each bit, which gates
        its clock."""
        left, shifted = self._left(words), Cat(words[32:], self.load.payload.data)
        place = self._place("payload_words")[0]
        end = place + len(left)
        shifts = self._is(Phase.DESCRIPTOR) & self.load.valid
        with m.If(shifts):
            m.d.sync += [words[:place].eq(shifted), words[end:].eq(shifted[end:])]
        with m.If(shifts | self.passes):
            m.d.sync += left.eq(Mux(self.passes, left - 1, shifted[place:end]))

    def _describe(self, m: Module, n_words: Signal) -> None:
        """The descriptor comes."""
        m.d.comb += self.load.ready.eq(1)
        with m.If(self.load.valid):
            m.d.sync += n_words.eq(n_words + 1)
            with m.If(n_words == DESCRIPTOR_WORDS - 1):
                m.d.sync += [n_words.eq(0), self.at.eq(hot(Phase.CHECK))]

    def _check(
        self,
        m: Module,
        words: Signal,
        fields: Any,
        refused: Value,
        settled: Signal,
        resident: Signal,
        codebook: CodebookLoader,
    ) -> None:
        """It is compared, and refused, or its codebook comes, or of a resident record the CRC word."""
        is_resident = fields.flags == FLAG_RESIDENT if self.config.keeps_table() else Const(0)
        with m.If(~settled):
            m.d.comb += codebook.start.eq(1)  # which nothing comes of, if it is refused
            m.d.sync += settled.eq(1)
        with m.Elif(refused.any()):
            m.d.comb += self.faults.eq(refused)
            m.d.sync += self.at.eq(hot(Phase.DRAIN))
        with m.Elif(is_resident):
            m.d.sync += self.at.eq(hot(Phase.CRC))
        if self.config.takes_tiles:
            with m.Elif(fields.flags == FLAG_TILE):
                m.d.sync += [self.at.eq(hot(Phase.TABLE)), self._left(words).eq(TILE_WORDS)]
        with m.Else():
            m.d.comb += codebook.fill.eq(1)
            m.d.sync += [self.at.eq(hot(Phase.CODEBOOK)), resident.eq(0)]
        if self.config.takes_tiles:
            m.d.comb += self.begin.eq(settled)  # which nothing comes of, if it is refused
            with m.If(settled):
                m.d.sync += self.is_tile.eq(fields.flags == FLAG_TILE)

    def _take_crc(self, m: Module) -> None:
        """The CRC word comes, which must be the last."""
        m.d.comb += self.load.ready.eq(1)
        with m.If(self.load.valid):
            with m.If(~self.load.payload.last):
                m.d.comb += self.faults.eq(LoadError.LONG)
                m.d.sync += self.at.eq(hot(Phase.DRAIN))
            with m.Else():
                m.d.sync += self.at.eq(hot(Phase.VERIFY))

    def _home(self, m: Module) -> Any:
        """What is waited for when a record is over, and what a fault means for the layer *under way*."""
        if self.config.keeps_table():
            return hot(Phase.DESCRIPTOR)
        under_way = Signal()
        with m.If(self.finished):
            m.d.sync += under_way.eq(0)
        with m.Elif(self.start):
            m.d.sync += under_way.eq(1)
        m.d.comb += self.abort.eq(under_way & self.faults.any())
        return Mux(under_way & ~self.finished, hot(Phase.DECODE), hot(Phase.DESCRIPTOR))

    def _pass_on(self, m: Module, words: Signal) -> None:
        """The payload: its words are counted in the descriptor's own field, which nobody needs any more."""
        left = self._left(words)
        with m.If(left != 0):
            m.d.comb += [self.load.ready.eq(self.body.ready), self.body.valid.eq(self.load.valid)]
            m.d.comb += self.passes.eq(self.load.valid & self.body.ready)
        with m.Elif(self.body_done):
            m.d.sync += self.at.eq(hot(Phase.CRC))

    def _stream(self, m: Module, words: Signal, more: Signal, home: Any) -> None:
        """The payload, where the layer is decoded while it comes; one of its words may be the frame's last, too soon.

        What is wrong with the words before comes first: so it depends on the words alone, not on when they come.
        """
        left = self._left(words)
        short = Signal()
        with m.If(more):
            is_last = self.load.payload.last
            m.d.comb += [self.load.ready.eq(self.body.ready), self.body.valid.eq(self.load.valid & ~is_last)]
            with m.If(self.load.valid & self.body.ready):
                m.d.comb += self.passes.eq(1)
                m.d.sync += [more.eq((left != 1) & ~is_last), short.eq(is_last)]
        with m.Elif(self.body_done & ~short):
            m.d.sync += self.at.eq(hot(Phase.CRC))
        m.d.comb += self.body_ended.eq(~more & ~short)
        with m.If(self.body_faults.any()):
            m.d.comb += self.faults.eq(self.body_faults)
            m.d.sync += [self.at.eq(Mux(short, home, hot(Phase.DRAIN))), short.eq(0)]
        with m.Elif(self.body_starved & short):
            m.d.comb += self.faults.eq(LoadError.SHORT)
            m.d.sync += [self.at.eq(home), short.eq(0)]

    def _left(self, words: Signal) -> Value:
        """Words of the payload that are still to come."""
        place, bits = self._place("payload_words")
        return words[place : place + min(bits, self.config.payload_bits)]

    def _place(self, field: str) -> tuple[int, int]:
        """First bit of a field in the descriptor, and how many it has."""
        place = 0
        for name, bits in self.config.GEOMETRY.FIELDS:
            if name == field:
                return place, bits
            place += bits
        raise KeyError(field)

    def _accept(self, m: Module, resident: Value, home: Any) -> None:
        """The CRC is right."""
        if self.config.keeps_table():
            m.d.comb += self.start.eq(1)
            m.d.sync += [self.at.eq(hot(Phase.DECODE)), resident.eq(1)]
        else:
            m.d.sync += self.at.eq(home)

    def _is_open(self, settled: Value) -> Value:
        """Whether the verdict on a whole frame is still to come."""
        return ~settled | (self.is_tile & ~self.runs_known) if self.config.takes_tiles else ~settled

    def _is_right(self, crc_is_right: Value) -> Value:
        """Whether it is decoded."""
        return crc_is_right & (~self.is_tile | self.runs_fit) if self.config.takes_tiles else crc_is_right

    def _why_wrong(self, crc_is_right: Value) -> Value | LoadError:
        """Why it is not: what a tile asks for is looked at once its words are right."""
        return Mux(crc_is_right, LoadError.TILE, LoadError.CRC) if self.config.takes_tiles else LoadError.CRC

    def _crc(self, m: Module, taken: Value, n_words: Value) -> Value:
        """Whether the CRC word is that of the words before it, known two cycles after it came.

        The words wait in a register first: their way from outside is long enough.
        """
        comes = self._is(Phase.CRC) & self.load.valid
        described = self._is(Phase.DESCRIPTOR) & taken & (n_words == DESCRIPTOR_WORDS - 1)
        with m.If(described | comes):
            m.d.sync += self.record_crc.eq(Mux(comes, self.load.payload.data, 0))
        m.submodules.crc = crc = catalog.CRC32_ISO_HDLC(data_width=32).create()
        is_right = Signal(reset_less=True)
        word = Signal(32, reset_less=True)
        m.d.comb += crc.data.eq(word)
        with m.If(taken):
            m.d.sync += word.eq(self.load.payload.data)
        m.d.sync += [
            crc.valid.eq(taken & ~self._is(Phase.CRC)),
            crc.start.eq(self._is(Phase.DESCRIPTOR) & (n_words == 0)),
            is_right.eq(self.record_crc == crc.crc),
        ]
        return is_right

    def _faults(self, m: Module, fields: Any, resident: Value) -> Value:
        """What a descriptor is refused for, whatever the layout, a bit each."""
        config = self.config
        formats = [one for one in ValueFormat if one.bits == config.value_bits]
        faults = {
            LoadError.LAYOUT: fields.layout != config.GEOMETRY.LAYOUT,
            LoadError.VALUE_FORMAT: ~Cat(fields.value_format == one for one in formats).any(),
            LoadError.FLAGS: fields.flags != 0,
            LoadError.N_WEIGHTS: fields.n_weights == 0,
            LoadError.N_CODES: fields.n_codes > config.max_codes,
            LoadError.DIGEST: fields.digest != config.GEOMETRY.layout_digest(),
        }
        if config.keeps_table():
            is_resident = fields.flags == FLAG_RESIDENT
            if config.takes_tiles:
                is_resident |= fields.flags == FLAG_TILE
            faults[LoadError.FLAGS] &= ~is_resident
            faults[LoadError.NOT_RESIDENT] = is_resident & ~resident
            faults[LoadError.RESIDENT_MISMATCH] = is_resident & resident & self._differs(m, fields)
        return to_bits(config, faults)

    def _differs(self, m: Module, fields: Any) -> Value:
        """Whether a descriptor is of another layer than that whose table is loaded.

        What the descriptor said that loaded it is kept, since others may have come and been refused.
        """
        compared = {name: fields[name][:bits] for name, bits in self.config.layer_bits.items()}
        loaded = {
            name: Signal(len(value), name=f"loaded_{name}", reset_less=True)
            for name, value in compared.items()
        }
        with m.If(self._is(Phase.CODEBOOK)):  # it was taken, and its fields stay
            m.d.sync += [loaded[name].eq(value) for name, value in compared.items()]
        return Cat(value != loaded[name] for name, value in compared.items()).any()
