"""Records and frames: a tensor in whole 32-bit words, and what a decoder is told of it word by word."""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sw import layouts
from weightless_sw.arrangement import Arrangement
from weightless_sw.codebook import CODEBOOK_DTYPES
from weightless_sw.coded import record as coded_record
from weightless_sw.reader import FormatError
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import (
    COMMON_FIELDS,
    DESCRIPTOR_BYTES,
    FLAG_RESIDENT,
    FLAG_TILE,
    Geometry,
    Runs,
    pack_fields,
    unpack_fields,
)
from weightless_sw.tensor import CodedTensor, EncodedTensor

BITS_CHUNK = 1 << 20  # values packed at a time; a multiple of 8, so that chunks end on whole bytes


def pack_bits(values: NDArray[Any], bits: int) -> bytes:
    """``bits`` (1 to 16, or 32) low bits of each value, one after another, low bits first."""
    if bits == WORD_BITS:
        return values.astype("<u4").tobytes()
    chunks = []
    for first in range(0, len(values), BITS_CHUNK):
        chunk = values[first : first + BITS_CHUNK].astype("<u2").view(np.uint8).reshape(-1, 2)
        chunks.append(np.unpackbits(chunk, axis=1, count=bits, bitorder="little").reshape(-1))
    packed = [np.packbits(chunk, bitorder="little").tobytes() for chunk in chunks]
    return b"".join(packed)


