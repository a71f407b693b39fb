"""How often each unit of a decoder works: predicted in closed form, from descriptors and stall patterns.

A unit is *enabled* in a cycle in which its registers take new values, and *useful* when what they take is a beat's (the
loader: a word).
Energy follows: an enabled unit is clocked, a useful one switches.  Counted is from cycle 0 up to the last transfer
(see :mod:`weightless_sim.model.cycles`); a bench counts the same in the running decoder.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from weightless_hw.config import LOADER, DecoderConfig
from weightless_sim.model.cycles import ALWAYS, Events, LayerCycles, Pattern, predict
from weightless_sw.spec.record import DESCRIPTOR_WORDS, Geometry


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

    def as_dict(self) -> dict[str, Any]:
        """Fields and derived counts, for reports."""
        units = {name: asdict(unit) | {"idle": unit.idle} for name, unit in self.units.items()}
        return asdict(self) | {"units": units}


def predict_events(
    config: DecoderConfig,
    layers: Sequence[Geometry],
    source: Pattern = ALWAYS,
    sink: Pattern = ALWAYS,
    resident: Sequence[bool] | None = None,
) -> RunEvents:
    """The events of ``layers``, decoded one after another; arguments and errors are those of cycles.predict."""
    again = resident or [False] * len(layers)
    transfers = predict(config, layers, source, sink, again)
    takes = Events(sink)
    cycles = transfers[-1].last_beat + 1
    held = sum(_held(layer, takes) for layer in transfers)
    stalled = sum(layer.decode_cycles - layer.n_beats for layer in transfers)
    n_beats = sum(layer.n_beats for layer in transfers)
    loaded = [geometry for geometry, kept in zip(layers, again, strict=True) if not kept]
    words = sum(geometry.record_words for geometry in loaded)
    words += DESCRIPTOR_WORDS * (len(layers) - len(loaded)) + len(layers)  # and a CRC word each
    names = [unit.name for unit in config.units if unit != LOADER]
    units = {}
    for name in names:
        n = names.count(name)
        waits = stalled if name == "output" else held  # the output's registers hold with the sink
        writes = sum(config.writes(geometry).get(name, 0) for geometry in loaded)
        units[name] = UnitEvents(n * (cycles - waits) - writes, n * n_beats)
    units[LOADER.name] = UnitEvents(cycles, words)
    return RunEvents(cycles, held, words, units)


def _held(layer: LayerCycles, takes: Events) -> int:
    """Cycles in which the output buffer's spare entry is full, and so the pipeline held.

    A beat that waits for the sink in its first cycle lets the next one into the spare entry; from then on the
    pipeline is held until it is taken.  Behind the last beat there is no next one.
    """
    if layer.n_beats < 2:
        return 0
    last_but_one = takes.at_or_after(layer.first_valid, layer.n_beats - 2)
    return last_but_one - layer.first_valid + 1 - (layer.n_beats - 1)
