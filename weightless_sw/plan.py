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
REST = "rest"  # of ``coded``: all that are in no table


class Place(NamedTuple):
    """Where a tensor goes, and why it is not where it could be looked for."""

    kind: Literal["table", "coded", "raw"]
    reason: str = ""


def plan(
    arrays: Mapping[str, NDArray[Any]],
    source: str,
    *,
    tensor: Collection[str] = (),
    exclude: Collection[str] = (),
    coded: Collection[str] = (),
    slot_bits: int = 8,
    value_format: ValueFormat | str = ValueFormat.FP16,
    round_values: bool = False,
) -> dict[str, Place]:
    """The place of every tensor of ``arrays``, which came from ``source``.

    In tables are those that ``tensor`` names, or else all floating-point ones of two or more dimensions that a table
    holds exactly.  Integers and booleans are indices, counts or masks: raw, unless they are named.  Raises InputError
    for a name that is not there or asked for twice, and where nothing that could be in a table fits one.
    """
    if unknown := sorted({*tensor, *exclude, *coded} - {REST} - set(arrays)):
        raise InputError(f"no tensor {', '.join(unknown)} in {source}; it has: {', '.join(arrays)}")
    if both := sorted(set(tensor) & {*coded, *exclude}):
        raise InputError(f"{', '.join(both)}: asked for in a table, and not; name each once")
    options = {"slot_bits": slot_bits, "value_format": value_format, "round_values": round_values}
    places = {name: _place(name, array, tensor, exclude, coded, options) for name, array in arrays.items()}
    unfit = [
        place.reason
        for name, place in places.items()
        if place.reason and arrays[name].dtype.kind not in NUMBERS
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
    numbers = array.dtype.kind in NUMBERS
    reason = (
        f"{name}: {array.dtype}, taken for no weights; --tensor puts it in a table all the same"
        if numbers
        else ""
    )
    if not tensor and name not in exclude and array.ndim >= 2:
        reason = reason or unfit(name, array, **options)
        if not reason:
            return Place("table")
    if REST in coded and not numbers and not unfit(name, array, **options | {"slot_bits": 16}):
        return Place("coded")
    return Place("raw", reason if array.ndim >= 2 else "")


def unfit(
    name: str, array: NDArray[Any], slot_bits: int, value_format: ValueFormat | str, round_values: bool
) -> str:
    """Why a table of these options can't hold the array; empty where it can."""
    try:
        codec.check_encodable(array, slot_bits, value_format, round_values, name)
    except EncodeError as error:
        return str(error)
    return ""


def changes(name: str, array: NDArray[Any]) -> str:
    """What a decoder gives back in place of the array's own dtype; empty where it is float32."""
    if array.dtype == np.float32:
        return ""
    return f"{name}: {array.dtype} decodes as float32"
