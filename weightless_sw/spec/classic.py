"""The classic layout: three hashed banks.

Terms.  A *weight index* ``i`` counts the weights that a record holds, in the order in which it holds
them.  ``lanes`` (G) consecutive weights form a *group* ``g = i // G``; the weight is in lane
``l = i % G`` of it.  The table has three *banks* of ``bank_rows`` *rows* of G *slots* of ``slot_bits``
(t) bits.  A group hashes to one row in each bank, and in each of these rows its lanes are permuted by
XOR with a *lane offset*.

    code(i) = mask(i) ^ slot0 ^ slot1 ^ slot2;   weight(i) = codebook[code] if code < n_codes else 0

This is the Bloomier filter of Reagen et al., "Weightless" (ICML 2018), section 3, with wide rows.
``lanes = 1`` is the paper's table.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from weightless_sw.spec import hash as spec_hash
from weightless_sw.spec import record
from weightless_sw.spec.hash import WORD_BITS, hash_words
from weightless_sw.spec.record import COMMON_FIELDS, Field, Section, TableGeometry, require

LAYOUT = 1
ADDRESS_ROUNDS = 6  # rounds until the state names rows and lane offsets
MASK_ROUNDS = 1  # further rounds until it gives the masks
DOMAIN = int.from_bytes(b"WLSc", "big")
N_BANKS = 3
ROW_WORD_BITS = 24  # hash bits that choose a row: row = (word * bank_rows) >> ROW_WORD_BITS
MAX_LANES_LOG2 = 6
MAX_LANES = 1 << MAX_LANES_LOG2
MAX_BANK_ROWS = 1 << ROW_WORD_BITS


def check_widths(lanes: int, slot_bits: int) -> None:
    """Raise ValueError unless a row of ``lanes`` slots of ``slot_bits`` bits is one that the format has."""
    if (
        not hasattr(lanes, "__index__")
        or isinstance(lanes, bool)
        or lanes not in [1 << k for k in range(MAX_LANES_LOG2 + 1)]
    ):
        raise ValueError(f"lanes must be a power of two from 1 to {MAX_LANES}, not {lanes!r}")
    require("slot_bits", slot_bits, 1, record.MAX_SLOT_BITS)


@dataclass(frozen=True, kw_only=True)
class ClassicGeometry(TableGeometry):
    """A geometry of three banks of ``bank_rows`` rows of ``lanes`` slots."""

    LAYOUT: ClassVar[int] = LAYOUT
    NAME: ClassVar[str] = "classic"
    FIELDS: ClassVar[tuple[Field, ...]] = (*COMMON_FIELDS, Field("bank_rows", 32))

    lanes: int  # G, a power of two
    bank_rows: int

    def __post_init__(self) -> None:
        check_widths(self.lanes, self.slot_bits)
        super().__post_init__()
        require("bank_rows", self.bank_rows, 1, MAX_BANK_ROWS)

    @classmethod
    def layout_digest(cls) -> int:
        """The digest of the classic layout."""
        return DIGEST

    def own_fields(self) -> dict[str, int]:
        """log2 of the lanes beside the slot bits, and the rows of a bank."""
        return {"widths": self.lanes_log2 | (self.slot_bits - 1) << 4, "bank_rows": self.bank_rows}

    @classmethod
    def own_arguments(cls, fields: Mapping[str, int]) -> dict[str, int]:
        """The inverse of :meth:`own_fields`."""
        return {"lanes": 1 << (fields["widths"] & 15), "bank_rows": fields["bank_rows"]}

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
        """Codebook and table; the table bank by bank, a row at a time."""
        return self.codebook_section, Section("table", N_BANKS * self.bank_rows, self.row_bits)

    @property
    def table_entries(self) -> tuple[int, int]:
        """A slot each."""
        return self.n_slots, self.slot_bits

    def rows(self, group: int) -> tuple[int, ...]:
        """The row that ``group`` reads in each bank."""
        words = hash_words(group, self.seed, DOMAIN, ADDRESS_ROUNDS)
        top = [word >> (WORD_BITS - ROW_WORD_BITS) for word in words]
        return tuple(word * self.bank_rows >> ROW_WORD_BITS for word in top)

    def lane_offsets(self, group: int) -> tuple[int, ...]:
        """What ``group`` XORs its lane number with, in each bank."""
        words = hash_words(group, self.seed, DOMAIN, ADDRESS_ROUNDS)
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
        x, y, z = hash_words(group, self.seed, DOMAIN, ADDRESS_ROUNDS + MASK_ROUNDS)
        masks = x | y << WORD_BITS | z << 2 * WORD_BITS
        return masks >> lane & ((1 << self.slot_bits) - 1)

    def code(self, index: int, table: "list[int]") -> int:
        """The code of weight ``index`` in ``table`` (n_slots integers of t bits)."""
        value = self.mask(index)
        for slot in self.slots(index):
            value ^= table[slot]
        return value


def digest_text() -> str:
    """What the classic layout's digest is taken of: its constants, and what its functions make of a few inputs.

    The probes are there so that a changed formula changes the digest as a changed constant does.  Nothing
    of another layout, of the container or of the encoder is in it.
    """
    probe = ClassicGeometry(n_weights=10**6, lanes=8, slot_bits=9, bank_rows=12345, n_codes=100, seed=77)
    content = {
        "layout": LAYOUT,
        "descriptor": [list(field) for field in ClassicGeometry.FIELDS],
        "index_rotate": [spec_hash.INDEX_ROTATE_Y, spec_hash.INDEX_ROTATE_Z],
        "rotate": [spec_hash.ROTATE_X, spec_hash.ROTATE_Y],
        "shift": [spec_hash.SHIFT_AND_XY, spec_hash.SHIFT_OR_XZ, spec_hash.SHIFT_Z, spec_hash.SHIFT_AND_YZ],
        "rounds": [ADDRESS_ROUNDS, MASK_ROUNDS],
        "domain": DOMAIN,
        "banks": N_BANKS,
        "row_word_bits": ROW_WORD_BITS,
        "probes": [[i, *probe.slots(i), probe.mask(i)] for i in (0, 1, 8, 999_999)],
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


DIGEST = record.digest(digest_text())
