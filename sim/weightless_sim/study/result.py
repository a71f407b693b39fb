"""What a study's result is made of; no simulator is imported.

``Report.as_dict`` is the content of ``report.json``, which ``docs/report.schema.json`` describes.
"""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from weightless_sim.model.cycles import LayerCycles
from weightless_sim.model.events import RunEvents
from weightless_sim.model.technology import KnownEntry, KnownPlacement, Reference
from weightless_sw.baselines import Kind, Rate
from weightless_sw.codec import EncodeReport

Pair = tuple[float, float]  # settled and with glitches; equal where there is one figure


class RunKind(StrEnum):
    """What is simulated."""

    IN_TURN = "in turn"  # all tables of a decoder, without a stall
    STALL = "stall"  # the largest table, under one pattern of stalls


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a result comes from."""

    version: str
    commit: str
    specification_digest: str  # of the largest table's layout
    format_version: int
    python: str
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A table of the model."""

    name: str
    shape: list[int]
    n_weights: int
    n_nonzero: int | None  # where the weights are known
    n_codes: int


@dataclass(frozen=True, kw_only=True)
class Model:
    """What the study is about."""

    name: str
    layers: list[Layer]
    info: dict[str, Any]  # of bundled arrays


@dataclass(frozen=True, kw_only=True)
class File:
    """The ``.wls`` file; sizes in bytes."""

    path: str
    bytes: int
    sha256: str
    dense_bytes: int
    metadata: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Wrong answers by step, as the file's metadata state them, or why there are none."""

    test_images: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True, kw_only=True)
class TableSize:
    """What a table takes in its file: record and maps."""

    n_weights: int
    n_stored: int
    bytes: int
    bits_per_weight: float
    ratio_to_dense_fp32: float


@dataclass(frozen=True, kw_only=True)
class SizeRow:
    """The largest layer in one format."""

    name: str
    kind: Kind
    bytes: int
    how: str
    decoder: Rate
    lossless: bool
    smallest_at_constant_rate: bool
    bits_per_weight: float
    ratio_to_dense_fp32: float | None  # of what takes no byte there is none


@dataclass(frozen=True, kw_only=True)
class LayoutRow:
    """A layer in one layout, or exact."""

    layer: str
    layout: str
    bytes: int
    overhead: float | None  # c: slots per key that all but the codebook takes
    n_false_positives: int
    false_positives_per_nonzero: float
    bits_per_weight: float


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """The largest layer at another slot width."""

    slot_bits: int
    report: EncodeReport


@dataclass(frozen=True, kw_only=True)
class EnergyRow:
    """pJ per non-zero weight of the largest layer in one format: on chip, and with the bits from each DRAM."""

    name: str
    places: dict[str, Pair]
    counts: str
    how: str
    complete: bool  # else reads alone: the decoder's logic is not known


@dataclass(frozen=True, kw_only=True)
class MultiplyAccumulate:
    """What the published figure has and the others have not."""

    pj: float
    of: list[Reference]


@dataclass(frozen=True, kw_only=True)
class Energy:
    """The largest layer's energy beside others."""

    rows: list[EnergyRow]
    drams: list[str]
    winners: dict[
        str, list[list[tuple[float, str]]]
    ]  # by place: settled and with glitches, from which density on
    gap_coded: Reference
    multiply_accumulate: MultiplyAccumulate


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A decoder, and what is known of it."""

    layout: str
    config: dict[str, int]
    tables: list[str]
    fill_latency_cycles: int
    table_bits: int
    verilog: str
    energy: list[KnownEntry]  # empty: not characterised
    fpga: list[KnownPlacement]  # empty: not placed


@dataclass(frozen=True, kw_only=True)
class Run:
    """A simulation, and what the cycle model says of it."""

    kind: RunKind
    decoder: str
    layers: list[str]
    stall: str
    n_weights: int
    n_mismatches: int
    cycles_rtl_sim: int
    cycles_cycle_model: int
    transfers: list[LayerCycles]
    events: RunEvents | None  # where they were counted
    weights_per_cycle: float  # of the last layer, decoding
    states: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it; what needs the weights is empty where they are not known."""

    schema: str
    how: dict[str, str]
    provenance: Provenance
    model: Model
    file: File
    accuracy: Accuracy
    layer: str  # the largest
    table: TableSize
    notes: list[str]
    weights: str
    encoding: dict[str, EncodeReport]
    sizes: list[SizeRow]
    layouts: list[LayoutRow]
    false_positives: list[SweepPoint]
    energy: Energy | None
    decoders: dict[str, Decoder]
    runs: dict[str, Run]

    @property
    def first_decoder(self) -> Decoder:
        """The largest table's."""
        return self.decoders[self.runs["none"].decoder]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: encodings with their layout's own fields beside the others, counts with what follows from them."""
        flat = asdict(self)
        flat["encoding"] = {name: report.as_dict() for name, report in self.encoding.items()}
        flat["false_positives"] = [
            {"slot_bits": point.slot_bits} | point.report.as_dict() for point in self.false_positives
        ]
        for name, run in self.runs.items():
            flat["runs"][name]["transfers"] = [layer.as_dict() for layer in run.transfers]
            flat["runs"][name]["events"] = run.events and run.events.as_dict()
        return flat
