"""The hash that every layout draws its addresses and masks from.

A 96-bit state of three 32-bit words goes through rounds of one lookup-table level each: the SP-box of
Gimli (Bernstein et al., CHES 2017, section 2.2) on a single column.  Every output bit depends on at
most four input bits, so that a round costs 96 four-input LUTs and no multiplier.  How many rounds a use
takes is its layout's business; how they were counted: docs/hash.md.
"""

from collections.abc import Callable
from typing import Any, TypeVar

WORD_BITS = 32
WORD_MASK = (1 << WORD_BITS) - 1
INDEX_ROTATE_Y, INDEX_ROTATE_Z = 16, 8
ROTATE_X, ROTATE_Y = 24, 9
SHIFT_AND_XY, SHIFT_OR_XZ, SHIFT_Z, SHIFT_AND_YZ = 3, 1, 1, 2
# Keeps the encoders' random bits apart from the layouts' own uses; a domain's number is ASCII.
DOMAIN_FILL = int.from_bytes(b"WLSf", "big")

T = TypeVar("T")


def mix_round(
    x: T, y: T, z: T, rotate: Callable[[T, int], T], shift: Callable[[T, int], T]
) -> tuple[T, T, T]:
    """One round of the hash on any type with ``^ & |``: int, numpy array or hardware value.

    ``rotate(v, k)`` and ``shift(v, k)`` rotate and shift a 32-bit word left by k bits.
    """
    a: Any = rotate(x, ROTATE_X)
    b: Any = rotate(y, ROTATE_Y)
    c: Any = z
    return (
        c ^ b ^ shift(a & b, SHIFT_AND_XY),
        b ^ a ^ shift(a | c, SHIFT_OR_XZ),
        a ^ shift(c, SHIFT_Z) ^ shift(b & c, SHIFT_AND_YZ),
    )


def initial_state(index: T, seed: T, domain: T, rotate: Callable[[T, int], T]) -> tuple[T, T, T]:
    """The state (x, y, z) before the first round; all arguments are 32-bit words.

    The index goes into all three words, each time turned by another amount: that is worth two rounds.
    """
    y: Any = rotate(index, INDEX_ROTATE_Y)
    z: Any = rotate(index, INDEX_ROTATE_Z)
    return index, y ^ seed, z ^ domain


def rotate_left(word: int, k: int) -> int:
    """``word`` (32 bits) rotated left by ``k`` bits."""
    return (word << k | word >> (WORD_BITS - k)) & WORD_MASK


def shift_left(word: int, k: int) -> int:
    """``word`` (32 bits) shifted left by ``k`` bits, the top bits dropped."""
    return (word << k) & WORD_MASK


def hash_words(index: int, seed: int, domain: int, n_rounds: int) -> tuple[int, int, int]:
    """The three 32-bit words after ``n_rounds`` rounds."""
    x, y, z = initial_state(index, seed, domain, rotate_left)
    for _ in range(n_rounds):
        x, y, z = mix_round(x, y, z, rotate_left, shift_left)
    return x, y, z
