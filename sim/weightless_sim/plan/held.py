"""A plan held against the RTL: real layers, in the order of the array's tiles, through decoders that the array stalls.

The array's stalls are those of :func:`weightless_sim.model.cycles.windows`.  What the RTL then gives, beat by beat,
must be what the array would have taken of it: its own windows are told from the RTL's beats alone, and compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import CosimResult, Scenario, load_of
from weightless_sim.folders import HERE, Folders
from weightless_sim.model import cycles
from weightless_sim.model.cycles import LayerCycles, predict
from weightless_sim.model.patterns import Pattern, Tile
from weightless_sim.model.technology import References
from weightless_sim.plan import answer
from weightless_sim.plan.answer import Options
from weightless_sim.plan.array import Array
from weightless_sim.plan.network import COUNTED, Layer, Network
from weightless_sw import codec, layouts
from weightless_sw.progress import Step
from weightless_sw.records import to_record

IDLE = 64  # cycles behind the last window, which the bench watches


class HeldError(RuntimeError):
    """The RTL and the plan differ where they must not: a bug, not an input error."""


@dataclass(frozen=True, kw_only=True)
class Uses:
    """What an array does while it is fed a layer; all in cycles, from the reset to the end of the last tile's use."""

    cycles: int
    busy: int  # a tile is used
    waiting: int  # none is there
    stalled: int  # a beat is offered, and no buffer is free


@dataclass(frozen=True, kw_only=True)
class Row:
    """A layer in a layout: what was planned of its sizes alone, what the cycle model says of its record, the RTL."""

    layer: str
    layout: str
    lanes: int
    n_weights: int  # edges filled up
    n_mismatches: int
    bytes_planned: int
    bytes: int
    cycles_planned: float
    model: Uses
    rtl: Uses

    @property
    def bytes_error(self) -> float:
        """Of the plan, a share of the record."""
        return self.bytes_planned / self.bytes - 1

    @property
    def cycles_error(self) -> float:
        """Of the plan, a share of the RTL's."""
        return self.cycles_planned / self.rtl.cycles - 1


