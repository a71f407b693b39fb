"""Cycles of a decoder that decodes a bitmask while it comes: exact from a record, estimated from its sizes.

As :mod:`weightless_sim.model.streamed`, of which it takes what is not the layout's own; registers are named as those of
``weightless_hw.bitmask``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from weightless_hw.config import DecoderConfig
from weightless_sim.model import streamed
from weightless_sim.model.patterns import Events, Load, Tile, Transfers
from weightless_sim.model.stored import CHECK_CYCLES
from weightless_sim.model.streamed import (
    CRC,
    CRC_TAKEN,
    N_BEATS,
    NOW,
    OVER,
    PHASE,
    SPARE_FULL,
    TABLE,
    WORD,
    WORDS_LEFT,
    Ints,
    clocks,
    code_stage,
    count,
    offered,
    passed,
    registers,
    skid,
)
from weightless_sw.compiled import jit
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import DESCRIPTOR_WORDS

# Registers, behind the words of the skid.  The reader: a word that waits, a word, code words that are still to come for
# the block, how far it is; ``BLOCK`` is the next one's number.
WAITS, HAS_WORD, LEFT, RUNNING, AT_END, WHOLE, STARVED, BLOCK = range(3, 11)
# Masks: how many wait, whether the first one is shifted, beats of it that are left, less one; the next beat's number.
MASKS, HAS_MASK, MASK_BEATS, NEXT_BEAT = range(11, 15)
# The beat that is next, and whether it is its mask's last; units of codes that it takes, and that are there.
HAS_BEAT, IS_LAST, USED, FILLED = range(15, 19)
# The pipeline: a beat's codes, aligned and by lane, looked at while they are fresh; blocks not looked at to their end.
STEPPED, ALIGNED, ALIGNED_LAST, FRESH, ENDS_BLOCK, LOOKED_AT, VALID, BLOCKS_WAITING = range(19, 27)
WORD_STAGES = 5  # registers before the first beat's: three of words, a mask that waits, one that is shifted


def transfers(config: DecoderConfig, loads: Sequence[Load], offers: Events, takes: Events) -> list[Transfers]:
    """The transfers of ``loads``, one after another; see :func:`weightless_sim.model.cycles.transfers`."""
    return streamed.transfers_of(_layer, config, loads, offers, takes)


def windows(config: DecoderConfig, load: Load, tile: Tile) -> Ints:
    """See :func:`weightless_sim.model.cycles.windows`."""
    return streamed.windows_of(_layer, config, load, tile)


def steady(config: Any, geometry: Any) -> tuple[float, float]:
    """See :func:`weightless_sim.model.cycles.steady`: a beat a clock, or as masks and codes come, a word a clock.

    Of weights that lie as dense everywhere; where stretches differ, the sparse ones wait for beats and the dense ones
    for words, since little is buffered.
    """
    return _begin(config, geometry), min(float(config.lanes), geometry.n_weights / geometry.table_words)


def estimate(config: Any, geometry: Any, density: float) -> float:
    """See :func:`weightless_sim.model.cycles.estimate`; as :func:`steady`."""
    word_clocks = (1 + density * geometry.slot_bits) / WORD_BITS
    decode: float = geometry.n_weights * max(1 / config.lanes, word_clocks)
    return _begin(config, geometry) + decode


def _begin(config: Any, geometry: Any) -> float:
    """Cycles before the first beat: what every record begins with, and a mask through all registers."""
    entries = max(
        1 << config.code_addr_bits if config.zero_filled else 0,
        geometry.codebook_section.n_words * WORD_BITS // config.value_bits,
    )
    load = 1 + DESCRIPTOR_WORDS + CHECK_CYCLES + 1 + entries + 1
    return float(load + WORD_STAGES + config.fill_latency)


def _layer(
    config: Any, load: Load, patterns: tuple[Ints, Ints], start: int, offered: int, tile: Tile
) -> tuple[Ints, Ints]:
    """See :data:`weightless_sim.model.streamed.Layer`."""
    if load.record is None:
        raise ValueError("the exact cycles of a bitmask depend on its record")
    geometry: Any = load.geometry
    payload = np.frombuffer(load.record, "<u4")[len(load.record) // 4 - geometry.payload_words :]
    masks = geometry.masks(payload.tolist())
    bits = np.unpackbits(np.array(masks, "<u4").view(np.uint8), bitorder="little")
    known = np.cumsum(bits.reshape(len(masks), -1).sum(1, dtype=np.int64))
    words = np.diff(-(-known * geometry.slot_bits // WORD_BITS), prepend=0)
    used = bits.reshape(-1, config.lanes).sum(1, dtype=np.int64) * (config.slot_bits // config.unit)
    sizes = (
        config.MASKS, config.block_beats, (config.buffer_bits - WORD_BITS) // config.unit, WORD_BITS // config.unit,
    )  # fmt: skip
    r = registers(geometry.payload_words)
    r[RUNNING] = 1
    n_beats = -(-geometry.n_weights // config.lanes)
    opened = np.zeros((-(-n_beats // tile.beats), 2), np.int64)
    _run(r, (words, used), sizes, patterns, clocks(start, offered), n_beats, tuple(tile), opened)
    return r, opened


@jit
def _run(r, tables, sizes, patterns, clock, n_beats, tile, opened):  # type: ignore[no-untyped-def]
    """As that of a ribbon."""
    left = n_beats
    while r[CRC_TAKEN] < 0 or r[N_BEATS] < n_beats:
        took, takes_beat = offered(r, clock, patterns)
        left = _cycle(r, tables, sizes, took, takes_beat, clock[NOW], left, n_beats)
        passed(r, clock, patterns, took, n_beats, tile, opened)


@jit
def _cycle(r, tables, sizes, took, takes_beat, cycle, left, n_beats):  # type: ignore[no-untyped-def]
    """One cycle; ``left`` beats of the layer are to be issued before it, and so many behind it.

    What goes from part to part is known of all their registers before any of them changes.
    """
    words, used = tables
    en = not r[SPARE_FULL]
    steps = r[HAS_BEAT] and r[FILLED] >= r[USED] and en
    goes = steps and left > 0
    arrives, looked_at = r[VALID], r[LOOKED_AT]
    count(r, n_beats)
    if r[PHASE] == CRC and took:
        r[CRC_TAKEN], r[PHASE] = cycle, OVER
    takes_mask, takes_code = _takes(r, sizes)
    r[LOOKED_AT] = r[FRESH] and r[ENDS_BLOCK]
    r[FRESH], r[ENDS_BLOCK] = r[STEPPED] and en, r[ALIGNED_LAST]
    if en:
        r[STEPPED], r[ALIGNED_LAST] = steps, r[IS_LAST]
    if takes_code:
        r[FILLED] += sizes[3]
    if steps:
        r[FILLED] -= r[USED]
    _masks(r, used, sizes, takes_mask, steps)
    done = _read(r, words, took, takes_mask, takes_code)
    r[BLOCKS_WAITING] += (1 if done else 0) - (1 if looked_at else 0)
    code_stage(r, arrives, takes_beat, cycle)
    if en:
        r[VALID], r[ALIGNED] = r[ALIGNED], goes
    return left - (1 if goes else 0)


@jit
def _takes(r, sizes):  # type: ignore[no-untyped-def]
    """Whether the reader's word is a mask that is taken, or codes that are."""
    if not (r[HAS_WORD] and r[RUNNING]):
        return False, False
    is_mask = r[LEFT] == 0
    return is_mask and r[MASKS] < sizes[0], not is_mask and r[FILLED] <= sizes[2]


