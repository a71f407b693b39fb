"""The specification: every bit of the hash, the slot addressing, the mask and the file format.

Standard library only.  The golden model, the fast kernels, the RTL and the cycle model take each
constant and each width from here; the frozen vectors in ``tests/vectors`` hold them together.
The functions are slow and obvious on purpose: they define the format, others make it fast.

Terms.  A *weight index* ``i`` counts the weights that a record holds, in the order in which it holds
them.  ``lanes`` (G) consecutive weights form a *group* ``g = i // G``; the weight is in lane
``l = i % G`` of it.  The table has three *banks* of ``bank_rows`` *rows* of G *slots* of ``slot_bits``
(t) bits.  A group hashes to one row in each bank, and in each of these rows its lanes are permuted by
XOR with a *lane offset*.

    code(i) = mask(i) ^ slot0 ^ slot1 ^ slot2;   weight(i) = codebook[code] if code < n_codes else 0

This is the Bloomier filter of Reagen et al., "Weightless" (ICML 2018), section 3, with wide rows.
``lanes = 1`` is the paper's table.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

FORMAT_VERSION = 2

# --- hash -----------------------------------------------------------------------------------------
# A 96-bit state of three 32-bit words goes through rounds of one lookup-table level each: the SP-box
# of Gimli (Bernstein et al., CHES 2017, section 2.2) on a single column.  Every output bit depends on
# at most four input bits, so that a round costs 96 four-input LUTs and no multiplier.  How the rounds
# were counted: docs/hash.md.
WORD_BITS = 32
WORD_MASK = (1 << WORD_BITS) - 1
INDEX_ROTATE_Y, INDEX_ROTATE_Z = 16, 8
ROTATE_X, ROTATE_Y = 24, 9
SHIFT_AND_XY, SHIFT_OR_XZ, SHIFT_Z, SHIFT_AND_YZ = 3, 1, 1, 2
ADDRESS_ROUNDS = 6  # rounds until the state names rows and lane offsets
MASK_ROUNDS = 1  # further rounds until it gives the masks
# Keeps the uses of the hash apart; the numbers are ASCII.
DOMAIN_CLASSIC = int.from_bytes(b"WLSc", "big")
DOMAIN_FILL = int.from_bytes(b"WLSf", "big")

# --- geometry -------------------------------------------------------------------------------------
N_BANKS = 3
ROW_WORD_BITS = 24  # hash bits that choose a row: row = (word * bank_rows) >> ROW_WORD_BITS
MAX_LANES_LOG2 = 6
MAX_LANES = 1 << MAX_LANES_LOG2
MAX_SLOT_BITS = 16
MAX_WEIGHTS = (1 << 32) - 1
MAX_BANK_ROWS = 1 << ROW_WORD_BITS
MAX_SEED = (1 << 16) - 1

T = TypeVar("T")


def mix_round(
    x: T, y: T, z: T, rotate: Callable[[T, int], T], shift: Callable[[T, int], T]
) -> tuple[T, T, T]:
    """One round of the hash on any type with ``^ & |``: int, numpy array or hardware value.

    ``rotate(v, k)`` and ``shift(v, k)`` rotate and shift a 32-bit word left by k bits.
    """
    a: Any = rotate(x, ROTATE_X)
    b: Any = rotate(y, ROTATE_Y)
    c: Any = z
    return (
        c ^ b ^ shift(a & b, SHIFT_AND_XY),
        b ^ a ^ shift(a | c, SHIFT_OR_XZ),
        a ^ shift(c, SHIFT_Z) ^ shift(b & c, SHIFT_AND_YZ),
    )


def initial_state(index: T, seed: T, domain: T, rotate: Callable[[T, int], T]) -> tuple[T, T, T]:
    """The state (x, y, z) before the first round; all arguments are 32-bit words.

    The index goes into all three words, each time turned by another amount: that is worth two rounds.
    """
    y: Any = rotate(index, INDEX_ROTATE_Y)
    z: Any = rotate(index, INDEX_ROTATE_Z)
    return index, y ^ seed, z ^ domain


def rotate_left(word: int, k: int) -> int:
    """``word`` (32 bits) rotated left by ``k`` bits."""
    return (word << k | word >> (WORD_BITS - k)) & WORD_MASK


def shift_left(word: int, k: int) -> int:
    """``word`` (32 bits) shifted left by ``k`` bits, the top bits dropped."""
    return (word << k) & WORD_MASK


def hash_words(index: int, seed: int, domain: int, n_rounds: int) -> tuple[int, int, int]:
    """The three 32-bit words after ``n_rounds`` rounds."""
    x, y, z = initial_state(index, seed, domain, rotate_left)
    for _ in range(n_rounds):
        x, y, z = mix_round(x, y, z, rotate_left, shift_left)
    return x, y, z


class Layout(IntEnum):
    """How a table's slots are addressed."""

    CLASSIC = 1  # three hashed banks


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
    Field("widths", 8),  # classic: log2 of the lanes in the low 4 bits; slot_bits - 1 in the high 4
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
# Set by a driver, never in a file: the tables of the layer before are still loaded; decode them again.
FLAG_RESIDENT = 1


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


