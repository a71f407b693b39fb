"""The ribbon layout: one table, read once, front to back, through a window of 64 slots.

Terms.  A *weight index* ``i`` counts the weights that a record holds, in the order in which it holds them.
``LANES`` consecutive weights form a *group* ``g = i // LANES``; the weight is in lane ``l = i % LANES`` of it.  The
table is a row of *words* of ``WORD_SLOTS`` *slots* of ``slot_bits`` (t) bits; the *column* of a word is its number
modulo ``WINDOW``.  A group has a *start word*; its *window* is the ``WINDOW`` words from there on.  Each lane *taps* a
slot in each word of the window, which the group's hash rotates.

    code(i) = mask(i) ^ the tapped slots;   weight(i) = codebook[code] if code < n_codes else 0

A *chunk* is ``2 ** chunk_log2`` weights, the last one shorter, with a table of its own.  Its *entries* say how far
the window moves: each a *segment* of ``d`` groups over which the start word moves by ``w`` words, evenly, or a *dead*
segment, whose weights are all zero.  The table is a ribbon filter (Dillinger, Hübschle-Schneider, Sanders and Walzer,
SEA 2022) whose start words are not hashed but follow the index.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from weightless_sw.spec import hash as spec_hash
from weightless_sw.spec import record
from weightless_sw.spec.hash import WORD_BITS, hash_words
from weightless_sw.spec.record import COMMON_FIELDS, Field, Section, TableGeometry, require, words_for_bits

LAYOUT = 2
ROUNDS = 4
DOMAIN = int.from_bytes(b"WLSr", "big")
LANES = 8
WINDOW = 8  # words
WORD_SLOTS = 8
HASH_SHIFT = 8  # rotations and masks leave out the low bits of their words
ROTATION_BITS = 3
BLOCK_WORDS = 4  # words that are stored together: slot k of each, then slot k + 1 of each
ITEM_SLOTS = 4  # the stream is made of items of that many slots
UNIT = 2  # groups: a segment has a multiple of it
MANTISSA_BITS, EXPONENT_BITS = 6, 4  # of the groups of an entry, a small float
GROUPS_BITS = MANTISSA_BITS + EXPONENT_BITS
ENTRY_BITS = 16
DEAD = (1 << ENTRY_BITS - GROUPS_BITS) - 1  # instead of an advance
MAX_ADVANCE = DEAD - 1
WORDS_FIELD, ENTRIES_FIELD, STEP_FIELD = 17, 11, 4  # bits of a chunk's header, from the low end
MAX_WORDS = (1 << WORDS_FIELD) - BLOCK_WORDS
MAX_ENTRIES = (1 << ENTRIES_FIELD) - 1
MAX_STEP = (1 << STEP_FIELD) - 1
MIN_CHUNK_LOG2, MAX_CHUNK_LOG2 = 13, 22


@dataclass(frozen=True, kw_only=True)
class RibbonGeometry(TableGeometry):
    """A geometry of chunks of ``2 ** chunk_log2`` weights, which take ``table_words`` 32-bit words together."""

    LAYOUT: ClassVar[int] = LAYOUT
    NAME: ClassVar[str] = "ribbon"
    FIELDS: ClassVar[tuple[Field, ...]] = (*COMMON_FIELDS, Field("chunk_log2", 8), Field("zeros", 24))

    chunk_log2: int
    table_words: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require("chunk_log2", self.chunk_log2, MIN_CHUNK_LOG2, MAX_CHUNK_LOG2)
        require("table_words", self.table_words, 2 * self.n_chunks, record.MAX_WEIGHTS)

    @classmethod
    def layout_digest(cls) -> int:
        """The digest of the ribbon layout."""
        return DIGEST

    def own_fields(self) -> dict[str, int]:
        """The size of a chunk; the low bits of the widths are zero."""
        return {"chunk_log2": self.chunk_log2, "zeros": 0}

    @classmethod
    def own_arguments(cls, fields: Mapping[str, int]) -> dict[str, int]:
        """The inverse of :meth:`own_fields`.  Raises ValueError where what must be zero is not."""
        if fields["widths"] & 15 or fields["zeros"]:
            raise ValueError("a ribbon's descriptor has bits set that must be zero")
        return {"chunk_log2": fields["chunk_log2"], "table_words": fields["payload_words"]}

    @property
    def n_chunks(self) -> int:
        """Chunks, the last one perhaps shorter."""
        return -(-self.n_weights >> self.chunk_log2)

    @property
    def n_slots(self) -> int:
        """Slots that the chunks' bits would make, headers and entries counted with them."""
        return self.table_words * WORD_BITS // self.slot_bits

    @property
    def sections(self) -> tuple[Section, ...]:
        """Codebook and chunks, which a reader takes word by word."""
        return self.codebook_section, Section("chunks", self.table_words, WORD_BITS)

    @property
    def table_entries(self) -> tuple[int, int]:
        """A word of the record each."""
        return self.table_words, WORD_BITS

    def chunks(self, table: Sequence[int]) -> "Iterator[Chunk]":
        """The chunks of ``table`` (table_words integers).  Raises ValueError at what no encoder writes."""
        place = 0
        for first in range(0, self.n_weights, 1 << self.chunk_log2):
            n_weights = min(1 << self.chunk_log2, self.n_weights - first)
            try:
                chunk = read_chunk(table, place, first, n_weights, self.slot_bits, self.seed)
            except ValueError as error:
                raise ValueError(f"the chunk at weight {first}: {error}") from error
            place = chunk.end
            yield chunk
        if place != self.table_words:
            raise ValueError(f"{self.table_words - place} words behind the last chunk")

    def check_table(self, table: Any) -> None:
        """Raises ValueError unless ``table`` is one that an encoder could have written."""
        for _ in self.chunks(table):
            pass


