"""MNIST (LeCun and Cortes): the four IDX files, from a folder or from a checksummed download."""

import gzip
import hashlib
import os
import struct
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from weightless_sw.files import write_atomically
from weightless_sw.provenance import install_line

# MD5 of the unpacked bytes; the gzip wrapping differs from mirror to mirror.
FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
TIMEOUT_SECONDS = 60


class DataError(ValueError):
    """A data file is missing, truncated or not what it should be; the message says what to do."""


def cache_folder() -> Path:
    """Where downloads are kept: XDG_CACHE_HOME, or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "weightless" / "mnist"


def load(folder: Path | None = None) -> dict[str, NDArray[np.uint8]]:
    """The arrays by file name: images (n, 28, 28) and labels (n,), uint8.

    Without ``folder`` the files are downloaded once into the cache.  Raises DataError.
    """
    return {name: parse_idx(_unpacked(name, folder), name) for name in FILES}


def _unpacked(name: str, folder: Path | None) -> bytes:
    path = (folder or cache_folder()) / f"{name}.gz"
    if not path.exists():
        if folder:
            raise DataError(
                f"{path} is missing; give a folder with the four MNIST files, or none to download them"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _download(name))
    try:
        return _checked(path.read_bytes(), name)
    except DataError as error:
        raise DataError(f"{path}: {error}; remove it and try again") from error


def _checked(packed: bytes, name: str) -> bytes:
    """The unpacked bytes of a gzip file.  Raises DataError when they are not the ones of FILES."""
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"no complete gzip file ({error})") from error
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest != FILES[name]:
        raise DataError(f"MD5 of the unpacked bytes is {digest}, not {FILES[name]}")
    return data


def _download(name: str) -> bytes:
    """The gzip file from the first mirror that sends the right one; a wrong one never reaches the cache."""
    try:
        import pooch
    except ImportError as error:
        raise DataError(
            f"downloads need pooch: {install_line('data')}; or give a folder with the four MNIST files"
        ) from error
    pooch.get_logger().setLevel("WARNING")
    failures = []
    for mirror in MIRRORS:
        downloader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS)
        try:
            with TemporaryDirectory() as folder:
                # No hash of the gzip file is known, see FILES.
                path = pooch.retrieve(f"{mirror}{name}.gz", None, f"{name}.gz", folder, downloader=downloader)
                packed = Path(path).read_bytes()
            _checked(packed, name)
            return packed
        except (OSError, DataError) as error:
            failures.append(f"{mirror}: {error}")
    raise DataError(
        f"{name}.gz could not be downloaded ({'; '.join(failures)}); give a folder with the files instead"
    )


def parse_idx(data: bytes, name: str) -> NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes.  Raises DataError when it is anything else."""
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise DataError(f"{name}: not an IDX file of unsigned bytes")
    n_dims = data[3]
    if len(data) < 4 + 4 * n_dims:
        raise DataError(f"{name}: truncated in its header")
    shape = struct.unpack_from(f">{n_dims}I", data, 4)
    body = data[4 + 4 * n_dims :]
    n_bytes = int(np.prod(shape, dtype=object)) if n_dims else 1
    if len(body) != n_bytes:
        raise DataError(f"{name}: shape {shape} needs {n_bytes} bytes, the file has {len(body)}")
    return np.frombuffer(body, np.uint8).reshape(shape)
