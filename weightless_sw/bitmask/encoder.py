"""Writes masks and codes; nothing is searched for."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from weightless_sw.progress import Progress
from weightless_sw.spec import bitmask as spec
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import MAX_SLOT_BITS, require
from weightless_sw.tensor import Table, TableRequest

OPTIONS: dict[str, int] = {}
NOT_OPTIONS = {
    "lanes": "a decoder of any number of lanes reads the same words",
    "first_seed": "nothing in it is hashed",
    "n_seeds": "nothing in it is hashed",
    "chunk_log2": "its words are one piece",
    "dead_groups": "a zero weight takes a bit, wherever it is",
}


def usual_slot_bits(n_codes: int) -> int:
    """The least: all codes may name values."""
    return max(1, (n_codes - 1).bit_length())


def check_options(slot_bits: int, options: Mapping[str, int]) -> None:
    """Raise ValueError for a width that codes can't have; options there are none."""
    require("slot_bits", slot_bits, 1, MAX_SLOT_BITS)


def build(
    keys: NDArray[np.uint32],
    codes: NDArray[np.uint16],
    request: TableRequest,
    options: Mapping[str, int],
    progress: Progress | None = None,
) -> Table:
    """The words in which the weights ``keys`` ((n,) sorted uint32) have ``codes`` ((n,) uint16), and no other one."""
    geometry = expected(len(keys), request, options)
    is_set = np.zeros(geometry.n_masks * spec.MASK_BITS, np.bool_)
    is_set[keys] = True
    masks = np.packbits(is_set, bitorder="little").view("<u4")
    place = mask_places(np.bitwise_count(masks), request.slot_bits)
    words = np.zeros(geometry.table_words, np.uint32)
    words[place] = masks
    behind = np.ones(len(words), np.bool_)
    behind[place] = False
    words[behind] = _code_words(codes, request.slot_bits, len(words) - len(masks))
    return Table(geometry, words, 1)


def expected(n_keys: int, request: TableRequest, options: Mapping[str, int]) -> BitmaskGeometry:
    """The geometry of a table of ``n_keys`` weights that are not zero, wherever they are: this one is exact."""
    return BitmaskGeometry(**vars(request), seed=0, n_nonzero=n_keys)


def mask_places(n_set: NDArray[np.uint8], slot_bits: int) -> NDArray[np.int64]:
    """Where among the words each mask word stands, of the bits set in each of them, (n_masks,)."""
    known = np.cumsum(n_set, dtype=np.int64)
    words_behind = -(-slot_bits * known // WORD_BITS)
    return np.arange(len(n_set)) + np.concatenate(([0], words_behind[:-1]))


def _code_words(codes: NDArray[np.uint16], slot_bits: int, n_words: int) -> NDArray[np.uint32]:
    """The string of codes, cut into words."""
    from weightless_sw.records import pack_bits

    packed = pack_bits(codes, slot_bits).ljust(4 * n_words, b"\0")
    return np.frombuffer(packed, "<u4", n_words)
