"""The bitmask layout: exact; a bit a weight, and a code for each weight that is not zero, as they come.

Terms.  The weights of a record come in blocks of ``MASK_BITS``; a block begins with a *mask word*, whose bit k says
whether its weight k is not zero.  The codes of the non-zero weights, ``slot_bits`` (t) bits each, are one string, low
bits first, cut into *code words*.  Behind a mask word follow as many code words as the codes up to the block's last
need, and have not come yet.

    weight(i) = codebook[the next code] if its bit is set else +0.0

What DECA (MICRO 2025), SparTen (MICRO 2019) and others decode is of this kind.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weightless_sw.spec import record
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import COMMON_FIELDS, Field, Geometry, Section, require, words_for_bits

LAYOUT = 3
MASK_BITS = 32  # of a mask word, the weights of a block
MOST_CODES = 0xFFFF
EXAMPLE = (40, 2, 3, ((0, 1), (31, 2), (33, 0)), (0x80000001, 9, 2))  # N, t, K, (weight, code), words


@dataclass(frozen=True, kw_only=True)
class BitmaskGeometry(Geometry):
    """A geometry of ``n_nonzero`` weights that are not zero; ``n_codes`` is 0 where there are none, and only then."""

    LAYOUT: ClassVar[int] = LAYOUT
    NAME: ClassVar[str] = "bitmask"
    EXACT: ClassVar[bool] = True
    FIELDS: ClassVar[tuple[Field, ...]] = (*COMMON_FIELDS, Field("n_nonzero", 32))

    n_nonzero: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require("seed", self.seed, 0, 0)
        require("n_nonzero", self.n_nonzero, 0, self.n_weights)
        if (self.n_codes == 0) != (self.n_nonzero == 0):
            raise ValueError(f"{self.n_nonzero} weights that are not zero, of {self.n_codes} values")

    @classmethod
    def most_codes(cls, slot_bits: int) -> int:
        """As many as codes of ``slot_bits`` bits name, and a descriptor holds: a zero weight has no code."""
        return min(1 << slot_bits, MOST_CODES)

    @classmethod
    def layout_digest(cls) -> int:
        """The digest of the bitmask layout."""
        return DIGEST

    def own_fields(self) -> dict[str, int]:
        """The weights that are not zero; the low bits of the widths are zero."""
        return {"n_nonzero": self.n_nonzero}

    @classmethod
    def own_arguments(cls, fields: Mapping[str, int]) -> dict[str, int]:
        """The inverse of :meth:`own_fields`.  Raises ValueError where what must be zero is not."""
        if fields["widths"] & 15:
            raise ValueError("a bitmask's descriptor has bits set that must be zero")
        return {"n_nonzero": fields["n_nonzero"]}

    @property
    def density(self) -> float:
        """The share of weights that are not zero."""
        return self.n_nonzero / self.n_weights

    @property
    def n_masks(self) -> int:
        """Mask words."""
        return -(-self.n_weights // MASK_BITS)

    @property
    def table_words(self) -> int:
        """Of masks and codes."""
        return self.n_masks + words_for_bits(self.n_nonzero * self.slot_bits)

    @property
    def n_slots(self) -> int:
        """Codes that its bits would make, masks counted with them."""
        return self.table_words * WORD_BITS // self.slot_bits

    @property
    def sections(self) -> tuple[Section, ...]:
        """Codebook, and masks with their codes, which a reader takes word by word."""
        return self.codebook_section, Section("masks and codes", self.table_words, WORD_BITS)

    @property
    def table_entries(self) -> tuple[int, int]:
        """A word of the record each."""
        return self.table_words, WORD_BITS

    def check_table(self, table: Any) -> None:
        """Raises ValueError unless ``table`` is one that an encoder could have written."""
        words = table.tolist() if hasattr(table, "tolist") else list(table)
        masks, string = split(words, self)
        if masks[-1] >> (self.n_weights - 1) % MASK_BITS + 1:
            raise ValueError("bits of a mask behind the last weight are set")
        n_last = self.n_nonzero * self.slot_bits % WORD_BITS
        if n_last and string[-1] >> n_last:
            raise ValueError("bits behind the last code are set")
        if self.n_codes < 1 << self.slot_bits and any(
            code >= self.n_codes for code in unpacked(string, self)
        ):
            raise ValueError(f"a code of {self.n_codes} or more, which names no value")

    def masks(self, table: Sequence[int]) -> list[int]:
        """The mask words.  Raises ValueError where they do not agree with the table."""
        return split(table, self)[0]

    def codes(self, table: Sequence[int]) -> Iterator[int]:
        """The code of every weight, ``n_codes`` for a zero one.  Raises ValueError as :meth:`check_table`."""
        self.check_table(table)
        masks, string = split(table, self)
        own = unpacked(string, self)
        for i in range(self.n_weights):
            yield next(own) if masks[i // MASK_BITS] >> i % MASK_BITS & 1 else self.n_codes


def split(table: Sequence[int], g: BitmaskGeometry) -> tuple[list[int], list[int]]:
    """(mask words, code words) of a table.  Raises ValueError where they do not agree with it, or each other."""
    masks: list[int] = []
    string: list[int] = []
    place = n_known = 0
    for block in range(g.n_masks):
        if place >= len(table):
            raise ValueError(f"no mask word is left for weight {block * MASK_BITS}")
        masks.append(table[place])
        n_known += table[place].bit_count()
        end = block + 1 + words_for_bits(g.slot_bits * n_known)
        string += table[place + 1 : end]
        place = end
    if place != len(table) or n_known != g.n_nonzero:
        raise ValueError(
            f"{n_known} bits of masks set of {g.n_nonzero}; {place} words called for of {len(table)}"
        )
    return masks, string


def unpacked(string: Sequence[int], g: BitmaskGeometry) -> Iterator[int]:
    """The codes in code words, in order: ``slot_bits`` words hold WORD_BITS of them."""
    left = g.n_nonzero
    for first in range(0, len(string), g.slot_bits):
        bits = sum(word << WORD_BITS * k for k, word in enumerate(string[first : first + g.slot_bits]))
        for k in range(min(left, WORD_BITS)):
            yield bits >> g.slot_bits * k & (1 << g.slot_bits) - 1
        left -= WORD_BITS


def write(codes: Sequence[int], slot_bits: int, n_codes: int) -> list[int]:
    """The words of a record's weights, each by its code, ``n_codes`` for a zero one."""
    string = n_all = n_known = n_sent = 0
    for code in codes:
        if code < n_codes:
            string |= code << slot_bits * n_all
            n_all += 1
    words: list[int] = []
    for first in range(0, len(codes), MASK_BITS):
        block = codes[first : first + MASK_BITS]
        words.append(sum(1 << k for k, code in enumerate(block) if code < n_codes))
        n_known += words[-1].bit_count()
        while n_sent < words_for_bits(slot_bits * n_known):
            words.append(string >> WORD_BITS * n_sent & (1 << WORD_BITS) - 1)
            n_sent += 1
    return words


def digest_text() -> str:
    """What the bitmask layout's digest is taken of: its constants, and an example."""
    content = {
        "layout": LAYOUT,
        "descriptor": [list(field) for field in BitmaskGeometry.FIELDS],
        "mask_bits": MASK_BITS,
        "example": EXAMPLE,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


DIGEST = record.digest(digest_text())
