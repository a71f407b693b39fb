"""Every baseline size is the length of a bit string that decodes to the very same array."""

from collections import Counter
from fractions import Fraction
from math import comb, log2
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from weightless_sw import arrangement, codec
from weightless_sw.baselines import (
    Kind,
    Rate,
    Size,
    baseline_sizes,
    coded_size,
    huffman_lengths,
    trimmed_sizes,
    zstd_frames,
    zstd_size,
)

Weights = NDArray[Any]
DENSE, CSR, DEEP_5, DEEP_BEST, ENTROPY, BITMASK = range(6)


class Reader:
    """Reads a bit string from the front."""

    def __init__(self, bits: str) -> None:
        self.bits, self.position = bits, 0

    def take(self, width: int) -> int:
        word = self.bits[self.position : self.position + width]
        assert len(word) == width, "read past the end"
        self.position += width
        return int(word, 2) if width else 0

    @property
    def at_end(self) -> bool:
        return self.position == len(self.bits)


def to_bits(number: int, width: int) -> str:
    assert 0 <= number < 1 << width
    return f"{number:0{width}b}" if width else ""


def width_of(n_choices: int) -> int:
    width = 0
    while 1 << width < n_choices:
        width += 1
    return width


def canonical_codes(lengths: list[int]) -> dict[int, str]:
    """Symbol -> code: counting up, shorter codes and lower symbols first."""
    codes, code, previous = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - previous
        codes[symbol] = to_bits(code, length)
        code, previous = code + 1, length
    return codes


def encode_huffman(symbols: list[int], n_symbols: int) -> str:
    """Code length table and codes."""
    counts = Counter(symbols)
    lengths = huffman_lengths([counts[symbol] for symbol in range(n_symbols)]).tolist()
    width = width_of(max(lengths) + 1)
    codes = canonical_codes(lengths)
    table = to_bits(width, 3) + "".join(to_bits(length, width) for length in lengths)
    return table + "".join(codes[symbol] for symbol in symbols)


def decode_huffman(reader: Reader, n_entries: int, n_symbols: int) -> list[int]:
    width = reader.take(3)
    codes = canonical_codes([reader.take(width) for _ in range(n_symbols)])
    symbol_of = {code: symbol for symbol, code in codes.items()}
    symbols = []
    for _ in range(n_entries):
        code = str(reader.take(1))
        while code not in symbol_of:
            code += str(reader.take(1))
        symbols.append(symbol_of[code])
    return symbols


def encode_deep_compression(weights: Weights, codebook: list[float], index_bits: int) -> str:
    gaps, values, last = [], [], -1
    for index, weight in enumerate(weights.ravel().tolist()):
        distance = index - last
        if weight or (distance == 1 << index_bits and weights.ravel()[index:].any()):
            gaps.append(distance - 1)
            values.append(codebook.index(weight) + 1 if weight else 0)
            last = index
    header = to_bits(index_bits, 4) + to_bits(len(gaps), 32)
    return header + encode_huffman(gaps, 1 << index_bits) + encode_huffman(values, len(codebook) + 1)


def decode_deep_compression(bits: str, shape: tuple[int, ...], codebook: list[float]) -> Weights:
    reader = Reader(bits)
    index_bits, n_entries = reader.take(4), reader.take(32)
    gaps = decode_huffman(reader, n_entries, 1 << index_bits)
    values = decode_huffman(reader, n_entries, len(codebook) + 1)
    assert reader.at_end
    weights, index = np.zeros(shape), -1
    for gap, value in zip(gaps, values, strict=True):
        index += gap + 1
        weights.flat[index] = [0.0, *codebook][value]
    return weights


def encode_csr(weights: Weights, codebook: list[float]) -> str:
    n_nonzero = int(np.count_nonzero(weights))
    pointers, entries, seen = "", "", 0
    for row in weights.tolist():
        pointers += to_bits(seen, width_of(n_nonzero + 1))
        for column, weight in enumerate(row):
            if weight:
                entries += to_bits(column, width_of(len(row)))
                entries += to_bits(codebook.index(weight), width_of(len(codebook)))
                seen += 1
    return to_bits(n_nonzero, 32) + pointers + entries