def unpack_bits(data: bytes, n_values: int, bits: int) -> NDArray[Any]:
    """The inverse of :func:`pack_bits`: ``n_values`` values of ``bits`` bits, uint16, or uint32 where they need it."""
    if bits == WORD_BITS:
        return np.frombuffer(data, "<u4", n_values).astype(np.uint32)
    packed = np.frombuffer(data, np.uint8)
    values = np.empty(n_values, np.uint16)
    for first in range(0, n_values, BITS_CHUNK):
        n = min(BITS_CHUNK, n_values - first)
        chunk = packed[first * bits // 8 :]
        split = np.unpackbits(chunk[: -(-n * bits // 8)], count=n * bits, bitorder="little").reshape(n, bits)
        both_bytes = np.packbits(split, axis=1, bitorder="little").astype(np.uint16)
        values[first : first + n] = both_bytes[:, 0]
        if bits > 8:
            values[first : first + n] |= both_bytes[:, 1] << np.uint16(8)
    return values


def to_record(tensor: EncodedTensor | CodedTensor) -> bytes:
    """A tensor's record in whole 32-bit words; a table's (descriptor, codebook, table) is hardware's load stream."""
    if isinstance(tensor, CodedTensor):
        return tensor.record
    g = tensor.geometry
    codebook = tensor.codebook.astype(CODEBOOK_DTYPES[g.value_format]).tobytes()
    table = pack_bits(tensor.table, g.table_entries[1])
    return (
        g.to_descriptor()
        + codebook.ljust(4 * g.codebook_section.n_words, b"\0")
        + table.ljust(4 * g.payload_words, b"\0")
    )


def to_frame(tensor: EncodedTensor, *, resident: bool = False, runs: Runs | None = None) -> bytes:
    """What a decoder takes of a table: its record, and the record's CRC word, which goes with ``last``.

    ``resident``: what decodes the table once more while it is still loaded, the flagged descriptor and its CRC word;
    ``runs``: what decodes these of it alone (:meth:`Arrangement.runs`).  Raises ValueError where it does not have them.
    """
    record = to_record(tensor)
    if runs is not None:
        return sealed(tile_record(record, runs))
    return sealed(resident_record(record) if resident else record)


def sealed(record: bytes) -> bytes:
    """A record and its CRC word."""
    return record + zlib.crc32(record).to_bytes(4, "little")


def resident_record(record: bytes) -> bytes:
    """The descriptor of ``record`` with the flag that decodes the loaded tables once more."""
    return _with_flags(record[:DESCRIPTOR_BYTES], FLAG_RESIDENT)


def tile_record(record: bytes, runs: Runs) -> bytes:
    """The descriptor of ``record`` with the flag that decodes runs of weights of the loaded tables, and these.

    Raises ValueError where the layer does not have them.
    """
    n_weights = _common(record)["n_weights"]
    if not runs.fit(n_weights):
        raise ValueError(
            f"{runs} of {n_weights} weights: they are empty, overlap, or end behind the last one"
        )
    return _with_flags(record[:DESCRIPTOR_BYTES], FLAG_TILE) + runs.to_bytes()


def is_resident(record: bytes) -> bool:
    """Whether a descriptor asks to decode the tables that are loaded, all of them or runs."""
    return bool(_common(record)["flags"] & (FLAG_RESIDENT | FLAG_TILE))


def runs_of(record: bytes) -> Runs | None:
    """Which weights it asks for, where it is a tile's."""
    is_tile = _common(record)["flags"] == FLAG_TILE
    return Runs.from_bytes(record[DESCRIPTOR_BYTES:]) if is_tile else None


def geometry_of(record: bytes) -> Geometry:
    """The geometry in a record or in a resident descriptor.  Raises ValueError for one that no layout has."""
    flags = _common(record)["flags"] & ~(FLAG_RESIDENT | FLAG_TILE)
    return layouts.read_descriptor(_with_flags(record[:DESCRIPTOR_BYTES], flags))


def _common(record: bytes) -> dict[str, Any]:
    """The descriptor's fields that all layouts have."""
    return unpack_fields(COMMON_FIELDS, record[:DESCRIPTOR_BYTES])


def _with_flags(record: bytes, flags: int) -> bytes:
    fields = pack_fields(COMMON_FIELDS, _common(record) | {"flags": flags})
    return fields + record[len(fields) :]


def from_record(record: bytes, arrangement: Arrangement) -> EncodedTensor:
    """The inverse of :func:`to_record`.  Raises FormatError when the record is not what it writes."""
    try:
        g = layouts.read_descriptor(record[:DESCRIPTOR_BYTES])
    except ValueError as error:
        raise FormatError(str(error)) from error
    if arrangement.n_weights != g.n_weights:
        rows, columns = arrangement.block_shape
        raise FormatError(
            f"the live block has {rows} x {columns} = {rows * columns} weights, the descriptor {g.n_weights}"
        )
    if len(record) != 4 * g.record_words:
        raise FormatError(f"the record has {len(record)} bytes, its descriptor asks for {4 * g.record_words}")
    payload = DESCRIPTOR_BYTES + 4 * g.codebook_section.n_words
    codebook = np.frombuffer(
        record[DESCRIPTOR_BYTES:payload], CODEBOOK_DTYPES[g.value_format], count=g.n_codes
    )
    table = unpack_bits(record[payload:], *g.table_entries)
    try:
        g.check_table(table)
    except ValueError as error:
        raise FormatError(str(error)) from error
    tensor = EncodedTensor(arrangement, g, codebook, table)
    check_codebook(tensor.values)
    if to_record(tensor) != record:
        raise FormatError("the padding behind codebook or table is not zero")
    return tensor


def from_coded_record(record: bytes, arrangement: Arrangement) -> CodedTensor:
    """The tensor of a coded record.  Raises FormatError when the record is not what an encoder writes.

    Its stream is looked at when it is decoded: a record of a few bytes may stand for many weights.
    """
    try:
        tensor = coded_record.from_record(record, arrangement)
    except ValueError as error:
        raise FormatError(str(error)) from error
    check_codebook(tensor.values)
    return tensor


def check_codebook(values: NDArray[np.float32]) -> None:
    """Raise FormatError unless the decoded ``values`` ((K,) float32) are finite, not zero, and distinct."""
    if not np.isfinite(values).all():
        raise FormatError("the codebook holds NaN or infinite values")
    if not values.all():
        raise FormatError("the codebook holds a zero; zero weights have no entry")
    if len(np.unique(values)) < len(values):
        raise FormatError("the codebook holds a value twice")


NO_CODES: NDArray[np.uint16] = np.zeros(0, np.uint16)


class WholeTable:
    """A layouts.Reader of a table any of whose codes may need all of it: they are known with its last word."""

    def __init__(self, descriptor: bytes):
        self.geometry = geometry_of(descriptor)
        self.wrong: frozenset[str] = frozenset()  # any table is a good one
        self.words: list[int] = []

    def take(self, word: int) -> NDArray[np.uint16]:
        """All codes with the payload's last word, before that none."""
        self.words.append(word)
        if len(self.words) < self.geometry.payload_words:
            return NO_CODES
        table = unpack_bits(np.array(self.words, "<u4").tobytes(), *self.geometry.table_entries)
        arrangement = Arrangement((self.geometry.n_weights,))
        tensor = EncodedTensor(arrangement, self.geometry, np.zeros(self.geometry.n_codes, np.uint16), table)
        return layouts.golden(self.geometry).decode_codes(tensor)
