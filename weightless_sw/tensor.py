"""An encoded tensor in memory, as encoder, decoders and container share it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sw.spec import Geometry, ValueFormat

CODEBOOK_DTYPES: dict[ValueFormat, np.dtype[Any]] = {
    ValueFormat.FP16: np.dtype("<f2"),
    ValueFormat.FIXED8: np.dtype("i1"),
    ValueFormat.FIXED16: np.dtype("<i2"),
}


@dataclass(frozen=True)
class EncodedTensor:
    """One tensor in a table.

    ``codebook`` is (n_codes,) of the dtype that CODEBOOK_DTYPES gives for the value format, ``table``
    (n_slots,) uint16 with t bits used.
    """

    shape: tuple[int, ...]
    geometry: Geometry
    codebook: NDArray[Any]
    table: NDArray[np.uint16]

    @property
    def values(self) -> NDArray[np.float32]:
        """The weights that the codes name, (n_codes,) float32."""
        return self.codebook.astype(np.float32) * np.float32(self.geometry.scale)

    @property
    def record_bytes(self) -> int:
        """Bytes of the record in a file: descriptor, codebook, table."""
        return 4 * self.geometry.record_words

    def look_up(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        """The weights of ``codes`` ((n_weights,)) in the tensor's shape; no value's code is a zero."""
        padded = np.append(self.values, np.float32(0))
        return padded[np.minimum(codes, len(self.codebook))].reshape(self.shape)
