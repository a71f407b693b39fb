"""Builds the table: chunk by chunk, a map that keeps the window full, and slots that give every key its code."""

from collections.abc import Mapping
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightless_sw.codebook import EncodeError
from weightless_sw.compiled import run_all
from weightless_sw.progress import Progress
from weightless_sw.ribbon import kernels
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import MAX_SEED, require
from weightless_sw.spec.ribbon import Header, RibbonGeometry
from weightless_sw.tensor import Table, TableRequest

CHUNK_KEYS = 1 << 14  # or more: what begins and ends a chunk then costs 0.2 %
USUAL_CHUNK_LOG2 = 16
USUAL_SLOT_BITS = 8
# The corridor of the fill: slots occupied ahead of the window's start.
LOW, HIGH = 8, 52  # fuller is smaller by little, and slower: segments contradict
FALL, TRIES = 6, 5  # a segment with a contradiction is planned again, emptier
STEP_FALL, LEAST_HIGH = 4, 24  # then the chunk takes its next seed, and a lower corridor
# Gaps between keys from this many groups on are dead: far beyond what chance makes.
LEAST_DEAD, DEAD_GAPS, DEAD_PARTS = 64, 16, 8
# A block of words is much of a small table: of each chunk the smallest of several corridors and of the first seeds is
# kept, and of the tensor's seeds the one with the smallest record.
MANY_KEYS, FEW_KEYS = 200_000, 20_000
SEEDS, STEPS, HIGHS = 4, 2, (HIGH, 56, 60, 44)
# What a table takes beside a slot a key, of random keys: entries and slots that stay empty, by the key; and, by the
# chunk, its header and the slots of its last window.
EXCESS, CHUNK_SLOTS = 0.0045, 27

OPTIONS = {
    "chunk_log2": 0,
    "dead_groups": 0,
    "first_seed": 0,
    "n_seeds": 0,
}  # 0: as it suits the tensor; seeds from there on
NOT_OPTIONS = {
    "lanes": "its groups have 8 weights, and a decoder of any number of lanes reads the same table"
}


class _OverflowError(Exception):
    """A chunk does not encode, or is too large for its header; smaller ones may."""


class _Plan(NamedTuple):
    """How chunks are encoded; a chunk of the same keys is the same words."""

    slot_bits: int
    seed: int
    dead_groups: int
    highs: tuple[int, ...]  # the corridor's upper ends, all of them tried
    steps: int  # seeds that are tried at least


def usual_slot_bits(n_codes: int) -> int:
    """Eight: of four values one zero in 64 comes back as another, and retraining hides that."""
    return USUAL_SLOT_BITS


def check_options(slot_bits: int, options: Mapping[str, int]) -> None:
    """Raise ValueError for ``options`` (as in OPTIONS) that the layout does not have."""
    if options["chunk_log2"] != 0:
        require("chunk_log2", options["chunk_log2"], spec.MIN_CHUNK_LOG2, spec.MAX_CHUNK_LOG2)
    require("dead_groups", options["dead_groups"], 0, 1 << 31)
    require("first_seed", options["first_seed"], 0, MAX_SEED)
    require("n_seeds", options["n_seeds"], 0, MAX_SEED)


def build(
    keys: NDArray[np.uint32],
    codes: NDArray[np.uint16],
    request: TableRequest,
    options: Mapping[str, int],
    progress: Progress | None = None,
) -> Table:
    """The table in which ``keys`` ((n,) sorted uint32) have ``codes`` ((n,) uint16).

    The same on any number of threads.  Raises EncodeError when chunks of no size encode.
    """
    if progress and not kernels.encode_chunk.signatures:
        progress(0, 0, "kernels: compiled the first time, half a minute; then loaded")
    first = options["chunk_log2"] or choose_chunk_log2(request.n_weights, len(keys))
    for chunk_log2 in range(first, spec.MIN_CHUNK_LOG2 - 1, -1):
        try:
            return _smallest(keys, codes, request, chunk_log2, options, progress)
        except _OverflowError as error:
            reason = error
    raise EncodeError(
        f"the ribbon has no table of these keys, with chunks of no size ({reason}); take the classic layout, which has "
        "(--layout classic, or auto)"
    )


def expected(n_keys: int, request: TableRequest, options: Mapping[str, int]) -> RibbonGeometry:
    """About the geometry of a table of ``n_keys`` keys at random places, without making it.

    From a thousand keys on within 2 % of what :func:`build` makes, from ten thousand on within 1 %.
    """
    chunk_log2 = options["chunk_log2"] or choose_chunk_log2(request.n_weights, n_keys)
    n_chunks = -(-request.n_weights >> chunk_log2)
    bits = request.slot_bits * (n_keys * (1 + EXCESS) + n_chunks * CHUNK_SLOTS) + n_chunks * WORD_BITS
    table_words = max(2 * n_chunks, round(bits / WORD_BITS))
    return RibbonGeometry(**vars(request), chunk_log2=chunk_log2, table_words=table_words, seed=0)


