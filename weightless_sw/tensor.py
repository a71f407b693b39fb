"""An encoded tensor in memory, as encoders, decoders and container share it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightless_sw.spec.record import Geometry, ValueFormat


class FormatError(ValueError):
    """The bytes are no valid ``.wls`` file; the message says what is wrong and where."""


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Which part of a tensor a record holds, the *live block*, and in which order.

    As a matrix, a tensor has as many rows as its first dimension (one if it has none), and as many
    columns as the others make together.  ``live_rows`` and ``live_columns`` are sorted numbers of those
    that are stored, None for all; what is outside is +0.0.  The weights of the block follow each other row
    by row, or column by column with ``by_columns``.
    """

    shape: tuple[int, ...]
    live_rows: NDArray[np.int64] | None = None
    live_columns: NDArray[np.int64] | None = None
    by_columns: bool = False

    def __eq__(self, other: object) -> bool:
        """Whether the other arranges as this does."""
        if not isinstance(other, Arrangement):
            return NotImplemented
        return _same_fields(self, other)

    def __hash__(self) -> int:
        return hash((self.shape, self.by_columns))

    @property
    def n_rows(self) -> int:
        """Rows of the whole matrix."""
        return self.shape[0] if self.shape else 1

    @property
    def n_columns(self) -> int:
        """Columns of the whole matrix."""
        return prod(self.shape[1:])

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns of the live block."""
        rows = self.n_rows if self.live_rows is None else len(self.live_rows)
        columns = self.n_columns if self.live_columns is None else len(self.live_columns)
        return rows, columns

    @property
    def n_weights(self) -> int:
        """Weights of the live block (N)."""
        return prod(self.block_shape)

    def gather(self, array: NDArray[Any]) -> NDArray[Any]:
        """The live block of ``array`` (of this shape) in record order, (n_weights,)."""
        block = array.reshape(self.n_rows, self.n_columns)
        if self.live_rows is not None:
            block = block[self.live_rows]
        if self.live_columns is not None:
            block = block[:, self.live_columns]
        return block.reshape(-1, order="F" if self.by_columns else "C")

    def scatter(self, weights: NDArray[Any]) -> NDArray[Any]:
        """The inverse of :meth:`gather`: ``weights`` (n_weights,) in place, zeros elsewhere, in this shape."""
        block = weights.reshape(self.block_shape, order="F" if self.by_columns else "C")
        if self.live_rows is None and self.live_columns is None:
            return np.ascontiguousarray(block).reshape(self.shape)
        matrix = np.zeros((self.n_rows, self.n_columns), weights.dtype)
        if self.live_columns is None:
            matrix[self.live_rows] = block
        else:
            rows = slice(None) if self.live_rows is None else self.live_rows[:, None]
            matrix[rows, self.live_columns] = block
        return matrix.reshape(self.shape)


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
        return _same_fields(self, other)

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
        padded = np.append(self.values, np.float32(0))
        weights: NDArray[np.float32] = padded[np.minimum(codes, len(self.codebook))]
        return self.arrangement.scatter(weights)


def _same_fields(one: Any, other: Any) -> bool:
    """Whether two of a class are field by field the same, arrays bit by bit."""
    return all(_same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
        return mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
    return (
        mine is theirs
        if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray)
        else bool(mine == theirs)
    )


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
