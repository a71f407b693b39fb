"""Who takes part in a bench: driver, monitors, golden model, scoreboard.

Each cycle inputs are set at the falling clock edge, everything is sampled once it has settled, and what
was sampled is what happens at the rising edge that follows.
"""

import random
import zlib
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weightless_hw.config import DecoderConfig
from weightless_hw.registers import IDENTITY, LoadError, Phase
from weightless_sim.cosim.scenario import LAST, geometry_of, is_resident
from weightless_sim.model.cycles import Pattern
from weightless_sw import container, layouts
from weightless_sw.spec.record import (
    DESCRIPTOR_BYTES,
    DESCRIPTOR_WORDS,
    FLAG_RESIDENT,
    FORMAT_VERSION,
    ValueFormat,
    unpack_fields,
    words_for_bits,
)
from weightless_sw.tensor import Arrangement, EncodedTensor


class SourceDriver:
    """Offers ``words`` as the pattern allows; an offer stands until it is taken.

    While nothing is offered the payload is garbage, another in each cycle, ``last`` too.
    """

    def __init__(self, valid: Any, payload: Any, words: list[int], pattern: Pattern):
        self.valid, self.payload, self.words, self.pattern = valid, payload, words, pattern
        self.place = 0
        self.offering = False
        self.garbage = random.Random(len(words))

    def drive(self, cycle: int) -> None:
        """Set the inputs of this cycle."""
        if not self.offering and self.place < len(self.words):
            self.offering = bool(self.pattern[cycle % len(self.pattern)])
            if self.offering:
                self.payload.value = self.words[self.place]
        if not self.offering:
            self.payload.value = self.garbage.getrandbits(LAST.bit_length())
        self.valid.value = int(self.offering)

    def taken(self) -> None:
        """The word that is offered was transferred."""
        self.offering = False
        self.place += 1


@dataclass
class StreamMonitor:
    """Collects transfers, and checks the stream rule: an offer stands, unchanged, until it is taken."""

    name: str
    valid: Any
    ready: Any
    payload: Any
    transfers: list[tuple[int, int]] = field(default_factory=list)  # (cycle, payload)
    first_valid: list[int] = field(default_factory=list)  # cycle in which each transfer was first offered
    waiting: int | None = None  # payload offered and not taken in the cycle before
    stalled: int = 0  # cycles in which an offer was not taken

    def sample(self, cycle: int) -> bool:
        """Look at one settled cycle; True when it transfers.  X or Z on a control signal is an error."""
        valid, ready = int(self.valid.value), int(self.ready.value)
        if not valid:
            assert self.waiting is None, f"{self.name}: valid fell in cycle {cycle} before the transfer"
            return False
        payload = int(self.payload.value)
        if self.waiting is None:
            self.first_valid.append(cycle)
        else:
            assert payload == self.waiting, f"{self.name}: payload changed in cycle {cycle} while it waited"
        self.waiting = None if ready else payload
        self.stalled += not ready
        if ready:
            self.transfers.append((cycle, payload))
        return bool(ready)


Places = list[list[tuple[int, bool]]]  # alternatives of (place in a sample, level) that all hold


class EventCounter:
    """Counts in how many cycles each unit of the running decoder is enabled, and of them useful."""

    def __init__(self, dut: Any, config: DecoderConfig):
        self.paths: dict[str, int] = {}  # path -> place in a sample
        self.held = self._places((("~pipeline.en",),))
        self.units = [
            (unit.name, self._places(unit.enable), self._places(unit.busy)) for unit in config.units
        ]
        self.signals = []
        for path in self.paths:
            signal = dut
            for name in path.split("."):
                signal = getattr(signal, name)
            self.signals.append(signal)
        self.seen: Counter[tuple[int, ...]] = Counter()  # few differ, and they are looked at in the end

    def _places(self, alternatives: tuple[tuple[str, ...], ...]) -> Places:
        return [
            [(self.paths.setdefault(path.lstrip("~"), len(self.paths)), path[0] != "~") for path in paths]
            for paths in alternatives
        ]

    def sample(self) -> None:
        """Look at one settled cycle."""
        self.seen[tuple(int(signal.value) for signal in self.signals)] += 1

    def events(self) -> tuple[int, int, dict[str, list[int]]]:
        """Cycles, those held, and per unit those [enabled, useful]; of several units alike the sum."""
        held, units = 0, {name: [0, 0] for name, _, _ in self.units}
        for sample, n in self.seen.items():
            held += n * _holds(sample, self.held)
            for name, enable, busy in self.units:
                enabled = _holds(sample, enable)
                units[name][0] += n * enabled
                units[name][1] += n * (enabled and _holds(sample, busy))
        return sum(self.seen.values()), held, units


