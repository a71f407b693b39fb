"""Cycles of a decoder that decodes a ribbon while it comes: exact from a record, estimated from its sizes.

The exact model is the decoder's control, cycle by cycle, without its data: who waits for whom (docs/hardware.md).  Its
registers are named as those of ``weightless_hw.ribbon``, and are numbers in an array.  Those from ARRIVED on, words
that wait, frame, code stage and an array as sink are the same for all that stream.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightless_hw.config import DecoderConfig
from weightless_sim.model.patterns import ALWAYS, NO_TILES, Events, Load, Tile, Transfers
from weightless_sim.model.stored import CHECK_CYCLES, VERIFY_CYCLES, unpack
from weightless_sw.compiled import jit
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import DESCRIPTOR_WORDS

Ints = NDArray[np.int64]

# Registers.  Words: the two of the skid, bits of items.
WORD, SPARE, BITS = range(3)
# The reader of chunks; ``CHUNK`` is the next one's number.
STATE, BLOCKS, ENTRIES, TWO, WANTED, SURPLUS, ROOM, SLOT, NTH, STEP, WORDS, BLOCK_DONE, CHUNK = range(3, 16)
# Its entries: one that came, how many wait, the next that is read and the next that is taken.
CAME, KEPT, NEXT_READ, NEXT_TAKEN = range(16, 20)
# Segments, and the groups that wait behind them.
KNOWN, LAST, DEAD, ADVANCE, LEFT_STEPS, ALL_GROUPS, TOTAL, NEXT_MOVES, COUNT, WAITING, BEHIND = range(20, 31)
# The window's place, the beats of the chunk, the pipeline.
AHEAD, ACTIVE, LEFT_BEATS, VALID, MOVED = range(31, 36)
# The code stage.
ARRIVED, SPARE_FULL, LOOKED_UP, OFFERED = range(36, 40)
# The frame's reader; and what is counted.
WORDS_LEFT, PHASE, N_BEATS, HELD, BUBBLES, FIRST_VALID, LAST_BEAT, CRC_TAKEN = range(40, 48)
N_REGISTERS = 48
# What the bench knows: the cycle, when the next word is offered; of an array, from when on it takes beats, when it has
# a buffer free again, and its tile's number; a cycle in which something must have gone on.
NOW, NEXT_WORD, OPENS, FREE, TILE, LIMIT = range(6)
N_CLOCKS = 6
IDLE, HEAD, BEGIN, IN_BLOCKS, IN_PAIR, IN_ENTRIES, END, DONE = range(8)
TABLE, CRC, OVER = range(3)
STUCK = 1_000_000  # cycles without a transfer


class Sizes(NamedTuple):
    """Of a decoder, as :func:`_cycle` reads them."""

    item_bits: int
    pair_items: int
    hash_stages: int
    window: int
    block_words: int
    ring_words: int
    slots: int  # of a word
    dead: int  # an entry's advance
    chunk_beats: int
    groups: int  # of a beat
    beats: int  # of a group


# (decoder, load, (patterns of words, of beats), start, next word offered, tile) -> (registers behind a layer, windows).
Layer = Callable[[DecoderConfig, Load, tuple[Ints, Ints], int, int, Tile], tuple[Ints, Ints]]


def transfers(config: DecoderConfig, loads: Sequence[Load], offers: Events, takes: Events) -> list[Transfers]:
    """The transfers of ``loads``, one after another; see :func:`weightless_sim.model.cycles.transfers`."""
    return transfers_of(_layer, config, loads, offers, takes)


def windows(config: DecoderConfig, load: Load, tile: Tile) -> Ints:
    """See :func:`weightless_sim.model.cycles.windows`."""
    return windows_of(_layer, config, load, tile)


def transfers_of(
    layer: Layer, config: DecoderConfig, loads: Sequence[Load], offers: Events, takes: Events
) -> list[Transfers]:
    """As :func:`transfers`, of a decoder whose cycles behind the codebook ``layer`` knows."""
    result = []
    offered, free = offers.at_or_after(0), 1
    patterns = _distances(offers), _distances(takes)
    for load in loads:
        first, start, offered = _head(config, load, offers, max(offered, free))
        r, _ = layer(config, load, patterns, start, offered, NO_TILES)
        crc, last_beat = int(r[CRC_TAKEN]), int(r[LAST_BEAT])
        beats = int(r[FIRST_VALID]), last_beat
        result.append(Transfers((first, crc), beats, int(r[N_BEATS]), int(r[HELD]), int(r[BUBBLES])))
        offered, free = offers.at_or_after(crc + 1), max(crc + VERIFY_CYCLES, last_beat) + 1
    return result


def windows_of(layer: Layer, config: DecoderConfig, load: Load, tile: Tile) -> Ints:
    """As :func:`windows`."""
    never = Events(ALWAYS)
    _, start, offered = _head(config, load, never, 1)
    return layer(config, load, (_distances(never), _distances(never)), start, offered, tile)[1]


def _head(config: DecoderConfig, load: Load, offers: Events, first: int) -> tuple[int, int, int]:
    """(first word taken, cycle in which the codebook is loaded, next word offered), from the first word on."""
    taken = first
    for _ in range(DESCRIPTOR_WORDS - 1):
        taken = offers.at_or_after(taken + 1)
    codebook = load.geometry.sections[0]
    offered = offers.at_or_after(taken + 1)
    _, start, offered = unpack(
        codebook.n_words, codebook.item_bits, offers, offered, taken + CHECK_CYCLES + 1
    )
    if config.FILLS_FIRST and config.zero_filled:
        start += (1 << config.code_addr_bits) - codebook.n_words * WORD_BITS // codebook.item_bits
    return first, start, offered


def registers(n_payload: int) -> Ints:
    """Those of a layer of so many words, before its first one."""
    r = np.zeros(N_REGISTERS, np.int64)
    r[WORDS_LEFT], r[FIRST_VALID], r[LAST_BEAT], r[CRC_TAKEN] = n_payload, -1, -1, -1
    return r


def clocks(start: int, offered: int) -> Ints:
    """What the bench knows in the first cycle of the payload."""
    clock = np.zeros(N_CLOCKS, np.int64)
    clock[NOW], clock[NEXT_WORD], clock[LIMIT] = start + 1, offered, start + 1 + STUCK
    return clock


# Bits of a ribbon, headers and entries with them, by those of its keys' codes: of random keys, from 1e4 on.
STORED_PER_KEY_BIT = 1.02


def estimate(config: Any, geometry: Any, density: float) -> float:
    """See :func:`weightless_sim.model.cycles.estimate`.

    A beat a clock, or as fast as four slots a clock, and a
    word, fill the window; before that, and between two chunks, a header, the window's words and a pair of entries
    come.  Too few by up to a fifth where both are equally fast: who waits for whom is not in it.
    """
    items = density * geometry.n_weights * STORED_PER_KEY_BIT / 4
    decode: float = max(geometry.n_weights / config.lanes, items * _word_clocks(config))
    return _begin(config, geometry.n_weights, geometry.n_codes, geometry.chunk_log2) + decode


def steady(config: Any, geometry: Any) -> tuple[float, float]:
    """See :func:`weightless_sim.model.cycles.steady`; as :func:`estimate`, of the sizes of a record."""
    items = geometry.table_words * 32 / config.item_bits
    begin = _begin(config, geometry.n_weights, geometry.n_codes, geometry.chunk_log2)
    return begin, min(float(config.lanes), geometry.n_weights / (items * _word_clocks(config)))


def _word_clocks(config: Any) -> float:
    """Cycles that an item takes at least."""
    return max(1.0, float(config.item_bits) / 32)


def _begin(config: Any, n_weights: int, n_codes: int, chunk_log2: int) -> float:
    """Cycles in which no beat can come, whatever the weights: before the first one, and between chunks."""
    word_clocks, n_chunks = _word_clocks(config), -(-n_weights >> chunk_log2)
    begin = 12 + config.WINDOW_WORDS * config.WORD_SLOTS / 4 * word_clocks + config.pair_items * word_clocks
    codebook = -(-n_codes * config.value_bits // 32) * 32 // config.value_bits
    load = 1 + DESCRIPTOR_WORDS + CHECK_CYCLES + codebook
    return float(load + n_chunks * begin + config.fill_latency)


def _distances(events: Events) -> Ints:
    """From each cycle of a pattern, how many until it is true."""
    return np.array([events.at_or_after(cycle) - cycle for cycle in range(events.period)], np.int64)


def _layer(
    config: Any, load: Load, patterns: tuple[Ints, Ints], start: int, offered: int, tile: Tile
) -> tuple[Ints, Ints]:
    """The registers after a layer that starts in cycle ``start``, when its next word is offered at ``offered``; and,
    where an array takes its beats, the windows in which it does."""
    if load.record is None:
        raise ValueError("the exact cycles of a ribbon depend on its record")
    geometry: Any = load.geometry
    n_payload = geometry.payload_words
    payload = np.frombuffer(load.record, "<u4")[len(load.record) // 4 - n_payload :].tolist()
    walked = list(geometry.chunks(payload))
    chunks = [(chunk.n_words, len(chunk.entries)) for chunk in walked]
    entries = [config.segment(entry) for chunk in walked for entry in chunk.entries]
    sizes = Sizes(
        item_bits=config.item_bits, pair_items=config.pair_items, hash_stages=config.hash_stages,
        window=config.WINDOW_WORDS, block_words=config.BLOCK_WORDS, ring_words=config.RING_WORDS,
        slots=config.WORD_SLOTS, dead=config.DEAD, chunk_beats=(1 << geometry.chunk_log2) // config.lanes,
        groups=config.groups, beats=config.beats,
    )  # fmt: skip
    r = registers(n_payload)
    r[STATE] = HEAD
    n_beats = -(-geometry.n_weights // config.lanes)
    tables = np.array(chunks, np.int64).reshape(-1, 2), np.array(entries, np.int64).reshape(-1, 2)
    opened = np.zeros((-(-n_beats // tile.beats), 2), np.int64)
    _run(r, tables, tuple(sizes), patterns, clocks(start, offered), n_beats, tuple(tile), opened)
    return r, opened


@jit
def _run(r, tables, sizes, patterns, clock, n_beats, tile, opened):  # type: ignore[no-untyped-def]
    """Cycles until the CRC word and the last beat are taken; of an array, too, when it opens for a tile, and has it."""
    left = n_beats
    while r[CRC_TAKEN] < 0 or r[N_BEATS] < n_beats:
        took, takes_beat = offered(r, clock, patterns)
        left = _cycle(r, tables, sizes, took, takes_beat, clock[NOW], left, n_beats)
        passed(r, clock, patterns, took, n_beats, tile, opened)


@jit
def offered(r, clock, patterns):  # type: ignore[no-untyped-def]
    """Whether a word is taken in this cycle, and whether a beat is, if there is one."""
    if clock[NOW] == clock[LIMIT]:
        raise RuntimeError("no word and no beat goes on: the model of the decoder is stuck")
    takes = patterns[1]
    ready = (r[PHASE] == TABLE and r[WORDS_LEFT] > 0 and not r[SPARE]) or r[PHASE] == CRC
    takes_beat = takes[clock[NOW] % takes.size] == 0 and clock[NOW] >= clock[OPENS]
    return ready and clock[NEXT_WORD] <= clock[NOW], takes_beat


@jit
def passed(r, clock, patterns, took, n_beats, tile, opened):  # type: ignore[no-untyped-def]
    """The cycle is over."""
    offers = patterns[0]
    tile_beats, busy = tile
    clock[NOW] += 1
    cycle = clock[NOW]
    if took:
        clock[NEXT_WORD] = cycle + offers[cycle % offers.size]
    beat = r[LAST_BEAT] == cycle - 1
    if took or beat:
        clock[LIMIT] = cycle + max(STUCK, 2 * busy)
    if beat and (r[N_BEATS] % tile_beats == 0 or r[N_BEATS] == n_beats):
        opened[clock[TILE], 0], opened[clock[TILE], 1] = clock[OPENS], cycle
        clock[OPENS] = max(cycle, clock[FREE])
        clock[FREE] = clock[OPENS] + busy
        clock[TILE] += 1


@jit
def _cycle(r, tables, sizes, took, takes_beat, cycle, left, n_beats):  # type: ignore[no-untyped-def]
    """One cycle; ``left`` beats of the layer are to be issued before it, and so many behind it.

    What goes from part to part is known of all their registers before any of them changes.
    """
    n_hash, window, block_words, chunk_beats, beats = sizes[2], sizes[3], sizes[4], sizes[8], sizes[10]
    en = not r[SPARE_FULL]
    part = (n_beats - left) % beats
    moves = r[WAITING] if part == 0 else 0
    goes = r[ACTIVE] and r[COUNT] > 0 and r[AHEAD] >= moves
    issued = goes and en
    freed = r[MOVED] >> 2 * (n_hash - 1) & 3 if en and r[VALID] & 1 << n_hash - 1 != 0 else 0
    quiet = not r[ACTIVE] and r[VALID] & (1 << n_hash) - 1 == 0
    begin, block_done = r[STATE] == BEGIN, r[BLOCK_DONE]
    arrives = r[VALID] >> n_hash & 1
    count(r, n_beats)
    pops = _segments(r, tables[1], sizes, issued and part == beats - 1, begin)
    reads = _chunks(r, tables, sizes, took, quiet, freed)
    r[KEPT] += r[CAME] - pops
    r[NEXT_TAKEN] += pops
    r[CAME] = reads
    r[NEXT_READ] += reads
    code_stage(r, arrives, takes_beat, cycle)
    r[AHEAD] += (block_words if block_done else 0) - (moves if issued else 0)
    if en:
        r[VALID] = (r[VALID] << 1 | (1 if goes else 0)) & (1 << n_hash + 1) - 1
        r[MOVED] = (r[MOVED] << 2 | moves) & (1 << 2 * n_hash) - 1
    if issued:
        left -= 1
        r[LEFT_BEATS] -= 1
        if r[LEFT_BEATS] == 0 or left == 0:
            r[ACTIVE] = 0
    if begin:
        r[AHEAD], r[ACTIVE], r[LEFT_BEATS] = -window, 1, chunk_beats
    if r[PHASE] == CRC and took:
        r[CRC_TAKEN], r[PHASE] = cycle, OVER
    return left


@jit
def _segments(r, entries, sizes, taken, begin):  # type: ignore[no-untyped-def]
    """Segments, and the two steps that wait at most; whether an entry is taken."""
    dead, n_groups = sizes[7], sizes[9]
    steps = r[KNOWN] and r[COUNT] < 2
    wants = not r[KNOWN] or (steps and r[LAST])
    loads = wants and r[KEPT] > 0
    moves, after, total = r[NEXT_MOVES], 0, r[TOTAL]
    if not r[DEAD]:
        for group in range(n_groups):
            total += r[ADVANCE]
            after = 1 if total >= r[ALL_GROUPS] else 0
            total -= after * r[ALL_GROUPS]
            moves += after if group < n_groups - 1 else 0
    if taken or r[COUNT] == 0:
        r[WAITING] = r[BEHIND] if r[COUNT] == 2 else moves
    r[COUNT] += (1 if steps else 0) - (1 if taken else 0)
    if steps:
        r[BEHIND], r[NEXT_MOVES], r[TOTAL] = moves, after, total
        r[LAST] = r[LEFT_STEPS] == 2
        r[LEFT_STEPS] -= 1
    if wants:
        r[KNOWN] = loads
    if loads:
        groups, advance = entries[r[NEXT_TAKEN], 0], entries[r[NEXT_TAKEN], 1]
        r[ALL_GROUPS], r[ADVANCE], r[DEAD] = groups, advance, advance == dead
        r[LEFT_STEPS] = groups // n_groups
        r[LAST] = r[LEFT_STEPS] == 1
    if begin:
        r[KNOWN], r[TOTAL], r[NEXT_MOVES], r[COUNT] = 0, 0, 0, 0
    return 1 if loads else 0


@jit
def _chunks(r, tables, sizes, took, quiet, freed):  # type: ignore[no-untyped-def]
    """Words, items, blocks and pairs; whether an entry is read."""
    item_bits, pair_items, block_words, slots = sizes[0], sizes[1], sizes[4], sizes[6]
    state, item, active = r[STATE], r[BITS] >= item_bits, r[ACTIVE]
    no_blocks, no_entries = r[BLOCKS] == 0, r[ENTRIES] <= 0
    wanted = state == IN_BLOCKS and r[WANTED] != 0 and not no_blocks
    has_room, at_end = r[ROOM] >= 0, r[SLOT] == slots - 1
    takes = wanted and item and (has_room or not active)
    steps = takes or (no_blocks and active and has_room)
    takes_pair = state == IN_PAIR and item and r[KEPT] == 0
    last_of_pair = r[NTH] == pair_items - 1
    last_item = (wanted and at_end and r[BLOCKS] == 1 and no_entries) or (
        state == IN_PAIR and last_of_pair and no_blocks and r[ENTRIES] <= 2
    )
    streams = state in (IN_BLOCKS, IN_PAIR, IN_ENTRIES)
    feeds = streams and not (no_blocks and no_entries) and not (last_item and item)
    kept = r[BITS] - (item_bits if takes or takes_pair else 0)
    wants_word = (feeds and kept < item_bits) or (state == HEAD and quiet)
    is_header = state == HEAD and quiet and r[WORD]
    reads = state == IN_ENTRIES and (r[STEP] == 0 or (r[STEP] == 1 and r[TWO]))
    if r[PHASE] == TABLE and r[WORDS_LEFT] == 0 and state == DONE and not r[WORD]:
        r[PHASE] = CRC
        took = False
    _next_state(r, tables, sizes, wanted, takes_pair and last_of_pair, is_header)
    r[BITS] = kept + (32 if feeds and kept < item_bits and r[WORD] else 0)
    if state == BEGIN:
        r[BITS] = 0
    if r[PHASE] != TABLE:
        took = False
    skid(r, took, wants_word)
    ends = steps and at_end
    r[BLOCK_DONE] = ends and has_room
    if state != BEGIN:
        r[ROOM] += freed - (block_words if ends and has_room else 0)
        r[SLOT] = (r[SLOT] + (1 if steps else 0)) % slots
        if takes and at_end:
            r[BLOCKS] -= 1
            r[WANTED] -= 1
        if takes_pair:
            r[NTH] = 0 if last_of_pair else r[NTH] + 1
    return 1 if reads else 0


@jit
def _next_state(r, tables, sizes, wanted, has_pair, is_header):  # type: ignore[no-untyped-def]
    """Of the reader of chunks; and the counts that go with it."""
    chunks, entries = tables
    window, block_words, ring_words, dead = sizes[3], sizes[4], sizes[5], sizes[7]
    state = r[STATE]
    if state == HEAD:
        r[STATE] = BEGIN if is_header else HEAD
    elif state == BEGIN:
        r[BLOCKS], r[ENTRIES] = chunks[r[CHUNK], 0] // block_words, chunks[r[CHUNK], 1]
        r[WANTED], r[SURPLUS], r[ROOM], r[SLOT], r[NTH] = (
            window // block_words, 0, ring_words - block_words, 0, 0,
        )  # fmt: skip
        r[CHUNK] += 1
        r[STATE] = IN_BLOCKS
    elif state == IN_BLOCKS:
        if not wanted:
            r[STATE] = END if r[ENTRIES] <= 0 else IN_PAIR
    elif state == IN_PAIR:
        if has_pair:
            r[STATE], r[STEP], r[TWO] = IN_ENTRIES, 0, r[ENTRIES] > 1
            r[ENTRIES] -= 2
    elif state == IN_ENTRIES:
        if r[STEP] == 0:
            r[WORDS] = block_words - 1 - r[SURPLUS]
        elif r[STEP] == 3:
            r[WANTED], r[SURPLUS] = r[WORDS] // block_words, block_words - 1 - r[WORDS] % block_words
            r[STATE] = IN_BLOCKS
        elif r[STEP] == 1 or r[TWO]:
            advance = entries[r[NEXT_READ] - 1, 1]
            r[WORDS] += 0 if advance == dead else advance
        r[STEP] += 1
    elif state == END:
        r[STATE] = DONE if r[CHUNK] == chunks.shape[0] else HEAD


@jit
def count(r, n_beats):  # type: ignore[no-untyped-def]
    """Whether the pipeline holds in this cycle, and whether a beat is missing."""
    r[HELD] += r[SPARE_FULL]
    r[BUBBLES] += r[FIRST_VALID] >= 0 and r[N_BEATS] < n_beats and not r[OFFERED]


@jit
def skid(r, took, wants_word):  # type: ignore[no-untyped-def]
    """Words that wait for the reader of the payload."""
    r[WORDS_LEFT] -= 1 if took else 0
    if wants_word or not r[WORD]:
        r[WORD], r[SPARE] = r[SPARE] or took, 0
    elif took:
        r[SPARE] = 1


@jit
def code_stage(r, arrives, takes_beat, cycle):  # type: ignore[no-untyped-def]
    """Codes that arrive, the spare ones, the codebook, the output."""
    arrived, spare = r[ARRIVED], r[SPARE_FULL]
    offered = r[OFFERED]
    if offered and r[FIRST_VALID] < 0:
        r[FIRST_VALID] = cycle
    if offered and takes_beat:
        r[N_BEATS] += 1
        r[LAST_BEAT] = cycle
    if not spare:
        r[ARRIVED] = arrives
    if takes_beat or not offered:
        r[SPARE_FULL], r[OFFERED], r[LOOKED_UP] = 0, r[LOOKED_UP], arrived or spare
    elif arrived and not spare:
        r[SPARE_FULL] = 1
