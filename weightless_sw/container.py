"""The ``.wls`` container: what is on disk is what hardware loads, and its bytes are the size we report.

``docs/format.md`` describes it byte by byte.  Reading trusts nothing: every length is checked before
it is used, every section has a CRC-32, and anything this writer would not write is refused.
"""

import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from weightless_sw.arrangement import Arrangement, live_maps, map_bytes, read_live_map
from weightless_sw.files import write_atomically
from weightless_sw.reader import CRC, Reader, varint
from weightless_sw.reader import FormatError as FormatError  # is the container's, too
from weightless_sw.records import from_coded_record, from_record, to_record
from weightless_sw.spec.record import FORMAT_VERSION
from weightless_sw.tensor import CodedTensor, EncodedTensor

MAGIC = b"WLS\x1a"
HEADER = struct.Struct("<4sHHI")  # magic, version, number of tensors, directory bytes
KIND_TABLE, KIND_RAW, KIND_CODED = 1, 2, 3
KIND_MASK = 15
BY_COLUMNS, LIVE_ROWS, LIVE_COLUMNS = 16, 32, 64  # flags beside the kind
# Raw element types by number; the numbers are part of the format.
RAW_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"), 2: np.dtype("<f2"), 3: np.dtype("<f8"), 4: np.dtype("i1"), 5: np.dtype("u1"),
    6: np.dtype("<i2"), 7: np.dtype("<i4"), 8: np.dtype("<i8"), 9: np.dtype("?"), 10: np.dtype("<u2"),
    11: np.dtype("<u4"), 12: np.dtype("<u8"), 13: np.dtype(ml_dtypes.bfloat16),
    14: np.dtype(ml_dtypes.float8_e4m3fn), 15: np.dtype(ml_dtypes.float8_e5m2),
}  # fmt: skip
DTYPE_BOOL = 9
MAX_TENSORS = 0xFFFF
MAX_CODED_WEIGHTS = 1 << 34  # of all coded records: they are decoded one after another, weight by weight
MAX_NAME_BYTES = 4096
MAX_DIMENSIONS = 32
SIZE_LIMIT = 1 << 32  # of a dimension, and of the product of all

Tensor = EncodedTensor | CodedTensor | NDArray[Any]


class Tensors(dict[str, Tensor]):
    """The tensors of a file by name, in its order, and its ``metadata`` (str to str)."""

    def __init__(
        self, tensors: Mapping[str, Tensor] | None = None, metadata: Mapping[str, str] | None = None
    ):
        super().__init__(tensors or {})
        self.metadata = dict(metadata or {})
        self.n_bytes = 0  # of the file that they were read from


def stored_bytes(tensor: Tensor) -> int:
    """What a file has of a tensor, beside its name: record and live maps; of a raw one its bytes."""
    if isinstance(tensor, EncodedTensor | CodedTensor):
        return tensor.record_bytes + map_bytes(tensor.arrangement)
    return tensor.nbytes


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """A whole file; without ``metadata``, with that of ``tensors`` if they were read from one.

    Raises ValueError for a name, shape, dtype or metadata that the format can't hold.
    """
    if len(tensors) > MAX_TENSORS:
        raise ValueError(f"a file holds at most {MAX_TENSORS} tensors, not {len(tensors)}")
    if metadata is None:
        metadata = tensors.metadata if isinstance(tensors, Tensors) else {}
    directory, records = b"", []
    _check_coded(sum(t.arrangement.n_weights for t in tensors.values() if isinstance(t, CodedTensor)))
    for name, tensor in tensors.items():
        check_storable(name, tensor.shape, getattr(tensor, "dtype", np.dtype(np.float32)))
        record = to_record(tensor) if isinstance(tensor, EncodedTensor | CodedTensor) else _raw_bytes(tensor)
        directory += _entry(name, tensor, len(record))
        records.append(record + b"\0" * (-len(record) % 4))
    text = _metadata_text(metadata)
    directory += varint(len(text)) + text
    directory += b"\0" * (-(HEADER.size + len(directory)) % 4)
    if len(directory) >= SIZE_LIMIT:
        raise ValueError("names and metadata take more than 4 GiB")
    header = HEADER.pack(MAGIC, FORMAT_VERSION, len(tensors), len(directory))
    return b"".join(_with_crc(section) for section in [header + directory, *records])


def _with_crc(section: bytes) -> bytes:
    return section + CRC.pack(zlib.crc32(section))


