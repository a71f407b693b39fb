"""Weights -> table -> weights, in any layout: :func:`encode`, :func:`decode`, and what an encoding came to."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import prod, sqrt
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weightless_sw import layouts
from weightless_sw.arrangement import LIVE, ORDERS, Arrangement, arrange, live_block, map_bytes
from weightless_sw.codebook import (
    EncodeError,
    check_weights,
    largest_difference,
    number_values,
)
from weightless_sw.container import stored_bytes
from weightless_sw.progress import Progress
from weightless_sw.spec.coded import MAX_CODES
from weightless_sw.spec.record import Geometry, ValueFormat
from weightless_sw.tensor import CodedTensor, EncodedTensor, TableRequest

CLUSTER_FIRST = "cluster the weights to fewer values (weightless simplify)"
FORMATS = {one.name.lower(): one for one in ValueFormat}
AUTO = "auto"  # as layout or order: whatever makes the smallest record

COMMON = {field.name for field in fields(Geometry)}  # what the geometries of all layouts have


@dataclass(frozen=True)
class EncodeReport:
    """What an encoding came to.  Sizes are those of the record in the file, everything included."""

    layout: str
    n_weights: int  # of the tensor
    n_stored: int  # N, of the live block
    n_nonzero: int
    n_codes: int
    seed: int
    own: dict[
        str, int
    ]  # what only this layout has; classic: lanes, bank_rows; ribbon: chunk_log2, table_words
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
    bits_per_weight: float  # record and live maps
    bits_per_nonzero: float
    n_attempts: int | None  # seeds tried, all sizes together; None where nothing was encoded, see measure
    seconds: float | None

    @property
    def bytes(self) -> int:
        """What a file has of the tensor: record and maps."""
        return self.record_bytes + self.map_bytes

    def as_dict(self) -> dict[str, Any]:
        """The fields, those of the layout among them, for reports."""
        flat: dict[str, Any] = asdict(self)
        own: dict[str, int] = flat.pop("own")
        return flat | own | {"bytes": self.bytes}


@np.errstate(all="ignore")  # what overflows is found, and said
def encode(
    weights: ArrayLike,
    *,
    layout: str = AUTO,
    slot_bits: int | None = None,
    value_format: ValueFormat | str = ValueFormat.FP16,
    round_values: bool = False,
    live: str = "auto",
    order: str = AUTO,
    name: str = "tensor",
    progress: Progress | None = None,
    **options: int,
) -> tuple[EncodedTensor, EncodeReport]:
    """Store pruned and clustered weights in a table (Reagen et al. 2018, section 3), or by a mask, exactly.

    ``weights`` is any real array with at most ``2**slot_bits - 1`` distinct non-zero values (a bitmask: one more),
    taken as a matrix of its first dimension by all others.  Every non-zero weight decodes exactly; a zero weight that
    is stored becomes a random one of the values with probability K / 2^t, in a bitmask none.  ``slot_bits`` is
    8 by default, in a bitmask the least.  ``round_values`` allows codebook entries that ``value_format`` holds
    only after rounding.

    ``live="auto"`` leaves out rows and columns without a non-zero weight, and stores which, where that
    takes at most MAP_SHARE of the record's bytes.  The size stays (it depends on the keys), but each zero
    left in is a chance of a false positive and a slot in time.  ``order`` is that of the weights in the
    record: by ``"rows"``, by ``"columns"``, or ``"auto"``.  ``progress`` is told of every step of the search.

    ``options`` are the layout's own; classic has ``lanes`` (G, default 8), the weights of a row; ribbon
    ``chunk_log2``, ``dead_groups`` and ``n_seeds``, of which the smallest table is taken (0: chosen; with one seed a
    chunk's words depend on its own weights alone); both ``first_seed``, from which on seeds are tried: tables of
    seeds far apart have false positives at other places.  ``layout`` and ``order`` may be ``"auto"``: the smallest
    record of all tables; an option then goes to the layouts that have it.  A bitmask's live block is the smallest of
    record and maps.

    Raises EncodeError when the weights are not finite, not clustered, or not exact in the format.
    """
    started = time.perf_counter()
    slot_bits = None if slot_bits is None else index(slot_bits)
    options = {option: index(value) for option, value in options.items()}
    chosen = _chosen(layout, slot_bits, options)
    if order not in (*ORDERS, AUTO):
        raise ValueError(f"order must be one of {(*ORDERS, AUTO)}, not {order!r}")
    value_format = format_named(value_format)
    array = check_weights(weights, name)
    made, refused = [], []
    distinct = np.unique(array[array != 0])
    check_values(distinct, slot_bits, value_format, round_values, name, layout)
    codebook, numbers, scale = number_values(distinct, value_format, round_values, name)
    n_keys = int(np.count_nonzero(array))
    for kind, own in chosen:
        encoder = layouts.encoder(kind)
        request = TableRequest(
            n_weights=array.size,
            slot_bits=encoder.usual_slot_bits(len(codebook)) if slot_bits is None else slot_bits,
            n_codes=len(codebook),
            value_format=value_format,
            scale=scale,
        )
        for arrangement in _arrangements(array, kind, request, live, order):
            flat = arrangement.gather(array)
            keys = np.flatnonzero(flat).astype(np.uint32)
            codes = numbers[np.searchsorted(distinct, flat[keys])]
            try:
                table = encoder.build(keys, codes, replace(request, n_weights=flat.size), own, progress)
            except EncodeError as error:  # another layout or order may have a table of these keys
                refused.append(f"{name}, {arrangement.order}: {error}")
                continue
            made.append(
                (EncodedTensor(arrangement, table.geometry, codebook, table.entries), table.n_attempts)
            )
    if not made:
        raise EncodeError("; ".join(refused))
    tensor, n_attempts = min(made, key=lambda pair: stored_bytes(pair[0]))
    seconds = time.perf_counter() - started
    order = tensor.arrangement.order
    return tensor, _report(tensor, _choices(array, tensor, order), n_keys, n_attempts, seconds)


def _arrangements(
    array: NDArray[Any], kind: layouts.Layout, request: TableRequest, live: str, order: str
) -> list[Arrangement]:
    """Those to be tried.  What an exact layout takes follows from the block alone: one, the smallest."""
    if not kind.geometry.EXACT:
        return [
            arrange(array, request.slot_bits, live, one) for one in (ORDERS if order == AUTO else (order,))
        ]
    whole = arrange(array, request.slot_bits, "off", ORDERS[0] if order == AUTO else order)
    choices = [whole]
    if live == "auto" and request.n_codes:
        block = replace(live_block(array), by_columns=whole.by_columns)
        choices += [replace(block, live_rows=None), replace(block, live_columns=None), block]
        choices = [_as_written(one) for one in choices]
    n_keys, encoder = int(np.count_nonzero(array)), layouts.encoder(kind)

    def n_bytes(one: Arrangement) -> int:
        geometry = encoder.expected(n_keys, replace(request, n_weights=one.n_weights), {})
        return 4 * geometry.record_words + map_bytes(one)

    return [min(choices, key=n_bytes)]


def _as_written(one: Arrangement) -> Arrangement:
    """A block of one row or column has one order."""
    return replace(one, by_columns=one.by_columns and 1 not in one.block_shape)


def check_options(layout: str, slot_bits: int | None, options: Mapping[str, int]) -> None:
    """Raise ValueError where :func:`encode` would for its ``options``."""
    _chosen(layout, slot_bits, options)


def expected(
    n_weights: int, n_keys: int, *, layout: str, slot_bits: int, n_codes: int, **options: int
) -> Geometry:
    """About the geometry of a table of ``n_keys`` weights that are not zero, at random places, as fp16 values.

    ``options`` are the layout's.  Raises ValueError for what the layout does not have, and where it has no such table.
    """
    encoder = layouts.encoder(layouts.by_name(layout))
    given = {**encoder.OPTIONS, **options}
    encoder.check_options(slot_bits, given)
    request = TableRequest(
        n_weights=n_weights, slot_bits=slot_bits, n_codes=n_codes, value_format=ValueFormat.FP16, scale=1.0
    )
    return encoder.expected(n_keys, request, given)


def _kinds(layout: str) -> list[layouts.Layout]:
    """Those that are asked for; of all tables, where none is."""
    return [layouts.by_name(name) for name in (layouts.TABLES if layout == AUTO else [layout])]


def _chosen(
    layout: str, slot_bits: int | None, options: Mapping[str, int]
) -> list[tuple[layouts.Layout, dict[str, int]]]:
    """The layouts that are asked for, each with its options.  Raises ValueError for an option that none has."""
    kinds = _kinds(layout)
    encoders = {kind.geometry.NAME: layouts.encoder(kind) for kind in kinds}
    for option in sorted(options):
        if not any(option in encoder.OPTIONS for encoder in encoders.values()):
            encoder = next(iter(encoders.values()))
            why = encoder.NOT_OPTIONS.get(option, f"it has: {', '.join(encoder.OPTIONS)}")
            raise ValueError(f"{layout} has no option {option}; {why}")
    chosen = []
    for kind, encoder in zip(kinds, encoders.values(), strict=True):
        own = {option: options.get(option, default) for option, default in encoder.OPTIONS.items()}
        encoder.check_options(encoder.usual_slot_bits(1) if slot_bits is None else slot_bits, own)
        chosen.append((kind, own))
    return chosen


def distinct_values(weights: ArrayLike, name: str = "tensor") -> NDArray[Any]:
    """The distinct non-zero values of ``weights``, (K,), ascending, in their own type.  Raises EncodeError."""
    array = check_weights(weights, name)
    return np.unique(array[array != 0])


def check_values(
    distinct: NDArray[Any], slot_bits: int | None, value_format: ValueFormat | str, round_values: bool, name: str,
    layout: str = AUTO,
) -> None:  # fmt: skip
    """Raise EncodeError where :func:`encode` would for weights of these ``distinct`` values."""
    most = max(_most_values(kind, slot_bits) for kind in _kinds(layout))
    if len(distinct) > most:
        width = most.bit_length() if slot_bits is None else slot_bits
        raise EncodeError(
            f"{name}: {len(distinct)} distinct non-zero values, but codes of {width} bits name at most "
            f"{most}; {CLUSTER_FIRST}, or use a larger slot_bits (up to 16)"
        )
    number_values(distinct, format_named(value_format), round_values, name)


def _most_values(kind: layouts.Layout, slot_bits: int | None) -> int:
    """That a layout names; with its usual width where none is asked for."""
    if slot_bits is not None:
        return kind.geometry.most_codes(slot_bits)
    return kind.geometry.most_codes(layouts.encoder(kind).usual_slot_bits(MAX_CODES))


@np.errstate(all="ignore")  # what overflows is found, and said
def rounding(weights: ArrayLike, value_format: ValueFormat | str, name: str = "tensor") -> float:
    """The largest share of itself by which a weight changes as ``value_format`` rounds it; 0 where all are exact.

    Raises EncodeError for what the format can't hold even so.
    """
    distinct = distinct_values(weights, name)
    entries, numbers, scale = number_values(distinct, format_named(value_format), True, name)
    return largest_difference(_values(entries, scale)[numbers], distinct, relative=True)


def _values(entries: NDArray[Any], scale: float) -> NDArray[np.float32]:
    """What entries of a codebook decode to."""
    values: NDArray[np.float32] = entries.astype(np.float32) * np.float32(scale)
    return values


def format_named(value_format: ValueFormat | str) -> ValueFormat:
    """The format itself, or the one of that name, as the command line has it.  Raises ValueError."""
    if isinstance(value_format, ValueFormat):
        return value_format
    if str(value_format).lower() not in FORMATS:
        raise ValueError(f"no value format is called {value_format!r}; there are: {', '.join(FORMATS)}")
    return FORMATS[str(value_format).lower()]


@np.errstate(all="ignore")  # what overflows is found, and said
def encode_coded(
    weights: ArrayLike,
    *,
    value_format: ValueFormat | str = ValueFormat.FP16,
    round_values: bool = False,
    live: str = "auto",
    name: str = "tensor",
) -> CodedTensor:
    """Store pruned and clustered weights exactly, in a coded record (docs/format.md); zeros stay zeros.

    ``weights`` is any real array with at most 65535 distinct non-zero values.  ``live="auto"`` leaves out rows,
    columns, or both without a non-zero weight where record and maps are smaller then.  Raises EncodeError as
    :func:`encode` does.
    """
    from weightless_sw.coded import record

    value_format = format_named(value_format)
    array = check_weights(weights, name)
    if array.size > record.MAX_WEIGHTS:
        raise EncodeError(
            f"{name}: a coded record holds up to {record.MAX_WEIGHTS} weights, not {array.size}"
        )
    if live not in LIVE:
        raise ValueError(f"live must be one of {LIVE}, not {live!r}")
    distinct, named = np.unique(array[array != 0], return_inverse=True)
    if len(distinct) > MAX_CODES:
        raise EncodeError(
            f"{name}: {len(distinct)} distinct non-zero values, a coded record names at most {MAX_CODES}; "
            f"{CLUSTER_FIRST}"
        )
    codebook, numbers, scale = number_values(distinct, value_format, round_values, name)
    if not len(codebook):  # a tensor of zeros: one entry, which no code names
        codebook = np.ones(1, codebook.dtype)
    codes = np.full(array.shape, len(codebook), np.uint16)
    codes[array != 0] = numbers[named]
    choices = [Arrangement(array.shape)]
    if live == "auto" and len(distinct):
        block = live_block(array)
        choices += [replace(block, live_rows=None), replace(block, live_columns=None), block]
    tensors = [
        record.encode(a, a.gather(codes), codebook, value_format, scale) for a in dict.fromkeys(choices)
    ]
    return min(tensors, key=stored_bytes)


def decode(
    tensor: EncodedTensor | CodedTensor | NDArray[Any],
    *,
    rows: slice | None = None,
    columns: slice | None = None,
) -> NDArray[Any]:
    """The weights, false positives included, float32 in the tensor's shape, by the layout's fast decoder.

    With ``rows`` or ``columns`` those of a rectangle, two-dimensional, of the tensor as a matrix: as many rows as its
    first dimension, as many columns as the others make together.  A classic table is looked up for its groups alone, a
    ribbon's chunks that hold none of it are not touched; of what is exact all is decoded.  A raw tensor of a file is
    what it is.  Raises TypeError for what is no slice.
    """
    if rows is None and columns is None:
        if isinstance(tensor, np.ndarray):
            return tensor
        if isinstance(tensor, CodedTensor):
            return tensor.look_up(tensor.codes)
        return tensor.look_up(layouts.fast(tensor.geometry).decode_codes(tensor))
    chosen = [slice(None) if one is None else one for one in (rows, columns)]
    if not all(isinstance(one, slice) for one in chosen):
        raise TypeError(f"rows and columns are slices, not {rows!r} and {columns!r}")
    if isinstance(tensor, np.ndarray):
        whole = Arrangement(tensor.shape)
        return tensor.reshape(whole.n_rows, whole.n_columns)[chosen[0], chosen[1]]
    part = tensor.arrangement.part(chosen[0], chosen[1])
    if isinstance(tensor, CodedTensor):
        codes = tensor.codes[part.positions]
    else:
        at = part.positions.ravel()
        codes = layouts.fast(tensor.geometry).decode_at(tensor, at).reshape(part.positions.shape)
    return part.scatter(tensor.named(codes))


@np.errstate(all="ignore")  # what overflows is found, and said
def measure(tensor: EncodedTensor, weights: ArrayLike, name: str = "tensor") -> EncodeReport:
    """What an encoding of ``weights`` came to that was made before; ``tensor`` may be read from a file.

    Raises ValueError when a non-zero weight does not decode to itself, or to what the tensor's value format makes of
    it, or the shape is another.
    """
    array = check_weights(weights, name)
    if array.shape != tensor.shape:
        raise ValueError(f"{name}: shape {array.shape}, the table's is {tensor.shape}")
    keys = array != 0
    decoded, given = decode(tensor)[keys], array[keys]
    if not np.array_equal(decoded, given.astype(np.float32)) and not np.array_equal(
        decoded, _rounded(given, tensor, name)
    ):
        raise ValueError(f"{name}: a non-zero weight does not decode to itself")
    order = tensor.arrangement.order
    return _report(tensor, _choices(array, tensor, order), int(keys.sum()), None, None)


def _rounded(weights: NDArray[Any], tensor: EncodedTensor, name: str) -> NDArray[np.float32]:
    """What an encoder of the tensor's value format rounds non-zero ``weights`` (n,) to."""
    distinct, named = np.unique(weights, return_inverse=True)
    entries, numbers, scale = number_values(distinct, tensor.geometry.value_format, True, name)
    return _values(entries, scale)[numbers][named]


def decode_golden(tensor: EncodedTensor) -> NDArray[np.float32]:
    """The same by the golden decoder: plain numpy, slow, the reference."""
    return tensor.look_up(layouts.golden(tensor.geometry).decode_codes(tensor))


def _choices(array: NDArray[Any], tensor: EncodedTensor, order: str) -> dict[str, dict[str, float]]:
    """N, map bytes and expected false positives of each choice of ``live``."""
    g = tensor.geometry
    request = TableRequest(
        n_weights=array.size,
        slot_bits=g.slot_bits,
        n_codes=g.n_codes,
        value_format=g.value_format,
        scale=g.scale,
    )
    result = {}
    for live in LIVE:
        (arrangement,) = _arrangements(array, layouts.by_name(g.NAME), request, live, order)
        n_zero = arrangement.n_weights - np.count_nonzero(array)
        result[live] = {
            "n_stored": arrangement.n_weights,
            "map_bytes": map_bytes(arrangement),
            "expected_false_positives": int(n_zero) * g.false_positive_rate,
        }
    return result


def _report(
    tensor: EncodedTensor,
    choices: dict[str, dict[str, float]],
    n_keys: int,
    n_attempts: int | None,
    seconds: float | None,
) -> EncodeReport:
    g = tensor.geometry
    n_weights = prod(tensor.shape)
    n_zero = g.n_weights - n_keys
    n_named = int(np.count_nonzero(layouts.fast(g).decode_codes(tensor) < g.n_codes))
    n_false = n_named - n_keys
    expected = g.false_positive_rate
    bits = 8 * stored_bytes(tensor)
    return EncodeReport(
        layout=g.NAME,
        n_weights=n_weights,
        n_stored=g.n_weights,
        n_nonzero=n_keys,
        n_codes=g.n_codes,
        seed=g.seed,
        own={name: value for name, value in g.as_dict().items() if name not in COMMON},
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
