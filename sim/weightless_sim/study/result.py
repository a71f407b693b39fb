"""What a study's result is made of; no simulator is imported.

``shown.plain`` of a Report is the content of ``report.json``; ``docs/report.schema.json`` is made of these classes.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta

from weightless_sim.model.cycles import LayerCycles
from weightless_sim.model.events import RunEvents
from weightless_sim.model.technology import KnownEntry, KnownPlacement, Reference
from weightless_sw.baselines import Kind, Rate
from weightless_sw.codec import EncodeReport

Pair = tuple[float, float]  # settled and with glitches; equal where there is one figure
Bytes = Annotated[int, Meta(ge=0)]


class How(StrEnum):
    """How a figure was got."""

    FILE = "file"  # counted in it
    RECORDED = "recorded"  # the file says it
    ENCODER = "encoder"
    COUNTED = "counted"
    THEORY = "theory"
    RTL_SIM = "rtl_sim"
    CYCLE_MODEL = "cycle_model"
    GATE_SIM = "gate_sim"
    PLACE_AND_ROUTE = "place_and_route"
    ESTIMATED = "estimated"  # between what was measured


class RunKind(StrEnum):
    """What is simulated."""

    IN_TURN = "in turn"  # all tables of a decoder, without a stall
    STALL = "stall"  # the largest table, under one pattern of stalls


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a result comes from."""

    version: str
    commit: str
    specification_digest: Annotated[
        str, Meta(pattern="^[0-9a-f]{8}$", description="of the largest table's layout")
    ]
    format_version: int
    command: Annotated[str, Meta(description="that makes such a report again")]
    python: str
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class TableMemory:
    """What a table takes of its decoder's memory, and what that is built with; where it streams, they are one."""

    rows_used: Annotated[int | None, Meta(description="of each bank; null: not stored")]
    rows_built: int | None
    bits_used: int
    bits_built: int


@dataclass(frozen=True, kw_only=True)
class LayerCounts:
    """Clock cycles of a layer in the run of all tables in turn, without a stall."""

    load: Annotated[int, Meta(description="from its first word to its CRC word, both included")]
    decode: Annotated[int, Meta(description="from its first valid beat to its last transfer, both included")]
    total: Annotated[int, Meta(description="from its first word to its last transfer; loading may overlap")]


@dataclass(frozen=True, kw_only=True)
class LayerEnergy:
    """pJ of decoding a layer once, without DRAM and multiplying; by the decoder's first entry, or, where that streams
    and was measured at another density, estimated at the layer's."""

    pj: Pair
    parts: Annotated[dict[str, Pair], Meta(description="by what the decoder's parts do; empty: estimated")]
    how: str


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A tensor in another format, exact."""

    bytes: Bytes
    how: str
    decoder: Rate


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A tensor of the file; what is not known, or not there, is null."""

    name: str
    shape: list[int]
    n_weights: int
    stored_as: Annotated[str, Meta(description="a layout's name; coded: exact, serial, by software; raw")]
    n_stored: Annotated[int | None, Meta(description="of a table: weights of the live block")]
    n_nonzero: int | None
    n_codes: int | None
    slot_bits: int | None
    bytes: Annotated[int, Meta(ge=0, description="record and live maps")]
    n_false_positives: int | None
    decoder: str | None
    memory: TableMemory | None
    cycles: LayerCounts | None
    rivals: Annotated[dict[str, Rival], Meta(description="in other formats; empty: raw, or weights unknown")]
    energy: LayerEnergy | None

    @property
    def density(self) -> float | None:
        """The share of its weights that are not zero."""
        return None if self.n_nonzero is None or not self.n_weights else self.n_nonzero / self.n_weights

    @property
    def bits_per_weight(self) -> float | None:
        """Bytes, shared by all weights."""
        return 8 * self.bytes / self.n_weights if self.n_weights else None

    @property
    def false_positives_per_nonzero(self) -> float | None:
        """What errors cost."""
        if self.n_false_positives is None or not self.n_nonzero:
            return None
        return self.n_false_positives / self.n_nonzero


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The network: sums over its layers, and the whole file's bytes."""

    n_weights: int
    n_nonzero: int | None
    bytes: Annotated[int, Meta(ge=1, description="of the file, directory and metadata included")]
    n_decoded: Annotated[int, Meta(description="weights that come out of decoders")]
    n_false_positives: int | None
    cycles: Annotated[int, Meta(description="of all tables, one after another, each loaded once")]
    on_chip_bits: Annotated[int, Meta(description="that all its decoders are built with")]
    rivals: Annotated[
        dict[str, int],
        Meta(description="bytes in other formats of what is pruned, the rest as it is; empty: not known"),
    ]
    energy: Annotated[Pair | None, Meta(description="pJ of a pass; null: a decoder is not characterised")]

    @property
    def density(self) -> float | None:
        """The share of all weights that are not zero."""
        return None if self.n_nonzero is None else self.n_nonzero / self.n_weights

    @property
    def bits_per_weight(self) -> float:
        """Of the file."""
        return 8 * self.bytes / self.n_weights


