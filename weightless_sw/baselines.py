"""What else the same layer could be stored in: exact sizes of the lossless alternatives.

Every size is that of a pruned and clustered layer: zeros are exact, K distinct non-zero values remain.
The codebook, K fp16 words, is part of every size but the dense one.  The shape and K itself are counted
nowhere, to the advantage of the alternatives.  A value that fp16 can't hold is rounded by the codebook,
as it is in our own file; the sizes don't depend on it.

Most sizes come from histograms, and nothing is encoded; the tests write every stream bit by bit, decode
it and hold its length to these numbers.  The coded record and zstd's frames are made, and measured.
"""

import heapq
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weightless_sw import codec
from weightless_sw.arrangement import live_map
from weightless_sw.container import stored_bytes
from weightless_sw.provenance import install_line
from weightless_sw.reader import varint
from weightless_sw.spec.record import Geometry

DENSE_BITS = 32
CODEBOOK_ENTRY_BITS = 16  # fp16
MAX_VALUES = 1 << 16  # what an fp16 codebook can tell apart
COUNT_BITS = 32  # a number of stored entries
INDEX_WIDTH_BITS = 4  # names the index width in a Deep Compression stream
LENGTH_WIDTH_BITS = 3  # names the width of the code lengths in a Huffman table
PAPER_INDEX_BITS = 5  # of fully connected layers: Han, Mao, Dally, "Deep Compression", ICLR 2016
INDEX_WIDTHS = range(2, 11)
ZSTD_LEVEL = 19


class Rate(StrEnum):
    """What a decoder of a format does in hardware."""

    CONSTANT = "constant rate, any number of weights per clock"
    WORDS = "constant rate, at most 32 / (1 + p t) weights per clock"  # a word a clock; p: density, t: bits of a code
    ONE = "one non-zero per clock"
    SERIAL = "serial"
    NONE = "none: no format"


CONSTANT_RATES = (Rate.CONSTANT, Rate.WORDS)


def rate_of(geometry: Geometry | type[Geometry]) -> Rate:
    """Of a layout's decoder, the layout named by its ``geometry``."""
    return Rate.WORDS if geometry.EXACT else Rate.CONSTANT


class Kind(StrEnum):
    """What a size is of; there may be several of a kind."""

    DENSE = "dense"
    CSR = "CSR"
    BITMASK = "bitmask"
    DEEP_COMPRESSION = "Deep Compression"
    ENTROPY = "entropy"
    ZSTD = "zstd"
    CODED = "coded record"
    TABLE = "table"
    LAYOUT = "another layout"
    PAYLOAD = "payload of the table"


@dataclass(frozen=True)
class Stored:
    """A layer of a network as it was stored: ``error`` is the network's on the test set, a share of 1."""

    name: str
    bytes: int
    error: float
    decoder: Rate
    lossless: bool


@dataclass(frozen=True)
class Size:
    """The size of one tensor in one format: ``bits`` is everything, ``codebook_bits`` included."""

    name: str
    kind: Kind
    bits: int
    codebook_bits: int
    how: str
    decoder: Rate

    @property
    def bytes(self) -> int:
        """Whole bytes."""
        return (self.bits + 7) // 8


