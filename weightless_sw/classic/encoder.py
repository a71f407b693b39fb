"""Builds the table: the smallest banks that peel, and in them the slots that give every key its code."""

from collections.abc import Mapping
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from weightless_sw.classic import kernels
from weightless_sw.codebook import EncodeError
from weightless_sw.compiled import run
from weightless_sw.progress import Progress
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import MAX_SEED, require
from weightless_sw.tensor import Table, TableRequest

# A random 3-partite hypergraph peels when it has more slots per key than this (Molloy 2005; the same
# constant as in Reagen et al., section 3), the sooner the more keys there are.
PEELING_THRESHOLD = 1.2219
# What the search may cost: fewer keys than this are peeled per bank size that is tried.
SEARCH_KEYS = 2_000_000
AT_ONCE_KEYS = 20_000  # of the seeds that one thread tries; a thread for each takes longer than a small table
MAX_OVERHEAD = 8.0
USUAL_SLOT_BITS = 8

OPTIONS = {"lanes": 8, "first_seed": 0}  # seeds are tried from there on
NOT_OPTIONS = {
    "chunk_log2": "its table is one piece",
    "n_seeds": "it tries seeds until one makes a table of the size that is wanted",
    "dead_groups": "a zero weight anywhere may come out as another",
}


def usual_slot_bits(n_codes: int) -> int:
    """Eight: of four values one zero in 64 comes back as another, and retraining hides that."""
    return USUAL_SLOT_BITS


def check_options(slot_bits: int, options: Mapping[str, int]) -> None:
    """Raise ValueError for ``options`` (as in OPTIONS) that the layout does not have."""
    spec.check_widths(options["lanes"], slot_bits)
    require("first_seed", options["first_seed"], 0, MAX_SEED)


def build(
    keys: NDArray[np.uint32],
    codes: NDArray[np.uint16],
    request: TableRequest,
    options: Mapping[str, int],
    progress: Progress | None = None,
) -> Table:
    """The table in which ``keys`` ((n,) sorted uint32) have ``codes`` ((n,) uint16).

    Raises EncodeError when none of the sizes that the format has is enough.
    """
    lanes = options["lanes"]
    search = _Search(keys, lanes, request.slot_bits, options["first_seed"], progress)
    bank_rows, seed = search.smallest()
    geometry = ClassicGeometry(**vars(request), lanes=lanes, bank_rows=bank_rows, seed=seed)
    slots = fill(geometry, keys, codes)
    if slots is None:
        raise AssertionError("the seed that the search found does not peel")
    return Table(geometry, slots, search.n_attempts)


def expected(n_keys: int, request: TableRequest, options: Mapping[str, int]) -> ClassicGeometry:
    """About the geometry of a table of ``n_keys`` keys at random places, without making it.

    From two thousand keys on within 4 % of what :func:`build` makes, above it where they are few.  Raises ValueError
    for more rows than the format has.
    """
    lanes = options["lanes"]
    bank_rows = max(1, ceil(n_keys * PEELING_THRESHOLD / (spec.N_BANKS * lanes)))
    return ClassicGeometry(**vars(request), lanes=lanes, bank_rows=bank_rows, seed=0)


def fill(
    geometry: ClassicGeometry, keys: NDArray[np.uint32], codes: NDArray[np.uint16]
) -> NDArray[np.uint16] | None:
    """The table in which ``keys`` ((n,) sorted uint32) have ``codes`` ((n,) uint16); None if it does not peel."""
    g = geometry
    slots, masks = run(kernels.address_keys, keys, g.lanes_log2, g.slot_bits, g.bank_rows, g.seed)
    n_peeled, order, pivots = run(kernels.peel, slots, g.n_slots)
    if n_peeled < len(keys):
        return None
    table: NDArray[np.uint16] = run(kernels.random_table, g.n_slots, g.slot_bits, g.seed)
    run(kernels.assign, table, slots, codes ^ masks, order, pivots)
    return table


class _Search:
    """Finds the smallest bank size that peels with one of the first few seeds.

    Few keys get many seeds, since their luck varies; a million keys get one.  Sizes are tried in steps
    of 1 / 1024 of the size, at least of one row.  Success is all but monotone in the size, so a bisection finds
    the place: the size returned peels, and the next smaller one that was tried did not.
    """

    def __init__(
        self, keys: NDArray[np.uint32], lanes: int, slot_bits: int, first: int, progress: Progress | None
    ):
        self.keys = keys
        self.lanes = lanes
        self.slot_bits = slot_bits
        self.progress = progress
        self.n_attempts = 0
        self.first = first
        self.n_seeds = min(max((SEARCH_KEYS - 1) // max(1, len(keys)), 1), 1024)

    def smallest(self) -> tuple[int, int]:
        """(bank_rows, seed)."""
        n = len(self.keys)
        if n == 0:
            return 1, self.first
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
        at_once = max(1, AT_ONCE_KEYS // len(self.keys))
        for first in range(0, self.n_seeds, at_once):
            numbers = range(first, min(first + at_once, self.n_seeds))
            seeds = [(self.first + k) & MAX_SEED for k in numbers]
            tried: tuple[int, bool] = run(self._first_that_peels, seeds, bank_rows, n_slots)
            n_tried, peels = tried
            self.n_attempts += n_tried
            if peels:
                self._say(bank_rows, f"seed {seeds[n_tried - 1]} peels")
                return seeds[n_tried - 1]
        self._say(bank_rows, f"none of {self.n_seeds} seeds peels")
        return None

    def _first_that_peels(self, seeds: list[int], bank_rows: int, n_slots: int) -> tuple[int, bool]:
        """(seeds that were tried, whether the last of them peels)."""
        lanes_log2 = self.lanes.bit_length() - 1
        for n_tried, seed in enumerate(seeds, 1):
            slots, _ = kernels.address_keys(self.keys, lanes_log2, self.slot_bits, bank_rows, seed)
            if kernels.peel(slots, n_slots)[0] == len(self.keys):
                return n_tried, True
        return len(seeds), False

    def _say(self, bank_rows: int, outcome: str) -> None:
        if self.progress:
            per_key = spec.N_BANKS * bank_rows * self.lanes / len(self.keys)
            self.progress(self.n_attempts, 0, f"{bank_rows} rows, {per_key:.4f} slots per key: {outcome}")
