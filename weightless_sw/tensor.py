"""An encoded tensor in memory, as encoders, decoders and container share it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightless_sw.arrangement import Arrangement, same_fields
from weightless_sw.spec.record import Geometry, ValueFormat


class _Named(ABC):
    """A tensor whose weights are named by codes."""

    arrangement: Arrangement
    codebook: NDArray[Any]

    @property
    @abstractmethod
    def entry_scale(self) -> float:
        """What a fixed-point entry is multiplied with."""

    @property
    @abstractmethod
    def record_bytes(self) -> int:
        """Bytes of the record in a file."""

    def __eq__(self, other: object) -> bool:
        """Whether the other is the same in a file: fields, codebook and table bit by bit."""
        if type(other) is not type(self):
            return NotImplemented
        return same_fields(self, other)

    def __hash__(self) -> int:
        return hash((type(self), self.arrangement, self.record_bytes))

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's, dead rows and columns included."""
        return self.arrangement.shape

    @property
    def values(self) -> NDArray[np.float32]:
        """The weights that the codes name, (n_codes,) float32; infinite where a file's scale is too large."""
        with np.errstate(over="ignore"):
            return self.codebook.astype(np.float32) * np.float32(self.entry_scale)

    def look_up(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        """The weights of ``codes`` ((n_weights,)) in the tensor's shape; no value's code is a zero."""
        return self.arrangement.scatter(self.named(codes))

    def named(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        """The weights of ``codes``, of any shape."""
        padded = np.append(self.values, np.float32(0))
        weights: NDArray[np.float32] = padded[np.minimum(codes, len(self.codebook))]
        return weights


@dataclass(frozen=True, eq=False)
class EncodedTensor(_Named):
    """One tensor in a table.

    ``codebook`` is (n_codes,) of the dtype that CODEBOOK_DTYPES gives for the value format; ``table`` has as
    many entries as ``geometry.table_entries`` says (classic: (n_slots,) uint16 with t bits used; ribbon: the words
    of its chunks, (table_words,) uint32).
    """

    arrangement: Arrangement
    geometry: Geometry
    codebook: NDArray[Any]
    table: NDArray[Any]

    @property
    def entry_scale(self) -> float:
        """The geometry's."""
        return self.geometry.scale

    @property
    def record_bytes(self) -> int:
        """Descriptor, codebook, table."""
        return 4 * self.geometry.record_words


@dataclass(frozen=True, eq=False)
class CodedTensor(_Named):
    """One tensor in a coded record: exact.  Its codes are decoded when they are asked for, once."""

    arrangement: Arrangement
    codebook: NDArray[Any]
    scale: float  # of fixed-point entries; 1.0 for FP16
    value_format: ValueFormat
    record: bytes

    @cached_property
    def codes(self) -> NDArray[np.uint16]:
        """(n_weights,) uint16 of the live block, in C order; len(codebook) for a zero weight.

        Raises FormatError where the record's stream is none that an encoder writes.
        """
        from weightless_sw.coded import record  # compiles

        return record.decode_codes(self)

    @property
    def entry_scale(self) -> float:
        """The record's."""
        return self.scale

    @property
    def record_bytes(self) -> int:
        """Head, codebook, stream, padding."""
        return len(self.record)


@dataclass(frozen=True, kw_only=True)
class TableRequest:
    """What an encoder is told of a tensor beside its keys and codes; the names are the geometry's."""

    n_weights: int
    slot_bits: int
    n_codes: int
    value_format: ValueFormat
    scale: float


class Table(NamedTuple):
    """What an encoder made."""

    geometry: Geometry
    entries: NDArray[Any]
    n_attempts: int  # seeds tried, all sizes together
