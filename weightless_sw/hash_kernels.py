"""The hash compiled by numba, for the fast kernels.  Words are kept in uint64 because numba widens uint32 anyway."""

import numpy as np

from weightless_sw.compiled import jit
from weightless_sw.spec import hash as spec

_WORD_MASK = np.uint64(spec.WORD_MASK)
_WORD_BITS = np.uint64(spec.WORD_BITS)


@jit
def rotate(word, k):  # type: ignore[no-untyped-def]
    """A word rotated left by ``k`` bits."""
    return (word << np.uint64(k) | word >> np.uint64(_WORD_BITS - np.uint64(k))) & _WORD_MASK


@jit
def shift(word, k):  # type: ignore[no-untyped-def]
    """A word shifted left by ``k`` bits, the top bits dropped."""
    return (word << np.uint64(k)) & _WORD_MASK


mix_round = jit(spec.mix_round)
initial_state = jit(spec.initial_state)
