"""A plan held against the RTL: real layers, in the order of the array's tiles, through decoders that the array stalls.

The array's stalls are those of :func:`weightless_sim.model.cycles.windows`.  What the RTL then gives, beat by beat,
must be what the array would have taken of it: its own windows are told from the RTL's beats alone, and compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import CosimResult, Scenario, load_of
from weightless_sim.folders import HERE, Folders
from weightless_sim.model import cycles, grid
from weightless_sim.model.cycles import LayerCycles, predict
from weightless_sim.model.patterns import Pattern, Tile
from weightless_sim.model.technology import References
from weightless_sim.plan import answer
from weightless_sim.plan.answer import Options
from weightless_sim.plan.array import Array
from weightless_sim.plan.network import Layer, Network
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
    rows: int  # of the array
    columns: int
    vectors: int  # a tile is used for
    n_weights: int  # edges filled up
    n_mismatches: int  # of the RTL's weights
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


class _Run(NamedTuple):
    """A layer that is run."""

    layer: Layer
    cost: answer.LayerCost
    scenario: Scenario
    windows: NDArray[np.int64]
    tile: Tile


def hold(
    network: Network, arrays: Mapping[str, NDArray[Any]], options: Options, known: References, step: Step,
    simulator: str = "verilator", folders: Folders = HERE,
) -> list[Row]:  # fmt: skip
    """Every layer of the network, whose weights ``arrays`` has, in every layout that hardware reads, planned and run.

    Raises HeldError where the RTL does otherwise than the cycle model, ValueError for lanes that are no whole beats of
    a tile, SimulationError.
    """
    codes = max(len(np.unique(one[one != 0])) for one in (arrays[layer.name] for layer in network.layers))
    planned = answer.plan(replace(network, records={}), replace(options, codes=codes), known)
    rows: list[Row] = []
    for layout in grid.layouts():
        config, runs = _runs(layout, arrays, planned, step)
        with step(f"simulate {config.name}, {len(runs)} layers") as progress:
            scenarios = [one.scenario for one in runs]
            results = runner.run_all(
                scenarios, "plan", simulator=simulator, progress=progress, folders=folders
            )
        rows += [_row(*both, options) for both in zip(runs, results, strict=True)]
    return rows


def _runs(
    layout: str, arrays: Mapping[str, NDArray[Any]], planned: answer.Plan, step: Step
) -> tuple[DecoderConfig, list[_Run]]:
    """The layers encoded, and what their decoder is to be stalled with."""
    options, made = planned.options, planned.named(layout)
    if made.decoder is None:
        raise ValueError(f"{layout}: {made.why_not}")
    lanes, array = made.decoder.lanes, options.array
    if array.tile % lanes:
        raise ValueError(f"a tile of {array.tile} weights is no whole number of beats of {lanes}")
    own: dict[str, Any] = {"lanes": lanes} if layouts.has_option(layout, "lanes") else {}
    records = []
    with step(f"encode {len(planned.network.layers)} layers, {layout}") as progress:
        for k, layer in enumerate(planned.network.layers):
            progress(k, len(planned.network.layers), layer.name)
            tensor, _ = codec.encode(
                in_tiles(arrays[layer.name], array), layout=layout, order="rows", live="off", name=layer.name,
                round_values=True, slot_bits=made.decoder.logic.slot_bits, **own,
            )  # fmt: skip
            records.append(to_record(tensor))
    loads = [load_of(record) for record in records]
    config = decoders.for_layers([load.geometry for load in loads], lanes=lanes)
    runs = []
    for layer, cost, record, load in zip(planned.network.layers, made.layers, records, loads, strict=True):
        tile = Tile(array.tile // lanes, array.busy(layer.vectors * options.batch))
        windows = cycles.windows(config, load, tile)
        scenario = Scenario(config=config, records=[record], sink=to_pattern(windows))
        runs.append(_Run(layer, cost, scenario, windows, tile))
    return config, runs


def _row(run: _Run, result: CosimResult, options: Options) -> Row:
    config = run.scenario.config
    (model,) = predict(config, run.scenario.loads, sink=run.scenario.sink)
    (rtl,) = result.layers
    came = windows_of(result.output_transfers, run.tile)
    both = uses(run.windows, run.tile, model), uses(came, run.tile, rtl)
    if not np.array_equal(came, run.windows) or both[0] != both[1]:
        wrong = sum(not np.array_equal(*pair) for pair in zip(came, run.windows, strict=True))
        raise HeldError(
            f"{run.layer.name}, {config.name}: the array was fed otherwise than planned, {wrong} of {len(came)} tiles: "
            f"{both[1]}, not {both[0]}"
        )
    return Row(
        layer=run.layer.name, layout=config.GEOMETRY.NAME, lanes=config.lanes, rows=options.array.rows,
        columns=options.array.columns, vectors=run.layer.vectors * options.batch,
        n_weights=run.scenario.loads[0].geometry.n_weights, n_mismatches=result.n_mismatches,
        bytes_planned=run.cost.bytes // run.layer.count, bytes=len(run.scenario.records[0]),
        cycles_planned=(run.cost.cycles or 0.0) / run.layer.count, model=both[0], rtl=both[1],
    )  # fmt: skip
