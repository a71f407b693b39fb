"""The cycle model: predicts every transfer of a run to the cycle, from descriptors and stall patterns.

It knows the decoder through its configuration and the specification only; Amaranth is not imported.
Cycle 0 is the first clock cycle after reset.  A pattern is a boolean array over cycles, repeated when
the run is longer: a source *offers* its next word in the first cycle at or after the end of the
transfer before in which its pattern is true, and keeps offering it until it is taken (the stream
rule); a sink is ready in the cycles in which its pattern is true.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from weightless_hw.config import DecoderConfig
from weightless_sw.spec.record import Geometry

Pattern = NDArray[np.bool_]
ALWAYS: Pattern = np.ones(1, dtype=np.bool_)


@dataclass(frozen=True)
class LayerCycles:
    """When one layer was served; all are cycle numbers of the run."""

    first_word: int  # the first descriptor word was taken
    last_word: int  # the CRC word was taken
    first_valid: int  # the first beat was offered
    last_beat: int  # the last beat was taken
    n_beats: int

    @property
    def decode_cycles(self) -> int:
        """Cycles from the first valid beat to the last transfer, both included."""
        return self.last_beat - self.first_valid + 1

    @property
    def load_cycles(self) -> int:
        """Cycles from the first descriptor word to the CRC word, both included."""
        return self.last_word - self.first_word + 1

    def as_dict(self) -> dict[str, int]:
        """Fields and derived counts, for reports."""
        return asdict(self) | {"load_cycles": self.load_cycles, "decode_cycles": self.decode_cycles}


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


def predict(
    config: DecoderConfig,
    layers: Sequence[Geometry],
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
    model = import_module(f"weightless_sim.model.{config.LOADING}")
    result: list[LayerCycles] = model.transfers(
        config, layers, Events(source), Events(sink), resident or [False] * len(layers)
    )
    return result