@jit
def _masks(r, used, sizes, puts, steps):  # type: ignore[no-untyped-def]
    """Masks that wait, and the next beat of the first one."""
    moves = r[HAS_MASK] and (not r[HAS_BEAT] or steps)
    at_end = r[MASK_BEATS] == 0
    takes = r[MASKS] > 0 and (not r[HAS_MASK] or (moves and at_end))
    r[MASKS] += (1 if puts else 0) - (1 if takes else 0)
    if moves or steps:
        r[HAS_BEAT] = moves
    if moves:
        r[IS_LAST], r[USED] = at_end, used[r[NEXT_BEAT]]
        r[NEXT_BEAT] += 1
        r[HAS_MASK] = not at_end
        r[MASK_BEATS] -= 1
    if takes:
        r[HAS_MASK], r[MASK_BEATS] = 1, sizes[1] - 1


@jit
def _read(r, words, took, takes_mask, takes_code):  # type: ignore[no-untyped-def]
    """The reader's word, and how far it is; whether a block is whole."""
    taken = takes_mask or takes_code
    no_word = not (r[HAS_WORD] or r[WAITS] or r[WORD])
    if r[PHASE] == TABLE and r[WORDS_LEFT] == 0 and r[WHOLE] and r[STARVED] and no_word:
        r[PHASE] = CRC
    r[STARVED] = (r[RUNNING] or r[WHOLE]) and no_word and r[BLOCKS_WAITING] == 0
    done = (takes_mask and words[r[BLOCK]] == 0) or (takes_code and r[LEFT] == 1)
    if takes_mask:
        r[LEFT] = words[r[BLOCK]]
        r[BLOCK] += 1
    if takes_code:
        r[LEFT] -= 1
    if r[AT_END]:
        r[AT_END], r[WHOLE] = 0, 1
    if done and r[BLOCK] == words.size:
        r[RUNNING], r[AT_END] = 0, 1
    moves = not r[HAS_WORD] or taken
    wants_word = not r[WAITS] or moves
    if moves:
        r[HAS_WORD] = r[WAITS]
    if wants_word:
        r[WAITS] = r[WORD]
    skid(r, took and r[PHASE] == TABLE, wants_word)
    return done
