"""Points of a design space, and what is found at one: everything here is sent to workers and kept in files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_sim.model import grid
from weightless_sim.model.cycles import predict
from weightless_sim.model.patterns import Load
from weightless_sw import codec, container, layouts, records
from weightless_sw.codebook import EncodeError
from weightless_sw.codec import EncodeReport
from weightless_sw.simplify import simplify
from weightless_sw.tensor import EncodedTensor

Arrays = Mapping[str, NDArray[Any]]
N_CODES = 15  # of weights that are pruned here
ESTIMATED, MEASURED = grid.ESTIMATED, "measured"


@dataclass(frozen=True, kw_only=True)
class Point:
    """What is chosen; None: as the layout or the weights have it."""

    layout: str
    lanes: int
    slot_bits: int | None = None
    density: float | None = None  # of each layer, pruned by magnitude
    n_codes: int | None = None
    chunk_log2: int | None = None

    def key(self, content: str) -> str:
        """Names what is found at it for weights, technology and program of that ``content``."""
        return hashlib.sha256(f"{content}{json.dumps(asdict(self))}".encode()).hexdigest()[:24]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is measured where else it is estimated between decoders of the grid, and how."""

    library: str = ""  # of the grid, whose energy and area are given; empty: its first one
    fpga: str = ""  # device that decoders are placed on
    seeds: int = 1
    liberty: tuple[str, ...] = ()  # files of a library that they are mapped to


@dataclass(frozen=True, kw_only=True)
class Found:
    """A row of the table: the point, and the network's figures there; with an ``error`` there are none."""

    layout: str
    lanes: int
    slot_bits: int | None
    density: float | None
    n_codes: int | None
    chunk_log2: int | None
    error: str = ""
    n_weights: int | None = None
    n_nonzero: int | None = None
    bytes: int | None = None  # records and live maps
    n_false_positives: int | None = None
    false_positives_per_nonzero: float | None = None
    cycles: int | None = None  # of all layers, one after another, without stalls
    weights_per_cycle: float | None = None  # with loading; dead rows and columns left out
    mhz: float | None = None
    mhz_how: str = ""
    microseconds: float | None = None
    luts: float | None = None  # LUT4, those used as memory among them
    flip_flops: float | None = None
    block_rams: float | None = None
    luts_how: str = ""
    um2: float | None = None  # without memories
    um2_how: str = ""
    pj_per_nonzero: float | None = None  # with glitches
    energy_nj: float | None = None  # of a pass, with glitches
    energy_how: str = ""
    library: str = ""


COLUMNS = tuple(field.name for field in fields(Found))


def points(
    layout: Sequence[str],
    lanes: Sequence[int],
    slot_bits: Sequence[int],
    density: Sequence[float | None],
    n_codes: Sequence[int | None],
    chunk_log2: Sequence[int | None],
) -> list[Point]:
    """All of them, each once: an axis that a layout does not have is no choice there."""
    found = []
    for name, g, t, p, k, chunk in product(layout, lanes, slot_bits, density, n_codes, chunk_log2):
        exact = layouts.by_name(name).geometry.EXACT
        has_chunks = layouts.has_option(name, "chunk_log2")
        found.append(
            Point(
                layout=name, lanes=g, slot_bits=None if exact else t, density=p, n_codes=k,
                chunk_log2=chunk if has_chunks else None,
            )
        )  # fmt: skip
    return list(dict.fromkeys(found))


def evaluate(point: Point, arrays: Arrays, measure: Measure) -> Found:
    """The network's figures at a point; what can't be there is an error's text, not an exception."""
    try:
        row = _evaluate(point, arrays, measure)
        return msgspec.json.decode(msgspec.json.encode(row), type=Found)  # as it is when it was kept
    except (EncodeError, ValueError) as error:
        return failed(point, str(error))


def failed(point: Point, error: str) -> Found:
    """A row without figures."""
    return Found(**asdict(point), error=error)


def _evaluate(point: Point, arrays: Arrays, measure: Measure) -> Found:
    made, reports = zip(*_encoded(point, arrays), strict=True)
    densities = [report.n_nonzero / report.n_stored for report in reports]
    n_nonzero = sum(report.n_nonzero for report in reports)
    n_false = sum(report.n_false_positives for report in reports)
    config = decoders.for_layers([tensor.geometry for tensor in made], lanes=point.lanes)
    for tensor in made:
        if misfits := config.misfits(tensor.geometry):
            raise ValueError(f"no decoder serves all layers: {'; '.join(misfits)}")
    loads = [Load(tensor.geometry, records.to_record(tensor)) for tensor in made]
    cycles = predict(config, loads)[-1].end
    n_stored = sum(tensor.geometry.n_weights for tensor in made)
    known: dict[str, Any] = _hardware(config, made, densities, measure)
    mhz, nanojoules = known["mhz"], known["energy_nj"]
    return Found(
        **asdict(point), n_weights=sum(array.size for array in arrays.values()), n_nonzero=n_nonzero,
        bytes=sum(map(container.stored_bytes, made)), n_false_positives=n_false,
        false_positives_per_nonzero=n_false / n_nonzero if n_nonzero else None, cycles=cycles,
        weights_per_cycle=n_stored / cycles, microseconds=cycles / mhz if mhz else None,
        pj_per_nonzero=1e3 * nanojoules / n_nonzero if nanojoules is not None and n_nonzero else None, **known,
    )  # fmt: skip


