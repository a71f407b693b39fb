"""What every record has, whatever its layout: descriptor, codebook, sections, and what they may hold."""

import hashlib
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from math import gcd
from typing import Any, ClassVar, NamedTuple, Self

from weightless_sw.spec.hash import WORD_BITS

FORMAT_VERSION = 2
MAX_SLOT_BITS = 16
MAX_WEIGHTS = (1 << 32) - 1
MAX_SEED = (1 << 16) - 1


class ValueFormat(IntEnum):
    """How a codebook entry is stored.  A fixed-point entry q stands for the weight q * scale."""

    FP16 = 1
    FIXED8 = 2
    FIXED16 = 3

    @property
    def bits(self) -> int:
        """Width of an entry in bits."""
        return 8 if self is ValueFormat.FIXED8 else 16


class Field(NamedTuple):
    """A part of the descriptor; fields stand one after another, low bits first."""

    name: str
    bits: int


# The six words that every layout's descriptor begins with.
COMMON_FIELDS = (
    Field("layout", 8),
    Field("widths", 8),  # slot_bits - 1 in the high 4 bits; the low 4 are the layout's
    Field("value_format", 8),
    Field("flags", 8),
    Field("n_weights", 32),
    Field("seed", 16),
    Field("n_codes", 16),
    Field("scale", 32),  # a 32-bit float
    Field("payload_words", 32),
    Field("digest", 32),
)
DESCRIPTOR_WORDS = 7
DESCRIPTOR_BYTES = DESCRIPTOR_WORDS * WORD_BITS // 8
# Set by a driver, never in a file: the tables of the layer before are still loaded; decode them again,
FLAG_RESIDENT = 1
FLAG_TILE = 2  # or the runs of weights that four words behind the descriptor name


