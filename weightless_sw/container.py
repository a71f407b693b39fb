"""The ``.wls`` container: what is on disk is what hardware loads, and its bytes are the size we report.

``docs/format.md`` describes it byte by byte.  Reading trusts nothing: every length is checked before
it is used, every section has a CRC-32, and anything this writer would not write is refused.
"""

import os
import struct
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sw import spec
from weightless_sw.spec import Geometry
from weightless_sw.tensor import CODEBOOK_DTYPES, EncodedTensor

MAGIC = b"WLS\x1a"
HEADER = struct.Struct("<4sHHII")  # magic, version, number of tensors, specification digest, directory bytes
ENTRY = struct.Struct("<BBBBQ")  # kind, raw dtype, name bytes, dimensions, record bytes
CRC = struct.Struct("<I")
KIND_TABLE, KIND_RAW = 1, 2
# Raw element types by number; the numbers are part of the format.
RAW_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"), 2: np.dtype("<f2"), 3: np.dtype("<f8"), 4: np.dtype("i1"), 5: np.dtype("u1"),
    6: np.dtype("<i2"), 7: np.dtype("<i4"), 8: np.dtype("<i8"), 9: np.dtype("?"), 10: np.dtype("<u2"),
    11: np.dtype("<u4"), 12: np.dtype("<u8"),
}  # fmt: skip
BITS_CHUNK = 1 << 20  # values packed at a time; a multiple of 8, so that chunks end on whole bytes

Tensor = EncodedTensor | NDArray[Any]


class FormatError(ValueError):
    """The bytes are no valid ``.wls`` file; the message says what is wrong and where."""


def pack_bits(values: NDArray[np.uint16], bits: int) -> bytes:
    """``bits`` low bits of each value, one after another, low bits first."""
    chunks = []
    for first in range(0, len(values), BITS_CHUNK):
        chunk = values[first : first + BITS_CHUNK].astype("<u2").view(np.uint8).reshape(-1, 2)
        chunks.append(np.unpackbits(chunk, axis=1, count=bits, bitorder="little").reshape(-1))
    packed = [np.packbits(chunk, bitorder="little").tobytes() for chunk in chunks]
    return b"".join(packed)


def unpack_bits(data: bytes, n_values: int, bits: int) -> NDArray[np.uint16]:
    """The inverse of :func:`pack_bits`: ``n_values`` values of ``bits`` bits."""
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


def to_record(tensor: EncodedTensor) -> bytes:
    """Descriptor, codebook and table of a tensor, each in whole 32-bit words: hardware's load stream."""
    g = tensor.geometry
    content = {
        "codebook": tensor.codebook.astype(CODEBOOK_DTYPES[g.value_format]).tobytes(),
        "table": pack_bits(tensor.table, g.slot_bits),
    }
    padded = [content[section.name].ljust(4 * section.n_words, b"\0") for section in g.sections]
    return g.to_descriptor() + b"".join(padded)


def from_record(record: bytes, shape: tuple[int, ...]) -> EncodedTensor:
    """The inverse of :func:`to_record`.  Raises FormatError when the record is not what it writes."""
    try:
        g = Geometry.from_descriptor(record[: spec.DESCRIPTOR.size])
    except ValueError as error:
        raise FormatError(str(error)) from error
    if prod(shape) != g.n_weights:
        raise FormatError(f"shape {shape} has {prod(shape)} weights, the descriptor {g.n_weights}")
    if len(record) != 4 * g.record_words:
        raise FormatError(f"the record has {len(record)} bytes, its descriptor asks for {4 * g.record_words}")
    content, place = {}, spec.DESCRIPTOR.size
    for section in g.sections:
        content[section.name] = record[place : place + 4 * section.n_words]
        place += 4 * section.n_words
    codebook = np.frombuffer(content["codebook"], CODEBOOK_DTYPES[g.value_format], count=g.n_codes)
    if not np.isfinite(codebook.astype(np.float64)).all():
        raise FormatError("the codebook holds NaN or infinite values")
    table = unpack_bits(content["table"], g.n_slots, g.slot_bits)
    tensor = EncodedTensor(shape, g, codebook, table)
    if to_record(tensor) != record:
        raise FormatError("the padding behind codebook or table is not zero")
    return tensor


def to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """A whole file.  Raises ValueError for a name, shape or dtype that the format can't hold."""
    if len(tensors) > 0xFFFF:
        raise ValueError(f"a file holds at most 65535 tensors, not {len(tensors)}")
    directory, records = b"", []
    for name, tensor in tensors.items():
        record = to_record(tensor) if isinstance(tensor, EncodedTensor) else _raw_bytes(name, tensor)
        directory += _entry(name, tensor, len(record))
        records.append(record)
    directory += b"\0" * (-len(directory) % 4)
    header = HEADER.pack(MAGIC, spec.FORMAT_VERSION, len(tensors), spec.SPEC_DIGEST, len(directory))
    return b"".join(_with_crc(section) for section in [header + directory, *records])


def _with_crc(section: bytes) -> bytes:
    return section + CRC.pack(zlib.crc32(section))


def _raw_bytes(name: str, array: NDArray[Any]) -> bytes:
    if array.dtype.newbyteorder("<") not in RAW_DTYPES.values():
        raise ValueError(
            f"{name}: dtype {array.dtype} can't be stored; convert it to one of float16/32/64, int, bool"
        )
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return data + b"\0" * (-len(data) % 4)