def decode_csr(bits: str, shape: tuple[int, ...], codebook: list[float]) -> Weights:
    reader = Reader(bits)
    n_nonzero = reader.take(32)
    pointers = [reader.take(width_of(n_nonzero + 1)) for _ in range(shape[0])] + [n_nonzero]
    weights = np.zeros(shape)
    for row in range(shape[0]):
        for _ in range(pointers[row], pointers[row + 1]):
            column = reader.take(width_of(shape[1]))
            weights[row, column] = codebook[reader.take(width_of(len(codebook)))]
    assert reader.at_end
    return weights


def encode_bitmask(weights: Weights, codebook: list[float]) -> str:
    flat = weights.ravel().tolist()
    codes = (to_bits(codebook.index(weight), width_of(len(codebook))) for weight in flat if weight)
    return "".join(str(int(weight != 0)) for weight in flat) + "".join(codes)


def decode_bitmask(bits: str, shape: tuple[int, ...], codebook: list[float]) -> Weights:
    reader = Reader(bits)
    mask = np.array([reader.take(1) for _ in range(int(np.prod(shape)))], bool)
    weights = np.zeros(shape)
    weights.flat[np.flatnonzero(mask)] = [
        codebook[reader.take(width_of(len(codebook)))] for _ in range(mask.sum())
    ]
    assert reader.at_end
    return weights


def codebook_of(weights: Weights) -> tuple[list[float], int]:
    """The non-zero values as decoders get them, read back from fp16 bytes, and the bits of these bytes."""
    stored = np.array(sorted(set(weights.ravel().tolist()) - {0.0}), "<f2").tobytes()
    return np.frombuffer(stored, "<f2").astype(float).tolist(), 8 * len(stored)


def check_all(weights: Weights) -> list[Size]:
    """Encode and decode ``weights`` in every format, compare the lengths with the sizes."""
    sizes = baseline_sizes(weights)
    codebook, codebook_bits = codebook_of(weights)
    assert [size.codebook_bits for size in sizes] == [0] + 5 * [codebook_bits]
    streams = [size.bits - size.codebook_bits for size in sizes]

    assert streams[DENSE] == 8 * len(weights.astype("<f4").tobytes())
    csr = encode_csr(weights, codebook)
    np.testing.assert_array_equal(decode_csr(csr, weights.shape, codebook), weights)
    assert streams[CSR] == len(csr)
    deep = {width: encode_deep_compression(weights, codebook, width) for width in range(2, 11)}
    for bits in deep.values():
        np.testing.assert_array_equal(decode_deep_compression(bits, weights.shape, codebook), weights)
    assert streams[DEEP_5] == len(deep[5])
    assert streams[DEEP_BEST] == min(len(bits) for bits in deep.values())
    bitmask = encode_bitmask(weights, codebook)
    np.testing.assert_array_equal(decode_bitmask(bitmask, weights.shape, codebook), weights)
    assert streams[BITMASK] == len(bitmask)
    return sizes


def layer(rows: int, columns: int, density: float, n_values: int, seed: int) -> Weights:
    """A layer with unevenly used values and mildly varying row and column densities."""
    rng = np.random.default_rng(seed)
    likely = np.outer(rng.lognormal(0, 0.2, rows), rng.lognormal(0, 0.5, columns))
    weights = np.zeros((rows, columns), np.float32)
    mask = rng.random((rows, columns)) < likely * (density / likely.mean())
    magnitudes = 1 + np.arange((n_values + 1) // 2) / 8  # exact in fp16
    palette = np.concatenate((magnitudes, -magnitudes))[:n_values]
    shares = np.exp(-2 * (np.abs(palette) - 1))
    weights[mask] = rng.choice(palette, mask.sum(), p=shares / shares.sum())
    return weights


@st.composite
def sparse_arrays(draw: st.DrawFn) -> Weights:
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 60))
    density = draw(st.sampled_from([0, 0.005, 0.02, 0.1, 0.5, 1]))
    n_values, seed = draw(st.integers(1, 20)), draw(st.integers(0, 2**32 - 1))
    if density < 1:
        return layer(rows, columns, density, n_values, seed)
    palette = np.arange(1, n_values + 1, dtype=np.float32)
    return np.random.default_rng(seed).choice(palette, (rows, columns))


@given(sparse_arrays())
@settings(max_examples=60, deadline=None)
def test_sizes_are_those_of_streams_that_decode(weights: Weights) -> None:
    check_all(weights)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1, 33), (2, 1024)])