def _metadata_text(metadata: Mapping[str, str]) -> bytes:
    if any(not isinstance(text, str) for pair in metadata.items() for text in pair):
        raise ValueError("metadata must be strings by string")
    text = json.dumps(dict(metadata), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode() if metadata else b""


def check_storable(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise ValueError for what :func:`to_bytes` would refuse in a tensor: its name, shape, or dtype."""
    if not isinstance(name, str):
        raise ValueError(f"a tensor's name must be a string, not {name!r}")
    try:
        n_bytes = len(name.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"a tensor's name must be UTF-8: {name[:40]!r}") from error
    if not 1 <= n_bytes <= MAX_NAME_BYTES:
        raise ValueError(
            f"a tensor's name must have 1 to {MAX_NAME_BYTES} UTF-8 bytes: {name[:40]!r} has {n_bytes}"
        )
    if len(shape) > MAX_DIMENSIONS or _is_too_large(shape):
        raise ValueError(
            f"{name}: shape {shape} does not fit the format ({MAX_DIMENSIONS} dimensions, whose product is below 2^32, "
            "those of 0 left out)"
        )
    if dtype.newbyteorder("<") not in RAW_DTYPES.values():
        raise ValueError(
            f"{name}: dtype {dtype} can't be stored; convert it to one of float16/32/64, bfloat16, float8, int, bool"
        )


def _is_too_large(shape: tuple[int, ...]) -> bool:
    """An empty array has no weights, but its strides are products of all other dimensions."""
    return prod(d for d in shape if d) >= SIZE_LIMIT


def _raw_bytes(array: NDArray[Any]) -> bytes:
    if array.dtype.kind == "b":  # whatever a view of other bytes holds
        array = array.view(np.uint8) != 0
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _entry(name: str, tensor: Tensor, n_bytes: int) -> bytes:
    encoded, shape = name.encode(), tensor.shape
    kind, dtype, maps = KIND_RAW, 0, b""
    if isinstance(tensor, EncodedTensor | CodedTensor):
        a = tensor.arrangement
        kind = KIND_TABLE if isinstance(tensor, EncodedTensor) else KIND_CODED
        kind |= BY_COLUMNS * a.by_columns
        kind |= LIVE_ROWS * (a.live_rows is not None) | LIVE_COLUMNS * (a.live_columns is not None)
        maps = live_maps(a)
    else:
        dtype = next(k for k, v in RAW_DTYPES.items() if v == tensor.dtype.newbyteorder("<"))
    numbers = [len(shape), *shape, n_bytes]
    return bytes([kind, dtype]) + varint(len(encoded)) + encoded + b"".join(map(varint, numbers)) + maps


@dataclass(frozen=True)
class _Entry:
    name: str
    kind: int
    dtype: int
    arrangement: Arrangement
    n_bytes: int


def from_bytes(data: bytes) -> Tensors:
    """The tensors of a file by name, in the file's order.  Raises FormatError for anything malformed."""
    reader = Reader(data)
    entries, metadata = _read_directory(reader)
    tensors = Tensors(metadata=metadata)
    tensors.n_bytes = len(data)
    for entry in entries:
        start, what = reader.place, f"the record of {entry.name!r}"
        record = reader.take(entry.n_bytes, what)
        padding = reader.take(-entry.n_bytes % 4, f"the padding behind {what}")
        reader.check_crc(start, what)
        try:
            if any(padding):
                raise FormatError("the padding behind the record is not zero")
            tensors[entry.name] = _read_record(record, entry)
        except FormatError as error:
            raise FormatError(f"{entry.name!r}: {error}") from error
    if reader.place != len(data):
        raise FormatError(f"{len(data) - reader.place} bytes behind the last record")
    return tensors


def _read_record(record: bytes, entry: _Entry) -> Tensor:
    if entry.kind == KIND_TABLE:
        return from_record(record, entry.arrangement)
    if entry.kind == KIND_CODED:
        return from_coded_record(record, entry.arrangement)
    return _read_raw(record, entry)


def _read_directory(reader: Reader) -> tuple[list[_Entry], dict[str, str]]:
    magic, version, n_tensors, n_bytes = HEADER.unpack(reader.take(HEADER.size, "the header"))
    if magic != MAGIC:
        raise FormatError(f"not a .wls file: it starts with {magic!r}, not {MAGIC!r}")
    if version != FORMAT_VERSION:
        remedy = ": encode it again" if version < FORMAT_VERSION else ""
        raise FormatError(f"format version {version}; this program reads version {FORMAT_VERSION}{remedy}")
    directory = Reader(reader.take(n_bytes, "the directory"))
    reader.check_crc(0, "the header and directory")
    entries = [_read_entry(directory) for _ in range(n_tensors)]
    _check_coded(sum(entry.arrangement.n_weights for entry in entries if entry.kind == KIND_CODED))
    if len({entry.name for entry in entries}) < len(entries):
        raise FormatError("two tensors have the same name")
    metadata = _read_metadata(directory)
    rest = directory.take(len(directory.data) - directory.place, "padding")
    if len(rest) > 3 or any(rest) or (HEADER.size + n_bytes) % 4:
        raise FormatError("the directory does not end where its entries and metadata do")
    return entries, metadata


def _check_coded(n_weights: int) -> None:
    """Raise FormatError for more weights in a file's coded records than a reader need decode."""
    if n_weights > MAX_CODED_WEIGHTS:
        raise FormatError(
            f"{n_weights:,} weights in coded records; a file has at most {MAX_CODED_WEIGHTS:,} there"
        )


def _read_entry(directory: Reader) -> _Entry:
    byte, dtype = directory.take(2, "a directory entry")
    n_name = directory.varint("the length of a tensor's name")
    if not 1 <= n_name <= MAX_NAME_BYTES:
        raise FormatError(f"a tensor's name of {n_name} bytes; it must have 1 to {MAX_NAME_BYTES}")
    try:
        name = directory.take(n_name, "a tensor's name").decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"a tensor's name is not UTF-8: {error}") from error
    kind, flags = byte & KIND_MASK, byte & ~KIND_MASK
    _check_kind(name, kind, flags, dtype)
    n_dims = directory.varint(f"the dimensions of {name!r}")
    if n_dims > MAX_DIMENSIONS:
        raise FormatError(f"{name!r}: {n_dims} dimensions; at most {MAX_DIMENSIONS}")
    shape = tuple(directory.varint(f"the shape of {name!r}") for _ in range(n_dims))
    if _is_too_large(shape):
        raise FormatError(f"{name!r}: shape {shape}, whose product is 2^32 or more, those of 0 left out")
    n_bytes = directory.varint(f"the record bytes of {name!r}")
    if kind != KIND_RAW and (n_bytes % 4 or 0 in shape):
        raise FormatError(f"{name!r}: a table or coded record of {n_bytes} bytes for shape {shape}")
    return _Entry(name, kind, dtype, _read_arrangement(directory, name, flags, shape), n_bytes)


def _check_kind(name: str, kind: int, flags: int, dtype: int) -> None:
    live = LIVE_ROWS | LIVE_COLUMNS
    allowed = {KIND_TABLE: BY_COLUMNS | live, KIND_CODED: live, KIND_RAW: 0}
    if kind not in allowed or flags & ~allowed[kind]:
        raise FormatError(f"{name!r}: unknown kind {kind} or flags {flags:#x}")
    if (kind == KIND_RAW) != (dtype in RAW_DTYPES) or (kind != KIND_RAW and dtype):
        raise FormatError(f"{name!r}: unknown dtype {dtype} of kind {kind}")


def _read_arrangement(directory: Reader, name: str, flags: int, shape: tuple[int, ...]) -> Arrangement:
    whole = Arrangement(shape)
    rows = columns = None
    if flags & LIVE_ROWS:
        rows = read_live_map(directory, whole.n_rows, f"the live rows of {name!r}")
    if flags & LIVE_COLUMNS:
        columns = read_live_map(directory, whole.n_columns, f"the live columns of {name!r}")
    arrangement = Arrangement(shape, rows, columns, bool(flags & BY_COLUMNS))
    if arrangement.by_columns and 1 in arrangement.block_shape:
        raise FormatError(f"{name!r}: by columns, yet its live block has one row or one column")
    return arrangement


def _read_metadata(directory: Reader) -> dict[str, str]:
    text = directory.take(directory.varint("the length of the metadata"), "the metadata")
    if not text:
        return {}
    try:
        metadata = json.loads(text)
        if isinstance(metadata, dict) and metadata and _metadata_text(metadata) == text:
            return metadata
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the metadata is no JSON object of strings by string: {error}") from error
    raise FormatError("the metadata is not in the form that a writer gives it")


def _read_raw(record: bytes, entry: _Entry) -> NDArray[Any]:
    dtype, shape = RAW_DTYPES[entry.dtype], entry.arrangement.shape
    n_bytes = prod(shape) * dtype.itemsize
    if len(record) != n_bytes:
        raise FormatError(f"shape {shape} of {dtype} needs {n_bytes} bytes, the record has {len(record)}")
    if entry.dtype == DTYPE_BOOL and record.strip(b"\0\1"):
        raise FormatError("a bool that is neither 0 nor 1")
    return np.frombuffer(record, dtype, count=prod(shape)).reshape(shape)


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> int:
    """Write a file (to a temporary name, then moved into place); returns its size in bytes.

    Without ``metadata``, that of ``tensors`` is written if they were read from a file.
    """
    data = to_bytes(tensors, metadata)
    write_atomically(path, data)
    return len(data)


def read(path: str | os.PathLike[str]) -> Tensors:
    """Read a file.  Raises FormatError with the file's name when it is malformed, OSError when unreadable."""
    try:
        return from_bytes(Path(path).read_bytes())
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
