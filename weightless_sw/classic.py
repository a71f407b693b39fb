"""The encoder of the classic layout, and the fast decoder: weights -> table -> weights."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import ceil, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weightless_sw import kernels, spec
from weightless_sw.container import live_map, map_bytes
from weightless_sw.spec import Geometry, ValueFormat
from weightless_sw.tensor import CODEBOOK_DTYPES, Arrangement, EncodedTensor

# A random 3-partite hypergraph peels when it has more slots per key than this (Molloy 2005; the same
# constant as in Reagen et al., section 3), the sooner the more keys there are.
PEELING_THRESHOLD = 1.2219
# What the search may cost: fewer keys than this are peeled per bank size that is tried.
SEARCH_KEYS = 2_000_000
MAX_OVERHEAD = 8.0
LIVE = ("off", "auto")
ORDERS = ("rows", "columns")
MAP_SHARE = 0.05  # of a record's bytes that a live map may take at most
LEAST_SLOTS_PER_KEY = 1.2  # a record is hardly ever smaller, and its size must be known before it is made

Progress = Callable[[str], None]


class EncodeError(ValueError):
    """The weights can't be encoded as asked; the message says why and what to do."""


@dataclass(frozen=True)
class EncodeReport:
    """What an encoding came to.  Sizes are those of the record in the file, everything included."""

    n_weights: int  # of the tensor
    n_stored: int  # N, of the live block
    n_nonzero: int
    n_codes: int
    seed: int
    bank_rows: int
    n_slots: int
    load: float  # keys per slot
    slots_per_key: float  # c, the overhead
    n_false_positives: int
    false_positive_rate: float  # share of the stored zero weights
    expected_false_positive_rate: float  # K / 2^t
    false_positive_sigma: float  # standard deviation of the rate if it is as expected
    false_positives_per_nonzero: float
    expected_false_positives: float
    map_bytes: int  # live maps, in the directory
    live_choices: dict[
        str, dict[str, float]
    ]  # what live="off" and "auto" come to: N, map bytes, false positives
    record_bytes: int
    bits_per_weight: float
    bits_per_nonzero: float
    n_attempts: int  # seeds tried, all bank sizes together
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The fields, for reports."""
        return asdict(self)


def encode(
    weights: ArrayLike,
    *,
    lanes: int = 8,
    slot_bits: int = 8,
    value_format: ValueFormat = ValueFormat.FP16,
    round_values: bool = False,
    live: str = "off",
    order: str = "rows",
    name: str = "tensor",
    progress: Progress | None = None,
) -> tuple[EncodedTensor, EncodeReport]:
    """Store pruned and clustered weights in a table (Reagen et al. 2018, section 3).

    ``weights`` is any real array with at most ``2**slot_bits - 1`` distinct non-zero values, taken as a
    matrix of its first dimension by all others.  Every non-zero weight decodes exactly; a zero weight that
    is stored becomes a random one of the values with probability K / 2^t.  ``round_values`` allows codebook
    entries that ``value_format`` holds only after rounding.

    ``live="auto"`` leaves out rows and columns without a non-zero weight, and stores which, where that
    takes at most MAP_SHARE of the record's bytes.  The size stays (it depends on the keys), but each zero
    left in is a chance of a false positive and a slot in time.  ``order`` is that of the weights in the
    record: by ``"rows"`` or by ``"columns"``.  ``progress`` is called with a line per bank size tried.

    Raises EncodeError when the weights are not finite, not clustered, or not exact in the format.
    """
    started = time.perf_counter()
    spec.check_widths(lanes, slot_bits)
    array = check_weights(weights, name)
    arrangement = arrange(array, slot_bits, live, order)
    flat = arrangement.gather(array)
    keys = np.flatnonzero(flat).astype(np.uint32)
    distinct, codes = np.unique(flat[keys], return_inverse=True)
    if len(distinct) >= 1 << slot_bits:
        raise EncodeError(
            f"{name}: {len(distinct)} distinct non-zero values, but codes of {slot_bits} bits name at most "
            f"{(1 << slot_bits) - 1}; cluster the weights to fewer values, or use a larger slot_bits (up to 16)"
        )
    codebook, scale = quantize_codebook(distinct, value_format, round_values, name)
    codebook, merged = np.unique(codebook, return_inverse=True)  # rounding may make two values one
    codes = merged[codes]
    search = _Search(keys, lanes, slot_bits, progress)
    bank_rows, seed = search.smallest()
    geometry = Geometry(
        n_weights=flat.size, lanes=lanes, slot_bits=slot_bits, bank_rows=bank_rows, n_codes=len(codebook),
        seed=seed, value_format=value_format, scale=scale,
    )  # fmt: skip
    table = build_table(geometry, keys, codes.astype(np.uint16))
    if table is None:
        raise AssertionError("the seed that the search found does not peel")
    tensor = EncodedTensor(arrangement, geometry, codebook, table)
    seconds = time.perf_counter() - started
    return tensor, _report(tensor, _choices(array, tensor, order), len(keys), search.n_attempts, seconds)


def arrange(array: NDArray[Any], slot_bits: int, live: str = "off", order: str = "rows") -> Arrangement:
    """Which part of ``array`` goes into the record, in which order; see :func:`encode`.

    Raises ValueError for another ``live`` or ``order``.
    """
    if live not in LIVE or order not in ORDERS:
        raise ValueError(f"live must be one of {LIVE}, order one of {ORDERS}, not {live!r}, {order!r}")
    rows = columns = None
    whole = Arrangement(array.shape)
    n_keys = np.count_nonzero(array)
    if live == "auto" and n_keys:
        nonzero = array.reshape(whole.n_rows, whole.n_columns) != 0
        least = spec.DESCRIPTOR_BYTES + n_keys * slot_bits * LEAST_SLOTS_PER_KEY / 8
        rows, columns = (_live(nonzero.any(axis), least * MAP_SHARE) for axis in (1, 0))
    arrangement = Arrangement(array.shape, rows, columns)
    by_columns = order == "columns" and 1 not in arrangement.block_shape
    return replace(arrangement, by_columns=by_columns)


def _live(has_weights: NDArray[np.bool_], most_bytes: float) -> NDArray[np.int64] | None:
    """Numbers of the live ones, None when all are or when their map would take more than ``most_bytes``."""
    live = np.flatnonzero(has_weights)
    n = len(has_weights)
    return live if len(live) < n and len(live_map(live, n)) <= most_bytes else None


def decode_codes(tensor: EncodedTensor) -> NDArray[np.uint16]:
    """The code of every weight, (n_weights,) uint16, by the compiled kernel on all cores."""
    g = tensor.geometry
    codes = np.empty(g.n_weights, np.uint16)
    kernels.decode_codes(codes, tensor.table, g.lanes_log2, g.bank_rows, g.slot_bits, g.seed, 0)
    return codes


def decode(tensor: EncodedTensor) -> NDArray[np.float32]:
    """The weights, false positives included, float32 in the tensor's shape."""
    return tensor.look_up(decode_codes(tensor))


