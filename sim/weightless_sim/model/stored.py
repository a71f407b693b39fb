"""Cycles of a decoder that loads a record's whole table before its first beat."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from weightless_hw.config import BEATS_WITH_SINK, DecoderConfig
from weightless_sim.model.patterns import ALWAYS, Events, Load, Tile, Transfers
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import DESCRIPTOR_WORDS, TILE_WORDS, Geometry, Runs

CHECK_CYCLES = VERIFY_CYCLES = 2  # a comparison into a register, and what follows from it


def transfers(config: DecoderConfig, loads: Sequence[Load], offers: Events, takes: Events) -> list[Transfers]:
    """The transfers of ``loads``, one after another; see :func:`weightless_sim.model.cycles.transfers`."""
    result = []
    offered = offers.at_or_after(0)  # when the next word is offered
    free = 1  # the first cycle in which the loader waits for a descriptor: not the first one after a reset
    for load in loads:
        first_word, last_word, loaded, offered = _load(load, offers, offered, free)
        n_beats = (
            load.runs.n_beats(config.lanes) if load.runs else -(-load.geometry.n_weights // config.lanes)
        )
        first_valid = loaded + config.fill_latency
        last_beat = takes.at_or_after(first_valid, n_beats - 1)
        held = _held(first_valid, n_beats, takes)
        result.append(Transfers((first_word, last_word), (first_valid, last_beat), n_beats, held, bubbles=0))
        free = last_beat + 1
    return result


def windows(config: DecoderConfig, load: Load, tile: Tile) -> NDArray[np.int64]:
    """See :func:`weightless_sim.model.cycles.windows`: a beat is offered in every cycle from the first one on."""
    (one,) = transfers(config, [load], Events(ALWAYS), Events(ALWAYS))
    n_beats, opens, free, found = one.n_beats, 0, 0, []
    while n_beats:
        taken = min(tile.beats, n_beats)
        has = max(opens, one.beats[0]) + taken
        found.append((opens, has))
        n_beats, opens = n_beats - taken, max(has, free)
        free = opens + tile.busy
    return np.array(found, np.int64)


def steady(config: DecoderConfig, geometry: Geometry) -> tuple[float, float]:
    """See :func:`weightless_sim.model.cycles.steady`: exact, a beat a cycle once the table is loaded."""
    (one,) = transfers(config, [Load(geometry)], Events(ALWAYS), Events(ALWAYS))
    return float(one.beats[0]), float(config.lanes)


def _held(first_valid: int, n_beats: int, takes: Events) -> int:
    """Cycles in which the code stage's spare entry is full, and so the pipeline held.

    A beat that waits for the sink in its first cycle lets the one that arrives, BEATS_WITH_SINK behind it, into the
    spare entry; from then on the pipeline is held until it is taken.  Behind the last beat there is no next one.
    """
    n = n_beats - BEATS_WITH_SINK  # beats that hold when they wait
    return takes.at_or_after(first_valid, n - 1) - first_valid + 1 - n if n > 0 else 0


def _load(load: Load, offers: Events, offered: int, free: int) -> tuple[int, int, int, int]:
    """(first word taken, CRC word taken, cycle in which the decoding is started, next word offered)."""
    first = taken = max(offered, free)
    for _ in range(DESCRIPTOR_WORDS - 1):
        taken = offers.at_or_after(taken + 1)
    offered = offers.at_or_after(taken + 1)
    done = taken + CHECK_CYCLES
    known = 0
    if load.runs:
        done, _, offered = unpack(TILE_WORDS, WORD_BITS, offers, offered, done + 1)
        known, done = done + check_cycles(load.runs), done + 1
    for section in () if load.resident else load.geometry.sections:
        _, done, offered = unpack(section.n_words, section.item_bits, offers, offered, done + 1)
    crc = max(offered, done + 1)
    return first, crc, max(crc + VERIFY_CYCLES, known), offers.at_or_after(crc + 1)


def check_cycles(runs: Runs) -> int:
    """From the last word of a tile to the verdict on it: a bit of the number of runs behind the first at a time."""
    return 4 + (runs.number - 1 & (1 << WORD_BITS) - 1).bit_length()


def unpack(n_words: int, width: int, offers: Events, offered: int, start: int) -> tuple[int, int, int]:
    """A section of ``n_words`` through the Unpacker, whose first cycle is ``start``.

    Returns (last word taken, cycle in which the section is done, next word offered).  ``count`` bits
    wait at the beginning of cycle ``now``; each cycle gives one item of ``width`` bits while there is
    one, and takes a word when less than an item will be left.
    """
    if offers.period == 1:  # never stalls: a word a cycle, or an item where they are narrower
        first = max(offered, start)
        given = _items_before_last_word(n_words, width)
        taken = first + max(n_words - 1, given) if n_words else -1
        waiting = n_words * WORD_BITS - given * width
        done = start if not n_words else taken + 1 + waiting // width
        return taken, done, max(offered, taken + 1)
    now, count, taken = start, 0, -1
    for _ in range(n_words):
        ready = now + max(0, count // width - 1)
        taken = max(offered, ready)
        count -= min(count // width, taken - now + 1) * width
        count += WORD_BITS
        now = taken + 1
        offered = offers.at_or_after(now)
    return taken, now + count // width, offered


def _items_before_last_word(n_words: int, width: int) -> int:
    """Items given up to and including the cycle that takes the last word, when every cycle takes one."""
    return (n_words - 1) * WORD_BITS // width