def in_tiles(array: NDArray[Any], grid: Array) -> NDArray[Any]:
    """The weights (outputs, inputs, kernel) as the array takes them, (tiles, R C): zeros where a tile is not full.

    A tile after the other, those of the same outputs together; in it a row of the array, one input, after the other.
    """
    matrix = array.reshape(array.shape[0], -1).T  # rows take inputs
    blocks = [-(-n // side) for n, side in zip(matrix.shape, (grid.rows, grid.columns), strict=True)]
    padded = np.zeros((blocks[0] * grid.rows, blocks[1] * grid.columns), array.dtype)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    tiles = padded.reshape(blocks[0], grid.rows, blocks[1], grid.columns).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(tiles).reshape(prod(blocks), grid.tile)


def to_pattern(windows: NDArray[np.int64]) -> Pattern:
    """The cycles in which the array takes beats."""
    pattern = np.zeros(int(windows[-1, 1]) + IDLE, np.bool_)
    for opens, closes in windows:
        pattern[opens:closes] = True
    return pattern


def uses(windows: NDArray[np.int64], tile: Tile, served: LayerCycles) -> Uses:
    """What the array does, of its windows and of when the layer was served."""
    free = 0
    for has in windows[:, 1]:
        free = max(int(has), free) + tile.busy
    busy = len(windows) * tile.busy
    return Uses(cycles=free, busy=busy, waiting=free - busy, stalled=served.stalled)


def windows_of(beats: Sequence[int], tile: Tile) -> NDArray[np.int64]:
    """The windows that an array would have, of the cycles in which its beats came."""
    found, opens, free = [], 0, 0
    for last in range(tile.beats - 1, len(beats) + tile.beats - 1, tile.beats):
        has = beats[min(last, len(beats) - 1)] + 1
        found.append((opens, has))
        opens = max(has, free)
        free = opens + tile.busy
    return np.array(found, np.int64)


def hold(
    arrays: Mapping[str, NDArray[Any]], options: Options, known: References, step: Step, simulator: str = "verilator",
    folders: Folders = HERE,
) -> list[Row]:  # fmt: skip
    """Every layer of ``arrays`` in every layout that hardware reads, planned and run.

    Raises HeldError where the RTL does otherwise than the cycle model, ValueError for lanes that are no whole beats of
    a tile, SimulationError.
    """
    codes = max(len(np.unique(array[array != 0])) for array in arrays.values())
    asked = replace(options, codes=codes)
    layers = [
        Layer(name, array.shape, np.count_nonzero(array) / array.size, COUNTED)
        for name, array in arrays.items()
    ]
    planned = answer.plan(Network("held", layers), asked, known)
    rows: list[Row] = []
    for layout in decoders.BY_NAME:
        rows += _hold_layout(layout, arrays, planned, step, simulator, folders)
    return rows


def _hold_layout(
    layout: str, arrays: Mapping[str, NDArray[Any]], planned: answer.Plan, step: Step, simulator: str, folders: Folders
) -> list[Row]:  # fmt: skip
    options, made = planned.options, planned.named(layout)
    if made.decoder is None:
        raise ValueError(f"{layout}: {made.why_not}")
    lanes = made.decoder.lanes
    if options.array.tile % lanes:
        raise ValueError(f"a tile of {options.array.tile} weights is no whole number of beats of {lanes}")
    own: dict[str, Any] = {"lanes": lanes} if layouts.has_option(layout, "lanes") else {}
    records = {}
    with step(f"encode {len(arrays)} layers, {layout}") as progress:
        for k, (name, array) in enumerate(arrays.items()):
            progress(k, len(arrays), name)
            tensor, _ = codec.encode(
                in_tiles(array, options.array), layout=layout, order="rows", live="off", name=name, round_values=True,
                slot_bits=options.slot_bits, **own,
            )  # fmt: skip
            records[name] = to_record(tensor)
    loads = [load_of(record) for record in records.values()]
    config = decoders.for_layers([load.geometry for load in loads], lanes=lanes)
    tiles = [
        Tile(options.array.tile // lanes, options.array.busy(layer.vectors * options.batch))
        for layer in planned.network.layers
    ]
    windows = [cycles.windows(config, load, tile) for load, tile in zip(loads, tiles, strict=True)]
    scenarios = [
        Scenario(config=config, records=[record], sink=to_pattern(opened))
        for record, opened in zip(records.values(), windows, strict=True)
    ]
    with step(f"simulate {config.name}, {len(scenarios)} layers") as progress:
        results = runner.run_all(scenarios, "plan", simulator=simulator, progress=progress, folders=folders)
    return [
        _row(name, config, scenario, result, opened, tile, cost)
        for name, scenario, result, opened, tile, cost in zip(
            arrays, scenarios, results, windows, tiles, made.layers, strict=True
        )
    ]


def _row(
    name: str, config: DecoderConfig, scenario: Scenario, result: CosimResult, windows: NDArray[np.int64], tile: Tile,
    cost: answer.LayerCost,
) -> Row:  # fmt: skip
    (model,) = predict(config, scenario.loads, sink=scenario.sink)
    (rtl,) = result.layers
    came = windows_of(result.output_transfers, tile)
    both = uses(windows, tile, model), uses(came, tile, rtl)
    if not np.array_equal(came, windows) or both[0] != both[1]:
        tiles = [k for k, pair in enumerate(zip(came, windows, strict=True)) if not np.array_equal(*pair)]
        raise HeldError(
            f"{name}, {config.name}: the array was fed otherwise than planned, {len(tiles)} of {len(windows)} tiles: "
            f"{both[1]}, not {both[0]}"
        )
    return Row(
        layer=name, layout=config.GEOMETRY.NAME, lanes=config.lanes, n_weights=scenario.loads[0].geometry.n_weights,
        n_mismatches=result.n_mismatches, bytes_planned=cost.bytes, bytes=len(scenario.records[0]),
        cycles_planned=cost.cycles or 0.0, model=both[0], rtl=both[1],
    )  # fmt: skip