def _entry(name: str, tensor: Tensor, n_bytes: int) -> bytes:
    encoded = name.encode()
    if not 1 <= len(encoded) <= 255:
        raise ValueError(f"a tensor's name must have 1 to 255 UTF-8 bytes: {name!r} has {len(encoded)}")
    if any(not 0 <= d <= 0xFFFFFFFF for d in tensor.shape) or len(tensor.shape) > 255:
        raise ValueError(f"{name}: shape {tensor.shape} does not fit the format (255 dimensions below 2^32)")
    if isinstance(tensor, EncodedTensor):
        kind, dtype = KIND_TABLE, 0
    else:
        kind = KIND_RAW
        dtype = next(k for k, v in RAW_DTYPES.items() if v == tensor.dtype.newbyteorder("<"))
    dims = struct.pack(f"<{len(tensor.shape)}I", *tensor.shape)
    return ENTRY.pack(kind, dtype, len(encoded), len(tensor.shape), n_bytes) + encoded + dims


@dataclass(frozen=True)
class _Entry:
    name: str
    kind: int
    dtype: int
    shape: tuple[int, ...]
    n_bytes: int


class _Reader:
    """Takes bytes off the front, each length checked against what is there."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, n_bytes: int, what: str) -> bytes:
        if n_bytes > len(self.data) - self.place:
            left = len(self.data) - self.place
            raise FormatError(
                f"truncated at byte {len(self.data)}: {what} needs {n_bytes} bytes, {left} are left"
            )
        self.place += n_bytes
        return self.data[self.place - n_bytes : self.place]

    def check_crc(self, start: int, what: str) -> None:
        expected = zlib.crc32(self.data[start : self.place])
        (stored,) = CRC.unpack(self.take(CRC.size, f"CRC of {what}"))
        if stored != expected:
            raise FormatError(f"{what} is corrupt: CRC-32 is {expected:08x}, the file says {stored:08x}")


def from_bytes(data: bytes) -> dict[str, Tensor]:
    """The tensors of a file by name, in the file's order.  Raises FormatError for anything malformed."""
    reader = _Reader(data)
    tensors: dict[str, Tensor] = {}
    for entry in _read_directory(reader):
        start = reader.place
        record = reader.take(entry.n_bytes, f"the record of {entry.name!r}")
        reader.check_crc(start, f"the record of {entry.name!r}")
        try:
            tensors[entry.name] = (
                from_record(record, entry.shape) if entry.kind == KIND_TABLE else _read_raw(record, entry)
            )
        except FormatError as error:
            raise FormatError(f"{entry.name!r}: {error}") from error
    if reader.place != len(data):
        raise FormatError(f"{len(data) - reader.place} bytes behind the last record")
    return tensors


def _read_directory(reader: _Reader) -> list[_Entry]:
    header = reader.take(HEADER.size, "the header")
    magic, version, n_tensors, digest, n_bytes = HEADER.unpack(header)
    if magic != MAGIC:
        raise FormatError(f"not a .wls file: it starts with {magic!r}, not {MAGIC!r}")
    if version != spec.FORMAT_VERSION:
        raise FormatError(f"format version {version}; this program reads version {spec.FORMAT_VERSION}")
    if digest != spec.SPEC_DIGEST:
        raise FormatError(
            f"written for specification {digest:08x}, this program follows {spec.SPEC_DIGEST:08x}: "
            "encode it again, or use the release that wrote it"
        )
    directory = _Reader(reader.take(n_bytes, "the directory"))
    reader.check_crc(0, "the header and directory")
    entries = [_read_entry(directory) for _ in range(n_tensors)]
    names = {entry.name for entry in entries}
    if len(names) < len(entries):
        raise FormatError("two tensors have the same name")
    rest = directory.take(len(directory.data) - directory.place, "padding")
    if len(rest) > 3 or any(rest):
        raise FormatError("the directory does not end where its entries do")
    return entries


def _read_entry(directory: _Reader) -> _Entry:
    fields = ENTRY.unpack(directory.take(ENTRY.size, "a directory entry"))
    kind, dtype, name_bytes, n_dims, n_bytes = fields
    try:
        name = directory.take(name_bytes, "a tensor's name").decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"a tensor's name is not UTF-8: {error}") from error
    shape = struct.unpack(f"<{n_dims}I", directory.take(4 * n_dims, f"the shape of {name!r}"))
    if kind not in (KIND_TABLE, KIND_RAW) or (kind == KIND_RAW) != (dtype in RAW_DTYPES) or not name:
        raise FormatError(f"{name!r}: unknown kind {kind}, dtype {dtype}, or an empty name")
    return _Entry(name, kind, dtype, shape, n_bytes)


def _read_raw(record: bytes, entry: _Entry) -> NDArray[Any]:
    dtype = RAW_DTYPES[entry.dtype]
    n_bytes = prod(entry.shape) * dtype.itemsize
    if len(record) != -(-n_bytes // 4) * 4 or any(record[n_bytes:]):
        raise FormatError(
            f"shape {entry.shape} of {dtype} needs {n_bytes} bytes, the record has {len(record)}"
        )
    return np.frombuffer(record, dtype, count=prod(entry.shape)).reshape(entry.shape)


def write(path: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> int:
    """Write a file (to a temporary name, then moved into place); returns its size in bytes."""
    data = to_bytes(tensors)
    write_atomically(path, data)
    return len(data)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """``data`` under ``path``, or, on any failure (an OSError), the old file untouched."""
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: there is no folder {target.parent}")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; name a file")
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes it private
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def read(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a file.  Raises FormatError with the file's name when it is malformed, OSError when unreadable."""
    try:
        return from_bytes(Path(path).read_bytes())
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
