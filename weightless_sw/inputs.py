"""Weights in and out: ``.npz``, ``.safetensors``, and the bundled model by its name.

Files are not trusted: what an archive claims is checked before room is taken for it.
"""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from weightless_sw.codebook import ML_DTYPES
from weightless_sw.files import describe, is_special, write_atomically
from weightless_sw.tensor import EncodedTensor

BUNDLED = ("lenet300_simplified", "lenet300_pruned")  # arrays
BUNDLED_FILES = ("lenet300",)  # .wls
SUFFIXES = (".npz", ".safetensors")
MAX_DIMENSIONS = 64  # numpy's
# safetensors' names of element types; numpy has the last three from ml_dtypes.
SAFETENSORS_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"), "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1"), "BOOL": np.dtype("?"),
    "BF16": np.dtype(ml_dtypes.bfloat16), "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}  # fmt: skip


class InputError(ValueError):
    """A file of weights can't be used; the message names it and says why."""


class Arrays(dict[str, NDArray[Any]]):
    """The arrays of a file by name, in its order, and its ``metadata`` (str to str; safetensors alone has some)."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None):
        super().__init__(arrays)
        self.metadata = dict(metadata or {})


def load_tensors(source: str | os.PathLike[str]) -> Arrays:
    """The arrays of a ``.npz`` or ``.safetensors`` file, or of a bundled model, by name.

    In the order of an archive's members, or of safetensors' names.  Raises InputError when the file is missing,
    malformed, empty, larger than memory, or of another kind.
    """
    if str(source) in BUNDLED:
        return Arrays(_load_npz(_bundled(f"{source}.npz").read_bytes(), str(source)))
    path = Path(source)
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{path}: weights come from .npz or .safetensors files, or from a bundled model ({', '.join(BUNDLED)})"
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(describe(error)) from error
    if path.suffix == ".npz":
        tensors, metadata = _load_npz(data, str(path)), {}
    else:
        tensors, metadata = _load_safetensors(data, str(path)), _metadata(data)
    if not tensors:
        raise InputError(f"{path}: holds no tensors")
    return Arrays(tensors, metadata)


def bundled_info(name: str) -> dict[str, Any]:
    """How bundled arrays were made, and their test error; empty where nothing is written beside them."""
    path = _bundled(f"{name}.json")
    return dict(json.loads(path.read_text())) if path.exists() else {}


def bundled_file(source: str | os.PathLike[str]) -> Path:
    """The ``.wls`` file of a bundled model, or the path that ``source`` is if it is not one's name."""
    return _bundled(f"{source}.wls") if str(source) in BUNDLED_FILES else Path(source)


def tables_of(tensors: Mapping[str, Any], path: Path) -> dict[str, EncodedTensor]:
    """The tables among the tensors of the file ``path``.  Raises InputError when there is none."""
    tables = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, EncodedTensor)}
    if not tables:
        raise InputError(f"{path}: no tensor is in a table, there is nothing for a decoder")
    return tables


def _bundled(name: str) -> Path:
    return Path(str(files("weightless_sw").joinpath("models", name)))


