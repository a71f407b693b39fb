"""The golden decoder: plain numpy, obvious, the reference for the fast decoder and for the RTL."""

import numpy as np
from numpy.typing import NDArray

from weightless_sw.hash_arrays import hash_words
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.ribbon import Chunk, RibbonGeometry
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
    groups = (chunk.first // spec.LANES + np.arange(len(starts))).astype(np.uint32)
    x, y, _ = hash_words(groups, chunk.seed, spec.DOMAIN, spec.ROUNDS)
    rotations, masks = x >> np.uint32(spec.HASH_SHIFT), y >> np.uint32(spec.HASH_SHIFT)
    words = _words(chunk)
    codes = masks[:, None] >> LANES.astype(np.uint32)
    for column in range(spec.WINDOW):
        word = np.minimum(
            starts + (column - starts) % spec.WINDOW, chunk.n_words
        )  # the window's of this column
        turn = rotations >> np.uint32(spec.ROTATION_BITS * column) & np.uint32(spec.WORD_SLOTS - 1)
        places = np.array([spec.tap(0, lane, column) for lane in range(spec.LANES)])
        tapped = words[word[:, None], (places + turn[:, None].astype(np.int64)) % spec.WORD_SLOTS]
        codes ^= np.where([spec.is_tapped(lane, column) for lane in range(spec.LANES)], tapped, 0)
    codes[starts < 0] = ~np.uint32(0)
    codes &= np.uint32((1 << chunk.slot_bits) - 1)
    return codes.astype(np.uint16).reshape(-1)[: chunk.n_weights]


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
