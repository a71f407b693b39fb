"""Words of records: values packed without gaps, and what a decoder is told word by word."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sw import layouts
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import Geometry
from weightless_sw.tensor import Arrangement, EncodedTensor

BITS_CHUNK = 1 << 20  # values packed at a time; a multiple of 8, so that chunks end on whole bytes


def pack_bits(values: NDArray[Any], bits: int) -> bytes:
    """``bits`` (1 to 16, or 32) low bits of each value, one after another, low bits first."""
    if bits == WORD_BITS:
        return values.astype("<u4").tobytes()
    chunks = []
    for first in range(0, len(values), BITS_CHUNK):
        chunk = values[first : first + BITS_CHUNK].astype("<u2").view(np.uint8).reshape(-1, 2)
        chunks.append(np.unpackbits(chunk, axis=1, count=bits, bitorder="little").reshape(-1))
    packed = [np.packbits(chunk, bitorder="little").tobytes() for chunk in chunks]
    return b"".join(packed)


def unpack_bits(data: bytes, n_values: int, bits: int) -> NDArray[Any]:
    """The inverse of :func:`pack_bits`: ``n_values`` values of ``bits`` bits, uint16, or uint32 where they need it."""
    if bits == WORD_BITS:
        return np.frombuffer(data, "<u4", n_values).astype(np.uint32)
    packed = np.frombuffer(data, np.uint8)
    values = np.empty(n_values, np.uint16)
    for first in range(0, n_values, BITS_CHUNK):
        n = min(BITS_CHUNK, n_values - first)
        chunk = packed[first * bits // 8 :]
        split = np.unpackbits(chunk[: -(-n * bits // 8)], count=n * bits, bitorder="little").reshape(n, bits)
        both_bytes = np.packbits(split, axis=1, bitorder="little").astype(np.uint16)
        values[first : first + n] = both_bytes[:, 0]
        if bits > 8:
            values[first : first + n] |= both_bytes[:, 1] << np.uint16(8)
    return values


NO_CODES: NDArray[np.uint16] = np.zeros(0, np.uint16)


class WholeTable:
    """A layouts.Reader of a table any of whose codes may need all of it: they are known with its last word."""

    def __init__(self, geometry: Geometry):
        self.geometry = geometry
        self.words: list[int] = []

    def take(self, word: int) -> NDArray[np.uint16]:
        """All codes with the payload's last word, before that none."""
        self.words.append(word)
        if len(self.words) < self.geometry.payload_words:
            return NO_CODES
        table = unpack_bits(np.array(self.words, "<u4").tobytes(), *self.geometry.table_entries)
        arrangement = Arrangement((self.geometry.n_weights,))
        tensor = EncodedTensor(arrangement, self.geometry, np.zeros(self.geometry.n_codes, np.uint16), table)
        return layouts.golden(self.geometry).decode_codes(tensor)
