"""The hash on numpy arrays, for the golden decoders."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sw.spec import hash as spec
from weightless_sw.spec.hash import WORD_BITS


def _rotate(word: Any, k: int) -> Any:
    return word << np.uint32(k) | word >> np.uint32(WORD_BITS - k)


def _shift(word: Any, k: int) -> Any:
    return word << np.uint32(k)


def hash_words(
    index: NDArray[np.uint32], seed: int, domain: int, n_rounds: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """The three words of each index after ``n_rounds`` rounds; all arrays have the shape of ``index``."""
    state: tuple[Any, Any, Any] = spec.initial_state(index, np.uint32(seed), np.uint32(domain), _rotate)
    for _ in range(n_rounds):
        state = spec.mix_round(*state, _rotate, _shift)
    return state
