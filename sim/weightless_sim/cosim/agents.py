"""Who takes part in a bench: driver, monitors, counter, scoreboard; the models are in ``golden.py``.

Each cycle inputs are set at the falling clock edge, everything is sampled once it has settled, and what
was sampled is what happens at the rising edge that follows.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from weightless_hw.config import DecoderConfig
from weightless_sim.cosim.scenario import LAST
from weightless_sim.model.patterns import Pattern


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
        self.held = self._places(config.HELD)
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


@dataclass
class Scoreboard:
    """Compares beats with the model's, in order, and keeps count of what it compared.

    ``ends``: places in ``expected`` of the last beat of layers that failed; how many of those before it still come
    depends on how far the decoder was, but they are followed by a beat without lanes, unless the last one was offered
    up to the cycle that stands there as well.
    """

    config: DecoderConfig
    expected: list[int] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)
    n_beats: int = 0
    n_weights: int = 0
    n_mismatches: int = 0
    first_mismatch: str = ""

    @property
    def closing(self) -> int:
        """The beat without lanes, which is last."""
        return 1 << self.config.lanes * (self.config.value_bits + 1)

    def fail(self, is_whole: bool, latest: int) -> None:
        """The layer whose beats were expected last has; ``is_whole``: its true last one is among them, which may come
        if it is offered by the cycle ``latest``."""
        if not is_whole:
            self.expected.append(self.closing)
        self.ends.append((len(self.expected) - 1, latest))

    def compare(self, cycle: int, beat: int, offered: int) -> None:
        """One beat that came out, and was offered from the cycle ``offered`` on."""
        self.ends = [(end, latest) for end, latest in self.ends if end >= self.n_beats]
        if self.ends:
            end, latest = self.ends[0]
            if beat == self.closing:
                cut = end - self.n_beats
                self.expected[self.n_beats : end + 1] = [beat]
                self.ends = [(place - cut, late) for place, late in self.ends[1:]]
            elif end == self.n_beats and offered > latest:
                self.expected[end] = self.closing
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