def _holds(sample: tuple[int, ...], alternatives: Places) -> bool:
    return any(all(bool(sample[place]) == level for place, level in places) for places in alternatives)


class GoldenModel:
    """Turns the words that the load monitor saw into the beats that must come, as payload integers.

    A layout decides which beats a word completes: the classic table's all come with the frame's last word, since any
    group may read any row and the CRC must be right.  ``errors`` are those that the decoder must have found.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        self.words: list[int] = []
        self.loaded: EncodedTensor | None = None  # by the last record that began to load, if it was whole
        self.loaded_fields: dict[str, int] = {}  # what its descriptor said
        self.errors = LoadError(0)
        self.refused_last = LoadError(0)  # why the last frame was, if it was
        self.record_ended = False  # with the word that was taken last, and it is decoded

    def take(self, word: int) -> list[int]:
        """One more word; the beats that it completes."""
        self.words.append(word & LAST - 1)
        self.record_ended = False
        if not word & LAST:
            return []
        words, self.words = self.words, []
        record = b"".join(word.to_bytes(4, "little") for word in words[:-1])
        found = self._refused(record, words[-1])
        self.errors |= found
        self.refused_last = found
        if found:
            return []
        self.record_ended = True
        if not is_resident(record):
            self.loaded = container.from_record(record, Arrangement((geometry_of(record).n_weights,)))
        assert self.loaded is not None
        return self.beats(self.loaded)

    def _refused(self, record: bytes, crc: int) -> LoadError:
        """Why the record is; the first stage that finds something ends it, as in the decoder."""
        if len(record) < DESCRIPTOR_BYTES:
            return LoadError.SHORT
        fields = unpack_fields(self.config.GEOMETRY.FIELDS, record[:DESCRIPTOR_BYTES])
        if found := self._refused_descriptor(fields):
            return found
        n_bytes = DESCRIPTOR_BYTES
        if fields["flags"] != FLAG_RESIDENT:
            self.loaded, self.loaded_fields = None, fields
            n_bytes = 4 * geometry_of(record).record_words
        if len(record) != n_bytes:
            return LoadError.SHORT if len(record) < n_bytes else LoadError.LONG
        return LoadError(0) if crc == zlib.crc32(record) else LoadError.CRC

    def _refused_descriptor(self, fields: dict[str, int]) -> LoadError:
        config = self.config
        lanes_log2, slot_bits = fields["widths"] & 15, (fields["widths"] >> 4) + 1
        formats = {one.value for one in ValueFormat if one.bits == config.value_bits}
        is_resident = fields["flags"] == FLAG_RESIDENT
        row_bits, rows = config.lanes * config.slot_bits, fields["bank_rows"]
        is_true = {
            LoadError.LAYOUT: fields["layout"] != config.GEOMETRY.LAYOUT,
            LoadError.WIDTHS: (1 << lanes_log2, slot_bits) != (config.lanes, config.slot_bits),
            LoadError.VALUE_FORMAT: fields["value_format"] not in formats,
            LoadError.FLAGS: fields["flags"] > FLAG_RESIDENT,
            LoadError.N_WEIGHTS: not fields["n_weights"],
            LoadError.BANK_ROWS: not 1 <= rows <= vars(config)["max_bank_rows"],
            LoadError.N_CODES: fields["n_codes"] > config.max_codes,
            LoadError.NOT_RESIDENT: is_resident and self.loaded is None,
            LoadError.RESIDENT_MISMATCH: is_resident and self.loaded is not None and self._differs(fields),
            LoadError.DIGEST: fields["digest"] != config.GEOMETRY.layout_digest(),
            LoadError.PAYLOAD_WORDS: fields["payload_words"] != words_for_bits(3 * rows * row_bits),
        }
        return LoadError(sum(error for error, holds in is_true.items() if holds))

    def _differs(self, fields: dict[str, int]) -> bool:
        """Whether a resident record is another layer's than that which is loaded."""
        names = ("value_format", "n_weights", "bank_rows", "n_codes", "seed", "scale")
        return any(fields[name] != self.loaded_fields[name] for name in names)

    def beats(self, tensor: EncodedTensor) -> list[int]:
        """The beats of a layer, by the golden decoder."""
        lanes, value_bytes = self.config.lanes, self.config.value_bits // 8
        n_weights = tensor.geometry.n_weights
        n_beats = -(-n_weights // lanes)
        entries = np.append(tensor.codebook, tensor.codebook.dtype.type(0)).view(f"<u{value_bytes}")
        codes = layouts.golden(tensor.geometry).decode_codes(tensor)
        values = np.zeros((n_beats, lanes), dtype=entries.dtype)
        values.reshape(-1)[:n_weights] = entries[np.minimum(codes, len(tensor.codebook))]
        tail = n_weights - (n_beats - 1) * lanes
        all_lanes = (1 << lanes) - 1
        flags = [all_lanes << self.config.lanes * self.config.value_bits] * n_beats
        flags[-1] = ((1 << tail) - 1 | 1 << lanes) << self.config.lanes * self.config.value_bits
        return [
            int.from_bytes(row.tobytes(), "little") | flag for row, flag in zip(values, flags, strict=True)
        ]


class RegisterModel:
    """What each register shows in a cycle, of what was transferred in the cycles before; names as in REGISTERS.

    ``phase`` and ``errors`` follow the loader's states, which begin and end with a transfer, or two cycles after one:
    the model knows them where they do, and leaves out the cycles between two sections of a record.
    """

    SETTLE = 2  # cycles of a comparison, of the descriptor and of the CRC word

    def __init__(self, config: DecoderConfig, before: Mapping[str, int]):
        self.config = config
        widths = config.lanes.bit_length() - 1 | config.slot_bits << 8 | config.value_bits << 16
        self.constants: dict[str, int | None] = {
            "identity": IDENTITY, "digest": config.GEOMETRY.layout_digest(), "format_version": FORMAT_VERSION,
            "widths": widths, "table_size": vars(config).get("max_bank_rows", 0), "max_codes": config.max_codes,
            "fill_latency": None, "control": 0,  # a wrong latency is for the cycles to find
        }  # fmt: skip
        names = ("records", "beats", "load_stalls", "weights_stalls")
        self.counts = {name: before[name] for name in names}
        self.errors = LoadError(before["errors"])
        self.words: deque[int] = deque(
            [0] * DESCRIPTOR_WORDS, DESCRIPTOR_WORDS
        )  # of descriptors, the last ones
        self.n_descriptor_words = 0  # since there were that many, the fields are a record's
        self.record_crc: int | None = None  # not known before a descriptor was whole
        self.n_taken = 0  # words of the frame under way
        self.codebook_end = self.record_end = 0  # of the record under way, in words
        self.phase: Phase | None = Phase.DESCRIPTOR  # None: between two sections
        self.then: tuple[int, Phase | None, LoadError] | None = (
            None  # cycles until a comparison ends, and how
        )

    def expected(self, name: str) -> int | None:
        """What the register of that name shows in this cycle; None where the model does not know."""
        if name in self.constants:
            return self.constants[name]
        if name in self.counts:
            return self.counts[name] & 0xFFFFFFFF
        if name == "phase":
            return self.phase
        if name == "errors":
            return int(self.errors)
        if name == "record_crc":
            return self.record_crc
        if self.n_descriptor_words < DESCRIPTOR_WORDS:
            return None
        value = self._fields()[name]
        return value & (1 << self.config.slot_bits) - 1 if name == "n_codes" else value

    def _descriptor(self) -> bytes:
        return b"".join(word.to_bytes(4, "little") for word in self.words)

    def _fields(self) -> dict[str, int]:
        return unpack_fields(self.config.GEOMETRY.FIELDS, self._descriptor())

    def step(
        self, word: int | None, model: "GoldenModel", beat: bool, last: bool, stalls: tuple[bool, bool]
    ) -> None:
        """A cycle ends: the word that was taken in it, if one was, which ``model`` has seen; whether a beat was taken.

        ``last`` is that of the beat, ``stalls`` are of the load stream and of the weights.
        """
        self.counts["beats"] += beat
        self.counts["records"] += beat and last
        self.counts["load_stalls"] += stalls[0]
        self.counts["weights_stalls"] += stalls[1]
        if self.then:
            left, phase, errors = self.then
            self.then = (left - 1, phase, errors) if left > 1 else None
            if left == 1:
                self.phase, self.errors = phase, self.errors | errors
        if beat and last:
            self.phase = Phase.DESCRIPTOR
        if word is not None:
            self._take(word, model)

    def _take(self, word: int, model: "GoldenModel") -> None:
        """A word of a frame: where in the record it stands says what comes next."""
        data, is_last = word & LAST - 1, bool(word & LAST)
        self.n_taken += 1
        if self.n_taken <= DESCRIPTOR_WORDS:
            self.words.append(data)
            self.n_descriptor_words += 1
            self.record_crc = 0 if self.n_taken == DESCRIPTOR_WORDS else self.record_crc
        if self.phase is Phase.DRAIN:
            self.phase = Phase.DESCRIPTOR if is_last else Phase.DRAIN
        elif self.n_taken < DESCRIPTOR_WORDS or (self.n_taken == DESCRIPTOR_WORDS and is_last):
            self._end(is_last, LoadError.SHORT)
        elif self.n_taken == DESCRIPTOR_WORDS:
            self.phase = Phase.CHECK
            refused = model._refused_descriptor(self._fields())
            if not refused:
                self._begin()
            self.then = (self.SETTLE, Phase.DRAIN if refused else self._next_phase(), refused)
        elif self.n_taken <= self.record_end:
            self.phase = self._next_phase()
            self._end(is_last, LoadError.SHORT)
        else:
            self.record_crc = data
            if is_last:
                wrong = LoadError.CRC & model.refused_last
                after = Phase.DESCRIPTOR if wrong else Phase.DECODE
                self.phase, self.then = Phase.VERIFY, (self.SETTLE, after, wrong)
            else:
                self.phase, self.errors = Phase.DRAIN, self.errors | LoadError.LONG
        if is_last:
            self.n_taken = 0

    def _end(self, is_last: bool, error: LoadError) -> None:
        """A frame that ends too soon."""
        if is_last:
            self.phase, self.errors = Phase.DESCRIPTOR, self.errors | error

    def _begin(self) -> None:
        """A descriptor that is served: where its sections end, looked up once for all words of the record."""
        record = self._descriptor()
        geometry = geometry_of(record)
        self.codebook_end = DESCRIPTOR_WORDS + geometry.codebook_section.n_words
        self.record_end = DESCRIPTOR_WORDS if is_resident(record) else geometry.record_words

    def _next_phase(self) -> Phase | None:
        """The phase in which the next word is taken, or None where a section ends and the next one begins."""
        if self.n_taken == self.record_end:
            return None if self.n_taken > DESCRIPTOR_WORDS else Phase.CRC
        if self.n_taken == self.codebook_end:  # at once, where the codebook is empty
            return None
        return Phase.CODEBOOK if self.n_taken < self.codebook_end else Phase.TABLE


@dataclass
class Scoreboard:
    """Compares beats with the model's, in order, and keeps count of what it compared."""

    config: DecoderConfig
    expected: list[int] = field(default_factory=list)
    n_beats: int = 0
    n_weights: int = 0
    n_mismatches: int = 0
    first_mismatch: str = ""

    def compare(self, cycle: int, beat: int) -> None:
        """One beat that came out."""
        assert self.n_beats < len(self.expected), f"a beat in cycle {cycle} that no word so far has completed"
        expected = self.expected[self.n_beats]
        bits = self.config.value_bits
        self.n_weights += (expected >> self.config.lanes * bits & (1 << self.config.lanes) - 1).bit_count()
        if beat != expected:
            wrong = [
                k for k in range(self.config.lanes + 1) if (beat ^ expected) >> k * bits & (1 << bits) - 1
            ]
            self.n_mismatches += max(1, len(wrong))
            place = f"beat {self.n_beats}, cycle {cycle}: {beat:#x} instead of {expected:#x}"
            self.first_mismatch = self.first_mismatch or place
        self.n_beats += 1