@dataclass(frozen=True)
class _Support:
    """All that the sizes depend on.

    ``zero_runs`` and ``run_counts``: how often a run of that many zeros precedes a non-zero weight along
    the flattened (C order) index.  ``value_counts``: how often each distinct non-zero value occurs.
    """

    shape: tuple[int, int]
    zero_runs: NDArray[np.int64]
    run_counts: NDArray[np.int64]
    value_counts: NDArray[np.int64]

    @property
    def n_weights(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def n_nonzero(self) -> int:
        return int(self.value_counts.sum())

    @property
    def n_values(self) -> int:
        return self.value_counts.size

    @property
    def codebook_bits(self) -> int:
        return CODEBOOK_ENTRY_BITS * self.n_values


def baseline_sizes(weights: NDArray[Any]) -> list[Size]:
    """Sizes of ``weights``, (rows, columns) of a float type, in this order: dense fp32, CSR, Deep
    Compression with the paper's and with the best index width, order-0 entropy, bitmask.

    Raises ValueError when the array isn't 2-D, float, finite and clustered.
    """
    support = _measure(weights)
    by_width = {width: _deep_compression_bits(support, width) for width in INDEX_WIDTHS}
    best = min(by_width, key=by_width.__getitem__)
    return [
        _dense(support),
        _csr(support),
        _deep_compression(support, f"{PAPER_INDEX_BITS} bit index", PAPER_INDEX_BITS, by_width),
        _deep_compression(support, "best index width", best, by_width),
        _order0_entropy(support),
        _bitmask(support),
    ]


def trimmed_sizes(weights: NDArray[Any]) -> list[Size]:
    """Deep Compression (best index width) and the bitmask of the live block alone, and the maps of what is live.

    A row or column counts as dead when it has no non-zero weight; the maps are those of our own file.  Empty for
    an array without dead ones, and for one of zeros.  Raises ValueError as :func:`baseline_sizes` does.
    """
    nonzero = np.asarray(weights) != 0
    live = [np.flatnonzero(nonzero.any(axis)) for axis in (1, 0)]
    block = weights[np.ix_(*live)]
    if block.size in (0, weights.size):
        return []
    n_bytes = sum(
        len(live_map(part, n)) for part, n in zip(live, weights.shape, strict=True) if len(part) < n
    )
    _, _, _, deep_compression, _, bitmask = baseline_sizes(block)
    how = f"live block of {block.shape[0]} x {block.shape[1]} and its maps, {n_bytes} bytes; "
    return [
        Size(
            f"{size.name}, trimmed",
            size.kind,
            size.bits + 8 * n_bytes,
            size.codebook_bits,
            how + size.how,
            size.decoder,
        )
        for size in (deep_compression, bitmask)
    ]


def exact_sizes(weights: NDArray[Any]) -> list[Size]:
    """Of a layer (rows, further dimensions) in all formats that take it alone: as it is, trimmed, and coded."""
    matrix = weights.reshape(len(weights), -1).astype(np.float64)
    return [*baseline_sizes(matrix), *trimmed_sizes(matrix), coded_size(matrix)]


def coded_size(weights: NDArray[Any]) -> Size:
    """The coded record of our own file, exact: an adaptive arithmetic coder (docs/format.md)."""
    tensor = codec.encode_coded(weights, round_values=True)
    n_bytes = stored_bytes(tensor)
    rows, columns = tensor.arrangement.block_shape
    how = f"record of the live block of {rows} x {columns} and its maps, adaptive arithmetic coder"
    bits = CODEBOOK_ENTRY_BITS * len(tensor.codebook)
    return Size("coded record", Kind.CODED, 8 * n_bytes, bits, how, Rate.SERIAL)


def zstd_size(weights: NDArray[Any]) -> Size:
    """Two zstd frames, gaps and value numbers, and the codebook.  Raises ValueError where zstandard is missing."""
    frames = zstd_frames(weights)
    support = _measure(weights)
    how = f"level {ZSTD_LEVEL}; gaps along the flattened index as varints, value numbers, fp16 codebook"
    bits = 8 * len(frames) + support.codebook_bits
    return Size("zstd on gaps and values", Kind.ZSTD, bits, support.codebook_bits, how, Rate.SERIAL)


def zstd_frames(weights: NDArray[Any]) -> bytes:
    """Gaps between non-zero weights as varints in a frame, and the numbers of their values (u16) in another."""
    try:
        import zstandard
    except ImportError as error:
        raise ValueError(f"zstd's size needs zstandard: {install_line('sim')}") from error
    flat = weights.ravel()
    places = np.flatnonzero(flat)
    numbers = np.unique(flat[places], return_inverse=True)[1].astype("<u2")
    gaps = b"".join(varint(gap) for gap in (np.diff(places, prepend=-1) - 1).tolist())
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    # bytes of one kind together: the high ones of numbers below 256 are all zero
    return compressor.compress(gaps) + compressor.compress(numbers.view(np.uint8).reshape(-1, 2).T.tobytes())


def expected_padding(density: float, width: int) -> float:
    """Padding zeros per non-zero weight at random places: one for each whole 2^width of its gap."""
    run = (1 - density) ** (1 << width)
    return run / (1 - run)


def expected_bits(n_weights: int, density: float, n_values: int) -> dict[Kind, int]:
    """Bits of a layer in formats that are exact, for weights at random places and values that are alike often.

    All is counted as in :func:`baseline_sizes`; of Deep Compression the best index width.
    """
    value = _width(n_values)
    of_values = 0.0 if n_values == 1 else float(np.log2(n_values))
    entropy = (
        float(-density * np.log2(density) - (1 - density) * np.log2(1 - density)) if density < 1 else 0.0
    )
    streams = (_expected_stream(density, n_values, width) for width in _likely_widths(density))
    bits = {
        Kind.BITMASK: n_weights * (1 + density * value),
        Kind.ENTROPY: n_weights * (entropy + density * of_values),
        Kind.DEEP_COMPRESSION: INDEX_WIDTH_BITS
        + COUNT_BITS
        + min(n_weights * weight + tables for weight, tables in streams),
    }
    return {kind: int(np.ceil(one)) + CODEBOOK_ENTRY_BITS * n_values for kind, one in bits.items()}


def _likely_widths(density: float) -> range:
    """About the index widths with the fewest bits."""
    likely = min(int(np.log2(1 / density)) + 3, INDEX_WIDTHS[-1])
    return range(likely - 2, min(likely + 2, INDEX_WIDTHS.stop))


@cache
def _expected_stream(density: float, n_values: int, width: int) -> tuple[float, int]:
    """(bits of a weight, bits of the tables) of gaps and values, both Huffman."""
    n_gaps, padding = 1 << width, expected_padding(density, width)
    gaps = density * (1 - density) ** np.arange(n_gaps) * (1 + padding)  # of all that are longer, too
    gaps[-1] += padding
    values = np.concatenate(([padding], np.full(n_values, 1 / n_values)))
    bits, tables = 0.0, 0
    for shares in (gaps, values):
        lengths = huffman_lengths(np.rint(shares * 1e9).astype(np.int64))
        bits += density * float((shares * lengths).sum())
        tables += LENGTH_WIDTH_BITS + int(lengths.max()).bit_length() * lengths.size
    return bits, tables


def huffman_lengths(counts: ArrayLike) -> NDArray[np.int64]:
    """Code length of every symbol of a Huffman code for ``counts``, same shape (n_symbols,).

    A symbol that never occurs has length 0, one that occurs alone has length 1: a decoder takes a bit
    per symbol whatever the symbol.
    """
    counts = np.asarray(counts, np.int64)
    used = np.flatnonzero(counts)
    lengths = np.zeros(counts.shape, np.int64)
    if used.size <= 1:
        lengths[used] = 1
        return lengths
    heap = list(zip(counts[used].tolist(), range(used.size), strict=True))  # (count, node), leaves first
    heapq.heapify(heap)
    parents = [0] * (2 * used.size - 1)
    for node in range(used.size, 2 * used.size - 1):
        count_a, a = heapq.heappop(heap)
        count_b, b = heapq.heappop(heap)
        parents[a] = parents[b] = node
        heapq.heappush(heap, (count_a + count_b, node))
    depths = [0] * len(parents)
    for node in reversed(range(len(parents) - 1)):  # a parent has a higher number than its children
        depths[node] = depths[parents[node]] + 1
    lengths[used] = depths[: used.size]
    return lengths


def _measure(weights: NDArray[Any]) -> _Support:
    """Check ``weights`` and take its histograms."""
    if weights.ndim != 2 or weights.size == 0:
        raise ValueError(f"weights must be a non-empty 2-D array, not of shape {weights.shape}; reshape them")
    if not np.issubdtype(weights.dtype, np.floating):
        raise ValueError(f"weights must be of a float type, not {weights.dtype}; convert them")
    flat = weights.ravel()
    indices = np.flatnonzero(flat)
    values, value_counts = np.unique(flat[indices], return_counts=True)
    if not np.isfinite(values).all():
        raise ValueError("weights must be finite, they hold NaN or infinity; repair them")
    if values.size > MAX_VALUES:
        raise ValueError(
            f"weights must have at most {MAX_VALUES} distinct non-zero values, not {values.size}; "
            "cluster them"
        )
    zero_runs, run_counts = np.unique(np.diff(indices, prepend=-1) - 1, return_counts=True)
    rows, columns = weights.shape
    return _Support((rows, columns), zero_runs, run_counts, value_counts)


def _dense(support: _Support) -> Size:
    """32 bits for every weight, and nothing else; no codebook."""
    return Size(
        "dense fp32",
        Kind.DENSE,
        DENSE_BITS * support.n_weights,
        0,
        "32 bits per weight, no codebook",
        Rate.CONSTANT,
    )


def _bitmask(support: _Support) -> Size:
    """A bit per weight, and a value index of fixed width per non-zero one; no directory for random access."""
    value = _width(support.n_values)
    bits = support.n_weights + support.n_nonzero * value + support.codebook_bits
    how = f"a bit per weight, {value} bits per non-zero weight, fp16 codebook"
    return Size("bitmask and codes", Kind.BITMASK, bits, support.codebook_bits, how, Rate.WORDS)


def _csr(support: _Support) -> Size:
    """Row pointers, then a column index and a value index per non-zero weight, all of fixed width.

    Counted: the number of non-zero weights n (the last of the rows + 1 row pointers) in 32 bits; the
    other ``rows`` row pointers at ceil(log2(n + 1)) bits; ceil(log2 columns) + ceil(log2 K) bits per
    non-zero weight; the codebook.
    """
    rows, columns = support.shape
    pointer, column, value = (_width(n) for n in (support.n_nonzero + 1, columns, support.n_values))
    bits = COUNT_BITS + rows * pointer + support.n_nonzero * (column + value)
    how = (
        f"{COUNT_BITS} bit count, {rows} row pointers of {pointer} bits, {support.n_nonzero} entries of "
        f"{column} bit column index and {value} bit value index, fp16 codebook"
    )
    return Size(
        "CSR, fixed width", Kind.CSR, bits + support.codebook_bits, support.codebook_bits, how, Rate.ONE
    )


def _deep_compression(support: _Support, name: str, index_bits: int, by_width: dict[int, int]) -> Size:
    """The stream of :func:`_deep_compression_bits` and the codebook, where the zero takes no entry."""
    n_entries = support.n_nonzero + _n_padding(support, index_bits)
    how = (
        f"{n_entries} entries, {n_entries - support.n_nonzero} of them padding zeros; {index_bits} bit gaps "
        "along the flattened index and value indices, both canonical Huffman with their tables, fp16 codebook"
    )
    bits = by_width[index_bits] + support.codebook_bits
    return Size(
        f"Deep Compression, {name} + Huffman",
        Kind.DEEP_COMPRESSION,
        bits,
        support.codebook_bits,
        how,
        Rate.ONE,
    )


def _deep_compression_bits(support: _Support, index_bits: int) -> int:
    """Bits of the Deep Compression stream (Han et al., ICLR 2016) without the codebook.

    An entry is a gap and a value index.  The gap runs along the flattened C order index, across the ends
    of rows, and is 1 .. 2**index_bits, from a first predecessor at -1; it is stored less one.  Where the
    next non-zero weight is farther away, a zero is stored 2**index_bits ahead, as often as needed.  Value
    index 0 is this padding zero, 1 .. K are the codebook's.  Zeros after the last entry aren't stored.

    Counted: the index width in 4 bits; the number of entries in 32; for gaps and for values each a table
    of canonical Huffman code lengths and the codes.
    """
    n_gaps = 1 << index_bits
    n_padding = _n_padding(support, index_bits)
    gap_counts = np.zeros(n_gaps, np.int64)
    np.add.at(gap_counts, support.zero_runs % n_gaps, support.run_counts)
    gap_counts[-1] += n_padding
    value_counts = np.concatenate(([n_padding], support.value_counts))
    return INDEX_WIDTH_BITS + COUNT_BITS + _huffman_bits(gap_counts) + _huffman_bits(value_counts)


def _n_padding(support: _Support, index_bits: int) -> int:
    """Padding zeros that gaps of ``index_bits`` need."""
    return int(((support.zero_runs >> index_bits) * support.run_counts).sum())


def _huffman_bits(counts: NDArray[np.int64]) -> int:
    """Bits of a Huffman coded stream, its table included.

    The table: the width w of the longest length in 3 bits, then w bits for the length of every symbol,
    used or not.  A canonical code follows from its lengths.
    """
    lengths = huffman_lengths(counts)
    length_bits = int(lengths.max()).bit_length()
    return LENGTH_WIDTH_BITS + length_bits * lengths.size + int((counts * lengths).sum())


def _order0_entropy(support: _Support) -> Size:
    """N H(n / N) bits for where the n non-zero weights are and n H(values) for what they are, rounded up.

    Counted: these and the codebook; no statistics.  What an ideal coder of independent weights would take, not a
    format: real layers are bursty, and coders that see it take less.
    """
    n_zero = support.n_weights - support.n_nonzero
    where = _entropy_bits(np.array([support.n_nonzero, n_zero]))
    what = _entropy_bits(support.value_counts)
    bits = int(np.ceil(where + what))
    how = f"independent weights: {where:.1f} bits of support, {what:.1f} bits of values, no tables, fp16 codebook"
    return Size(
        "order-0 entropy", Kind.ENTROPY, bits + support.codebook_bits, support.codebook_bits, how, Rate.NONE
    )


def _entropy_bits(counts: NDArray[np.int64]) -> float:
    """Bits of a sequence with these symbol counts at its order-0 entropy."""
    counts = counts[counts > 0]
    return float((counts * np.log2(counts.sum() / counts)).sum())


def _width(n_choices: int) -> int:
    """ceil(log2 n_choices), and 0 where there is nothing to choose."""
    return (n_choices - 1).bit_length() if n_choices > 1 else 0