def _encoded(point: Point, arrays: Arrays) -> list[tuple[EncodedTensor, EncodeReport]]:
    """The layers, all of one slot width: an exact layout's are as wide as the layer of most values needs."""
    pruned = {name: _pruned(array, point, name) for name, array in arrays.items()}

    def encode(slot_bits: int | None) -> list[tuple[EncodedTensor, EncodeReport]]:
        options = _options(point) | {"slot_bits": slot_bits}
        return [codec.encode(one, name=name, round_values=True, **options) for name, one in pruned.items()]

    made = encode(point.slot_bits)
    widths = {tensor.geometry.slot_bits for tensor, _ in made}
    return made if len(widths) == 1 else encode(max(widths))


def _pruned(array: NDArray[Any], point: Point, name: str) -> NDArray[Any]:
    """As it is, or pruned and clustered where the point says so."""
    if point.density is None and point.n_codes is None:
        return array
    density = point.density or max(1, int(np.count_nonzero(array))) / array.size
    return simplify(array, density=density, n_codes=point.n_codes or N_CODES, name=name)[0]


def _options(point: Point) -> dict[str, Any]:
    """Of the encoder."""
    own = {"lanes": point.lanes, "chunk_log2": point.chunk_log2}
    given = {
        name: own[name] for name in own if layouts.has_option(point.layout, name) and own[name] is not None
    }
    return {"layout": point.layout, **given}


def _hardware(
    config: Any, made: Sequence[EncodedTensor], densities: Sequence[float], measure: Measure
) -> dict[str, Any]:
    """Frequency, area and energy of the decoder: estimated between those of the grid, or measured."""
    found: dict[str, Any] = {"mhz": None, "energy_nj": None}
    if placements := grid.placements(config):
        one = placements[0]
        found |= {"mhz": one.fmax_mhz, "mhz_how": one.how["fmax"], "luts_how": one.how["area"]} | _area(
            one.area
        )
    library = measure.library or grid.libraries()[0]
    cells = config.for_cells()
    pj, entry = 0.0, None
    for tensor, density in zip(made, densities, strict=True):
        if entry := grid.find(cells, library, density):
            pj += entry.pj_per_weight_glitches * tensor.geometry.n_weights
    if entry:
        found |= {"um2": entry.area_um2, "um2_how": entry.how, "energy_nj": pj / 1e3, "energy_how": entry.how,
                  "library": library}  # fmt: skip
    if measure.fpga:
        found |= _place(config, measure)
    if measure.liberty:
        found |= _map(cells, made, densities, measure)
    return found


def _area(area: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "luts": area["luts"] + area["luts_memory"],
        "flip_flops": area["flip_flops"],
        "block_rams": area["block_rams"],
    }


def _place(config: Any, measure: Measure) -> dict[str, Any]:
    """By yosys and nextpnr; the median of the seeds."""
    from weightless_sim.fpga import families
    from weightless_sim.fpga.implementation import Implementation

    made = Implementation(config, families.DEVICES[measure.fpga])
    area = _area(vars(made.area()))
    mhz = (
        float(np.median([made.place(seed)[0] for seed in range(1, measure.seeds + 1)]))
        if measure.seeds
        else None
    )
    return area | {"luts_how": MEASURED} | ({"mhz": mhz, "mhz_how": MEASURED} if mhz else {})


def _map(
    config: Any, made: Sequence[EncodedTensor], densities: Sequence[float], measure: Measure
) -> dict[str, Any]:
    """To cells, with the largest table; the other layers' beats at its energy."""
    from weightless_sim.gates import characterise, liberty

    largest, density = max(zip(made, densities, strict=True), key=lambda both: both[0].geometry.n_weights)
    n_nonzero = round(density * largest.geometry.n_weights)
    paths = tuple(map(Path, measure.liberty))
    library = liberty.read(paths)
    nodes = [nm for name, nm in grid.SRAM_NODES.items() if library.name.startswith(name)]
    options = characterise.Options(  # as the grid's decoders were measured
        liberty=paths, clock_gates=bool(library.clock_gates), sram_node_nm=nodes[0] if nodes else 45
    )
    result = characterise.run(config, largest, n_nonzero, options, lambda *_: None)
    _, figures = result.figures()
    n_stored = sum(one.geometry.n_weights for one in made)
    return {
        "um2": figures.area_um2, "um2_how": MEASURED, "energy_nj": figures.pj_per_weight * n_stored / 1e3,
        "energy_how": MEASURED, "library": result.library.name,
    }  # fmt: skip
