"""The whole network: a row for each tensor of the file, and what they come to together."""

from collections.abc import Mapping
from math import isclose, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_sim.model import grid
from weightless_sim.model.cycles import LayerCycles
from weightless_sim.model.technology import KnownEntry
from weightless_sim.study.energy import SAME_DENSITY, by_function
from weightless_sim.study.result import (
    Decoder,
    Layer,
    LayerCounts,
    LayerEnergy,
    Pair,
    Run,
    RunKind,
    TableMemory,
    Totals,
)
from weightless_sim.study.sizes import Rivals
from weightless_sim.study.subject import Subject
from weightless_sw import codec, container
from weightless_sw.spec.record import Geometry
from weightless_sw.tensor import CodedTensor, EncodedTensor


def layers(
    about: Subject, built: Mapping[str, Decoder], runs: Mapping[str, Run], sizes: Mapping[str, Rivals]
) -> list[Layer]:
    """A row for each tensor, in the file's order."""
    served = {name: key for key, decoder in built.items() for name in decoder.tables}
    measured = _transfers(runs)
    rows = []
    for name, tensor in about.tensors.items():
        rows.append(
            _table(name, tensor, built[served[name]], measured[name], about, sizes.get(name, {}))
            if isinstance(tensor, EncodedTensor)
            else _other(name, tensor, sizes.get(name, {}))
        )
    return rows


def _transfers(runs: Mapping[str, Run]) -> dict[str, LayerCycles]:
    """Of each table its first decoding without a stall."""
    found: dict[str, LayerCycles] = {}
    for run in runs.values():
        if run.kind == RunKind.IN_TURN:
            for name, one in zip(run.layers, run.transfers, strict=True):
                found.setdefault(name, one)
    return found


def _table(
    name: str, tensor: EncodedTensor, decoder: Decoder, served: LayerCycles, about: Subject, sizes: Rivals
) -> Layer:
    g, report = tensor.geometry, about.reports.get(name)
    density = report.n_nonzero / report.n_stored if report else g.density
    config = decoders.configure(decoder.layout, **decoder.config)
    return Layer(
        name=name, shape=list(tensor.shape), n_weights=prod(tensor.shape), stored_as=g.NAME, n_stored=g.n_weights,
        n_nonzero=report.n_nonzero if report else None, n_codes=g.n_codes, slot_bits=g.slot_bits,
        bytes=container.stored_bytes(tensor), n_false_positives=report.n_false_positives if report else None,
        decoder=config.name, memory=_memory(config, g),
        cycles=LayerCounts(
            load=served.load_cycles, decode=served.decode_cycles, total=served.end - served.first_word
        ),
        rivals=sizes, energy=_energy(decoder, config, served.n_beats, density),
    )  # fmt: skip


def _other(name: str, tensor: CodedTensor | NDArray[Any], sizes: Rivals) -> Layer:
    """What no decoder here reads: a coded record, or an array as it is."""
    is_coded = isinstance(tensor, CodedTensor)
    weights = codec.decode(tensor)
    return Layer(
        name=name, shape=list(tensor.shape), n_weights=prod(tensor.shape), stored_as="coded" if is_coded else "raw",
        n_stored=None, n_nonzero=int(np.count_nonzero(weights)),
        n_codes=len(tensor.codebook) if isinstance(tensor, CodedTensor) else None, slot_bits=None,
        bytes=container.stored_bytes(tensor), n_false_positives=0, decoder=None, memory=None, cycles=None,
        rivals=sizes, energy=None,
    )  # fmt: skip


def _memory(config: DecoderConfig, geometry: Geometry) -> TableMemory:
    """Of a table that is stored its rows; what streams uses all that there is."""
    rows: int | None = getattr(geometry, "bank_rows", None) if config.keeps_table() else None
    return TableMemory(
        rows_used=rows,
        rows_built=None if rows is None else config.table_size,
        bits_used=config.on_chip_bits if rows is None else geometry.n_slots * geometry.slot_bits,
        bits_built=config.on_chip_bits,
    )


def _energy(
    decoder: Decoder, config: DecoderConfig, n_beats: int, density: float | None
) -> LayerEnergy | None:
    """Of a pass; ``density`` is the layer's, of what is stored."""
    if not decoder.energy:
        return None
    entry = at_density(decoder.energy[0], config, density)
    n = n_beats * entry.lanes
    parts = {name: (n_beats * low, n_beats * high) for name, (low, high) in by_function(entry).items()}
    return LayerEnergy(
        pj=(n * entry.pj_per_weight_settled, n * entry.pj_per_weight_glitches),
        parts=parts if entry.parts else {}, how=entry.how,
    )  # fmt: skip


def at_density(entry: KnownEntry, config: DecoderConfig, density: float | None) -> KnownEntry:
    """The entry of a decoder, or, where that streams and a layer's density is another, what the grid has there."""
    same = density is None or isclose(entry.density or 0.0, density, rel_tol=SAME_DENSITY)
    if same or config.keeps_table() or not entry.clock_gates:
        return entry
    return grid.find(config.for_cells(), entry.library, density or grid.USUAL_DENSITY) or entry


def totals(about: Subject, rows: list[Layer], built: Mapping[str, Decoder]) -> Totals:
    """Of the rows; decoders that stand beside the file's are not counted."""
    configs = [
        decoders.configure(one.layout, **one.config)
        for one in built.values()
        if any(name in about.tables for name in one.tables)
    ]
    counted = [row for row in rows if row.cycles]
    energies = [row.energy.pj for row in counted if row.energy]
    others = [row for row in rows if not row.rivals]  # stay as they are in every format
    names = dict.fromkeys(name for row in rows for name in row.rivals)
    compared = [row for row in rows if row.rivals]
    return Totals(
        n_weights=sum(row.n_weights for row in rows),
        n_nonzero=_sum([row.n_nonzero for row in rows]),
        bytes=about.n_bytes,
        n_decoded=sum(row.n_stored or 0 for row in counted),
        n_false_positives=_sum([row.n_false_positives for row in rows]),
        cycles=sum(row.cycles.total for row in counted if row.cycles),
        on_chip_bits=sum(config.on_chip_bits for config in configs),
        rivals={
            name: sum(row.rivals[name].bytes for row in compared) + sum(row.bytes for row in others)
            for name in names
            if about.weights and all(name in row.rivals for row in compared)
        },
        energy=_pair(energies) if len(energies) == len(counted) else None,
    )


def _sum(values: list[int | None]) -> int | None:
    """None where one is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _pair(pairs: list[Pair]) -> Pair:
    return sum(low for low, _ in pairs), sum(high for _, high in pairs)