@dataclass(frozen=True, kw_only=True)
class Model:
    """What the study is about."""

    name: str
    layers: Annotated[list[Layer], Meta(min_length=1, description="tensors of the file, in its order")]
    totals: Totals
    info: dict[str, Any]  # of bundled arrays


@dataclass(frozen=True, kw_only=True)
class File:
    """The ``.wls`` file; sizes in bytes."""

    path: str
    bytes: Annotated[int, Meta(ge=1)]
    sha256: str
    dense_bytes: int
    metadata: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Wrong answers on the test set by step, as the file's metadata state them, or why there are none.

    Nothing is measured here.
    """

    test_images: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True, kw_only=True)
class TableSize:
    """What a table takes in its file: record and maps."""

    n_weights: int
    n_stored: int
    bytes: Bytes
    bits_per_weight: float
    ratio_to_dense_fp32: float


@dataclass(frozen=True, kw_only=True)
class SizeRow:
    """The largest layer in one format."""

    name: str
    kind: Kind
    bytes: Bytes
    how: str
    decoder: Rate
    lossless: bool
    n_false_positives: int
    smallest_at_constant_rate: bool
    bits_per_weight: float
    ratio_to_dense_fp32: float | None  # of what takes no byte there is none


@dataclass(frozen=True, kw_only=True)
class LayoutRow:
    """A layer in one layout, or exact."""

    layer: str
    layout: str
    bytes: Annotated[int, Meta(ge=0, description="with live maps")]
    overhead: Annotated[float | None, Meta(description="c: slots per key that all but the codebook takes")]
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
    places: Annotated[dict[str, Pair], Meta(description="on_chip, and one per DRAM: settled, with glitches")]
    counts: str
    how: str
    complete: Annotated[bool, Meta(description="false: reads alone, the decoder's logic is not known")]


@dataclass(frozen=True, kw_only=True)
class MultiplyAccumulate:
    """What the published figure has and the others have not."""

    pj: float
    of: list[Reference]


@dataclass(frozen=True, kw_only=True)
class Energy:
    """The largest layer's energy beside others, in the cells of one library."""

    library: str
    volts: float
    clock_gates: bool

    rows: list[EnergyRow]
    drams: list[str]
    winners: Annotated[
        dict[str, list[list[tuple[float, str]]]],
        Meta(description="by place: settled and with glitches, what takes the least from which density on"),
    ]
    gap_coded: Reference
    multiply_accumulate: MultiplyAccumulate


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A decoder, and what is known of it."""

    layout: str
    config: dict[str, int]
    tables: Annotated[list[str], Meta(min_length=1, description="that it decodes, the largest first")]
    table: Annotated[TableSize, Meta(description="the first one's, with its live maps")]
    fill_latency_cycles: int
    table_bits: int
    verilog: str
    energy: Annotated[
        list[KnownEntry],
        Meta(description="of `weightless asic`, those of this very Verilog first; empty: not characterised"),
    ]
    fpga: Annotated[
        list[KnownPlacement],
        Meta(description="of `weightless fpga`, those of this very Verilog first; empty: not placed"),
    ]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Where on the table a streamed layer's beats read, in the run without a stall; some of them, in order."""

    cycles: Annotated[list[int], Meta(description="in which each was taken, in the simulation")]
    words: Annotated[
        list[int], Meta(description="the first of the words that its group reads; -1 where it reads none")
    ]
    reads: Annotated[int, Meta(description="how many words a group reads")]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A simulation, and what the cycle model says of it."""

    kind: RunKind
    decoder: str
    layers: list[str]
    stall: str
    n_weights: int
    n_mismatches: Annotated[int, Meta(ge=0, le=0)]  # there is no report of a failed run
    cycles_rtl_sim: int
    cycles_cycle_model: int
    cycles_estimated: Annotated[
        float | None,
        Meta(
            description="as well, of N, density, slot bits and the chunk's size alone, closed-form; null: not "
            "streamed, stalled, several layers, or the density is not known"
        ),
    ]
    transfers: list[LayerCycles]
    events: Annotated[
        RunEvents | None, Meta(description="in the simulation, equal to the model's; null: not counted")
    ]
    weights_per_cycle: Annotated[
        float, Meta(gt=0, description="of the last layer, from its first valid beat to its last transfer")
    ]
    window: Annotated[Window | None, Meta(description="null: not streamed, or not the run without a stall")]
    states: Annotated[
        dict[str, int],
        Meta(
            description="cycles up to the last transfer, each in one state: load (no beat yet, or all are out), "
            "beat (taken), bubble (none offered between a layer's first and last), stalled (offered, not taken); "
            "their sum is cycles_rtl_sim"
        ),
    ]


SCHEMA: Literal["weightless-report/7"] = "weightless-report/7"


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it, what ``weightless sim`` found; what needs the weights is empty where they are not known.

    Sizes are bytes, rates are shares of 1, cycles are clock cycles counted from the first one after reset.
    """

    schema: Literal["weightless-report/7"] = SCHEMA
    how: Annotated[
        dict[str, How],
        Meta(description="by field; energies and frequencies of decoders say it with each entry"),
    ]
    provenance: Provenance
    model: Model
    file: File
    accuracy: Accuracy
    layer: Annotated[str, Meta(description="the largest one: sizes and false_positives are about it")]
    table: Annotated[TableSize, Meta(description="the largest layer's, with its live maps")]
    notes: Annotated[
        list[str],
        Meta(description="tensors that stayed raw though one would look for them in a table, and why"),
    ]
    weights: Annotated[str, Meta(description="known, or what is absent without them")]
    encoding: dict[str, EncodeReport]
    beside: Annotated[
        list[str],
        Meta(
            description="tables that are not in the file: the largest layer in another layout, simulated, too"
        ),
    ]
    sizes: list[SizeRow]
    layouts: Annotated[list[LayoutRow], Meta(description="every layer in each layout, and exact")]
    false_positives: list[SweepPoint]
    energy: Annotated[Energy | None, Meta(description="null: the decoder is not characterised")]
    energies: Annotated[
        list[Energy],
        Meta(description="the same by each entry of the largest table's decoder, in their order"),
    ]
    decoders: Annotated[
        dict[str, Decoder],
        Meta(min_length=1, description="one per distinct layout, lanes, slot bits and value bits"),
    ]
    runs: Annotated[
        dict[str, Run],
        Meta(
            description="the tables of each decoder in turn (a single one twice) and the last one resident, then "
            "the largest one under each pattern of stalls"
        ),
    ]

    def first_decoder(self) -> Decoder:
        """The largest table's."""
        return self.decoders[self.runs["none"].decoder]

    def first_layer(self, decoder: str) -> LayerCycles:
        """The largest table of that decoder as it is decoded right after a reset."""
        in_turn = (run for run in self.runs.values() if run.kind == RunKind.IN_TURN)
        return next(run.transfers[0] for run in in_turn if run.decoder == decoder)
