"""What every decoder has: the sizes it is built for, the layers it fits, and the stages that make its latency.

Specification and standard library only, so that the cycle model can use it without Amaranth.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from weightless_sw.spec.record import MAX_SLOT_BITS, Geometry, Section, require, to_ints


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


# Its registers have no enable, and what it is busy with are words.
LOADER = Unit("loader", ((),), (("load__valid", "load__ready"),))


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(ABC):
    """Parameters of one elaborated decoder; they are also the names of its build.

    ``slot_bits`` and ``value_bits`` must equal those of a layer; ``max_codes`` is the largest number that
    fits; a layout's configuration adds its own.  Raises ValueError for a parameter outside its range.
    """

    GEOMETRY: ClassVar[type[Geometry]]  # of the layers it decodes
    LOADING: ClassVar[str]  # "stored": the whole table is loaded before the first beat

    lanes: int = 8  # weights per beat (G)
    slot_bits: int = 8  # t
    max_codes: int = 16  # codebook entries
    value_bits: int = 16  # width of a codebook entry and of a decoded weight

    def __post_init__(self) -> None:
        to_ints(self)
        require("slot_bits", self.slot_bits, 1, MAX_SLOT_BITS)
        require("max_codes", self.max_codes, 1, (1 << self.slot_bits) - 1)
        require("value_bits", self.value_bits, 8, 16)
        if self.value_bits not in (8, 16):
            raise ValueError(f"value_bits must be 8 or 16, not {self.value_bits!r}")

    @classmethod
    def for_layers(cls, geometries: Sequence[Geometry], **overrides: int) -> Self:
        """The smallest decoder that serves all these layers, one after another."""
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

    @property
    @abstractmethod
    def name(self) -> str:
        """A name for build folders and files."""

    @property
    @abstractmethod
    def sections(self) -> tuple[Section, ...]:
        """The sections of the largest record that fits."""

    @property
    @abstractmethod
    def table_bits(self) -> int:
        """Bits of memory that hold the table."""

    @property
    @abstractmethod
    def data_path(self) -> DataPath:
        """The pipeline; the RTL, the cycle model and the pictures read its registers here."""

    @abstractmethod
    def stored_bit(self, geometry: Any, index: int) -> tuple[str, int, int]:
        """A bit of the table in the running decoder that the code of weight ``index`` depends on.

        (path of the memory below the top module, address, bit): where a bench plants a fault.
        """

    @property
    @abstractmethod
    def units(self) -> tuple[Unit, ...]:
        """What is counted of the running decoder, in stage order; a name may come several times (banks)."""

    @abstractmethod
    def writes(self, geometry: Any) -> dict[str, int]:
        """Cycles in which loading a layer writes a unit's memories, by its name; they cannot be read meanwhile."""

    @property
    def codebook_section(self) -> Section:
        """The largest codebook."""
        return Section("codebook", self.max_codes, self.value_bits)

    @property
    def code_addr_bits(self) -> int:
        """Address width of the codebook: four entries at least, so that the padding of its last word fits."""
        return max(2, (self.max_codes - 1).bit_length())

    @property
    def fill_latency(self) -> int:
        """Cycles from the end of loading to the first valid beat, the index register included."""
        return sum(stage.registers for stage in self.data_path.stages)
