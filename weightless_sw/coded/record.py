"""Tensors into coded records, and back: the choices that an encoder has, and the checks of a reader."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weightless_sw.arrangement import Arrangement
from weightless_sw.codebook import CODEBOOK_DTYPES
from weightless_sw.reader import FormatError
from weightless_sw.spec.coded import Head, density_share, last_number
from weightless_sw.spec.record import ValueFormat
from weightless_sw.tensor import CodedTensor

# What is decoded at most (two bytes a weight); a record of a few bytes may stand for 2^31 - 1 weights.
MAX_WEIGHTS = 1 << 28
N_STRIDES = 6
MAX_LAG = 8192
LAG_WEIGHTS = 1 << 22  # of which the lags are judged
N_DENSITIES = 256
DENSITY_STEPS = 4  # without a shorter stream, after which the search for a density ends
# Up to so many weights a density is searched for so many of the best orientations and strides, else for the best.
WIDE_WEIGHTS, N_WIDE = 1 << 16, 4
BYTES_PER_WEIGHT, SPARE_BYTES = 34, 64  # 17 decisions of two bytes each: a stream is never longer


def encode(
    arrangement: Arrangement,
    codes: NDArray[np.uint16],
    codebook: NDArray[np.generic],
    value_format: ValueFormat,
    scale: float,
) -> CodedTensor:
    """The smallest record among both orientations, the strides of largest autocorrelation, and densities around.

    ``codes`` ((n_weights,)) of the live block in C order, zero weights K = len(codebook) >= 1.
    """
    n_codes = len(codebook)
    matrix = codes.reshape(arrangement.block_shape)
    density = _nearest_density(np.count_nonzero(codes != n_codes) / codes.size)
    made: list[tuple[Head, bytes]] = []
    for flipped in (False, True):
        turned = np.ascontiguousarray(matrix.T if flipped else matrix)
        for stride in _strides(turned.reshape(-1) != n_codes):
            head = Head(
                value_format=value_format, n_codes=n_codes, density=density, flipped=flipped, stride=stride,
                scale=scale,
            )  # fmt: skip
            made.append((head, encode_stream(head, turned)))
    # Densities are worth some bytes, whatever the size.
    made = sorted(made, key=_stream_bytes)[: 1 if codes.size > WIDE_WEIGHTS else N_WIDE]
    head, stream = min((_with_density(*one, matrix) for one in made), key=_stream_bytes)
    record = head.to_bytes() + codebook.astype(CODEBOOK_DTYPES[value_format]).tobytes() + stream
    tensor = CodedTensor(arrangement, codebook, scale, value_format, record + bytes(-len(record) % 4))
    vars(tensor)["codes"] = codes  # they need not be decoded
    return tensor


def _stream_bytes(made: tuple[Head, bytes]) -> int:
    return len(made[1])


def _with_density(head: Head, stream: bytes, matrix: NDArray[np.uint16]) -> tuple[Head, bytes]:
    """The same with the density that makes the shortest stream, as far as better ones lie DENSITY_STEPS apart."""
    turned = np.ascontiguousarray(matrix.T if head.flipped else matrix)
    best, first = (head, stream), head.density
    for direction in (1, -1):
        density = first
        while 0 <= (density := density + direction) < N_DENSITIES and (
            abs(density - best[0].density) <= DENSITY_STEPS
        ):
            tried = replace(head, density=density)
            best = min(best, (tried, encode_stream(tried, turned)), key=_stream_bytes)
    return best


def encode_stream(head: Head, turned: NDArray[np.uint16]) -> bytes:
    """The stream of a matrix that is transposed already if ``head`` says so."""
    rows, columns = turned.shape
    from weightless_sw.coded import kernels  # compiles: only what is coded or decoded waits
    from weightless_sw.compiled import run

    # Streams are far shorter than the bound, but a buffer too small would be written past its end.
    stream = np.empty(BYTES_PER_WEIGHT * turned.size + SPARE_BYTES, np.uint8)
    rng, low, place = run(
        kernels.code_matrix,
        turned.reshape(-1).copy(),
        rows,
        columns,
        head.n_codes,
        head.stride,
        head.p0,
        stream,
        True,
    )
    written = int.from_bytes(stream[:place].tobytes(), "big")
    number = (written << 32) + last_number(int(low), int(rng))
    return number.to_bytes(int(place) + 4, "big").rstrip(b"\0")


def from_record(record: bytes, arrangement: Arrangement) -> CodedTensor:
    """The tensor of a record, its stream not decoded.  Raises ValueError for what no encoder writes in front of it."""
    head, n_head = Head.from_bytes(record)
    dtype = CODEBOOK_DTYPES[head.value_format]
    start = n_head + head.n_codes * dtype.itemsize
    if len(record) < start:
        raise ValueError(f"a codebook of {head.n_codes} entries does not fit a record of {len(record)} bytes")
    if not 1 <= arrangement.n_weights <= MAX_WEIGHTS:
        raise ValueError(f"a coded record of {arrangement.n_weights} weights; at most {MAX_WEIGHTS} are read")
    stream = record[start:]
    if stream.startswith(b"\xff\xff\xff\xff"):
        raise ValueError("a stream that begins with four bytes 255")
    if len(record) != -(-(start + len(stream.rstrip(b"\0"))) // 4) * 4:
        raise ValueError("the record is longer than its stream")
    codebook = np.frombuffer(record[n_head:start], dtype)
    return CodedTensor(arrangement, codebook, head.scale, head.value_format, record)


def decode_codes(tensor: CodedTensor) -> NDArray[np.uint16]:
    """The codes of a record that :func:`from_record` took.  Raises FormatError for a stream that no encoder writes."""
    head, n_head = Head.from_bytes(tensor.record)
    start = n_head + head.n_codes * CODEBOOK_DTYPES[head.value_format].itemsize
    return _decode_stream(head, tensor.arrangement.block_shape, tensor.record[start:])


def _decode_stream(head: Head, shape: tuple[int, int], stream: bytes) -> NDArray[np.uint16]:
    from weightless_sw.coded import kernels  # compiles
    from weightless_sw.compiled import run

    rows, columns = shape[::-1] if head.flipped else shape
    codes = np.empty(rows * columns, np.uint16)
    data = np.frombuffer(bytearray(stream or b"\0"), np.uint8)  # a copy: the encoder writes to its stream
    rng, x, place = (
        int(n)
        for n in run(
            kernels.code_matrix, codes, rows, columns, head.n_codes, head.stride, head.p0, data, False
        )
    )
    # Only one stream gives these codes: the one that ends with its encoder's last number.
    last_taken = int.from_bytes(stream[place - 4 : place].ljust(4, b"\0"), "big")
    low = (last_taken - x) % (1 << 32)
    if stream[place:].strip(b"\0") or last_number(low, rng) != low + x:
        raise FormatError("the stream of a coded record is not the one that an encoder writes for its codes")
    return np.ascontiguousarray(codes.reshape(rows, columns).T).reshape(-1) if head.flipped else codes


def _nearest_density(share: float) -> int:
    """The density byte whose p0 is nearest to ``share`` by ratio; half a weight where there is none."""
    wanted = np.log(max(share, np.finfo(np.float64).tiny) * 65536)
    shares = np.log([density_share(density) for density in range(N_DENSITIES)])
    return int(np.argmin(np.abs(shares - wanted)))


def _strides(significant: NDArray[np.bool_]) -> list[int]:
    """0, and the lags at which the non-zeros correlate most."""
    part = significant[:LAG_WEIGHTS]
    signal = part - part.mean()
    spectrum = np.fft.rfft(signal, 2 * part.size)
    correlation = np.fft.irfft(spectrum * spectrum.conj())[: min(part.size // 2, MAX_LAG)]
    correlation[:2] = -np.inf
    return [0] + [int(lag) for lag in np.argsort(-correlation)[:N_STRIDES] if lag >= 2]
