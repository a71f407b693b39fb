"""What must come of the words that a decoder was sent: its beats, its errors, its registers.

A layout's own part is ``<folder>/golden.py``, which turns the payload's words into codes, and what its configuration
says a descriptor is refused for; framing, codebook, CRC, resident records and tiles are the same for all.
"""

import zlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from weightless_hw.config import DecoderConfig
from weightless_hw.registers import COUNTS, IDENTITY, LoadError, Phase
from weightless_sim.cosim.scenario import LAST
from weightless_sim.model.stored import check_cycles
from weightless_sw import layouts
from weightless_sw.spec.record import (
    DESCRIPTOR_WORDS,
    FLAG_RESIDENT,
    FLAG_TILE,
    FORMAT_VERSION,
    TILE_WORDS,
    Runs,
    unpack_fields,
    words_for_bits,
)

PAYLOAD_WORDS = 4  # the descriptor's word of that name, which is counted down as they, or a tile's, are taken


def to_bytes(words: Iterable[int]) -> bytes:
    """Words as they lie in a file, ``last`` left out."""
    return b"".join((word & LAST - 1).to_bytes(4, "little") for word in words)


class Beats:
    """Codes in record order, to the beats of a layer as payload integers: values, valid lanes, last."""

    def __init__(self, config: DecoderConfig, n_weights: int):
        self.config, self.left = config, n_weights
        self.entries: NDArray[np.uint16 | np.uint8] = np.zeros(1, f"<u{config.value_bits // 8}")
        self.waiting: NDArray[np.uint16] = np.zeros(0, np.uint16)  # codes of a beat that is not whole yet

    def set_codebook(self, data: bytes, n_codes: int) -> None:
        """Entries as they lie in the record; any other code is a zero."""
        self.entries = np.append(np.frombuffer(data, self.entries.dtype, n_codes), self.entries.dtype.type(0))

    def take(self, codes: NDArray[np.uint16]) -> list[int]:
        """The beats that these codes complete."""
        lanes, value_bits = self.config.lanes, self.config.value_bits
        self.waiting = np.concatenate([self.waiting, codes])
        n_beats = len(self.waiting) // lanes
        if len(self.waiting) == self.left:
            n_beats = -(-self.left // lanes)
        taken, self.waiting = self.waiting[: n_beats * lanes], self.waiting[n_beats * lanes :]
        self.left -= len(taken)
        values = np.zeros((n_beats, lanes), self.entries.dtype)
        values.reshape(-1)[: len(taken)] = self.entries[np.minimum(taken, len(self.entries) - 1)]
        flags = [(1 << lanes) - 1 << lanes * value_bits] * n_beats
        if n_beats and not self.left:
            tail = len(taken) - (n_beats - 1) * lanes
            flags[-1] = ((1 << tail) - 1 | 1 << lanes) << lanes * value_bits
        rows = zip(values, flags, strict=True)
        return [int.from_bytes(row.tobytes(), "little") | flag for row, flag in rows]


def beats_of_runs(config: DecoderConfig, beats: Sequence[int], runs: Runs) -> list[int]:
    """Those of a tile, of the whole layer's ``beats``: lanes that are not of the run are zero and not valid."""
    lanes, bits, found = config.lanes, config.value_bits, []
    for k in range(runs.number):
        first = runs.first + k * runs.stride
        behind = first + runs.length
        for group in range(first // lanes, -(-behind // lanes)):
            head, tail = max(first - group * lanes, 0), min(behind - group * lanes, lanes)
            valid = (1 << tail) - (1 << head)
            values = beats[group] & (1 << tail * bits) - (1 << head * bits)
            found.append(values | valid << lanes * bits)
    found[-1] |= 1 << lanes * (bits + 1)
    return found


class GoldenModel:
    """Turns the words that the load monitor saw into the beats that must come, as payload integers.

    The layout's golden decoder says which codes a word makes known; where the table is stored, nothing comes before
    the frame's CRC word, which must be right.  ``errors`` are those that the decoder must have found.  A streamed
    layer that ``failed`` ends with a beat without lanes, unless its true last one was taken before.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        self.words: list[int] = []  # of the frame under way
        self.fields: dict[str, int] = {}  # what its descriptor says, once it is whole
        self.ends = self.codebook_end = (
            0  # its words without the CRC word, and those up to the codebook's last
        )
        self.stored: list[int] = []  # its beats, where they wait for the CRC word
        self.loaded: list[int] | None = None  # beats of the last record that began to load, if it was whole
        self.loaded_fields: dict[str, int] = {}  # what its descriptor said
        self.errors = LoadError(0)
        self.refused = LoadError(0)  # why the frame under way is, or the last one was
        self.record_ended = False  # with the word that was taken last, and it is decoded
        self.failed = False  # a layer under way did, with that word

    def take(self, word: int) -> list[int]:
        """One more word; the beats that it completes."""
        if not self.words:
            self.refused = LoadError(0)
        self.words.append(word)
        self.record_ended = self.failed = False
        if word & LAST:
            beats = self._end()
            self.words = []
            return beats
        n = len(self.words)
        if n == DESCRIPTOR_WORDS:
            self._begin()
        if self.refused or not DESCRIPTOR_WORDS < n <= self.ends + 1:
            return []
        if n > self.ends:
            self._fail(self.reader.wrong or frozenset(("LONG",)))
            return []
        return self._payload(n, word)

    def _begin(self) -> None:
        """The descriptor is whole."""
        config = self.config
        self.fields = unpack_fields(config.GEOMETRY.FIELDS, to_bytes(self.words))
        is_resident = self.is_tile or (config.keeps_table() and self.fields["flags"] == FLAG_RESIDENT)
        is_true = config.faults(self.fields) | {
            LoadError.NOT_RESIDENT: is_resident and self.loaded is None,
            LoadError.RESIDENT_MISMATCH: is_resident and self.loaded is not None and self._differs(),
        }
        self.refused = LoadError(sum(error for error, holds in is_true.items() if holds))
        if self.refused:
            return
        self.ends = self.codebook_end = DESCRIPTOR_WORDS
        if self.is_tile:
            self.ends += TILE_WORDS
        if not is_resident:
            self.loaded, self.loaded_fields, self.stored = None, self.fields, []
            self.codebook_end += words_for_bits(self.fields["n_codes"] * config.value_bits)
            self.ends = self.codebook_end + self.fields["payload_words"]
            self.reader = layouts.golden(config.GEOMETRY).reader(to_bytes(self.words))
            self.beats = Beats(config, self.fields["n_weights"])

    @property
    def is_tile(self) -> bool:
        """Whether the frame under way, whose descriptor was taken, asks for runs."""
        return self.config.takes_tiles and self.fields["flags"] == FLAG_TILE

    @property
    def runs(self) -> Runs:
        """Those, once all its words are there."""
        return Runs.from_bytes(to_bytes(self.words[DESCRIPTOR_WORDS : DESCRIPTOR_WORDS + TILE_WORDS]))

    def _differs(self) -> bool:
        """Whether a resident record is another layer's than that which is loaded."""
        return any(
            value != self.loaded_fields[name] for name, value in self.fields.items() if name != "flags"
        )

    def _payload(self, n: int, word: int) -> list[int]:
        """Word ``n`` of the frame, behind the descriptor."""
        if self.is_tile:
            return []
        if n == self.codebook_end:
            codebook = to_bytes(self.words[DESCRIPTOR_WORDS:])
            self.beats.set_codebook(codebook, self.fields["n_codes"])
        if n <= self.codebook_end:
            return []
        beats = self.beats.take(self.reader.take(word))
        if not self.config.keeps_table():
            self._fail(self.reader.wrong)
            return beats
        self.stored += beats
        return []

    def _fail(self, wrong: frozenset[str]) -> None:
        """What is wrong behind the codebook, if anything is."""
        for name in wrong:
            self.refused |= LoadError[name]
            self.failed = not self.config.keeps_table()

    def _end(self) -> list[int]:
        """The frame's last word came; why it is refused, or the beats that waited for it."""
        n = len(self.words) - 1
        streams = not self.config.keeps_table() and n >= DESCRIPTOR_WORDS
        begun = streams and not self.refused and n >= self.codebook_end
        if begun:
            self._fail(self.reader.wrong)  # it may want words where there are none
        if not self.refused:
            record, crc = to_bytes(self.words[:-1]), self.words[-1] & LAST - 1
            if n < DESCRIPTOR_WORDS or n < self.ends:
                self.refused = LoadError.SHORT
            elif n > self.ends:
                self.refused = LoadError.LONG
            elif crc != zlib.crc32(record):
                self.refused = LoadError.CRC
            elif self.is_tile and not self.runs.fit(self.fields["n_weights"]):
                self.refused = LoadError.TILE
        self.errors |= self.refused
        self.record_ended = not self.refused
        self.failed = begun and bool(self.refused)
        if self.refused or not self.config.keeps_table():
            return []
        if not self.fields["flags"]:
            self.loaded = self.stored
        assert self.loaded is not None
        return beats_of_runs(self.config, self.loaded, self.runs) if self.is_tile else list(self.loaded)


def beats_of(config: DecoderConfig, words: Iterable[int]) -> list[int]:
    """The beats that must come of these words of frames."""
    model = GoldenModel(config)
    return [beat for word in words for beat in model.take(word)]


class RegisterModel:
    """What each register shows in a cycle, of what was transferred in the cycles before; names as in REGISTERS.

    ``phase`` and ``errors`` follow the loader's states, which begin and end with a transfer, or two cycles after one:
    the model knows them where they do, and leaves out the cycles between two sections of a record.  Of a payload that
    is *bad* it knows that it is refused, but not when, before the next frame begins.
    """

    SETTLE = 2  # cycles of a comparison, of the descriptor and of the CRC word

    def __init__(self, config: DecoderConfig, before: Mapping[str, int]):
        self.config = config
        lanes_log2, tiles = config.lanes.bit_length() - 1, config.takes_tiles << 24
        widths = lanes_log2 | config.slot_bits << 8 | config.value_bits << 16 | tiles
        self.constants: dict[str, int | None] = {
            "identity": IDENTITY, "digest": config.GEOMETRY.layout_digest(), "format_version": FORMAT_VERSION,
            "widths": widths, "table_size": config.table_size, "max_codes": config.max_codes,
            "fill_latency": None, "control": 0,  # a wrong latency is for the cycles to find
        }  # fmt: skip
        self.counts = {name: before[name] for name in COUNTS}
        self.errors = LoadError(before["errors"])
        self.words: deque[int] = deque(
            [0] * DESCRIPTOR_WORDS, DESCRIPTOR_WORDS
        )  # of descriptors, the last ones
        self.n_descriptor_words = 0  # since there were that many, the fields are a record's
        self.record_crc: int | None = None  # not known before a descriptor was whole
        self.n_taken = 0  # words of the frame under way
        self.codebook_end = self.record_end = 0  # of the record under way, in words
        self.phase: Phase | None = Phase.DESCRIPTOR  # None: between two sections
        self.is_out = False  # the layer under way: before its CRC word is in, where it streams
        self.is_under_way = False  # a layer that streams: its last beat is waited for
        self.bad: LoadError | None = None  # why the payload of the frame under way, or of the last one, is
        self.checking = 0  # cycles until it is known whether the layer has a tile
        # Cycles until a comparison ends, and how.
        self.then: tuple[int, Phase | None, LoadError] | None = None

    def expected(self, name: str) -> int | None:
        """What the register of that name shows in this cycle; None where the model does not know."""
        if name in self.constants:
            return self.constants[name]
        if name in self.counts:
            return self.counts[name] & 0xFFFFFFFF if self.config.counters else 0
        if name == "phase":
            return self.phase
        if name == "errors":
            return None if self.bad else int(self.errors)
        if name == "record_crc":
            return self.record_crc
        if self.n_descriptor_words < DESCRIPTOR_WORDS:
            return None
        value = self._fields()[name]
        return value & (1 << self.config.n_codes_bits) - 1 if name == "n_codes" else value

    def _fields(self) -> dict[str, int]:
        return unpack_fields(self.config.GEOMETRY.FIELDS, to_bytes(self.words))

    def step(
        self, word: int | None, model: GoldenModel, beat: bool, last: bool, stalls: tuple[bool, bool]
    ) -> None:
        """A cycle ends: the word that was taken in it, if one was, which ``model`` has seen; whether a beat was taken.

        ``last`` is that of the beat, ``stalls`` are of the load stream and of the weights.
        """
        self.counts["beats"] += beat
        self.counts["records"] += beat and last
        self.counts["load_stalls"] += stalls[0]
        self.counts["weights_stalls"] += stalls[1]
        self.is_out |= beat and last
        self.is_under_way &= not (beat and last)
        self.checking = max(0, self.checking - 1)
        if self.then:
            left, phase, errors = self.then
            self.then = (left - 1, phase, errors) if left > 1 else None
            if left == 1:
                self.phase, self.errors = phase, self.errors | errors
                self.is_out &= phase is not Phase.DESCRIPTOR
        if self.is_out and self.phase is Phase.DECODE:
            self.phase, self.is_out = Phase.DESCRIPTOR, False
        if word is not None:
            self._take(word, model)

    def _take(self, word: int, model: GoldenModel) -> None:
        """A word of a frame: where in the record it stands says what comes next."""
        data, is_last = word & LAST - 1, bool(word & LAST)
        self.n_taken += 1
        if self.n_taken == 1 and self.bad:
            self.errors, self.bad = self.errors | self.bad, None
            self.phase, self.is_out, self.is_under_way = Phase.DESCRIPTOR, False, False
        if self.n_taken <= DESCRIPTOR_WORDS:
            self.words.append(data)
            self.n_descriptor_words += 1
            self.record_crc = 0 if self.n_taken == DESCRIPTOR_WORDS else self.record_crc
        if self.phase is Phase.DRAIN:
            self.phase = self._home() if is_last else Phase.DRAIN
        elif self.bad:
            self.bad |= model.refused
        elif self.n_taken < DESCRIPTOR_WORDS or (self.n_taken == DESCRIPTOR_WORDS and is_last):
            self._end(is_last, LoadError.SHORT)
        elif self.n_taken == DESCRIPTOR_WORDS:
            self.phase = Phase.CHECK
            if not model.refused:
                self.codebook_end, self.record_end = model.codebook_end, model.ends
                if model.is_tile:
                    self.words[PAYLOAD_WORDS] = TILE_WORDS
            after = Phase.DRAIN if model.refused else Phase.TABLE if model.is_tile else self._next_phase()
            self.then = (self.SETTLE, after, model.refused)
            if not self.config.keeps_table() and not model.refused and self.record_end == DESCRIPTOR_WORDS:
                self._go_bad(LoadError.WORDS)
        elif self.n_taken <= self.record_end:
            self.words[PAYLOAD_WORDS] -= self.n_taken > self.codebook_end
            self.phase = self._next_phase()
            if self.n_taken == self.record_end and model.is_tile and not is_last:
                self.checking = check_cycles(model.runs)
            if not self.config.keeps_table() and self.n_taken >= self.codebook_end:
                self._stream(is_last, model)
            else:
                self._end(is_last, LoadError.SHORT)
        else:
            self.record_crc = data
            if is_last:
                wrong = (LoadError.CRC | LoadError.TILE) & model.refused
                after = Phase.DESCRIPTOR if wrong and self.config.keeps_table() else Phase.DECODE
                self.phase, self.then = Phase.VERIFY, (max(self.SETTLE, self.checking), after, wrong)
            else:
                self.phase, self.errors = Phase.DRAIN, self.errors | LoadError.LONG
        if is_last:
            self.n_taken = 0

    def _stream(self, is_last: bool, model: GoldenModel) -> None:
        """A word of a payload that is decoded while it comes, or the last one before it."""
        if is_last and self.n_taken == self.codebook_end:
            self._end(is_last, LoadError.SHORT)
            return
        self.is_under_way |= self.n_taken == self.codebook_end + 1
        if self.record_end == self.codebook_end:
            self._go_bad(LoadError.WORDS)
        elif model.refused:
            self._go_bad(model.refused)

    def _go_bad(self, why: LoadError) -> None:
        """How many words were counted is not known, before their count has left the descriptor's place."""
        self.bad, self.phase, self.then = why, None, None
        self.n_descriptor_words = DESCRIPTOR_WORDS - PAYLOAD_WORDS - 1

    def _home(self) -> Phase:
        """Where a frame that is drained leads to."""
        self.is_out &= self.is_under_way
        return Phase.DECODE if self.is_under_way else Phase.DESCRIPTOR

    def _end(self, is_last: bool, error: LoadError) -> None:
        """A frame that ends too soon."""
        if is_last:
            self.phase, self.errors = Phase.DESCRIPTOR, self.errors | error

    def _next_phase(self) -> Phase | None:
        """The phase in which the next word is taken, or None where a section ends and the next one begins."""
        if self.n_taken == self.record_end:
            return None if self.n_taken > DESCRIPTOR_WORDS else Phase.CRC
        if self.n_taken == self.codebook_end:  # at once, where the codebook is empty
            return None
        return Phase.CODEBOOK if self.n_taken < self.codebook_end else Phase.TABLE
