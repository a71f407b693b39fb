"""The fast kernels, compiled by numba: hash, slot addresses, peeling, assignment, decoding.

They know the format only through ``weightless_sw.spec``; the tests hold them to its scalar
functions and to the frozen vectors.
"""

import numpy as np
from numpy.typing import NDArray

from weightless_sw.compiled import jit, run, run_all
from weightless_sw.hash_kernels import initial_state, mix_round, rotate, shift
from weightless_sw.spec import classic as spec
from weightless_sw.spec import hash as spec_hash
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.tensor import EncodedTensor

CHUNK = 1 << 16  # weights that a thread decodes at a time: whole groups

_WORD_BITS = np.uint64(spec_hash.WORD_BITS)
_ROW_SHIFT = np.uint64(spec_hash.WORD_BITS - spec.ROW_WORD_BITS)
_ROW_WORD_BITS = np.uint64(spec.ROW_WORD_BITS)
_DOMAIN = np.uint64(spec.DOMAIN)
_DOMAIN_FILL = np.uint64(spec_hash.DOMAIN_FILL)


@jit
def _address_words(index, seed, domain):  # type: ignore[no-untyped-def]
    """The three words that name rows and lane offsets."""
    x, y, z = initial_state(np.uint64(index), np.uint64(seed), domain, rotate)
    for _ in range(spec.ADDRESS_ROUNDS):
        x, y, z = mix_round(x, y, z, rotate, shift)
    return x, y, z


@jit
def _masks_words(x, y, z):  # type: ignore[no-untyped-def]
    """The masks word, bits 0..63 and 64..95, from the address words."""
    for _ in range(spec.MASK_ROUNDS):
        x, y, z = mix_round(x, y, z, rotate, shift)
    return x | y << _WORD_BITS, z


@jit
def _window(low, high, lane):  # type: ignore[no-untyped-def]
    """Bits from ``lane`` on of the masks word."""
    if lane == 0:
        return low
    return low >> np.uint64(lane) | high << np.uint64(64 - lane)


@jit
def _row(word, bank_rows):  # type: ignore[no-untyped-def]
    return (word >> _ROW_SHIFT) * np.uint64(bank_rows) >> _ROW_WORD_BITS


@jit
def address_keys(keys, lanes_log2, slot_bits, bank_rows, seed):  # type: ignore[no-untyped-def]
    """Slots (n, 3) uint32 and masks (n,) uint16 of ``keys`` ((n,) uint32 weight indices)."""
    n = keys.size
    slots = np.empty((n, spec.N_BANKS), np.uint32)
    masks = np.empty(n, np.uint16)
    lane_mask = np.uint64((1 << lanes_log2) - 1)
    code_mask = np.uint64((1 << slot_bits) - 1)
    group = np.int64(-1)
    words = (np.uint64(0), np.uint64(0), np.uint64(0))
    low = high = np.uint64(0)
    for k in range(n):
        lane = np.uint64(keys[k]) & lane_mask
        if np.int64(keys[k] >> lanes_log2) != group:  # keys are sorted: a group is hashed once
            group = np.int64(keys[k] >> lanes_log2)
            words = _address_words(group, seed, _DOMAIN)
            low, high = _masks_words(words[0], words[1], words[2])
        for bank in range(spec.N_BANKS):
            row = np.uint64(bank) * np.uint64(bank_rows) + _row(words[bank], bank_rows)
            slots[k, bank] = row << np.uint64(lanes_log2) | lane ^ (words[bank] & lane_mask)
        masks[k] = _window(low, high, lane) & code_mask
    return slots, masks