class Header(NamedTuple):
    """The first word of a chunk."""

    n_words: int
    n_entries: int
    step: int  # what is added to the tensor's seed

    @classmethod
    def from_word(cls, word: int) -> "Header":
        """Its fields."""
        low = WORDS_FIELD + ENTRIES_FIELD
        return cls(word & (1 << WORDS_FIELD) - 1, word >> WORDS_FIELD & MAX_ENTRIES, word >> low & MAX_STEP)

    def to_word(self) -> int:
        """The inverse of :meth:`from_word`."""
        return self.n_words | self.n_entries << WORDS_FIELD | self.step << WORDS_FIELD + ENTRIES_FIELD

    def stream_bits(self, slot_bits: int) -> int:
        """Bits of what follows, padding left out."""
        pairs = -(-self.n_entries // 2)
        return self.n_words * WORD_SLOTS * slot_bits + pairs * pair_bits(slot_bits)

    def chunk_words(self, slot_bits: int) -> int:
        """32-bit words of the chunk, this one and the padding with them."""
        return 1 + words_for_bits(self.stream_bits(slot_bits))


def pair_bits(slot_bits: int) -> int:
    """Bits that two entries take in the stream: whole items."""
    item = ITEM_SLOTS * slot_bits
    return -(-2 * ENTRY_BITS // item) * item


def entry_groups(entry: int) -> int:
    """Groups of a segment (d)."""
    mantissa, exponent = entry & (1 << MANTISSA_BITS) - 1, entry >> MANTISSA_BITS & (1 << EXPONENT_BITS) - 1
    return UNIT * (mantissa if exponent == 0 else ((1 << MANTISSA_BITS) + mantissa) << (exponent - 1))


def entry_advance(entry: int) -> int:
    """Words that the window moves in a segment (w), or DEAD."""
    return entry >> GROUPS_BITS


def group_hash(group: int, seed: int) -> tuple[int, int]:
    """(rotations, ROTATION_BITS for each column; masks, a window of t bits for each lane) of a group."""
    x, y, _ = hash_words(group, seed, DOMAIN, ROUNDS)
    return x >> HASH_SHIFT, y >> HASH_SHIFT


def tap(rotations: int, lane: int, column: int) -> int:
    """The slot that a lane taps in a word of ``column``; odd columns are wired crosswise."""
    place = lane if column % 2 == 0 else lane << 1 & WORD_SLOTS - 2 | lane >> 2
    return (place + (rotations >> ROTATION_BITS * column)) % WORD_SLOTS


def is_tapped(lane: int, column: int) -> bool:
    """Whether a lane taps words of ``column``: each lane but the first leaves out its own."""
    return column == 0 or column != lane


class Chunk(NamedTuple):
    """A chunk whose fields were checked."""

    table: Sequence[int]  # the record's words
    slot_bits: int
    first: int  # weight
    n_weights: int
    seed: int
    entries: tuple[int, ...]
    n_words: int
    blocks: tuple[int, ...]  # where each begins, in bits of the table
    end: int  # the word behind it

    def slot(self, word: int, number: int) -> int:
        """A slot of a word; words behind the last one are zero."""
        if word >= self.n_words:
            return 0
        place = number * BLOCK_WORDS + word % BLOCK_WORDS
        return bits_at(self.table, self.blocks[word // BLOCK_WORDS] + place * self.slot_bits, self.slot_bits)

    def starts(self) -> Iterator[int]:
        """The start word of each group, in order; -1 in a dead segment."""
        word, left = 0, -(-self.n_weights // LANES)
        for entry in self.entries:
            w, d = entry_advance(entry), entry_groups(entry)
            for q in range(min(d, left)):
                yield -1 if w == DEAD else word + q * w // d
            word, left = word + (0 if w == DEAD else w), left - d

    def codes(self) -> Iterator[int]:
        """The codes of its weights, in order."""
        most = (1 << self.slot_bits) - 1
        for number, start in enumerate(self.starts()):
            rotations, masks = group_hash(self.first // LANES + number, self.seed)
            for lane in range(min(LANES, self.n_weights - LANES * number)):
                code = most if start < 0 else masks >> lane & most
                for word in range(start, start + WINDOW) if start >= 0 else ():
                    if is_tapped(lane, word % WINDOW):
                        code ^= self.slot(word, tap(rotations, lane, word % WINDOW))
                yield code


def bits_at(table: Sequence[int], place: int, n_bits: int) -> int:
    """``n_bits`` bits of the words of ``table``, from bit ``place`` on."""
    first, last = place // WORD_BITS, (place + n_bits - 1) // WORD_BITS
    value = 0
    for number in range(first, last + 1):
        value |= int(table[number]) << WORD_BITS * (number - first)
    return value >> place % WORD_BITS & (1 << n_bits) - 1


def read_chunk(
    table: Sequence[int], place: int, first: int, n_weights: int, slot_bits: int, seed: int
) -> Chunk:
    """The chunk that begins at word ``place`` of ``table``.  Raises ValueError at what no encoder writes."""
    if place >= len(table):
        raise ValueError("no words are left for it")
    header = Header.from_word(int(table[place]))
    if header.n_words % BLOCK_WORDS or not header.n_entries:
        raise ValueError(f"{header.n_words} words, {header.n_entries} entries: none can be so")
    n_bits = header.stream_bits(slot_bits)
    begin, end = (place + 1) * WORD_BITS, place + header.chunk_words(slot_bits)
    if end > len(table):
        raise ValueError(f"it needs {end - place} words, {len(table) - place} are left")
    if (spare := end * WORD_BITS - begin - n_bits) and bits_at(table, begin + n_bits, spare):
        raise ValueError("the padding behind it is not zero")
    entries, blocks = _walk(table, begin, header, -(-n_weights // LANES), slot_bits)
    chunk_seed = (seed + header.step) & record.MAX_SEED
    return Chunk(table, slot_bits, first, n_weights, chunk_seed, entries, header.n_words, blocks, end)


def _walk(
    table: Sequence[int], place: int, header: Header, n_groups: int, slot_bits: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Entries, and where blocks begin: two blocks, then each pair of entries and the blocks that it calls for."""
    entries: list[int] = []
    blocks: list[int] = []
    covered, called = 0, WINDOW
    while True:
        while len(blocks) * BLOCK_WORDS < min(header.n_words, called):
            blocks.append(place)
            place += BLOCK_WORDS * WORD_SLOTS * slot_bits
        if len(entries) == header.n_entries:
            break
        pair = bits_at(table, place, pair_bits(slot_bits))
        place += pair_bits(slot_bits)
        for _ in range(min(2, header.n_entries - len(entries))):
            entry, pair = pair & (1 << ENTRY_BITS) - 1, pair >> ENTRY_BITS
            _check_entry(entry, covered, n_groups)
            entries.append(entry)
            covered += entry_groups(entry)
            called += 0 if entry_advance(entry) == DEAD else entry_advance(entry)
        if pair:
            raise ValueError("bits behind a pair of entries are not zero")
    if covered < n_groups:
        raise ValueError(f"its entries cover {covered} of {n_groups} groups")
    if len(blocks) * BLOCK_WORDS < header.n_words:
        raise ValueError(f"{header.n_words} words, its entries call for {len(blocks) * BLOCK_WORDS}")
    return tuple(entries), tuple(blocks)


def _check_entry(entry: int, covered: int, n_groups: int) -> None:
    w, d = entry_advance(entry), entry_groups(entry)
    if not d or (w > d and w != DEAD):
        raise ValueError(f"an entry of {w} words over {d} groups")
    if covered >= n_groups:
        raise ValueError(f"an entry behind the last of {n_groups} groups")


def digest_text() -> str:
    """What the ribbon layout's digest is taken of: its constants, and what its functions make of a few inputs."""
    groups = (0, 1, 8, 12_849_999)
    content = {
        "layout": LAYOUT,
        "descriptor": [list(field) for field in RibbonGeometry.FIELDS],
        "index_rotate": [spec_hash.INDEX_ROTATE_Y, spec_hash.INDEX_ROTATE_Z],
        "rotate": [spec_hash.ROTATE_X, spec_hash.ROTATE_Y],
        "shift": [spec_hash.SHIFT_AND_XY, spec_hash.SHIFT_OR_XZ, spec_hash.SHIFT_Z, spec_hash.SHIFT_AND_YZ],
        "rounds": ROUNDS,
        "domain": DOMAIN,
        "window": [LANES, WINDOW, WORD_SLOTS, HASH_SHIFT, ROTATION_BITS],
        "stream": [BLOCK_WORDS, ITEM_SLOTS, UNIT],
        "entry": [ENTRY_BITS, MANTISSA_BITS, EXPONENT_BITS, DEAD],
        "header": [WORDS_FIELD, ENTRIES_FIELD, STEP_FIELD],
        "chunks": [MIN_CHUNK_LOG2, MAX_CHUNK_LOG2],
        "groups": [entry_groups(entry) for entry in (1, 63, 64, 127, 128, 1023)],
        "pairs": [pair_bits(t) for t in (1, 3, 8, 16)],
        "hashes": [[g, *group_hash(g, 77)] for g in groups],
        "taps": [
            [tap(0o76543210, lane, c) if is_tapped(lane, c) else -1 for c in range(8)] for lane in range(8)
        ],
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


DIGEST = record.digest(digest_text())
