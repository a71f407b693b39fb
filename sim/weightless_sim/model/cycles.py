"""The cycle model: predicts every transfer of a run to the cycle, from records' sizes and stall patterns.

It knows the decoder through its configuration and the specification only; Amaranth is not imported.
Cycles and patterns are those of :mod:`weightless_sim.model.patterns`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightless_hw.config import MASKED, STORED, STREAMED, DecoderConfig
from weightless_sim.model import masked, stored, streamed
from weightless_sim.model.patterns import ALWAYS, Events, Load, Pattern, Tile, Transfers
from weightless_sw.spec.record import Geometry

# The ways in which decoders load, a line each: (decoder, loads, offers, takes) -> the transfers of each layer.
Model = Callable[[DecoderConfig, Sequence[Load], Events, Events], list[Transfers]]
MODELS: dict[str, Model] = {
    STORED: stored.transfers,
    STREAMED: streamed.transfers,
    MASKED: masked.transfers,
}
WINDOWS: dict[str, Callable[[DecoderConfig, Load, Tile], NDArray[np.int64]]] = {
    STORED: stored.windows,
    STREAMED: streamed.windows,
    MASKED: masked.windows,
}
STEADY: dict[str, Callable[[DecoderConfig, Geometry], tuple[float, float]]] = {
    STORED: stored.steady,
    STREAMED: streamed.steady,
    MASKED: masked.steady,
}
ESTIMATES: dict[str, Callable[[DecoderConfig, Geometry, float], float]] = {
    STREAMED: streamed.estimate,
    MASKED: masked.estimate,
}


@dataclass(frozen=True)
class LayerCycles:
    """When one layer was served; all but the last two are cycle numbers of the run."""

    first_word: int  # the first descriptor word was taken
    last_word: int  # the CRC word was taken
    first_valid: int  # the first beat was offered
    last_beat: int  # the last beat was taken
    n_beats: int
    bubbles: int = 0  # cycles from the first valid beat to the last transfer in which no beat was offered

    @classmethod
    def of(cls, one: Transfers) -> "LayerCycles":
        """As a model of loading has it."""
        return cls(*one.words, *one.beats, one.n_beats, one.bubbles)

    @property
    def decode_cycles(self) -> int:
        """Cycles from the first valid beat to the last transfer, both included."""
        return self.last_beat - self.first_valid + 1

    @property
    def load_cycles(self) -> int:
        """Cycles from the first descriptor word to the CRC word, both included."""
        return self.last_word - self.first_word + 1

    @property
    def stalled(self) -> int:
        """Cycles in which a beat was offered and not taken."""
        return self.decode_cycles - self.n_beats - self.bubbles

    @property
    def end(self) -> int:
        """The cycle behind its last transfer: a layer may be out before its CRC word is in."""
        return max(self.last_word, self.last_beat) + 1


def transfers(
    config: DecoderConfig, loads: Sequence[Load], source: Pattern = ALWAYS, sink: Pattern = ALWAYS
) -> list[Transfers]:
    """The transfers of ``loads``, one after another.  Raises ValueError when a layer does not fit the decoder."""
    for load in loads:
        if misfits := config.misfits(load.geometry):
            raise ValueError("the decoder refuses this layer: " + "; ".join(misfits))
    return MODELS[config.LOADING](config, loads, Events(source), Events(sink))


def predict(
    config: DecoderConfig, loads: Sequence[Load], source: Pattern = ALWAYS, sink: Pattern = ALWAYS
) -> list[LayerCycles]:
    """When each of ``loads`` is served; raises as :func:`transfers`."""
    return [LayerCycles.of(one) for one in transfers(config, loads, source, sink)]


def windows(config: DecoderConfig, load: Load, tile: Tile) -> NDArray[np.int64]:
    """(n_tiles, 2): of each tile the cycle in which the array opens for it, and the one behind its last beat.

    Of one layer, from a reset on, the source never stalling; in between every beat is taken.  Exact.  Raises ValueError
    when the layer does not fit the decoder.
    """
    if misfits := config.misfits(load.geometry):
        raise ValueError("the decoder refuses this layer: " + "; ".join(misfits))
    return WINDOWS[config.LOADING](config, load, tile)


def steady(config: DecoderConfig, geometry: Geometry) -> tuple[float, float]:
    """(cycles in which no beat can come, weights per cycle in the others) of one layer, of its sizes alone.

    Neither source nor sink stalls.  Raises ValueError when the layer does not fit the decoder.
    """
    if misfits := config.misfits(geometry):
        raise ValueError("the decoder refuses this layer: " + "; ".join(misfits))
    return STEADY[config.LOADING](config, geometry)


def estimate(config: DecoderConfig, geometry: Geometry, density: float) -> float | None:
    """Cycles from reset to the last transfer of one layer, without stalls, where they depend on its record.

    Of its sizes alone, that of the payload left out; ``density`` is the share of weights that are not zero.  None where
    sizes are all that counts.
    """
    return ESTIMATES[config.LOADING](config, geometry, density) if config.LOADING in ESTIMATES else None


# A cycle of a run is in one of these; names as a report has them, and in words.
STATES = {
    "load": "loading alone",  # no beat has come yet, or all are out
    "beat": "a beat",  # is taken
    "bubble": "bubble",  # no beat is offered, between a layer's first and its last
    "stalled": "stalled",  # one is offered and not taken
}


def by_state(layers: Iterable[LayerCycles]) -> dict[str, int]:
    """Cycles of a run up to its last transfer, by STATES."""
    layers = list(layers)
    counts = {
        "beat": sum(layer.n_beats for layer in layers),
        "bubble": sum(layer.bubbles for layer in layers),
        "stalled": sum(layer.stalled for layer in layers),
    }
    return {"load": max((layer.end for layer in layers), default=0) - sum(counts.values())} | counts