def test_all_zero(shape: tuple[int, int]) -> None:
    sizes = check_all(np.zeros(shape))
    assert [size.bits for size in sizes] == [n := 32 * shape[0] * shape[1], 32, 42, 42, 0, n // 32]


@pytest.mark.parametrize("index", [0, 3, 4, 31, 32, 33, 63, 64, 65, 1023, 1024, 1025, 2047])
def test_one_nonzero(index: int) -> None:
    weights = np.zeros((2, 1024), np.float32)
    weights.flat[index] = -0.5
    sizes = check_all(weights)
    assert f"{1 + index // 32} entries, {index // 32} of them padding zeros" in sizes[DEEP_5].how


def test_one_symbol_costs_one_bit_each() -> None:
    sizes = check_all(np.full((4, 8), 1.5))
    gaps, values = 3 + 1 * 32 + 32, 3 + 1 * 2 + 32
    assert sizes[DEEP_5].bits == 4 + 32 + gaps + values + 16
    assert sizes[ENTROPY].bits == 16


def test_fully_dense_with_many_values() -> None:
    check_all(np.arange(1, 301).reshape(10, 30).astype(np.float16))


def test_gaps_run_across_rows() -> None:
    weights = np.zeros((40, 2))
    weights[[0, -1], [0, 1]] = 1, 2
    assert "2 of them padding" in check_all(weights)[DEEP_5].how


def test_memory_order_and_sign_of_zero_do_not_matter() -> None:
    weights = layer(30, 40, 0.1, 8, seed=1)
    signed = np.where(weights == 0, np.float32(-0.0), weights)
    assert baseline_sizes(np.asfortranarray(weights)) == baseline_sizes(weights) == baseline_sizes(signed)


def test_entropy_is_near_the_number_of_supports() -> None:
    weights = np.zeros((10, 10))
    weights.flat[:30:3] = 1
    bits = baseline_sizes(weights)[ENTROPY].bits - 16
    assert log2(comb(100, 10)) <= bits == 47


def test_order0_entropy_bounds_only_what_has_no_pattern() -> None:
    evenly_spaced = np.zeros((16, 50))
    evenly_spaced[:, ::10] = 1
    sizes = check_all(evenly_spaced)
    assert sizes[DEEP_BEST].bits < sizes[ENTROPY].bits
    sizes = baseline_sizes(layer(100, 200, 0.05, 16, seed=2))
    assert (
        sizes[ENTROPY].bits < sizes[DEEP_BEST].bits < sizes[DEEP_5].bits < sizes[CSR].bits < sizes[DENSE].bits
    )


def test_entropy_of_the_values_is_added() -> None:
    support_bits, value_bits = 16 * 1.0, 8 * 1.5  # half of 16 weights; shares 1/2, 1/4, 1/4
    weights = np.array([[1, 1, 1, 1, 2, 2, 4, 4], [0] * 8], float)
    assert baseline_sizes(weights)[ENTROPY].bits == support_bits + value_bits + 3 * 16


@pytest.mark.parametrize(
    ("density", "csr", "excess_5", "excess_best"),
    [(0.08, 1.139, 0.039, 0.010), (0.04, 0.581, 0.045, 0.008), (0.02, 0.297, 0.041, 0.007)],
)
def test_a_layer_of_lenet_300_100(density: float, csr: float, excess_5: float, excess_best: float) -> None:
    """Bits per weight of a 300 x 784 layer, as an independent implementation measured a similar one.

    Only what hardly depends on the distribution of the values, which isn't known of that layer: CSR, and
    what Deep Compression takes more than the order-0 entropy.
    """
    weights = layer(300, 784, density, 16, seed=0)
    sizes = [(size.bits - size.codebook_bits) / weights.size for size in baseline_sizes(weights)]
    assert sizes[CSR] == pytest.approx(csr, rel=0.02)
    assert sizes[DEEP_5] - sizes[ENTROPY] == pytest.approx(excess_5, abs=0.004)
    assert sizes[DEEP_BEST] - sizes[ENTROPY] == pytest.approx(excess_best, abs=0.004)


def test_a_whole_layer_decodes() -> None:
    weights = layer(300, 784, 0.04, 16, seed=3)
    codebook, codebook_bits = codebook_of(weights)
    bits = encode_deep_compression(weights, codebook, 5)
    np.testing.assert_array_equal(decode_deep_compression(bits, weights.shape, codebook), weights)
    assert baseline_sizes(weights)[DEEP_5].bits == len(bits) + codebook_bits


def test_trimmed_sizes_are_those_of_the_live_block_and_its_maps() -> None:
    weights = np.zeros((20, 30), np.float32)
    block = layer(9, 12, 0.5, 4, seed=1)
    block[:, 0], block[0] = 1, 1  # nothing of it is dead
    weights[2:20:2, 3:15] = block
    deep, mask = trimmed_sizes(weights)
    whole = baseline_sizes(block)
    maps = 8 * (1 + 3 + 1 + 4)  # a byte for the form, a bit per row and per column
    assert [deep.bits, mask.bits] == [whole[DEEP_BEST].bits + maps, whole[BITMASK].bits + maps]
    assert [deep.name, mask.name] == [f"{whole[k].name}, trimmed" for k in (DEEP_BEST, BITMASK)]
    assert trimmed_sizes(block) == trimmed_sizes(np.zeros((3, 4))) == []


@given(sparse_arrays())
@settings(max_examples=30, deadline=None)
def test_the_frames_of_zstd_hold_everything(weights: Weights) -> None:
    frames = zstd_frames(weights)
    first = zstandard.ZstdDecompressor().decompressobj()
    gaps = first.decompress(frames)
    second = zstandard.ZstdDecompressor().decompressobj()
    planes = second.decompress(first.unused_data)
    assert not second.unused_data
    places, place, n, shift = [], -1, 0, 0
    for byte in gaps:
        n, shift = n | (byte & 127) << shift, shift + 7
        if byte < 128:
            place += n + 1
            places.append(place)
            n = shift = 0
    numbers = np.frombuffer(planes, np.uint8).reshape(2, -1).astype(int)
    decoded = np.zeros(weights.size, weights.dtype)
    codebook, codebook_bits = codebook_of(weights)
    decoded[places] = np.array(codebook)[numbers[0] + 256 * numbers[1]] if places else []
    np.testing.assert_array_equal(decoded.reshape(weights.shape), weights)
    assert zstd_size(weights).bits == 8 * len(frames) + codebook_bits


def test_the_coded_record_is_the_files() -> None:
    weights = np.zeros((20, 30), np.float32)
    weights[:5] = layer(5, 30, 0.5, 4, seed=1)
    tensor = codec.encode_coded(weights)
    assert coded_size(weights).bytes == tensor.record_bytes + arrangement.map_bytes(tensor.arrangement)
    np.testing.assert_array_equal(codec.decode(tensor), weights)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40))
