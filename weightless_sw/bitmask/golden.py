"""The golden decoder: plain numpy, obvious, the reference for the fast decoder and for the RTL."""

import numpy as np
from numpy.typing import NDArray

from weightless_sw.records import NO_CODES, unpack_bits
from weightless_sw.spec import bitmask as spec
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import unpack_fields, words_for_bits
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


class StreamReader:
    """A layouts.Reader of the words as they come: a weight is known with its mask and, if it has one, its code.

    Takes any words: ``wrong`` says what is wrong with them, as soon as it is, and no code follows.  A code that names
    no value is wrong when the last word of its block came; none behind it is known before.
    """

    def __init__(self, descriptor: bytes):
        fields = unpack_fields(BitmaskGeometry.FIELDS, descriptor)
        self.slot_bits, self.n_codes = (fields["widths"] >> 4) + 1, fields["n_codes"]
        self.weights_left = fields["n_weights"]  # whose mask has not come
        self.set_left = fields["n_nonzero"]  # bits of masks that are still to be set
        self.words_left = fields["payload_words"]
        self.code_words_left = 0  # of the block under way
        self.mask = self.n_waiting = 0  # of the block under way: weights that are not known yet
        self.bits = self.n_bits = 0  # of codes that came and were not taken
        self.names_none = self.is_whole = False
        self.wrong: frozenset[str] = frozenset(() if self.words_left else ("WORDS",))

    def take(self, word: int) -> NDArray[np.uint16]:
        """The codes that this word makes known, in record order."""
        word &= (1 << WORD_BITS) - 1
        self.words_left -= 1
        if self.is_whole:
            self.wrong = frozenset(("WORDS",))
        elif self.code_words_left:
            self.bits, self.n_bits = self.bits | word << self.n_bits, self.n_bits + WORD_BITS
            self.code_words_left -= 1
        else:
            self._begin(word)
        known = NO_CODES if self.wrong else np.array(self._known(), np.uint16)
        if not (self.wrong or self.code_words_left):
            self._end_block()
        if not (self.wrong or self.words_left or self.is_whole):
            self.wrong = frozenset(("WORDS",))
        return known

    def _begin(self, mask: int) -> None:
        """A block's mask word came."""
        self.mask, self.n_waiting = mask, min(spec.MASK_BITS, self.weights_left)
        if mask >> self.n_waiting:
            self.wrong = frozenset(("PADDING",))
        self.weights_left -= self.n_waiting
        self.set_left -= mask.bit_count()
        self.code_words_left = words_for_bits(max(0, self.slot_bits * mask.bit_count() - self.n_bits))

    def _known(self) -> list[int]:
        """The codes of the block up to the first that has not come, or that names no value."""
        known: list[int] = []
        t, n_codes = self.slot_bits, self.n_codes
        while self.n_waiting and not self.names_none:
            code = n_codes
            if self.mask & 1:
                if self.n_bits < t:
                    break
                code = self.bits & (1 << t) - 1
                self.names_none = code >= n_codes
                if self.names_none:
                    break
                self.bits, self.n_bits = self.bits >> t, self.n_bits - t
            known.append(code)
            self.mask, self.n_waiting = self.mask >> 1, self.n_waiting - 1
        return known

    def _end_block(self) -> None:
        """Its words are in.  With the last one, all that may be wrong with the end is looked at, together."""
        self.is_whole = not self.weights_left
        if self.names_none:
            self.wrong = frozenset(("ENTRY",))
        elif self.is_whole:
            wrong = {"COVER": self.set_left != 0, "PADDING": self.bits != 0}
            self.wrong = frozenset(name for name, holds in wrong.items() if holds)


reader = StreamReader
