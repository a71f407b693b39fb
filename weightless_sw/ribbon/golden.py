"""The golden decoder: plain numpy, obvious, the reference for the fast decoder and for the RTL."""

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from weightless_sw.hash_arrays import hash_words
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import MAX_SEED, unpack_fields
from weightless_sw.spec.ribbon import Chunk, Header, RibbonGeometry, entry_advance, entry_groups
from weightless_sw.tensor import EncodedTensor

LANES = np.arange(spec.LANES)


def decode_codes(tensor: EncodedTensor) -> NDArray[np.uint16]:
    """The code of every weight, (n_weights,) uint16."""
    geometry = tensor.geometry
    assert isinstance(geometry, RibbonGeometry)
    return np.concatenate([decode_chunk(chunk) for chunk in geometry.chunks(tensor.table.tolist())])


def decode_chunk(chunk: Chunk) -> NDArray[np.uint16]:
    """The codes of its weights, (n_weights,) uint16."""
    starts = np.fromiter(chunk.starts(), np.int64)
    codes = _codes(_words(chunk), starts, chunk.first // spec.LANES, chunk.seed, chunk.slot_bits)
    return codes[: chunk.n_weights]


def _codes(
    words: NDArray[np.uint32], starts: NDArray[np.int64], first: int, seed: int, slot_bits: int
) -> NDArray[np.uint16]:
    """The codes of groups from ``first`` on, which have these start words; the last of ``words`` is a zero one."""
    groups = (first + np.arange(len(starts))).astype(np.uint32)
    x, y, _ = hash_words(groups, seed, spec.DOMAIN, spec.ROUNDS)
    rotations, masks = x >> np.uint32(spec.HASH_SHIFT), y >> np.uint32(spec.HASH_SHIFT)
    codes = masks[:, None] >> LANES.astype(np.uint32)
    for column in range(spec.WINDOW):
        word = np.minimum(
            starts + (column - starts) % spec.WINDOW, len(words) - 1
        )  # the window's of this column
        turn = rotations >> np.uint32(spec.ROTATION_BITS * column) & np.uint32(spec.WORD_SLOTS - 1)
        places = np.array([spec.tap(0, lane, column) for lane in range(spec.LANES)])
        tapped = words[word[:, None], (places + turn[:, None].astype(np.int64)) % spec.WORD_SLOTS]
        codes ^= np.where([spec.is_tapped(lane, column) for lane in range(spec.LANES)], tapped, 0)
    codes[starts < 0] = ~np.uint32(0)
    codes &= np.uint32((1 << slot_bits) - 1)
    return codes.astype(np.uint16).reshape(-1)


def _words(chunk: Chunk) -> NDArray[np.uint32]:
    """The slots by word, (n_words + 1, WORD_SLOTS): behind the last word stand zeros.

    In the stream, slot k of a block's words stands before slot k + 1.
    """
    t, n_words = chunk.slot_bits, chunk.n_words
    begin = chunk.blocks[0] // WORD_BITS if chunk.blocks else chunk.end
    table = np.array(chunk.table[begin : chunk.end], "<u4")
    bits = np.unpackbits(table.view(np.uint8), bitorder="little")
    block = spec.BLOCK_WORDS * spec.WORD_SLOTS * t
    places = np.array(chunk.blocks, np.int64)[:, None] - WORD_BITS * begin + np.arange(block)
    values = bits[places].reshape(-1, t).astype(np.uint32) @ (np.uint32(1) << np.arange(t, dtype=np.uint32))
    stored = values.reshape(-1, spec.WORD_SLOTS, spec.BLOCK_WORDS).transpose(0, 2, 1)
    words = np.zeros((n_words + 1, spec.WORD_SLOTS), np.uint32)
    words[:n_words] = stored.reshape(-1, spec.WORD_SLOTS)
    return words


class MalformedError(Exception):
    """What is wrong with a stream, by the names that a decoder's errors have."""

    def __init__(self, *parts: str):
        self.parts = frozenset(parts)


Words = Generator[None, int, int]  # gives a number, and is sent the words that it is made of


class StreamReader:
    """A layouts.Reader of the chunks as they come: a code is known with the words of its window and its entry.

    Takes any stream: ``wrong`` says what is wrong with it, as soon as it is, and no code follows.
    """

    def __init__(self, descriptor: bytes):
        fields = unpack_fields(RibbonGeometry.FIELDS, descriptor)
        self.n_weights, self.seed, self.chunk_log2 = (
            fields[name] for name in ("n_weights", "seed", "chunk_log2")
        )
        self.slot_bits = (fields["widths"] >> 4) + 1
        self.words_left = fields["payload_words"]
        self.wrong: frozenset[str] = frozenset()
        self.bits = self.n_bits = 0  # that came and were not taken
        self.known: list[NDArray[np.uint16]] = []
        self.is_whole = False
        self.parser = self._chunks()
        next(self.parser)
        if not self.words_left:
            self.wrong = frozenset(("WORDS",))

    def take(self, word: int) -> NDArray[np.uint16]:
        """The codes that this word makes known, in record order."""
        self.words_left -= 1
        self.known = []
        try:
            if self.is_whole:
                raise MalformedError("WORDS")
            self.parser.send(word & (1 << WORD_BITS) - 1)
        except StopIteration:
            self.is_whole = True
        except MalformedError as error:
            self.wrong = error.parts
        if not (self.words_left or self.is_whole or self.wrong):
            self.wrong = frozenset(("WORDS",))
        return np.concatenate(self.known) if self.known else NO_CODES

    def _take(self, n_bits: int) -> Words:
        """So many bits of the chunk, low ones first."""
        while self.n_bits < n_bits:
            self.bits |= (yield) << self.n_bits
            self.n_bits += WORD_BITS
        value = self.bits & (1 << n_bits) - 1
        self.bits, self.n_bits = self.bits >> n_bits, self.n_bits - n_bits
        return value

    def _chunks(self) -> Generator[None, int, None]:
        """All of them, each begun with a word of its own."""
        for first in range(0, self.n_weights, 1 << self.chunk_log2):
            header = Header.from_word((yield from self._take(WORD_BITS)))
            if header.n_words % spec.BLOCK_WORDS or not header.n_entries:
                raise MalformedError("HEADER")
            n_weights = min(1 << self.chunk_log2, self.n_weights - first)
            yield from self._chunk(header, first, n_weights)
            if self.bits:
                raise MalformedError("PADDING")
            self.n_bits = 0

    def _chunk(self, header: Header, first: int, n_weights: int) -> Generator[None, int, None]:
        """Two blocks, then each pair of entries and the blocks that it calls for."""
        groups = Groups(self, header, first, n_weights)
        pair_bits = spec.pair_bits(self.slot_bits)
        called, entries_left = spec.WINDOW, header.n_entries
        while True:
            while groups.n_ready < min(header.n_words, called):
                for slot in range(spec.WORD_SLOTS):
                    groups.put(slot, (yield from self._take(spec.ITEM_SLOTS * self.slot_bits)))
                groups.n_ready += spec.BLOCK_WORDS
                groups.decode()
            if not entries_left:
                break
            pair, n_entries = (yield from self._take(pair_bits)), min(2, entries_left)
            called += groups.add_pair(pair, n_entries)
            entries_left -= n_entries
            groups.decode()
        self._check_end(groups, header)

    def _check_end(self, groups: "Groups", header: Header) -> None:
        """A chunk is whole: all that may be wrong with its end is looked at, together."""
        wrong = {
            "COVER": groups.n_covered < groups.n_groups,
            "WORDS": groups.n_ready < header.n_words,
            "PADDING": self.bits != 0,
        }
        if any(wrong.values()):
            raise MalformedError(*(part for part, holds in wrong.items() if holds))


class Groups:
    """Those of a chunk: words and segments as far as they came, and what they make known."""

    def __init__(self, reader: StreamReader, header: Header, first: int, n_weights: int):
        self.reader, self.header, self.left = reader, header, n_weights
        self.next = first // spec.LANES  # the next group whose codes are not known
        self.seed = (reader.seed + header.step) & MAX_SEED
        self.n_groups, self.n_covered = -(-n_weights // spec.LANES), 0
        self.words = np.zeros((header.n_words + 1, spec.WORD_SLOTS), np.uint32)
        self.n_ready = self.start = 0  # words that are there; the start word of the next segment
        self.starts: NDArray[np.int64] = np.zeros(0, np.int64)  # of groups from ``next`` on

    def put(self, slot: int, item: int) -> None:
        """A slot of each word of a block."""
        t = self.reader.slot_bits
        for word in range(spec.BLOCK_WORDS):
            self.words[self.n_ready + word, slot] = item >> word * t & (1 << t) - 1

    def add_pair(self, pair: int, n_entries: int) -> int:
        """One or two entries; the words that they call for.  Raises MalformedError."""
        called = 0
        for k in range(n_entries):
            entry, pair = pair & (1 << spec.ENTRY_BITS) - 1, pair >> spec.ENTRY_BITS
            w, d = entry_advance(entry), entry_groups(entry)
            is_dead = w == spec.DEAD
            if not d or (w > d and not is_dead) or self.n_covered >= self.n_groups:
                raise MalformedError("ENTRY", *(["PADDING"] if k and pair else []))
            n = min(d, self.n_groups - self.n_covered)
            starts = np.full(n, -1) if is_dead else self.start + np.arange(n) * w // d
            self.starts = np.concatenate([self.starts, starts])
            self.n_covered += d
            self.start += 0 if is_dead else w
            called += 0 if is_dead else w
        if pair:
            raise MalformedError("PADDING")
        return called

    def decode(self) -> None:
        """The groups whose words are there."""
        all_there = self.n_ready >= self.header.n_words
        missing = (self.starts + spec.WINDOW > self.n_ready) & (self.starts >= 0) & (not all_there)
        n = int(missing.argmax()) if missing.any() else len(self.starts)
        if not n:
            return
        codes = _codes(self.words, self.starts[:n], self.next, self.seed, self.reader.slot_bits)
        self.reader.known.append(codes[: self.left])
        self.starts, self.next = self.starts[n:], self.next + n
        self.left -= min(self.left, n * spec.LANES)


NO_CODES: NDArray[np.uint16] = np.zeros(0, np.uint16)
reader = StreamReader
