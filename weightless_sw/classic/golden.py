"""The golden decoder: plain numpy, obvious, the reference for the fast decoder and for the RTL."""

import numpy as np
from numpy.typing import NDArray

from weightless_sw.hash_arrays import hash_words
from weightless_sw.records import WholeTable
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.tensor import EncodedTensor

reader = WholeTable  # any group may read any row
CHUNK = 1 << 16  # groups at a time, so that a large layer needs little memory


def decode_codes(tensor: EncodedTensor) -> NDArray[np.uint16]:
    """The code of every weight, (n_weights,) uint16."""
    geometry = tensor.geometry
    assert isinstance(geometry, ClassicGeometry)
    banks = tensor.table.reshape(spec.N_BANKS, geometry.bank_rows, geometry.lanes)
    chunks = [
        _decode_groups(
            geometry, banks, np.arange(first, min(first + CHUNK, geometry.n_groups), dtype=np.uint32)
        )
        for first in range(0, geometry.n_groups, CHUNK)
    ]
    return np.concatenate(chunks).reshape(-1)[: geometry.n_weights]


def _decode_groups(
    geometry: ClassicGeometry, banks: NDArray[np.uint16], groups: NDArray[np.uint32]
) -> NDArray[np.uint16]:
    """Codes of whole groups, shape (len(groups), lanes)."""
    lanes = np.arange(geometry.lanes)
    words = hash_words(groups, geometry.seed, spec.DOMAIN, spec.ADDRESS_ROUNDS)
    codes = _masks(geometry, groups)
    for bank, word in zip(banks, words, strict=True):
        top = (word >> np.uint32(WORD_BITS - spec.ROW_WORD_BITS)).astype(np.uint64)
        rows = (top * np.uint64(geometry.bank_rows)) >> np.uint64(spec.ROW_WORD_BITS)
        offsets = word & np.uint32(geometry.lanes - 1)
        codes ^= bank[rows[:, None], lanes[None, :] ^ offsets[:, None]]
    return codes


def _masks(geometry: ClassicGeometry, groups: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Masks of whole groups, shape (len(groups), lanes): bits lane .. lane + t - 1 of the masks word."""
    n_rounds = spec.ADDRESS_ROUNDS + spec.MASK_ROUNDS
    words = np.stack(hash_words(groups, geometry.seed, spec.DOMAIN, n_rounds), axis=1)
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), axis=1, bitorder="little")
    masks = np.zeros((len(groups), geometry.lanes), dtype=np.uint16)
    for bit in range(geometry.slot_bits):
        masks |= bits[:, bit : bit + geometry.lanes].astype(np.uint16) << np.uint16(bit)
    return masks
