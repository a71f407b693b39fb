"""Weights in and out: ``.npz``, ``.safetensors``, and the bundled model by its name."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from weightless_sw.files import write_atomically
from weightless_sw.tensor import EncodedTensor

BUNDLED = ("lenet300_simplified", "lenet300_pruned")  # arrays
BUNDLED_FILES = ("lenet300",)  # .wls


class InputError(ValueError):
    """A file of weights can't be used; the message names it and says why."""


def load_tensors(source: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a ``.npz`` or ``.safetensors`` file, or of a bundled model, by name.

    Raises InputError when the file is missing, malformed, empty, or of another kind.
    """
    if str(source) in BUNDLED:
        return _load_npz(_bundled(f"{source}.npz").read_bytes(), str(source))
    path = Path(source)
    if path.suffix not in (".npz", ".safetensors"):
        raise InputError(
            f"{path}: weights come from .npz or .safetensors files, or from a bundled model ({', '.join(BUNDLED)})"
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    tensors = _load_npz(data, str(path)) if path.suffix == ".npz" else _load_safetensors(data, str(path))
    if not tensors:
        raise InputError(f"{path}: holds no tensors")
    return tensors


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
    try:
        archive = np.load(io.BytesIO(data), allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise InputError(f"{name}: a single array, not an .npz archive; save it with np.savez")
        return {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: not a readable .npz file: {error}") from error


def _load_safetensors(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    try:
        return dict(safetensors.numpy.load(data))
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{name}: not a .safetensors file that numpy can hold: {error}") from error


def save_tensors(path: str | os.PathLike[str], tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as ``.npz`` or ``.safetensors``, to a temporary name first."""
    suffix = Path(path).suffix
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **dict(tensors))  # type: ignore[arg-type]
        write_atomically(path, buffer.getvalue())
    elif suffix == ".safetensors":
        arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        write_atomically(path, safetensors.numpy.save(arrays))
    else:
        raise InputError(f"{path}: weights are written as .npz or .safetensors")
