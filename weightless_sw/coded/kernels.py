"""The range coder and its model, compiled by numba: one pass that encodes or decodes.

State travels as int64 in tuples; the bounds that keep it below 2^63 are in the specification.
"""

import numpy as np

from weightless_sw.compiled import jit
from weightless_sw.spec import coded as spec

_STEPS = spec.CLASS_STEPS
_N_COUNTERS = spec.N_CLASSES**2


@jit
def _take(rng, x, place, stream, p):  # type: ignore[no-untyped-def]
    """One decision: (rng, x, place, bit)."""
    bound = (rng >> spec.P_BITS) * p
    bit = np.int64(x < bound)
    if bit:
        rng = bound
    else:
        rng, x = rng - bound, x - bound
    while rng < spec.BOTTOM:
        byte = np.int64(stream[place]) if place < stream.size else np.int64(0)
        rng, x, place = rng << 8, (x << 8 | byte) & (spec.TOP - 1), place + 1
    return rng, x, place, bit


@jit
def _carry(stream, place):  # type: ignore[no-untyped-def]
    """One more on the big-endian number before ``place``."""
    place -= 1
    while stream[place] == 255:
        stream[place] = 0
        place -= 1
    stream[place] += 1


@jit
def _put(rng, low, place, stream, p, bit):  # type: ignore[no-untyped-def]
    """The same decision, written: (rng, low, place, bit)."""
    bound = (rng >> spec.P_BITS) * p
    if bit:
        rng = bound
    else:
        rng, low = rng - bound, low + bound
        if low >= spec.TOP:
            low -= spec.TOP
            _carry(stream, place)
    while rng < spec.BOTTOM:
        stream[place] = low >> 24
        rng, low, place = rng << 8, low << 8 & (spec.TOP - 1), place + 1
    return rng, low, place, bit


@jit
def _clamp(p):  # type: ignore[no-untyped-def]
    return min(max(p, spec.MIN_P), spec.MAX_P)


@jit
def _density_class(count, expected):  # type: ignore[no-untyped-def]
    scaled, result = (2 * count + 3) << 18, 0
    for step in _STEPS:
        result += scaled >= step * expected
    return result


@jit
def _value_class(code, n_codes):  # type: ignore[no-untyped-def]
    return 0 if code == n_codes else 1 if code < (n_codes + 1) >> 1 else 2


@jit
def code_matrix(codes, rows, columns, n_codes, stride, p0, stream, encoding):  # type: ignore[no-untyped-def]
    """Encode ``codes`` ((rows * columns,) uint16, zero weights n_codes) into ``stream``, or decode into it.

    Returns (rng, x, place): the coder's range, the encoder's low end or the decoder's number, and the
    bytes of ``stream`` (uint8) that were written or taken.
    """
    rng, x, place = np.int64(spec.TOP - 1), np.int64(0), np.int64(0)
    if not encoding:
        for _ in range(4):
            x = x << 8 | (np.int64(stream[place]) if place < stream.size else 0)
            place += 1
    found_a = np.full(_N_COUNTERS, spec.COUNT, np.int64)
    expected_a = found_a.copy()
    found_b = np.full(spec.N_NEIGHBOURS, spec.COUNT, np.int64)
    expected_b = found_b.copy()
    ones = np.ones(spec.N_ROOTS + spec.TREE_NODES, np.int64)
    visits = ones + 1
    in_column = np.zeros(columns, np.int64)
    i = 0
    for row in range(rows):
        in_row = np.int64(0)
        for column in range(columns):
            near = np.int64(0)
            if column >= 1:
                near |= codes[i - 1] != n_codes
            if column >= 2:
                near |= (codes[i - 2] != n_codes) << 1
            if stride and i > stride:
                near |= (codes[i - stride] != n_codes) << 2
                near |= (codes[i - stride + 1] != n_codes) << 3
                near |= (codes[i - stride - 1] != n_codes) << 4
            dense = spec.N_CLASSES * _density_class(in_column[column], row * p0 + spec.CLASS_OFFSET)
            dense += _density_class(in_row, column * p0 + spec.CLASS_OFFSET)
            ratio_a = (found_a[dense] << spec.RATIO_BITS) // expected_a[dense]
            ratio_b = (found_b[near] << spec.RATIO_BITS) // expected_b[near]
            p_a = min(p0 * ratio_a >> spec.RATIO_BITS, 65535)
            p_b = min(p0 * ratio_b >> spec.RATIO_BITS, 65535)
            p = _clamp(p_a * ratio_b >> spec.RATIO_BITS)
            if encoding:
                rng, x, place, bit = _put(rng, x, place, stream, p, np.int64(codes[i] != n_codes))
            else:
                rng, x, place, bit = _take(rng, x, place, stream, p)
            found_a[dense] += bit << 16
            expected_a[dense] += p_b
            found_b[near] += bit << 16
            expected_b[near] += p_a
            code = np.int64(n_codes)
            if bit:
                in_row += 1
                in_column[column] += 1
                root = 3 * _value_class(codes[i - 1], n_codes) if column >= 1 else 0
                if stride and i >= stride:
                    root += _value_class(codes[i - stride], n_codes)
                number, code, high = np.int64(1), np.int64(0), np.int64(n_codes)
                while high - code > 1:
                    middle = (code + high + 1) >> 1
                    node = root if number == 1 else spec.N_ROOTS + number
                    counts = number < spec.TREE_NODES
                    p = _clamp((ones[node] << spec.P_BITS) // visits[node]) if counts else np.int64(32768)
                    if encoding:
                        rng, x, place, bit = _put(rng, x, place, stream, p, np.int64(codes[i] >= middle))
                    else:
                        rng, x, place, bit = _take(rng, x, place, stream, p)
                    if counts:
                        ones[node] += bit
                        visits[node] += 1
                    if bit:
                        code = middle
                    else:
                        high = middle
                    number = 2 * number + bit
            codes[i] = code
            i += 1
    return rng, x, place
