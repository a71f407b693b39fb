"""What an encoder asks of weights, and how their values become the entries of a codebook."""

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray

from weightless_sw.spec import record
from weightless_sw.spec.record import ValueFormat

CODEBOOK_DTYPES: dict[ValueFormat, np.dtype[Any]] = {
    ValueFormat.FP16: np.dtype("<f2"),
    ValueFormat.FIXED8: np.dtype("i1"),
    ValueFormat.FIXED16: np.dtype("<i2"),
}
PROBES = 8  # values that a scale is tried on first
ML_DTYPES = (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)  # exact in float32


class EncodeError(ValueError):
    """The weights can't be encoded as asked; the message says why and what to do."""


def check_weights(weights: ArrayLike, name: str) -> NDArray[Any]:
    """``weights`` as an array of real, finite numbers with 1 to 2^32 - 1 entries, or EncodeError."""
    array = np.asarray(weights)
    if array.dtype in ML_DTYPES:
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiu":
        raise EncodeError(f"{name}: weights must be real numbers, not dtype {array.dtype}")
    if not 1 <= array.size <= record.MAX_WEIGHTS:
        raise EncodeError(f"{name}: a table holds 1 to {record.MAX_WEIGHTS} weights, not {array.size}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise EncodeError(f"{name}: {bad} weights are NaN or infinite; only finite weights can be stored")
    return array


def quantize_codebook(
    values: NDArray[Any], value_format: ValueFormat, round_values: bool, name: str
) -> tuple[NDArray[Any], float]:
    """Codebook entries and scale for ``values`` ((K,), distinct, non-zero).

    Fixed point takes a scale at which all values are exact, where there is one, and else scales the largest magnitude
    to the largest entry.  Exact means float32(entry) * float32(scale), as decoders compute it.  Raises EncodeError
    when an entry is not exact and ``round_values`` is not set, and always when one overflows or becomes a zero.
    """
    scale = 1.0
    if value_format is ValueFormat.FP16:
        with np.errstate(over="ignore"):
            entries: NDArray[Any] = values.astype(np.float16)
    else:
        largest = (1 << (value_format.bits - 1)) - 1
        peak = float(np.abs(values.astype(np.float64)).max(initial=0.0))
        scale = _exact_scale(values, largest) or (record.round_to_float32(peak / largest) if peak else 1.0)
        if not 0 < scale < float("inf"):
            raise EncodeError(f"{name}: magnitudes around {peak:g} are out of range; rescale the weights")
        quantized = np.rint(values.astype(np.float64) / scale).clip(-largest, largest)
        entries = quantized.astype(CODEBOOK_DTYPES[value_format])
    decoded = entries.astype(np.float32) * np.float32(scale)  # as every decoder computes it
    if not np.isfinite(decoded).all():
        raise EncodeError(f"{name}: values up to {np.abs(values).max():g} overflow fp16; rescale the weights")
    error = largest_difference(decoded, values)
    if error > 0 and not round_values:
        raise EncodeError(
            f"{name}: values are not exact in {value_format.name} (off by up to {error:.3g}); "
            "round the weights first (weightless simplify), or allow it (round_values; without --exact-values)"
        )
    if not decoded.all():
        raise EncodeError(
            f"{name}: {int(np.count_nonzero(decoded == 0))} of the values are so small that {value_format.name} "
            "rounds them to zero; prune or rescale them first"
        )
    return entries, scale


def largest_difference(
    decoded: NDArray[np.float32], values: NDArray[Any], *, relative: bool = False
) -> float:
    """The largest difference, or share of the value, between float32 numbers and ``values`` of any real type.

    Zero only where all are the same numbers: what float64 can't hold (64-bit integers, extended precision) is compared
    as fractions.
    """
    if values.dtype.itemsize < 8 or values.dtype == np.float64:
        exact = values.astype(np.float64)
        differences = np.abs(decoded.astype(np.float64) - exact)
        return float((differences / np.abs(exact) if relative else differences).max(initial=0.0))
    largest = Fraction(0)
    for one, other in zip(decoded, values, strict=True):
        value = Fraction(int(other)) if values.dtype.kind in "iu" else Fraction(*other.as_integer_ratio())
        difference = abs(Fraction(float(one)) - value)
        largest = max(largest, difference / abs(value) if relative else difference)
    return float(largest) or float(largest > 0)  # what is no zero stays none


def _exact_scale(values: NDArray[Any], largest: int) -> float | None:
    """The scale at which each of ``values`` is an entry of up to ``largest``, that of the largest entries; or None.

    The largest value is some entry times the scale, so there are three candidates for each entry that it may be: the
    quotient in float32, and its neighbours.
    """
    exact = values.astype(np.float32)
    if not len(values) or largest_difference(exact, values):
        return None
    tops = np.arange(largest, 0, -1)
    with np.errstate(over="ignore", under="ignore"):
        middle = (np.abs(exact).max() / tops.astype(np.float64)).astype(np.float32)
        around = [middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(np.inf))]
        scales = np.stack(around, axis=1).reshape(-1)
        scales = scales[(scales > 0) & np.isfinite(scales)]
        for scale in scales[
            _hold(scales[:, None], exact[:PROBES], largest)
        ]:  # most are out after a few values
            if _hold(scale, exact, largest):
                return float(scale)
    return None


def _hold(scales: NDArray[np.float32], values: NDArray[np.float32], largest: int) -> NDArray[np.bool_]:
    """Which of ``scales`` hold all ``values`` exactly, along the last axis."""
    entries = np.rint(values.astype(np.float64) / scales)
    same = (entries.astype(np.float32) * scales == values) & (np.abs(entries) <= largest)
    held: NDArray[np.bool_] = same.all(axis=-1)
    return held


def number_values(
    values: NDArray[Any], value_format: ValueFormat, round_values: bool, name: str
) -> tuple[NDArray[Any], NDArray[np.uint16], float]:
    """(entries of the codebook, ascending and distinct; the entry's number of each value; scale).

    ``values`` are as for :func:`quantize_codebook`, which raises; where rounding makes two of them one, they share
    an entry.
    """
    entries, scale = quantize_codebook(values, value_format, round_values, name)
    codebook, numbers = np.unique(entries, return_inverse=True)
    return codebook, numbers.astype(np.uint16), scale
