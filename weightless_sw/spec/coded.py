"""The coded record: an exact, entropy-coded tensor, by one adaptive binary range coder.

Terms.  A *code* names a codebook entry (0 .. K - 1) or, as K, a zero weight.  The codes of a matrix come
row by row.  A decision codes one bit whose probability is p / 65536.  *Non-zero or not* is p0, the
expected share of non-zeros, times two learnt ratios: A, by how dense the column and the row have been so
far, and B, by which neighbours are non-zero.  *Which value* goes down a balanced binary tree of nodes that
count.  Every number is a non-negative integer below 2^63.

:func:`decode_codes` is slow and obvious: it defines the format.  docs/format.md says the same in words.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Self

from weightless_sw.spec.record import ValueFormat, bits_float32, float32_bits

MAX_CODES = 0xFFFF
MAX_STRIDE = 0xFFFF
P_BITS = 16
MIN_P, MAX_P = 1, 65280  # a bound of the coder is never 0 and never all of its range
RATIO_BITS = 12
COUNT = 1 << 17  # what the counters found / expected begin with, in 1 / 65536
CLASS_STEPS = (3, 5, 8, 13, 20, 32)  # of a density against the expected one, in quarters and a half more
CLASS_OFFSET = 98304
N_CLASSES = len(CLASS_STEPS) + 1
N_NEIGHBOURS = 32
TREE_NODES = 64  # nodes below this number count; the rest decide by even chances
N_ROOTS = 9
TOP, BOTTOM = 1 << 32, 1 << 24  # of the coder's range

_FLIPPED, _FORMAT_MASK, _UNUSED = 0x80, 0x0F, 0x70
_HEAD = struct.Struct("<BBHH")
_SCALE = struct.Struct("<I")


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a coded record begins with.  Raises ValueError for what no writer writes."""

    value_format: ValueFormat
    n_codes: int  # K; at least 1: of a tensor of zeros the one entry is not used
    density: int  # the byte that gives p0
    flipped: bool  # the stream holds the transposed matrix
    stride: int  # D, the distance of the second row of neighbours; 0: none
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.n_codes <= MAX_CODES:
            raise ValueError(f"a coded record names 1 to {MAX_CODES} values, not {self.n_codes}")
        if not 0 <= self.stride <= MAX_STRIDE or self.stride == 1:
            raise ValueError(f"stride must be 0 or from 2 to {MAX_STRIDE}, not {self.stride}")
        if not 0 < self.scale < inf:
            raise ValueError(f"scale must be positive and finite, not {self.scale!r}")

    @property
    def p0(self) -> int:
        """The expected share of non-zeros, in 1 / 65536."""
        return density_share(self.density)

    def to_bytes(self) -> bytes:
        """Its 6 bytes, or 10 with a scale."""
        form = self.value_format | (_FLIPPED if self.flipped else 0)
        head = _HEAD.pack(form, self.density, self.n_codes, self.stride)
        return head if self.value_format is ValueFormat.FP16 else head + _SCALE.pack(float32_bits(self.scale))

    @classmethod
    def from_bytes(cls, record: bytes) -> tuple[Self, int]:
        """The head of a record, and its length."""
        if len(record) < _HEAD.size:
            raise ValueError(f"a coded record of {len(record)} bytes has no head")
        form, density, n_codes, stride = _HEAD.unpack_from(record)
        if form & _UNUSED:
            raise ValueError(f"unknown form {form:#x}")
        value_format = ValueFormat(form & _FORMAT_MASK)
        n_bytes, scale = _HEAD.size, 1.0
        if value_format is not ValueFormat.FP16:
            n_bytes += _SCALE.size
            if len(record) < n_bytes:
                raise ValueError(f"a coded record of {len(record)} bytes has no scale")
            scale = bits_float32(_SCALE.unpack_from(record, _HEAD.size)[0])
        head = cls(
            value_format=value_format, n_codes=n_codes, density=density, flipped=bool(form & _FLIPPED),
            stride=stride, scale=scale,
        )  # fmt: skip
        return head, n_bytes


def density_share(density: int) -> int:
    """p0 of a density byte: 1 .. 63488."""
    return ((16 + (density & 15)) << 11) >> (density >> 4)


def last_number(low: int, rng: int) -> int:
    """Of low .. low + rng - 1 the first multiple of 2^32, or else of 2^24, 2^16, 2^8, 1: what an encoder ends with."""
    for bits in (32, 24, 16, 8):
        number = -(-low >> bits) << bits
        if number < low + rng:
            return number
    return low