def choose_chunk_log2(n_weights: int, n_keys: int) -> int:
    """The size of chunks that hold CHUNK_KEYS keys or more, on the average."""
    chunk_log2 = USUAL_CHUNK_LOG2
    while chunk_log2 < spec.MAX_CHUNK_LOG2 and n_keys << chunk_log2 < n_weights * CHUNK_KEYS:
        chunk_log2 += 1
    return chunk_log2


def _smallest(
    keys: NDArray[np.uint32],
    codes: NDArray[np.uint16],
    request: TableRequest,
    chunk_log2: int,
    options: Mapping[str, int],
    progress: Progress | None,
) -> Table:
    """Of the plans that the number of keys is worth, the first with the fewest words."""
    highs, steps = (HIGHS, STEPS) if len(keys) < MANY_KEYS else ((HIGH,), 1)
    n_seeds = options["n_seeds"] or (SEEDS if len(keys) < FEW_KEYS else 1)
    seeds = [(options["first_seed"] + k) & MAX_SEED for k in range(n_seeds)]
    plans = [_Plan(request.slot_bits, seed, options["dead_groups"], highs, steps) for seed in seeds]
    n_chunks = -(-request.n_weights >> chunk_log2)
    counted = _Counted(progress, len(plans) * n_chunks)
    tables: list[tuple[_Plan, list[NDArray[np.uint32]]]] = []
    for plan in plans:
        bounds = [min(first << chunk_log2, request.n_weights) for first in range(n_chunks + 1)]
        places = np.searchsorted(keys, bounds)
        calls = (
            (plan, keys[a:b], codes[a:b], begin, end, counted)
            for a, b, begin, end in zip(places, places[1:], bounds, bounds[1:], strict=False)
        )
        tables.append((plan, run_all(_encode_chunk, calls)))
    plan, chunks = min(tables, key=lambda made: sum(map(len, made[1])))
    table = np.concatenate(chunks)
    geometry = RibbonGeometry(**vars(request), chunk_log2=chunk_log2, table_words=len(table), seed=plan.seed)
    return Table(geometry, table, counted.n_attempts)


class _Counted:
    """Chunks that are done, told to ``progress``; seeds that were tried."""

    def __init__(self, progress: Progress | None, n_chunks: int):
        self.progress, self.n_chunks = progress, n_chunks
        self.n_done = self.n_attempts = 0
        self.lock = Lock()

    def done(self, n_attempts: int) -> None:
        """A chunk, with so many seeds."""
        with self.lock:
            self.n_done += 1
            self.n_attempts += n_attempts
            if self.progress:
                self.progress(self.n_done, self.n_chunks, f"chunk {self.n_done:,} of {self.n_chunks:,}")


def _encode_chunk(
    plan: _Plan, keys: NDArray[Any], codes: NDArray[Any], begin: int, end: int, counted: _Counted
) -> NDArray[np.uint32]:
    """The words of the chunk of weights ``begin`` to ``end`` - 1: the fewest of the first seeds that encode."""
    first, behind = begin // spec.LANES, -(-end // spec.LANES)
    dead_groups = max(spec.UNIT, plan.dead_groups or choose_dead_groups(behind - first, len(keys)))
    if len(keys) > spec.MAX_WORDS * spec.WORD_SLOTS:
        raise _OverflowError(f"the chunk at weight {begin} has {len(keys):,} keys, more than slots")
    best: NDArray[np.uint32] | None = None
    wide_keys = keys.astype(np.int64)  # as the kernel counts
    for step in range(spec.MAX_STEP + 1):
        for high in plan.highs:
            entries, slots = kernels.encode_chunk(
                wide_keys, codes, first, behind, plan.slot_bits, (plan.seed + step) & MAX_SEED, LOW,
                max(LEAST_HIGH, high - STEP_FALL * step), FALL, TRIES, dead_groups,
            )  # fmt: skip
            if len(slots) > spec.MAX_WORDS * spec.WORD_SLOTS:
                raise _OverflowError(f"the chunk at weight {begin} needs {len(slots):,} slots")
            header = Header(len(slots) // spec.WORD_SLOTS, len(entries), step)
            if len(entries) and (best is None or header.chunk_words(plan.slot_bits) < len(best)):
                best = _words(header, entries, slots, plan.slot_bits)
        if best is not None and step + 1 >= plan.steps:
            counted.done(step + 1)
            return best
    raise _OverflowError(f"the chunk at weight {begin} took no seed of {spec.MAX_STEP + 1}")


def choose_dead_groups(n_groups: int, n_keys: int) -> int:
    """From how many groups without a key on a gap in a chunk becomes dead."""
    if not n_keys:
        return spec.UNIT
    return max(LEAST_DEAD, min(DEAD_GAPS * n_groups // (n_keys + 1), n_groups // DEAD_PARTS))


def _words(header: Header, entries: NDArray[Any], slots: NDArray[Any], slot_bits: int) -> NDArray[np.uint32]:
    """The chunk as it lies in a record."""
    words = np.zeros(header.chunk_words(slot_bits), np.uint32)
    words[0] = header.to_word()
    if not kernels.to_stream(words[1:], entries, slots, slot_bits, spec.pair_bits(slot_bits)):
        raise AssertionError("the map calls for fewer words than there are")
    return words
