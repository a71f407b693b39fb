"""The fast decoder, compiled by numba; the tests hold it to the specification's scalar functions and to the vectors."""

import numpy as np
from numpy.typing import NDArray

from weightless_sw.compiled import jit, run
from weightless_sw.spec import bitmask as spec
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.tensor import EncodedTensor

_MASK_BITS, _WORD_BITS = spec.MASK_BITS, np.uint64(WORD_BITS)


@jit
def fill_codes(codes, table, slot_bits, zero):  # type: ignore[no-untyped-def]
    """Fill ``codes`` (uint16) with those of all weights, ``zero`` where a bit is clear; ``table`` (n,) uint32."""
    held, n_held, place = np.uint64(0), np.uint64(0), 0
    width, keep = np.uint64(slot_bits), np.uint64((1 << slot_bits) - 1)
    for first in range(0, codes.size, _MASK_BITS):
        mask = np.uint64(table[place])
        place += 1
        for k in range(min(_MASK_BITS, codes.size - first)):
            code = np.uint64(zero)
            if mask >> np.uint64(k) & np.uint64(1):
                if n_held < width:
                    held |= np.uint64(table[place]) << n_held
                    n_held += _WORD_BITS
                    place += 1
                code = held & keep
                held >>= width
                n_held -= width
            codes[first + k] = code


def decode_codes(tensor: EncodedTensor) -> NDArray[np.uint16]:
    """The code of every weight, (n_weights,) uint16; n_codes for a zero one.  In one thread: each needs all before."""
    g = tensor.geometry
    assert isinstance(g, BitmaskGeometry)
    codes = np.empty(g.n_weights, np.uint16)
    run(fill_codes, codes, tensor.table, g.slot_bits, g.n_codes)
    return codes


def decode_at(tensor: EncodedTensor, positions: NDArray[np.int64]) -> NDArray[np.uint16]:
    """The codes of the weights at ``positions`` (n,), uint16: where a code stands, only those before it tell."""
    return decode_codes(tensor)[positions]