def check_weights(weights: ArrayLike, name: str) -> NDArray[Any]:
    """``weights`` as an array of real, finite numbers with 1 to 2^32 - 1 entries, or EncodeError."""
    array = np.asarray(weights)
    if array.dtype.kind not in "fiu":
        raise EncodeError(f"{name}: weights must be real numbers, not dtype {array.dtype}")
    if not 1 <= array.size <= spec.MAX_WEIGHTS:
        raise EncodeError(f"{name}: a table holds 1 to {spec.MAX_WEIGHTS} weights, not {array.size}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise EncodeError(f"{name}: {bad} weights are NaN or infinite; only finite weights can be stored")
    return array


def quantize_codebook(
    values: NDArray[Any], value_format: ValueFormat, round_values: bool, name: str
) -> tuple[NDArray[Any], float]:
    """Codebook entries and scale for ``values`` ((K,), distinct, non-zero).

    Fixed point scales the largest magnitude to the largest entry.  Raises EncodeError when an entry
    is not exact and ``round_values`` is not set, and always when one overflows.
    """
    scale = 1.0
    if value_format is ValueFormat.FP16:
        with np.errstate(over="ignore"):
            entries: NDArray[Any] = values.astype(np.float16)
    else:
        largest = (1 << (value_format.bits - 1)) - 1
        peak = float(np.abs(values.astype(np.float64)).max(initial=0.0))
        scale = spec.round_to_float32(peak / largest) if peak else 1.0
        if not 0 < scale < float("inf"):
            raise EncodeError(f"{name}: magnitudes around {peak:g} are out of range; rescale the weights")
        quantized = np.rint(values.astype(np.float64) / scale).clip(-largest, largest)
        entries = quantized.astype(CODEBOOK_DTYPES[value_format])
    decoded = entries.astype(np.float32) * np.float32(scale)  # as every decoder computes it
    if not np.isfinite(decoded).all():
        raise EncodeError(f"{name}: values up to {np.abs(values).max():g} overflow fp16; rescale the weights")
    error = np.abs(decoded.astype(np.float64) - values.astype(np.float64)).max(initial=0.0)
    if error > 0 and not round_values:
        raise EncodeError(
            f"{name}: values are not exact in {value_format.name} (off by up to {error:.3g}); "
            "round the weights first, or allow it with round_values (--round-values)"
        )
    if not decoded.all():
        raise EncodeError(
            f"{name}: {int(np.count_nonzero(decoded == 0))} of the values are so small that {value_format.name} "
            "rounds them to zero; prune or rescale them first"
        )
    return entries, scale


def build_table(
    geometry: Geometry, keys: NDArray[np.uint32], codes: NDArray[np.uint16]
) -> NDArray[np.uint16] | None:
    """The table in which ``keys`` ((n,) sorted uint32) have ``codes`` ((n,) uint16); None if it does not peel."""
    g = geometry
    slots, masks = kernels.address_keys(keys, g.lanes_log2, g.slot_bits, g.bank_rows, g.seed)
    n_peeled, order, pivots = kernels.peel(slots, g.n_slots)
    if n_peeled < len(keys):
        return None
    table: NDArray[np.uint16] = kernels.random_table(g.n_slots, g.slot_bits, g.seed)
    kernels.assign(table, slots, codes ^ masks, order, pivots)
    return table


class _Search:
    """Finds the smallest bank size that peels with one of the first few seeds.

    Few keys get many seeds, since their luck varies; a million keys get one.  Sizes are tried in steps
    of 1 / 1024 of the size, at least of one row.  Success is all but monotone in the size, so a bisection finds
    the place: the size returned peels, and the next smaller one that was tried did not.
    """

    def __init__(self, keys: NDArray[np.uint32], lanes: int, slot_bits: int, progress: Progress | None):
        self.keys = keys
        self.lanes = lanes
        self.slot_bits = slot_bits
        self.progress = progress
        self.n_attempts = 0
        self.n_seeds = min(max((SEARCH_KEYS - 1) // max(1, len(keys)), 1), 1024)

    def smallest(self) -> tuple[int, int]:
        """(bank_rows, seed)."""
        n = len(self.keys)
        if n == 0:
            return 1, 0
        per_row = spec.N_BANKS * self.lanes
        guess = ceil(n * (PEELING_THRESHOLD + 1 / sqrt(n)) / per_row)
        limit = min(ceil(n * MAX_OVERHEAD / per_row) + 8, spec.MAX_BANK_ROWS)
        if guess > limit:
            raise EncodeError(
                f"{n} keys need about {guess} rows a bank, the format has {spec.MAX_BANK_ROWS}; use more lanes"
            )
        resolution = max(1, guess >> 10)
        low, high, seed = self._bracket(guess, resolution, limit)
        while high - low > resolution:
            middle = (low + high) // 2
            found = self._first_seed(middle)
            if found is None:
                low = middle
            else:
                high, seed = middle, found
        return high, seed

    def _bracket(self, guess: int, step: int, limit: int) -> tuple[int, int, int]:
        """(a size that fails, one that succeeds, its seed), by growing steps from ``guess``."""
        seed = self._first_seed(guess)
        size = guess
        while seed is None:
            if size >= limit:
                raise EncodeError(
                    f"no table of up to {MAX_OVERHEAD:g} slots per key could be built for {len(self.keys)} keys; "
                    "use fewer lanes"
                )
            low, size, step = size, min(size + step, limit), 2 * step
            seed = self._first_seed(size)
            if seed is not None:
                return low, size, seed
        while size > 1:
            low = max(size - step, 0)
            found = self._first_seed(low) if low else None
            if found is None:
                return low, size, seed
            size, seed, step = low, found, 2 * step
        return 0, size, seed

    def _first_seed(self, bank_rows: int) -> int | None:
        n_slots = spec.N_BANKS * bank_rows * self.lanes
        if n_slots < len(self.keys):
            return None
        lanes_log2 = self.lanes.bit_length() - 1
        for seed in range(self.n_seeds):
            self.n_attempts += 1
            slots, _ = kernels.address_keys(self.keys, lanes_log2, self.slot_bits, bank_rows, seed)
            if kernels.peel(slots, n_slots)[0] == len(self.keys):
                self._say(bank_rows, f"seed {seed} peels")
                return seed
        self._say(bank_rows, f"none of {self.n_seeds} seeds peels")
        return None

    def _say(self, bank_rows: int, outcome: str) -> None:
        if self.progress:
            per_key = spec.N_BANKS * bank_rows * self.lanes / len(self.keys)
            self.progress(f"{bank_rows} rows, {per_key:.4f} slots per key: {outcome}")


def _choices(array: NDArray[Any], tensor: EncodedTensor, order: str) -> dict[str, dict[str, float]]:
    """N, map bytes and expected false positives of each choice of ``live``."""
    g = tensor.geometry
    result = {}
    for live in LIVE:
        arrangement = arrange(array, g.slot_bits, live, order)
        n_zero = arrangement.n_weights - np.count_nonzero(array)
        result[live] = {
            "n_stored": arrangement.n_weights,
            "map_bytes": map_bytes(arrangement),
            "expected_false_positives": int(n_zero) * g.n_codes / (1 << g.slot_bits),
        }
    return result


def _report(
    tensor: EncodedTensor, choices: dict[str, dict[str, float]], n_keys: int, n_attempts: int, seconds: float
) -> EncodeReport:
    g = tensor.geometry
    n_weights = prod(tensor.shape)
    n_zero = g.n_weights - n_keys
    n_named = int(np.count_nonzero(decode_codes(tensor) < g.n_codes))
    n_false = n_named - n_keys
    expected = g.n_codes / (1 << g.slot_bits)
    bits = 8 * tensor.record_bytes
    return EncodeReport(
        n_weights=n_weights,
        n_stored=g.n_weights,
        n_nonzero=n_keys,
        n_codes=g.n_codes,
        seed=g.seed,
        bank_rows=g.bank_rows,
        n_slots=g.n_slots,
        load=n_keys / g.n_slots,
        slots_per_key=g.n_slots / max(1, n_keys),
        n_false_positives=n_false,
        false_positive_rate=n_false / max(1, n_zero),
        expected_false_positive_rate=expected,
        false_positive_sigma=sqrt(expected * (1 - expected) / max(1, n_zero)),
        false_positives_per_nonzero=n_false / max(1, n_keys),
        expected_false_positives=n_zero * expected,
        map_bytes=map_bytes(tensor.arrangement),
        live_choices=choices,
        record_bytes=tensor.record_bytes,
        bits_per_weight=bits / n_weights,
        bits_per_nonzero=bits / max(1, n_keys),
        n_attempts=n_attempts,
        seconds=seconds,
    )