class _RangeDecoder:
    """Takes decisions from a stream; bytes past its end are zero."""

    def __init__(self, stream: bytes):
        self.stream, self.place = stream, 0
        self.rng, self.x = TOP - 1, 0
        for _ in range(4):
            self.x = self.x << 8 | self._byte()

    def _byte(self) -> int:
        self.place += 1
        return self.stream[self.place - 1] if self.place <= len(self.stream) else 0

    def bit(self, p: int) -> int:
        """A one with probability p / 65536."""
        bound = (self.rng >> P_BITS) * p
        one = self.x < bound
        if one:
            self.rng = bound
        else:
            self.x, self.rng = self.x - bound, self.rng - bound
        while self.rng < BOTTOM:
            self.rng, self.x = self.rng << 8, (self.x << 8 | self._byte()) % TOP
        return int(one)


def density_class(count: int, expected: int) -> int:
    """How dense: 0 .. 6; ``expected`` is a count and a half more, in 1 / 65536."""
    return sum((2 * count + 3) << 18 >= step * expected for step in CLASS_STEPS)


def clamp(p: int) -> int:
    """A probability that the coder can use."""
    return min(max(p, MIN_P), MAX_P)


def decode_codes(head: Head, rows: int, columns: int, stream: bytes) -> list[int]:
    """The codes of a matrix in C order; zero weights are K."""
    if head.flipped:
        rows, columns = columns, rows
    decoder, p0, stride, zero = _RangeDecoder(stream), head.p0, head.stride, head.n_codes
    counters_a = [[COUNT, COUNT] for _ in range(N_CLASSES**2)]
    counters_b = [[COUNT, COUNT] for _ in range(N_NEIGHBOURS)]
    nodes = [[1, 2] for _ in range(N_ROOTS + TREE_NODES)]  # roots, then the node n at N_ROOTS + n
    in_column = [0] * columns
    codes: list[int] = []
    for i in range(rows * columns):
        row, column = divmod(i, columns)
        if column == 0:
            in_row = 0
        near = [(1, column >= 1), (2, column >= 2)]
        far = [(stride, i > stride), (stride - 1, i > stride), (stride + 1, i > stride)] if stride else []
        neighbours = sum(
            (codes[i - back] != zero) << k for k, (back, there) in enumerate(near + far) if there
        )
        a = counters_a[
            N_CLASSES * density_class(in_column[column], row * p0 + CLASS_OFFSET)
            + density_class(in_row, column * p0 + CLASS_OFFSET)
        ]
        b = counters_b[neighbours]
        ratio_a, ratio_b = (a[0] << RATIO_BITS) // a[1], (b[0] << RATIO_BITS) // b[1]
        p_a, p_b = (min(p0 * ratio >> RATIO_BITS, 65535) for ratio in (ratio_a, ratio_b))
        found = decoder.bit(clamp(p_a * ratio_b >> RATIO_BITS))
        a[0], a[1], b[0], b[1] = a[0] + (found << 16), a[1] + p_b, b[0] + (found << 16), b[1] + p_a
        if found:
            in_row, in_column[column] = in_row + 1, in_column[column] + 1
            left = codes[i - 1] if column >= 1 else zero
            above = codes[i - stride] if stride and i >= stride else zero
            root = 3 * value_class(left, zero) + value_class(above, zero)
            codes.append(_value(decoder.bit, nodes, root, zero))
        else:
            codes.append(zero)
    return [codes[c * columns + r] for r in range(columns) for c in range(rows)] if head.flipped else codes


def value_class(code: int, n_codes: int) -> int:
    """0 for a zero weight, 1 for the lower half of the codes, 2 for the upper."""
    return 0 if code == n_codes else 1 if code < (n_codes + 1) >> 1 else 2


def _value(bit: Callable[[int], int], nodes: list[list[int]], root: int, n_codes: int) -> int:
    """Down the tree: the code lies in ``low .. high - 1``."""
    number, low, high = 1, 0, n_codes
    while high - low > 1:
        middle = (low + high + 1) >> 1
        if number < TREE_NODES:
            node = nodes[root if number == 1 else N_ROOTS + number]
            upper = bit(clamp((node[0] << P_BITS) // node[1]))
            node[0], node[1] = node[0] + upper, node[1] + 1
        else:
            upper = bit(1 << (P_BITS - 1))
        low, high = (middle, high) if upper else (low, middle)
        number = 2 * number + upper
    return low
