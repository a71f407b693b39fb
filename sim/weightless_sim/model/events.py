"""How often each unit of a decoder works: predicted from records' sizes and stall patterns.

A unit is *enabled* in a cycle in which its registers take new values, and *useful* when what they take is a beat's (the
loader: a word).
Energy follows: an enabled unit is clocked, a useful one switches.  Counted is from cycle 0 up to the last transfer
(see :mod:`weightless_sim.model.cycles`); a bench counts the same in the running decoder.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from weightless_hw.config import LOADER, DecoderConfig
from weightless_sim.model.cycles import LayerCycles, transfers
from weightless_sim.model.patterns import ALWAYS, Load, Pattern


@dataclass(frozen=True)
class UnitEvents:
    """Cycles of a unit; of several alike (banks) the sum."""

    enabled: int
    useful: int

    @property
    def idle(self) -> int:
        """Cycles in which it was enabled for nothing."""
        return self.enabled - self.useful


@dataclass(frozen=True)
class RunEvents:
    """A run: ``held`` cycles are those in which the pipeline's enable is low, ``words`` those that were loaded."""

    cycles: int
    held: int
    words: int
    units: dict[str, UnitEvents]


def predict_events(
    config: DecoderConfig, loads: Sequence[Load], source: Pattern = ALWAYS, sink: Pattern = ALWAYS
) -> RunEvents:
    """The events of ``loads``, decoded one after another; errors are those of cycles.transfers."""
    found = transfers(config, loads, source, sink)
    layers = [LayerCycles.of(one) for one in found]
    cycles, held = layers[-1].end, sum(one.held for one in found)
    stalled, n_beats = (sum(getattr(layer, name) for layer in layers) for name in ("stalled", "n_beats"))
    words = sum(load.n_words for load in loads)
    units = {}
    for (name, with_sink), n in Counter((u.name, u.with_sink) for u in config.units if u != LOADER).items():
        waits = stalled if with_sink else held
        writes = sum(config.writes(load.geometry).get(name, 0) for load in loads if not load.resident)
        units[name] = UnitEvents(n * (cycles - waits) - writes, n * n_beats)
    units[LOADER.name] = UnitEvents(cycles, words)
    return RunEvents(cycles, held, words, units)