def _load_npz(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    if data.startswith(np.lib.format.MAGIC_PREFIX):
        raise InputError(f"{name}: a single array, not an .npz archive; save it with np.savez")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except Exception as error:  # whatever a hostile archive makes zipfile raise
        raise InputError(f"{name}: not a readable .npz file: {error or type(error).__name__}") from error
    total = sum(member.file_size for member in members)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total > memory:
        raise InputError(f"{name}: claims {total:,} bytes unpacked, more than the memory here ({memory:,})")
    arrays: dict[str, NDArray[Any]] = {}
    for member in members:
        where = f"{name}: not a readable .npz file: {member.filename}"
        key = member.filename.removesuffix(".npy")
        if key == member.filename:
            raise InputError(f"{where} is no .npy array; save arrays alone (np.savez)")
        if key in arrays:
            raise InputError(f"{where}: there twice")
        try:
            with archive.open(member) as file:
                arrays[key] = _read_npy(file, member.file_size)
        except MemoryError as error:
            raise InputError(f"{where}: not enough memory for its {member.file_size:,} bytes") from error
        except Exception as error:  # whatever a hostile header makes numpy raise
            raise InputError(f"{where}: {error or type(error).__name__}") from error
    return arrays


def _read_npy(file: Any, n_bytes: int) -> NDArray[Any]:
    """The array in an open member of ``n_bytes``, whose header must claim just those."""
    version = np.lib.format.read_magic(file)
    first = version == (1, 0)
    read_header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("objects, which may run code when they are read; save numbers")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"{len(shape)} dimensions; at most {MAX_DIMENSIONS}")
    claimed = prod(shape) * dtype.itemsize
    if claimed != n_bytes - file.tell():
        raise ValueError(f"its header claims {claimed:,} bytes, {n_bytes - file.tell():,} are there")
    file.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _load_safetensors(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    try:
        found = sorted(safetensors.deserialize(data), key=lambda one: one[0])  # type: ignore[no-untyped-call]  # in any order
    except Exception as error:  # whatever a hostile file makes it raise
        raise InputError(f"{name}: not a .safetensors file: {error}") from error
    arrays = {}
    for key, view in found:
        dtype = SAFETENSORS_DTYPES.get(view["dtype"])
        if dtype is None:
            known = ", ".join(SAFETENSORS_DTYPES)
            raise InputError(f"{name}: {key} is {view['dtype']}; convert it to one of {known}")
        if len(view["shape"]) > MAX_DIMENSIONS:
            raise InputError(f"{name}: {key} has {len(view['shape'])} dimensions; at most {MAX_DIMENSIONS}")
        arrays[key] = np.frombuffer(view["data"], dtype).reshape(view["shape"])
    return arrays


def _metadata(data: bytes) -> dict[str, str]:
    """That of a safetensors file whose tensors could be read, so that its header is sound."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header.get("__metadata__") or {})


def check_savable(path: str | os.PathLike[str], tensors: Mapping[str, np.dtype[Any]]) -> None:
    """Raise InputError where :func:`save_tensors` would: for a suffix, or a name or dtype that it can't hold."""
    suffix = _suffix(path)
    for name, dtype in tensors.items():
        if not isinstance(name, str):
            raise InputError(f"{path}: a tensor's name must be a string, not {name!r}")
        if suffix == ".npz" and ("\0" in name or len(name.encode()) > 0xFFFF - 4):
            raise InputError(f"{path}: an .npz archive can't hold the name {name[:40]!r}; write .safetensors")
        if suffix == ".npz" and dtype in ML_DTYPES:
            raise InputError(f"{path}: an .npz archive can't hold {dtype} ({name}); write .safetensors")
        if suffix == ".safetensors" and name == "__metadata__":
            raise InputError(f"{path}: safetensors can't hold a tensor of the name {name}; write .npz")
        if suffix == ".safetensors" and dtype.newbyteorder("<") not in SAFETENSORS_DTYPES.values():
            raise InputError(f"{path}: safetensors can't hold {dtype} ({name}); convert it")


def save_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays as ``.npz`` (to a device, too) or ``.safetensors``, whole or not at all.

    ``metadata``, that of ``tensors`` if they were read from a file, goes into safetensors; an ``.npz`` has none.  The
    same arrays give the same bytes.  Raises InputError for what the format can't hold.
    """
    if metadata is None and isinstance(tensors, Arrays):
        metadata = tensors.metadata
    check_savable(path, {name: array.dtype for name, array in tensors.items()})
    if _suffix(path) == ".npz":
        write_atomically(path, _npz(tensors))
    else:
        arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}  # () stays ()
        write_atomically(path, safetensors.numpy.save(arrays, dict(metadata) if metadata else None))


def lost_metadata(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> str:
    """A line for metadata that the file ``path`` can't hold; empty where nothing is lost."""
    if not metadata or _suffix(path) != ".npz":
        return ""
    return (
        f"{path}: an .npz archive has no metadata, lost: {', '.join(metadata)}; write .safetensors to keep it"
    )


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = ".npz" if is_special(path) else Path(path).suffix
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: weights are written as .npz or .safetensors")
    return suffix


def _npz(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """An archive as np.savez_compressed makes it, of any names, ``file`` and ``allow_pickle`` among them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in tensors.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # its date is fixed
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()