class Section(NamedTuple):
    """A part of a record behind the descriptor: items without gaps, low bits first, padded to whole words."""

    name: str
    n_items: int
    item_bits: int

    @property
    def n_words(self) -> int:
        """32-bit words."""
        return words_for_bits(self.n_items * self.item_bits)


def _require(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")


def check_widths(lanes: int, slot_bits: int) -> None:
    """Raise ValueError unless a row of ``lanes`` slots of ``slot_bits`` bits is one that the format has."""
    if lanes not in [1 << k for k in range(MAX_LANES_LOG2 + 1)]:
        raise ValueError(f"lanes must be a power of two from 1 to {MAX_LANES}, not {lanes!r}")
    _require("slot_bits", slot_bits, 1, MAX_SLOT_BITS)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Everything that a decoder must know of one encoded tensor, the tables themselves left out.

    Raises ValueError for a field outside its range.
    """

    FIELDS: ClassVar = (*COMMON_FIELDS, Field("bank_rows", 32))

    n_weights: int  # N, of the live block
    lanes: int  # G, a power of two
    slot_bits: int  # t
    bank_rows: int
    n_codes: int  # K; a code >= K means zero
    seed: int
    value_format: ValueFormat = ValueFormat.FP16
    scale: float = 1.0  # of fixed-point entries; 1.0 for FP16

    def __post_init__(self) -> None:
        _require("n_weights", self.n_weights, 1, MAX_WEIGHTS)
        check_widths(self.lanes, self.slot_bits)
        _require("bank_rows", self.bank_rows, 1, MAX_BANK_ROWS)
        _require("n_codes", self.n_codes, 0, (1 << self.slot_bits) - 1)
        _require("seed", self.seed, 0, MAX_SEED)
        if not isinstance(self.value_format, ValueFormat):
            raise ValueError(f"value_format must be a ValueFormat, not {self.value_format!r}")
        if not 0 < self.scale < float("inf") or self.scale != round_to_float32(self.scale):
            raise ValueError(f"scale must be a positive, finite 32-bit float, not {self.scale!r}")

    @property
    def lanes_log2(self) -> int:
        """Bits of a lane number."""
        return self.lanes.bit_length() - 1

    @property
    def row_bits(self) -> int:
        """Bits of one row: ``lanes`` slots."""
        return self.lanes * self.slot_bits

    @property
    def n_groups(self) -> int:
        """Groups of ``lanes`` weights, the last one perhaps not full."""
        return -(-self.n_weights // self.lanes)

    @property
    def n_slots(self) -> int:
        """Slots of the whole table (m)."""
        return N_BANKS * self.bank_rows * self.lanes

    @property
    def sections(self) -> tuple[Section, ...]:
        """What follows the descriptor in a record, in order; an item is what hardware takes at a time."""
        return (
            Section("codebook", self.n_codes, self.value_format.bits),
            Section("table", N_BANKS * self.bank_rows, self.row_bits),
        )

    @property
    def record_words(self) -> int:
        """32-bit words of the whole record, descriptor included."""
        return DESCRIPTOR_WORDS + sum(section.n_words for section in self.sections)

    @property
    def payload_words(self) -> int:
        """32-bit words behind descriptor and codebook."""
        return sum(section.n_words for section in self.sections[1:])

    def rows(self, group: int) -> tuple[int, ...]:
        """The row that ``group`` reads in each bank."""
        words = hash_words(group, self.seed, DOMAIN_CLASSIC, ADDRESS_ROUNDS)
        top = [word >> (WORD_BITS - ROW_WORD_BITS) for word in words]
        return tuple(word * self.bank_rows >> ROW_WORD_BITS for word in top)

    def lane_offsets(self, group: int) -> tuple[int, ...]:
        """What ``group`` XORs its lane number with, in each bank."""
        words = hash_words(group, self.seed, DOMAIN_CLASSIC, ADDRESS_ROUNDS)
        return tuple(word & (self.lanes - 1) for word in words)

    def slots(self, index: int) -> tuple[int, ...]:
        """The slots that weight ``index`` reads, numbered bank by bank, row by row, lane by lane."""
        group, lane = divmod(index, self.lanes)
        places = zip(self.rows(group), self.lane_offsets(group), strict=True)
        return tuple(
            (bank * self.bank_rows + row) * self.lanes + (lane ^ offset)
            for bank, (row, offset) in enumerate(places)
        )

    def mask(self, index: int) -> int:
        """The mask of weight ``index``: t bits of the masks word of its group, from bit ``lane`` on.

        The masks word is the 96-bit state ``x | y << 32 | z << 64`` after the mask rounds.  The lanes'
        windows overlap, yet within one bit of the code no two lanes share a mask bit, and it is within
        one bit that the table's equations are solved.
        """
        group, lane = divmod(index, self.lanes)
        x, y, z = hash_words(group, self.seed, DOMAIN_CLASSIC, ADDRESS_ROUNDS + MASK_ROUNDS)
        masks = x | y << WORD_BITS | z << 2 * WORD_BITS
        return masks >> lane & ((1 << self.slot_bits) - 1)

    def code(self, index: int, table: "list[int]") -> int:
        """The code of weight ``index`` in ``table`` (n_slots integers of t bits)."""
        value = self.mask(index)
        for slot in self.slots(index):
            value ^= table[slot]
        return value

    def to_descriptor(self) -> bytes:
        """The descriptor that opens a tensor's record and that hardware loads first."""
        return pack_fields(
            self.FIELDS,
            {
                "layout": Layout.CLASSIC,
                "widths": self.lanes_log2 | (self.slot_bits - 1) << 4,
                "value_format": self.value_format,
                "flags": 0,
                "n_weights": self.n_weights,
                "seed": self.seed,
                "n_codes": self.n_codes,
                "scale": float32_bits(self.scale),
                "payload_words": self.payload_words,
                "digest": CLASSIC_DIGEST,
                "bank_rows": self.bank_rows,
            },
        )

    @classmethod
    def from_descriptor(cls, data: bytes) -> Self:
        """The inverse of :meth:`to_descriptor`; raises ValueError on anything it would not write."""
        if len(data) != DESCRIPTOR_BYTES:
            raise ValueError(f"a descriptor has {DESCRIPTOR_BYTES} bytes, not {len(data)}")
        fields = unpack_fields(cls.FIELDS, data)
        if fields["layout"] != Layout.CLASSIC:
            name = {2: " (ribbon)"}.get(fields["layout"], "")
            raise ValueError(
                f"layout {fields['layout']}{name} is unknown to this version, which reads layout "
                f"{int(Layout.CLASSIC)} (classic)"
            )
        if fields["digest"] != CLASSIC_DIGEST:
            raise ValueError(
                f"written for classic layout {fields['digest']:08x}, this program follows {CLASSIC_DIGEST:08x}: "
                "encode it again, or use the release that wrote it"
            )
        if fields["flags"]:
            raise ValueError(f"unknown flags {fields['flags']:#x} in a stored descriptor; they must be 0")
        scale = bits_float32(fields["scale"])
        if fields["value_format"] == ValueFormat.FP16 and scale != 1.0:
            raise ValueError(f"scale must be 1.0 for fp16, not {scale!r}")
        geometry = cls(
            n_weights=fields["n_weights"],
            lanes=1 << (fields["widths"] & 15),
            slot_bits=(fields["widths"] >> 4) + 1,
            bank_rows=fields["bank_rows"],
            n_codes=fields["n_codes"],
            seed=fields["seed"],
            value_format=ValueFormat(fields["value_format"]),
            scale=scale,
        )
        if fields["payload_words"] != geometry.payload_words:
            raise ValueError(
                f"payload words are {fields['payload_words']}, but the geometry needs {geometry.payload_words}"
            )
        return geometry

    def as_dict(self) -> dict[str, Any]:
        """The fields, for reports."""
        return asdict(self) | {"value_format": self.value_format.name}


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


def digest_text() -> str:
    """What the classic layout's digest is taken of: its constants, and what its functions make of a few inputs.

    The probes are there so that a changed formula changes the digest as a changed constant does.  Nothing
    of another layout, of the container or of the encoder is in it.
    """
    probe = Geometry(n_weights=10**6, lanes=8, slot_bits=9, bank_rows=12345, n_codes=100, seed=77)
    content = {
        "layout": int(Layout.CLASSIC),
        "descriptor": [list(field) for field in Geometry.FIELDS],
        "index_rotate": [INDEX_ROTATE_Y, INDEX_ROTATE_Z],
        "rotate": [ROTATE_X, ROTATE_Y],
        "shift": [SHIFT_AND_XY, SHIFT_OR_XZ, SHIFT_Z, SHIFT_AND_YZ],
        "rounds": [ADDRESS_ROUNDS, MASK_ROUNDS],
        "domain": DOMAIN_CLASSIC,
        "banks": N_BANKS,
        "row_word_bits": ROW_WORD_BITS,
        "probes": [[i, *probe.slots(i), probe.mask(i)] for i in (0, 1, 8, 999_999)],
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> int:
    """A layout's digest: the first eight hexadecimal digits of the SHA-256 of ``text``, as a number."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


CLASSIC_DIGEST = digest(digest_text())
