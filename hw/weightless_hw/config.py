"""What every decoder has: the sizes it is built for, the layers it fits, and the stages that make its latency.

Specification and standard library only, so that the cycle model can use it without Amaranth.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, Self

from weightless_hw.registers import STREAM_ERRORS, LoadError
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import (
    FLAG_RESIDENT,
    FLAG_TILE,
    MAX_SLOT_BITS,
    Geometry,
    ValueFormat,
    require,
    to_ints,
)

# Ways of loading.
STORED = "stored"  # the whole table is loaded, and its CRC right, before the first beat
STREAMED = "streamed"  # beats come while words do, and the CRC word behind them
MASKED = "masked"  # so they do, with a mask before the codes of its weights


class Stage(NamedTuple):
    """A stage of the pipeline."""

    name: str
    text: str  # what it does, for pictures; two short lines
    registers: int  # between its input and its output


class DataPath(NamedTuple):
    """The pipeline: stages in order, what goes beside them, and what a record gives to which."""

    stages: tuple[Stage, ...]
    beside: tuple[tuple[str, str, str], ...]  # (from stage, to stage, what)
    loaded: tuple[tuple[str, str], ...]  # (stage, what)


class Unit(NamedTuple):
    """A part of the decoder whose work is counted, and where the running decoder shows it.

    Both are alternatives of paths of one-bit signals below the top module, ``~`` before one that must be 0: one
    alternative holds at least, with all its signals.  In a cycle in which the unit is *enabled* its registers take
    new values; it is *useful* when it is *busy* as well, working on a beat.
    """

    name: str
    enable: tuple[tuple[str, ...], ...]
    busy: tuple[tuple[str, ...], ...]
    with_sink: bool = False  # it waits as long as the sink does, not as long as the pipeline is held


class MemoryBlock(NamedTuple):
    """Memories of a decoder that hold tables, all alike; what is as small as a codebook is none."""

    name: str
    n: int
    rows: int  # as it is built
    row_bits: int

    @property
    def bits(self) -> int:
        """Of all of them."""
        return self.n * self.rows * self.row_bits


def option(default: int, text: str) -> Any:
    """A parameter of a decoder that a command takes as an option, with its line of help."""
    return field(default=default, metadata={"text": text})


# Its registers have no enable, and what it is busy with are words.
LOADER = Unit("loader", ((),), (("load__valid", "load__ready"),))


# Every decoder's data path ends with the code stage; reading the codebook waits while it is written.
CODE_UNITS = (
    Unit("xor", (("pipeline.en",),), (("pipeline.valid",),)),
    Unit(
        "codebook",
        (("code.moves", "~code.codebook.writing"),),
        (("code.valid",), ("code.spare_full",)),
        with_sink=True,
    ),
    Unit("output", (("code.moves",),), (("code.looked_up",),), with_sink=True),
)
BEATS_WITH_SINK = sum(unit.with_sink for unit in CODE_UNITS)  # registers behind what holds the pipeline


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(ABC):
    """Parameters of one elaborated decoder; they are also the names of its build.

    ``slot_bits`` and ``value_bits`` must equal those of a layer; ``max_codes`` is the largest number that
    fits; a layout's configuration adds its own.  Raises ValueError for a parameter outside its range.
    """

    GEOMETRY: ClassVar[type[Geometry]]  # of the layers it decodes
    LOADING: ClassVar[str]  # STORED, STREAMED or MASKED
    # Whether the codebook's entries of no code are filled before the payload comes: beats may follow at once.
    FILLS_FIRST: ClassVar[bool] = False
    # In which cycles the data path holds, as a Unit's enable: every decoder has a part ``pipeline`` that is told.
    HELD: ClassVar[tuple[tuple[str, ...], ...]] = (("~pipeline.en",),)

    lanes: int = option(8, "weights per beat and per clock (G)")
    slot_bits: int = option(8, "bits per slot (t)")
    max_codes: int = option(16, "codebook entries")
    value_bits: int = option(16, "width of a codebook entry and of a decoded weight: 8 or 16")
    counters: int = option(1, "1: registers count records, beats and stalls; 0: they are left out")

    def __post_init__(self) -> None:
        to_ints(self)
        require("slot_bits", self.slot_bits, 1, MAX_SLOT_BITS)
        require("max_codes", self.max_codes, 1, self.GEOMETRY.most_codes(self.slot_bits))
        require("value_bits", self.value_bits, 8, 16)
        require("counters", self.counters, 0, 1)
        if self.value_bits not in (8, 16):
            raise ValueError(f"value_bits must be 8 or 16, not {self.value_bits!r}")

    @classmethod
    def keeps_table(cls) -> bool:
        """Whether a table stays loaded, for a resident record to decode it once more."""
        return cls.LOADING == STORED

    @property
    def takes_tiles(self) -> bool:
        """Whether frames may ask for runs of weights of the loaded table."""
        return False

    def errors(self) -> list[LoadError]:
        """The bits of the register ``errors`` that this decoder has, some of which may never be set; a bit's place is
        its number's."""
        if self.takes_tiles:
            return list(LoadError)
        without = LoadError.TILE | (STREAM_ERRORS if self.keeps_table() else LoadError(0))
        return [error for error in LoadError if error not in without]

    @classmethod
    def options(cls) -> dict[str, tuple[int, str]]:
        """By name: what a decoder of this layout can be told, (default, help)."""
        found: dict[str, tuple[Any, str]] = {
            one.name: (one.default, one.metadata["text"]) for one in fields(cls)
        }
        return found

    @classmethod
    def check_options(cls, names: Sequence[str]) -> None:
        """Raise ValueError for names that are none of the options."""
        if unknown := [name for name in names if name not in cls.options()]:
            raise ValueError(
                f"{', '.join(unknown)}: no size of a {cls.GEOMETRY.NAME} decoder, which has: {', '.join(cls.options())}"
            )

    @classmethod
    def for_layers(cls, geometries: Sequence[Geometry], **overrides: int) -> Self:
        """The smallest decoder that serves all these layers, one after another; ``overrides`` are its options'.

        Raises ValueError for an override that the layout does not have.
        """
        cls.check_options(list(overrides))
        first = geometries[0]
        parameters = {
            "slot_bits": first.slot_bits,
            "max_codes": max(1, *(g.n_codes for g in geometries)),
            "value_bits": first.value_format.bits,
        }
        return cls(**(parameters | cls.own_parameters(geometries) | overrides))

    @classmethod
    @abstractmethod
    def own_parameters(cls, geometries: Sequence[Any]) -> dict[str, int]:
        """The parameters that the layout adds, for the smallest decoder of ``geometries``."""

    def misfits(self, geometry: Geometry) -> list[str]:
        """Why this decoder would refuse the layer, a line each; empty when it fits."""
        if not isinstance(geometry, self.GEOMETRY):
            return [f"layout: the layer is {geometry.NAME}, the decoder {self.GEOMETRY.NAME}"]
        limits = [
            ("slot_bits", geometry.slot_bits, "!=", self.slot_bits),
            ("value_bits", geometry.value_format.bits, "!=", self.value_bits),
            ("n_codes", geometry.n_codes, ">", self.max_codes),
            *self.own_limits(geometry),
        ]
        return [
            f"{name}: the layer has {a}, the decoder {b} ({a} {sign} {b})"
            for name, a, sign, b in limits
            if (a != b if sign == "!=" else a > b)
        ]

    @abstractmethod
    def own_limits(self, geometry: Any) -> list[tuple[str, int, str, int]]:
        """What the layout adds to the reasons of a misfit: (name, the layer's, "!=" or ">", the decoder's)."""

    def faults(self, fields: Mapping[str, int]) -> dict[LoadError, bool]:
        """What a descriptor of these fields is refused for, whatever was loaded before; the layout's own among it.

        A program's form of what the loader compares; the RTL does not read it here.
        """
        formats = {one.value for one in ValueFormat if one.bits == self.value_bits}
        flags = [
            0,
            *([FLAG_RESIDENT] if self.keeps_table() else []),
            *([FLAG_TILE] if self.takes_tiles else []),
        ]
        return {
            LoadError.LAYOUT: fields["layout"] != self.GEOMETRY.LAYOUT,
            LoadError.VALUE_FORMAT: fields["value_format"] not in formats,
            LoadError.FLAGS: fields["flags"] not in flags,
            LoadError.N_WEIGHTS: not fields["n_weights"],
            LoadError.N_CODES: fields["n_codes"] > self.max_codes,
            LoadError.DIGEST: fields["digest"] != self.GEOMETRY.layout_digest(),
            **self.own_faults(fields),
        }

    @abstractmethod
    def own_faults(self, fields: Mapping[str, int]) -> dict[LoadError, bool]:
        """What the layout adds: its widths, its own fields, the payload's words."""

    def for_cells(self) -> Self:
        """The same decoder as a library of cells takes it; another form, where small memories are an FPGA's."""
        return self

    @property
    @abstractmethod
    def name(self) -> str:
        """A name for build folders and files."""

    @property
    @abstractmethod
    def memories(self) -> tuple[MemoryBlock, ...]:
        """What holds tables, as it is built; empty where nothing does."""

    @property
    def table_bits(self) -> int:
        """Bits of all of them."""
        return sum(block.bits for block in self.memories)

    @property
    def widths(self) -> int:
        """The register of that name."""
        lanes_log2 = self.lanes.bit_length() - 1
        return lanes_log2 | self.slot_bits << 8 | self.value_bits << 16 | self.takes_tiles << 24

    @property
    @abstractmethod
    def table_size(self) -> int:
        """The largest table, in the layout's own measure, as the register of that name shows it; 0: no limit."""

    @property
    def lane_enables(self) -> bool:
        """Whether each lane's values are clocked as they change: less energy in cells, longer ways on an FPGA."""
        return False

    @property
    def on_chip_bits(self) -> int:
        """Of a table, those that the decoder is built to hold at once; codebooks and copies are not counted."""
        return sum(memory.bits for memory in self.memories)

    @property
    def mask_lanes(self) -> int:
        """Lanes whose masks are windows of one word."""
        return self.lanes

    @property
    def dead_bits(self) -> int:
        """Bits by which the pipeline says of a beat, or of each lane, that it is zero, whatever its code."""
        return 0

    @property
    def n_codes_bits(self) -> int:
        """Of the number of codes of a layer that it serves."""
        return self.GEOMETRY.most_codes(self.slot_bits).bit_length()

    @property
    def payload_bits(self) -> int:
        """Bits that count the words of the largest payload."""
        return 32

    @property
    def layer_bits(self) -> dict[str, int]:
        """The descriptor's fields in which layers that the decoder serves differ, and how many low bits of them can."""
        return {
            "value_format": max(ValueFormat).bit_length(),
            "n_weights": 32,
            "n_codes": self.n_codes_bits,
            "seed": 16,
            "scale": 32,
        }

    def code_stages(self, xor: str, chosen: str = "code < K ?") -> tuple[Stage, ...]:
        """Of a data path, the stages that every decoder ends with; ``xor`` says what is masked, ``chosen`` what is a
        value."""
        return (
            Stage("xor", xor, 1),
            Stage("codebook", f"{chosen}\nvalue : 0", 1),
            Stage("output", f"{self.lanes} weights,\nlast", 1),
        )

    @property
    @abstractmethod
    def data_path(self) -> DataPath:
        """The pipeline; the RTL, the cycle model and the pictures read its registers here."""

    @property
    @abstractmethod
    def units(self) -> tuple[Unit, ...]:
        """What is counted of the running decoder, in stage order; a name may come several times (banks)."""

    @abstractmethod
    def writes(self, geometry: Any) -> dict[str, int]:
        """Cycles in which loading a layer writes a unit's memories, by its name; they cannot be read meanwhile."""

    def window(self, geometry: Any, table: Sequence[int], n_beats: int) -> tuple[int, list[int]] | None:
        """Of a layout that streams: how many words of the table a beat reads, and the first of them for each beat of a
        layer, -1 where it reads none.  None where the table is stored."""
        return None

    def codebook_writes(self, geometry: Geometry) -> int:
        """Those of the codebook: all of it, where it is filled; else its entries with the padding of the last word."""
        section = geometry.codebook_section
        return (
            1 << self.code_addr_bits if self.zero_filled else section.n_words * WORD_BITS // section.item_bits
        )

    @property
    def code_addr_bits(self) -> int:
        """Address width of the codebook: four entries at least, so that the padding of its last word fits."""
        return max(2, (self.max_codes - 1).bit_length())

    @property
    def zero_filled(self) -> bool:
        """Whether entries of no code are filled with zeros behind the codebook, before the first beat of any layer can
        come; otherwise each lane compares its code with their number."""
        return self.code_addr_bits <= 4

    @property
    def fill_latency(self) -> int:
        """Cycles from the end of loading to the first valid beat, the index register included."""
        return sum(stage.registers for stage in self.data_path.stages)