def pack_fields(fields: tuple[Field, ...], values: Mapping[str, int]) -> bytes:
    """``values`` by name as the bytes of a descriptor."""
    word, place = 0, 0
    for name, bits in fields:
        word |= values[name] << place
        place += bits
    return word.to_bytes(place // 8, "little")


def unpack_fields(fields: tuple[Field, ...], data: bytes) -> dict[str, int]:
    """The inverse of :func:`pack_fields`."""
    word, values = int.from_bytes(data, "little"), {}
    for name, bits in fields:
        values[name] = word & (1 << bits) - 1
        word >>= bits
    return values


class Runs(NamedTuple):
    """What a *tile* frame asks for: ``number`` runs of ``length`` weights each, which begin ``stride`` weights apart.

    Weights are counted in the record: of the live block, in its order.  The fields are the frame's words.
    """

    first: int  # the first run's first weight
    length: int
    number: int
    stride: int

    @property
    def n_weights(self) -> int:
        """Of all runs."""
        return self.length * self.number

    def fit(self, n_weights: int) -> bool:
        """Whether there is a run, none is empty, they do not overlap, and all are of a layer of so many weights."""
        behind = self.first + (self.number - 1) * self.stride + self.length
        return 1 <= self.length <= self.stride and self.number >= 1 and behind <= n_weights

    def n_beats(self, lanes: int) -> int:
        """Groups of ``lanes`` weights that runs touch, one that two of them do counted twice: a beat each."""
        period = lanes // gcd(lanes, self.stride)  # after so many runs they lie in groups as before
        n_beats = 0
        for k in range(min(period, self.number)):
            head = (self.first + k * self.stride) % lanes
            n_beats += -(-(head + self.length) // lanes) * -(-(self.number - k) // period)
        return n_beats

    def to_bytes(self) -> bytes:
        """The four words.  Raises ValueError for a number that is no u32."""
        for name, value in self._asdict().items():
            require(name, value, 0, (1 << WORD_BITS) - 1)
        return struct.pack("<4I", *self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of :meth:`to_bytes`."""
        return cls(*struct.unpack("<4I", data))


TILE_WORDS = len(Runs._fields)


class Section(NamedTuple):
    """A part of a record behind the descriptor: items without gaps, low bits first, padded to whole words."""

    name: str
    n_items: int
    item_bits: int

    @property
    def n_words(self) -> int:
        """32-bit words."""
        return words_for_bits(self.n_items * self.item_bits)


def require(name: str, value: int, low: int, high: int) -> None:
    """Raise ValueError unless ``value`` is an integer, of Python's or numpy's, from ``low`` to ``high``."""
    if not hasattr(value, "__index__") or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")


def to_ints(instance: Any) -> None:
    """Make Python's integers of the numpy ones among a dataclass's fields, whose sums and shifts would overflow."""
    for field in fields(instance):
        value = getattr(instance, field.name)
        if hasattr(value, "__index__") and not isinstance(value, int):
            object.__setattr__(instance, field.name, int(value))


@dataclass(frozen=True, kw_only=True)
class Geometry(ABC):
    """Everything that a decoder must know of one encoded tensor, the tables themselves left out.

    A layout's geometry adds its own fields, its sections, and what the abstract members say.  Raises
    ValueError for a field outside its range.
    """

    LAYOUT: ClassVar[int]  # the layout's number in a descriptor
    NAME: ClassVar[str]
    EXACT: ClassVar[bool]  # whether a zero weight comes back as one
    FIELDS: ClassVar[tuple[Field, ...]]  # of the descriptor: COMMON_FIELDS and the layout's own

    n_weights: int  # N, of the live block
    slot_bits: int  # t
    n_codes: int  # K; a code >= K means zero
    seed: int
    value_format: ValueFormat = ValueFormat.FP16
    scale: float = 1.0  # of fixed-point entries; 1.0 for FP16

    def __post_init__(self) -> None:
        to_ints(self)
        require("n_weights", self.n_weights, 1, MAX_WEIGHTS)
        require("slot_bits", self.slot_bits, 1, MAX_SLOT_BITS)
        require("n_codes", self.n_codes, 0, self.most_codes(self.slot_bits))
        require("seed", self.seed, 0, MAX_SEED)
        if not isinstance(self.value_format, ValueFormat):
            raise ValueError(f"value_format must be a ValueFormat, not {self.value_format!r}")
        if not 0 < self.scale < float("inf") or self.scale != round_to_float32(self.scale):
            raise ValueError(f"scale must be a positive, finite 32-bit float, not {self.scale!r}")

    @classmethod
    @abstractmethod
    def most_codes(cls, slot_bits: int) -> int:
        """The largest number of values that codes of ``slot_bits`` bits name."""

    @property
    def false_positive_rate(self) -> float:
        """The share of zero weights that come back as others, as theory has it."""
        return 0.0 if self.EXACT else self.n_codes / (1 << self.slot_bits)

    @property
    def density(self) -> float | None:
        """The share of weights that are not zero; None where a record does not tell."""
        return None

    @classmethod
    @abstractmethod
    def layout_digest(cls) -> int:
        """The digest that names this form of the layout (see :func:`digest`)."""

    @abstractmethod
    def own_fields(self) -> dict[str, int]:
        """The descriptor's fields that the layout adds or fills, by name."""

    @classmethod
    @abstractmethod
    def own_arguments(cls, fields: Mapping[str, int]) -> dict[str, int]:
        """The layout's arguments of the constructor from a descriptor's ``fields``."""

    @property
    @abstractmethod
    def sections(self) -> tuple[Section, ...]:
        """What follows the descriptor in a record: the codebook, then the layout's; an item is what hardware
        takes at a time."""

    @property
    @abstractmethod
    def n_slots(self) -> int:
        """Slots of ``slot_bits`` bits in the whole table (m), all that the payload holds counted as slots."""

    @property
    @abstractmethod
    def table_entries(self) -> tuple[int, int]:
        """(number, bits) of the entries that the table is an array of, in memory and in a record's payload."""

    def check_table(self, table: Any) -> None:  # noqa: B027 -- most tables may be anything
        """Raise ValueError where ``table``, integers as ``table_entries`` says, is none that an encoder writes."""

    @property
    def codebook_section(self) -> Section:
        """The section that every record begins with."""
        return Section("codebook", self.n_codes, self.value_format.bits)

    @property
    def record_words(self) -> int:
        """32-bit words of the whole record, descriptor included."""
        return DESCRIPTOR_WORDS + sum(section.n_words for section in self.sections)

    @property
    def payload_words(self) -> int:
        """32-bit words behind descriptor and codebook."""
        return sum(section.n_words for section in self.sections[1:])

    def to_descriptor(self) -> bytes:
        """The descriptor that opens a tensor's record and that hardware loads first."""
        fields = {
            "layout": self.LAYOUT,
            "widths": (self.slot_bits - 1) << 4,
            "value_format": self.value_format,
            "flags": 0,
            "n_weights": self.n_weights,
            "seed": self.seed,
            "n_codes": self.n_codes,
            "scale": float32_bits(self.scale),
            "payload_words": self.payload_words,
            "digest": self.layout_digest(),
        }
        return pack_fields(self.FIELDS, fields | self.own_fields())

    @classmethod
    def from_descriptor(cls, data: bytes) -> Self:
        """The inverse of :meth:`to_descriptor`; raises ValueError on anything it would not write."""
        if len(data) != DESCRIPTOR_BYTES:
            raise ValueError(f"a descriptor has {DESCRIPTOR_BYTES} bytes, not {len(data)}")
        fields = unpack_fields(cls.FIELDS, data)
        if fields["layout"] != cls.LAYOUT:
            raise ValueError(f"layout {fields['layout']}, not {cls.LAYOUT} ({cls.NAME})")
        if fields["digest"] != cls.layout_digest():
            raise ValueError(
                f"written for {cls.NAME} layout {fields['digest']:08x}, this program follows "
                f"{cls.layout_digest():08x}: encode it again, or use the release that wrote it"
            )
        if fields["flags"]:
            raise ValueError(f"unknown flags {fields['flags']:#x} in a stored descriptor; they must be 0")
        scale = bits_float32(fields["scale"])
        if fields["value_format"] == ValueFormat.FP16 and scale != 1.0:
            raise ValueError(f"scale must be 1.0 for fp16, not {scale!r}")
        geometry = cls(
            n_weights=fields["n_weights"],
            slot_bits=(fields["widths"] >> 4) + 1,
            n_codes=fields["n_codes"],
            seed=fields["seed"],
            value_format=ValueFormat(fields["value_format"]),
            scale=scale,
            **cls.own_arguments(fields),
        )
        if fields["payload_words"] != geometry.payload_words:
            raise ValueError(
                f"payload words are {fields['payload_words']}, but the geometry needs {geometry.payload_words}"
            )
        return geometry

    def as_dict(self) -> dict[str, Any]:
        """The fields, for reports."""
        return asdict(self) | {"value_format": self.value_format.name}


@dataclass(frozen=True, kw_only=True)
class TableGeometry(Geometry):
    """Of a table in which every weight has a code: what a zero weight's is nobody chose, and one must be no value's."""

    EXACT: ClassVar[bool] = False

    @classmethod
    def most_codes(cls, slot_bits: int) -> int:
        """One less than there are codes."""
        return (1 << slot_bits) - 1


def words_for_bits(n_bits: int) -> int:
    """32-bit words that hold ``n_bits`` bits; sections are padded to whole words with zeros."""
    return -(-n_bits // WORD_BITS)


def float32_bits(value: float) -> int:
    """``value``, which must be a 32-bit float, as the word that stores it."""
    return int.from_bytes(struct.pack("<f", value), "little")


def bits_float32(word: int) -> float:
    """The inverse of :func:`float32_bits`."""
    return float(struct.unpack("<f", word.to_bytes(4, "little"))[0])


def round_to_float32(value: float) -> float:
    """``value`` as the nearest 32-bit float; infinite when it does not fit."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf")


def digest(text: str) -> int:
    """A layout's digest: the first eight hexadecimal digits of the SHA-256 of ``text``, as a number."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
