"""Which tensor of a model goes where: into a table, into a coded record, or raw, as it is."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightless_sw import codec
from weightless_sw.codebook import EncodeError
from weightless_sw.inputs import InputError
from weightless_sw.spec.record import ValueFormat

NUMBERS = "biu"  # kinds of dtypes that are indices, counts or masks, and no weights
ORIGINAL, MASK = "_orig", "_mask"  # what torch.nn.utils.prune has beside each other until its remove
REST = "rest"  # of ``coded``: all that are in no table


class Place(NamedTuple):
    """Where a tensor goes, and why it is not where it could be looked for."""

    kind: Literal["table", "coded", "raw"]
    reason: str = ""


def choose(
    arrays: Mapping[str, NDArray[Any]],
    source: str,
    *,
    tensor: Collection[str] = (),
    exclude: Collection[str] = (),
    coded: Collection[str] = (),
    layout: str = codec.AUTO,
    slot_bits: int | None = None,
    value_format: ValueFormat | str = ValueFormat.FP16,
    round_values: bool = False,
) -> dict[str, Place]:
    """The place of every tensor of ``arrays``, which came from ``source``.

    In tables are those that ``tensor`` names, or else all floating-point ones of two or more dimensions that a table
    holds, exactly or, with ``round_values``, as rounded; of ``REST`` those are coded that are exact.  Integers,
    booleans, and what is nothing but ones and zeros are indices, counts or masks: raw, unless they are named.
    Raises InputError for a name that is not there or asked for twice, and where nothing that could be in a table fits
    one.
    """
    if unknown := sorted({*tensor, *exclude, *coded} - {REST} - set(arrays)):
        raise InputError(f"no tensor {', '.join(unknown)} in {source}; it has: {', '.join(arrays)}")
    if both := sorted(set(tensor) & {*coded, *exclude}):
        raise InputError(f"{', '.join(both)}: asked for in a table, and not; name each once")
    options = {
        "slot_bits": slot_bits,
        "value_format": value_format,
        "round_values": round_values,
        "layout": layout,
    }
    places = {name: _place(name, array, tensor, exclude, coded, options) for name, array in arrays.items()}
    unfit = [
        place.reason for name, place in places.items() if place.reason and not no_weights(name, arrays[name])
    ]
    if unfit and not tensor and all(place.kind == "raw" for place in places.values()):
        raise InputError(f"{source}: nothing fits a table; {unfit[0]}")
    return places


def _place(
    name: str,
    array: NDArray[Any],
    tensor: Collection[str],
    exclude: Collection[str],
    coded: Collection[str],
    options: dict[str, Any],
) -> Place:
    if name in tensor:
        return Place("table")
    if name in coded:
        return Place("coded")
    if not array.size:
        return Place("raw")
    reason = no_weights(name, array)
    numbers = array.dtype.kind in NUMBERS
    if not tensor and name not in exclude and array.ndim >= 2:
        reason = reason or unfit(name, array, **options)
        if not reason:
            return Place("table")
    exact = options | {"slot_bits": 16, "round_values": False, "layout": codec.AUTO}
    if REST in coded and not numbers and not unfit(name, array, **exact):
        return Place("coded")
    return Place("raw", reason if array.ndim >= 2 else "")


def no_weights(name: str, array: NDArray[Any]) -> str:
    """Why ``array`` is taken for no weights; empty where it may be some."""
    what = ""
    if array.dtype.kind in NUMBERS:
        what = str(array.dtype)
    elif array.size and array.dtype.kind != "c":
        nonzero = array[array != 0]
        what = "ones and zeros, a mask" if nonzero.size and (nonzero == 1).all() else ""
    return f"{name}: {what}, taken for no weights; --tensor puts it in a table all the same" if what else ""


def masks(names: Collection[str]) -> dict[str, tuple[str, str]]:
    """The weights of ``torch.nn.utils.prune`` before its ``remove``: name -> the names of what it is the product of."""
    found = {}
    for name in names:
        if name.endswith(ORIGINAL) and (mask := name.removesuffix(ORIGINAL) + MASK) in names:
            found[name.removesuffix(ORIGINAL)] = name, mask
    return found


def unmasked(names: Collection[str]) -> list[str]:
    """A line for each pair that :func:`masks` finds."""
    return [
        f"{original} and {mask}: weights of torch.nn.utils.prune before remove, whose product the network computes "
        "with; multiply them first, or --apply-masks does"
        for original, mask in masks(names).values()
    ]


def apply_masks(arrays: dict[str, NDArray[Any]], source: str) -> None:
    """Put the product in the place of each pair that :func:`masks` finds, in ``arrays``.

    Raises InputError where two are of different shapes, or the product's name is taken.
    """
    for name, (original, mask) in masks(arrays).items():
        if name in arrays or arrays[original].shape != arrays[mask].shape:
            raise InputError(f"{source}: {original} and {mask} can't be multiplied to {name}")
        product = arrays[original] * arrays[mask].astype(arrays[original].dtype)
        entries = [
            (name, product) if key == original else (key, array)
            for key, array in arrays.items()
            if key != mask
        ]
        arrays.clear()
        arrays.update(entries)


def unfit(
    name: str, array: NDArray[Any], slot_bits: int | None, value_format: ValueFormat | str, round_values: bool,
    layout: str,
) -> str:  # fmt: skip
    """Why a table of these options can't hold the array, or should not unless it is named; empty where it can.

    Values are rounded only where they are clustered, each on average twice there: a dense layer is not.
    """
    try:
        distinct = codec.distinct_values(array, name)
        codec.check_values(distinct, slot_bits, value_format, round_values, name, layout)
        if round_values and 2 * len(distinct) > np.count_nonzero(array):
            codec.check_values(distinct, slot_bits, value_format, False, name, layout)
    except EncodeError as error:
        return str(error)
    return ""


def changes(name: str, array: NDArray[Any], value_format: ValueFormat | str) -> list[str]:
    """What decodes as something else than it is: another dtype, rounded values; a line each."""
    lines = [] if array.dtype == np.float32 else [f"{name}: {array.dtype} decodes as float32"]
    if share := codec.rounding(array, value_format, name):
        what = codec.format_named(value_format).name
        lines.append(
            f"{name}: values rounded to {what}, by up to {share:.2g} of their size (--exact-values refuses)"
        )
    return lines