@settings(deadline=None)
def test_huffman_lengths_are_a_complete_code_near_the_entropy(counts: list[int]) -> None:
    lengths = huffman_lengths(counts).tolist()
    used = [(count, length) for count, length in zip(counts, lengths, strict=True) if count]
    assert all(length == 0 for count, length in zip(counts, lengths, strict=True) if not count)
    if len(used) == 1:
        assert used[0][1] == 1
    if len(used) > 1:
        assert sum(Fraction(1, 2**length) for _, length in used) == 1
        total = sum(counts)
        entropy = sum(count * log2(total / count) for count, _ in used)
        assert entropy - 1e-6 <= sum(count * length for count, length in used) < entropy + total


def test_huffman_lengths_can_be_as_long_as_fibonacci_makes_them() -> None:
    counts = [1, 1]
    while len(counts) < 40:
        counts.append(counts[-1] + counts[-2])
    assert huffman_lengths(counts).tolist() == [39, 39, *range(38, 0, -1)]


def test_bytes_are_rounded_up() -> None:
    assert [Size("", Kind.DENSE, bits, 0, "", Rate.NONE).bytes for bits in (0, 1, 8, 9)] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(3), r"^weights must be a non-empty 2-D array, not of shape \(3,\); reshape them$"),
        (np.zeros((0, 3)), r"^weights must be a non-empty 2-D array, not of shape \(0, 3\); reshape them$"),
        (np.zeros((2, 2), int), r"^weights must be of a float type, not int64; convert them$"),
        (np.array([[0, np.nan]]), r"^weights must be finite, they hold NaN or infinity; repair them$"),
        (
            np.arange(65538.0)[None],
            r"^weights must have at most 65536 distinct non-zero values, not 65537; cluster them$",
        ),
    ],
)
def test_refuses(weights: Weights, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        baseline_sizes(weights)
