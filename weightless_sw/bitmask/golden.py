"""The golden decoder: plain numpy, obvious, the reference for the fast decoder and for the RTL."""

import numpy as np
from numpy.typing import NDArray

from weightless_sw.records import unpack_bits
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.spec.record import words_for_bits
from weightless_sw.tensor import EncodedTensor


def decode_codes(tensor: EncodedTensor) -> NDArray[np.uint16]:
    """The code of every weight, (n_weights,) uint16; n_codes for a zero one."""
    g = tensor.geometry
    assert isinstance(g, BitmaskGeometry)
    table = tensor.table.astype("<u4")
    is_mask = np.zeros(len(table), np.bool_)
    place = n_known = 0
    for block in range(g.n_masks):  # where the next mask stands depends on all before
        is_mask[place] = True
        n_known += int(table[place]).bit_count()
        place = block + 1 + words_for_bits(g.slot_bits * n_known)
    bits = np.unpackbits(table[is_mask].view(np.uint8), bitorder="little")[: g.n_weights].astype(np.bool_)
    codes = np.full(g.n_weights, g.n_codes, np.uint16)
    codes[bits] = unpack_bits(table[~is_mask].tobytes(), g.n_nonzero, g.slot_bits)
    return codes
