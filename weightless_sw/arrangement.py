"""Which part of a tensor a record holds, the live block: chosen, gathered, put back, and its maps in a file."""

from dataclasses import dataclass, fields, replace
from math import inf, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightless_sw.reader import FormatError, Reader, varint
from weightless_sw.spec.record import DESCRIPTOR_BYTES, Runs

BITMAP, GAPS = 0, 1  # forms of a live map
LIVE = ("off", "auto")
ORDERS = ("rows", "columns")
MAP_SHARE = 0.05  # of a record's bytes that a live map may take at most
LEAST_SLOTS_PER_KEY = 1.2  # a record is hardly ever smaller, and its size must be known before it is made


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
        return same_fields(self, other)

    def __hash__(self) -> int:
        return hash((self.shape, self.by_columns))

    @property
    def order(self) -> str:
        """Of ORDERS, that of the weights."""
        return "columns" if self.by_columns else "rows"

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

    def part(self, rows: slice, columns: slice) -> "Part":
        """The rectangle of those rows and columns of the matrix, dead ones among them."""
        wanted = [np.arange(n)[one] for n, one in ((self.n_rows, rows), (self.n_columns, columns))]
        block_rows, at_rows = _inside(wanted[0], self.live_rows)
        block_columns, at_columns = _inside(wanted[1], self.live_columns)
        n_rows, n_columns = self.block_shape
        by_row, by_column = (1, n_rows) if self.by_columns else (n_columns, 1)
        positions = block_rows[:, None] * by_row + block_columns * by_column
        return Part((len(wanted[0]), len(wanted[1])), positions, at_rows, at_columns)

    def runs(self, rows: slice, columns: slice) -> Runs | None:
        """Of the rectangle of those rows and columns of the matrix what is live, as runs of a tile frame (records.py);
        None where nothing is.  Raises ValueError for slices of another step than 1: a tile is without gaps."""
        if any(one.step not in (None, 1) for one in (rows, columns)):
            raise ValueError(f"a tile has every row and column between two, not {rows} and {columns}")
        positions = self.part(rows, columns).positions
        if self.by_columns:
            positions = positions.T
        if not positions.size:
            return None
        number, length = positions.shape
        stride = self.block_shape[0 if self.by_columns else 1]
        return Runs(int(positions[0, 0]), length, number, stride)

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


class Part(NamedTuple):
    """A rectangle of a tensor's matrix: its shape, places of its live weights in the record, and in the rectangle."""

    shape: tuple[int, int]
    positions: NDArray[np.int64]  # (live rows, live columns) of it
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    def scatter(self, weights: NDArray[Any]) -> NDArray[Any]:
        """``weights``, one for each of ``positions``, in their places, zeros elsewhere."""
        whole = np.zeros(self.shape, weights.dtype)
        whole[self.rows[:, None], self.columns] = weights
        return whole


def _inside(wanted: NDArray[np.int64], live: NDArray[np.int64] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """(numbers in the live block of those that are wanted and live, their places among those that are wanted)."""
    if live is None:
        return wanted, np.arange(len(wanted))
    places = np.searchsorted(live, wanted)
    known = np.flatnonzero(np.append(live, -1)[places] == wanted)
    return places[known], known


def same_fields(one: Any, other: Any) -> bool:
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


def arrange(array: NDArray[Any], slot_bits: int, live: str = "off", order: str = "rows") -> Arrangement:
    """Which part of ``array`` goes into the record, in which order; see :func:`encode`.

    Raises ValueError for another ``live`` or ``order``.
    """
    if live not in LIVE or order not in ORDERS:
        raise ValueError(f"live must be one of {LIVE}, order one of {ORDERS}, not {live!r}, {order!r}")
    arrangement = Arrangement(array.shape)
    n_keys = np.count_nonzero(array)
    if live == "auto" and n_keys:
        least = DESCRIPTOR_BYTES + n_keys * slot_bits * LEAST_SLOTS_PER_KEY / 8
        arrangement = live_block(array, least * MAP_SHARE)
    by_columns = order == "columns" and 1 not in arrangement.block_shape
    return replace(arrangement, by_columns=by_columns)


def live_block(array: NDArray[Any], most_bytes: float = inf) -> Arrangement:
    """``array`` without its dead rows and columns, each where their map takes at most ``most_bytes``."""
    whole = Arrangement(array.shape)
    nonzero = array.reshape(whole.n_rows, whole.n_columns) != 0
    rows, columns = (_live(nonzero.any(axis), most_bytes) for axis in (1, 0))
    return replace(whole, live_rows=rows, live_columns=columns)


def _live(has_weights: NDArray[np.bool_], most_bytes: float) -> NDArray[np.int64] | None:
    """Numbers of the live ones, None when all are or when their map would take more than ``most_bytes``."""
    live = np.flatnonzero(has_weights)
    n = len(has_weights)
    return live if len(live) < n and len(live_map(live, n)) <= most_bytes else None


def live_map(live: NDArray[np.int64], n: int) -> bytes:
    """Which of ``n`` rows or columns are ``live`` (sorted numbers): a bitmap, or gaps where they are shorter."""
    bitmap_bytes = 1 + -(-n // 8)
    gaps = bytearray([GAPS]) + varint(len(live))
    for gap in (np.diff(live, prepend=-1) - 1).tolist():
        gaps += varint(gap)
        if len(gaps) >= bitmap_bytes:  # only now is room for n bits taken: a map of few may claim billions
            bits = np.zeros(n, np.bool_)
            bits[live] = True
            return bytes([BITMAP]) + np.packbits(bits, bitorder="little").tobytes()
    return bytes(gaps)


def map_bytes(arrangement: Arrangement) -> int:
    """Bytes that the live maps take in the directory."""
    return len(live_maps(arrangement))


def live_maps(a: Arrangement) -> bytes:
    """The maps of rows and columns, as the directory has them; of what is all live none."""
    maps = [(a.live_rows, a.n_rows), (a.live_columns, a.n_columns)]
    return b"".join(live_map(live, n) for live, n in maps if live is not None)


def read_live_map(directory: Reader, n: int, what: str) -> NDArray[np.int64]:
    """Sorted numbers of the live ones of ``n``."""
    start = directory.place
    form = directory.take(1, what)[0]
    if form == BITMAP:
        packed = np.frombuffer(directory.take(-(-n // 8), what), np.uint8)
        live = np.flatnonzero(
            np.unpackbits(packed, bitorder="little")
        )  # spare bits that are set give n or more
    elif form == GAPS:
        n_live = directory.varint(what)
        if n_live > len(directory.data) - directory.place:
            raise FormatError(f"{what}: {n_live} of them, more than there are bytes")
        gaps = [directory.varint(what) for _ in range(n_live)]
        if sum(gaps) >= n:
            raise FormatError(f"{what}: they end behind {n}")
        live = np.cumsum(np.array(gaps, np.int64) + 1) - 1
    else:
        raise FormatError(f"{what}: unknown form {form}")
    if not 0 < len(live) < n or live[-1] >= n:
        raise FormatError(f"{what}: none, all, or one behind {n}")
    if live_map(live, n) != directory.data[start : directory.place]:
        raise FormatError(f"{what}: not in the shorter form")
    return live