@jit
def peel(slots, n_slots):  # type: ignore[no-untyped-def]
    """Peel the hypergraph whose edges are the rows of ``slots`` ((n, 3) uint32, below ``n_slots``).

    Returns ``(n_peeled, order, pivots)``: the first ``n_peeled`` entries of ``order`` (n,) uint32 are
    keys in the order they were removed, and ``pivots`` (n,) uint32 the slot that only this key was
    left in.  All keys are peeled when ``n_peeled == n``.
    """
    n = slots.shape[0]
    cells = np.zeros((n_slots, 2), np.uint32)  # keys left in the slot, XOR of their numbers
    for k in range(n):
        for j in range(spec.N_BANKS):
            cells[slots[k, j], 0] += np.uint32(1)
            cells[slots[k, j], 1] ^= np.uint32(k)
    order = np.empty(n, np.uint32)
    pivots = np.empty(n, np.uint32)
    stack = np.empty(n_slots, np.uint32)
    n_peeled = 0
    for start in range(n_slots):
        top = 0
        stack[0] = start
        while top >= 0:
            slot = stack[top]
            top -= 1
            if cells[slot, 0] != 1:
                continue
            key = cells[slot, 1]
            order[n_peeled] = key
            pivots[n_peeled] = slot
            n_peeled += 1
            for j in range(spec.N_BANKS):
                other = slots[key, j]
                cells[other, 0] -= np.uint32(1)
                cells[other, 1] ^= key
                if cells[other, 0] == 1:
                    top += 1
                    stack[top] = other
    return n_peeled, order, pivots


@jit
def random_table(n_slots, slot_bits, seed):  # type: ignore[no-untyped-def]
    """A table (n_slots,) uint16 of hashed bits: what the slots that no key needs will hold."""
    table = np.empty(n_slots, np.uint16)
    code_mask = np.uint64((1 << slot_bits) - 1)
    for slot in range(n_slots):
        table[slot] = _address_words(slot, seed, _DOMAIN_FILL)[0] & code_mask
    return table


@jit
def assign(table, slots, values, order, pivots):  # type: ignore[no-untyped-def]
    """Give every key its value: the XOR of its three slots becomes ``values[key]`` (uint16).

    In the reverse of the peeling order each pivot is free when its key's turn comes.
    """
    for step in range(order.size - 1, -1, -1):
        key = order[step]
        value = values[key]
        for j in range(spec.N_BANKS):
            if slots[key, j] != pivots[step]:
                value ^= table[slots[key, j]]
        table[pivots[step]] = value


@jit
def fill_codes(codes, table, lanes_log2, bank_rows, slot_bits, seed, first_group):  # type: ignore[no-untyped-def]
    """Fill ``codes`` (uint16) with the codes of the weights from group ``first_group`` on."""
    lanes = 1 << lanes_log2
    lane_mask = np.uint64(lanes - 1)
    code_mask = np.uint64((1 << slot_bits) - 1)
    for step in range((codes.size + lanes - 1) >> lanes_log2):
        x, y, z = _address_words(first_group + step, seed, _DOMAIN)
        low, high = _masks_words(x, y, z)
        rows = np.uint64(bank_rows)
        base_x = _row(x, rows) << np.uint64(lanes_log2)
        base_y = (rows + _row(y, rows)) << np.uint64(lanes_log2)
        base_z = (rows + rows + _row(z, rows)) << np.uint64(lanes_log2)
        for lane in range(min(lanes, codes.size - (step << lanes_log2))):
            at = np.uint64(lane)
            value = table[base_x | at ^ (x & lane_mask)]
            value ^= table[base_y | at ^ (y & lane_mask)]
            value ^= table[base_z | at ^ (z & lane_mask)]
            codes[(step << lanes_log2) + lane] = (value ^ _window(low, high, lane)) & code_mask


def decode_codes(tensor: EncodedTensor) -> NDArray[np.uint16]:
    """The code of every weight, (n_weights,) uint16, on all cores."""
    g = tensor.geometry
    assert isinstance(g, ClassicGeometry)
    codes = np.empty(g.n_weights, np.uint16)
    run_all(
        fill_codes,
        (
            (codes[first : first + CHUNK], tensor.table, g.lanes_log2, g.bank_rows, g.slot_bits, g.seed,
             first >> g.lanes_log2)
            for first in range(0, g.n_weights, CHUNK)
        ),
    )  # fmt: skip
    return codes


def decode_at(tensor: EncodedTensor, positions: NDArray[np.int64]) -> NDArray[np.uint16]:
    """The codes of the weights at ``positions`` (n,), uint16; of weights in order each group is hashed once."""
    g = tensor.geometry
    assert isinstance(g, ClassicGeometry)
    keys = positions.astype(np.uint32)
    slots, masks = run(address_keys, keys, g.lanes_log2, g.slot_bits, g.bank_rows, g.seed)
    codes: NDArray[np.uint16] = np.bitwise_xor.reduce(tensor.table[slots], axis=1) ^ masks
    return codes
