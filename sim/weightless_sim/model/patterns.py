"""What the models of loading are given and what they give: stall patterns, loads, transfers.

Cycle 0 is the first clock cycle after reset.  A pattern is a boolean array over cycles, repeated when
the run is longer: a source *offers* its next word in the first cycle at or after the end of the
transfer before in which its pattern is true, and keeps offering it until it is taken (the stream
rule); a sink is ready in the cycles in which its pattern is true.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightless_sw.spec.record import DESCRIPTOR_WORDS, TILE_WORDS, Geometry, Runs

Pattern = NDArray[np.bool_]
ALWAYS: Pattern = np.ones(1, dtype=np.bool_)


class Events:
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


class Tile(NamedTuple):
    """How an array takes weights: ``beats`` of a tile as they come, then none until it has a buffer free again.

    It has two: a tile is used for ``busy`` cycles once it is there and the one before is done, and the next is loaded
    meanwhile.
    """

    beats: int
    busy: int


NO_TILES = Tile(1, 0)  # takes every beat


class Load(NamedTuple):
    """A record that is sent to the decoder, or only its sizes: then a model can't tell more than they do."""

    geometry: Geometry
    record: bytes | None = None
    resident: bool = (
        False  # its descriptor alone is sent, and the tables that are loaded are decoded once more,
    )
    runs: Runs | None = None  # or these weights of them, then with the words of a tile behind it

    @property
    def n_words(self) -> int:
        """Words of its frame, the CRC word included."""
        words = DESCRIPTOR_WORDS if self.resident else self.geometry.record_words
        return words + (TILE_WORDS if self.runs else 0) + 1

    @property
    def n_weights(self) -> int:
        """That are decoded."""
        return self.runs.n_weights if self.runs else self.geometry.n_weights


class Transfers(NamedTuple):
    """What a model of loading says of one layer; cycles are those of the run."""

    words: tuple[int, int]  # cycles in which its first descriptor word and its CRC word are taken
    beats: tuple[
        int, int
    ]  # the cycle in which its first beat is offered, and that in which its last one is taken
    n_beats: int
    held: int  # cycles in which the pipeline holds
    bubbles: int  # cycles between the two of ``beats`` in which no beat is offered
