"""The cycle model: predicts every transfer of a run to the cycle, from descriptor and stall patterns.

It knows the decoder through its configuration and the specification only; Amaranth is not imported.
Cycle 0 is the first clock cycle after reset.  A pattern is a boolean array over cycles, repeated when
the run is longer: a source *offers* its next word in the first cycle at or after the end of the
transfer before in which its pattern is true, and keeps offering it until it is taken (the stream
rule); a sink is ready in the cycles in which its pattern is true.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from weightless_hw.config import DecoderConfig
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import DESCRIPTOR_WORDS

Pattern = NDArray[np.bool_]
ALWAYS: Pattern = np.ones(1, dtype=np.bool_)


@dataclass(frozen=True)
class LayerCycles:
    """When one layer was served; all are cycle numbers of the run."""

    first_word: int  # the first descriptor word was taken
    last_word: int  # the last word of the record was taken
    first_valid: int  # the first beat was offered
    last_beat: int  # the last beat was taken
    n_beats: int

    @property
    def decode_cycles(self) -> int:
        """Cycles from the first valid beat to the last transfer, both included."""
        return self.last_beat - self.first_valid + 1

    @property
    def load_cycles(self) -> int:
        """Cycles from the first descriptor word to the last word of the record, both included."""
        return self.last_word - self.first_word + 1

    def as_dict(self) -> dict[str, int]:
        """Fields and derived counts, for reports."""
        return asdict(self) | {"load_cycles": self.load_cycles, "decode_cycles": self.decode_cycles}


class _Events:
    """Answers "the k-th true cycle of a repeated pattern at or after cycle c"."""

    def __init__(self, pattern: Pattern) -> None:
        self.period = len(pattern)
        self.places = np.flatnonzero(pattern)
        if not len(self.places):
            raise ValueError("a stall pattern must be true in at least one cycle, or the run never ends")

    def at_or_after(self, cycle: int, k: int = 0) -> int:
        """The k-th (from 0) true cycle at or after ``cycle``."""
        laps, phase = divmod(cycle, self.period)
        more, place = divmod(int(np.searchsorted(self.places, phase)) + k, len(self.places))
        return (laps + more) * self.period + int(self.places[place])


def predict(
    config: DecoderConfig,
    layers: Sequence[ClassicGeometry],
    source: Pattern = ALWAYS,
    sink: Pattern = ALWAYS,
    resident: Sequence[bool] | None = None,
) -> list[LayerCycles]:
    """The transfers of ``layers``, decoded one after another.

    ``resident[k]`` says that layer k is decoded again from the tables that are loaded (only its
    descriptor is sent).  Raises ValueError when a layer does not fit the decoder.
    """
    for geometry in layers:
        if misfits := config.misfits(geometry):
            raise ValueError("the decoder refuses this layer: " + "; ".join(misfits))
    offers, takes = _Events(source), _Events(sink)
    result = []
    offered = offers.at_or_after(0)  # when the next word is offered
    free = 0  # the first cycle in which the loader waits for a descriptor
    for geometry, again in zip(layers, resident or [False] * len(layers), strict=True):
        first_word, last_word, loaded, offered = _load(geometry, again, offers, offered, free)
        first_valid = loaded + config.fill_latency
        last_beat = takes.at_or_after(first_valid, geometry.n_groups - 1)
        result.append(LayerCycles(first_word, last_word, first_valid, last_beat, geometry.n_groups))
        free = last_beat + 1
    return result


def _load(
    geometry: ClassicGeometry, again: bool, offers: _Events, offered: int, free: int
) -> tuple[int, int, int, int]:
    """(first word taken, last word taken, cycle in which loading ended, next word offered)."""
    first = taken = max(offered, free)
    for _ in range(DESCRIPTOR_WORDS - 1):
        taken = offers.at_or_after(taken + 1)
    offered = offers.at_or_after(taken + 1)
    check = taken + 1
    if again:
        return first, taken, check, offered
    done = check
    for section in geometry.sections:
        section_taken, done, offered = _unpack(section.n_words, section.item_bits, offers, offered, done + 1)
        taken = max(taken, section_taken)
    return first, taken, done, offered


def _unpack(n_words: int, width: int, offers: _Events, offered: int, start: int) -> tuple[int, int, int]:
    """A section of ``n_words`` through the Unpacker, whose first cycle is ``start``.

    Returns (last word taken, cycle in which the section is done, next word offered).  ``count`` bits
    wait at the beginning of cycle ``now``; each cycle gives one item of ``width`` bits while there is
    one, and takes a word when less than an item will be left.
    """
    if width >= WORD_BITS and offers.period == 1:  # never stalls: word after word
        first = max(offered, start)
        taken = first + n_words - 1 if n_words else -1
        waiting = n_words * WORD_BITS - _items_before_last_word(n_words, width) * width
        done = start if not n_words else taken + 1 + waiting // width
        return taken, done, max(offered, taken + 1)
    now, count, taken = start, 0, -1
    for _ in range(n_words):
        ready = now + max(0, count // width - 1)
        taken = max(offered, ready)
        count -= min(count // width, taken - now + 1) * width
        count += WORD_BITS
        now = taken + 1
        offered = offers.at_or_after(now)
    return taken, now + count // width, offered


def _items_before_last_word(n_words: int, width: int) -> int:
    """Items given up to and including the cycle that takes the last word, when every cycle takes one."""
    return (n_words - 1) * WORD_BITS // width
