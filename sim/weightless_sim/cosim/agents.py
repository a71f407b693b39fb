"""Who takes part in a bench: driver, monitors, golden model, scoreboard.

Each cycle inputs are set at the falling clock edge, everything is sampled once it has settled, and what
was sampled is what happens at the rising edge that follows.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weightless_hw.config import DecoderConfig
from weightless_sim.cosim.scenario import geometry_of, is_resident
from weightless_sim.model.cycles import Pattern
from weightless_sw import container, layouts
from weightless_sw.spec.record import DESCRIPTOR_WORDS
from weightless_sw.tensor import Arrangement, EncodedTensor


class SourceDriver:
    """Offers ``words`` as the pattern allows; an offer stands until it is taken."""

    def __init__(self, valid: Any, payload: Any, words: list[int], pattern: Pattern):
        self.valid, self.payload, self.words, self.pattern = valid, payload, words, pattern
        self.place = 0
        self.offering = False

    def drive(self, cycle: int) -> None:
        """Set the inputs of this cycle."""
        if not self.offering and self.place < len(self.words):
            self.offering = bool(self.pattern[cycle % len(self.pattern)])
            if self.offering:
                self.payload.value = self.words[self.place]
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

    A layout decides which beats a word completes: the classic table's all come with the record's last
    word, since any group may read any row.
    """

    def __init__(self, config: DecoderConfig):
        self.config = config
        self.words: list[int] = []
        self.n_words = DESCRIPTOR_WORDS  # of the record, as far as is known
        self.loaded: EncodedTensor | None = None
        self.record_ended = False  # with the word that was taken last

    def take(self, word: int) -> list[int]:
        """One more word; the beats that it completes."""
        self.words.append(word)
        self.record_ended = False
        if len(self.words) == DESCRIPTOR_WORDS:
            geometry = geometry_of(self._bytes())
            if is_resident(self._bytes()):
                assert self.loaded is not None and self.loaded.geometry == geometry
            else:
                self.n_words = geometry.record_words
        if len(self.words) < self.n_words:
            return []
        if self.n_words > DESCRIPTOR_WORDS:  # not resident: a table has a word at least
            record = self._bytes()
            self.loaded = container.from_record(record, Arrangement((geometry_of(record).n_weights,)))
        assert self.loaded is not None
        self.words, self.n_words = [], DESCRIPTOR_WORDS
        self.record_ended = True
        return self.beats(self.loaded)

    def _bytes(self) -> bytes:
        return b"".join(word.to_bytes(4, "little") for word in self.words)

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
