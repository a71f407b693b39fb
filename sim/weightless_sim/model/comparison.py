"""Energy to have a layer's weights, per non-zero weight: the table beside other ways, by one method for all.

On chip: reads of the SRAM that the layer lies in, and the decoder's logic where it is known.  From DRAM: the bits
of the file times the DRAM's energy per bit come on top (of a dense layer: instead, it is not kept on chip).  Counts
are exact for the layer; what is published and what is measured is said with each row.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sim.model import sram

DRAMS = ("HBM2", "LPDDR4")
DENSE_SRAM_BYTES, SRAM_BITS = 1 << 20, 64
GAP_WIDTHS = range(2, 11)


@dataclass(frozen=True)
class Reference:
    """A figure of others."""

    name: str
    value: float
    unit: str
    source: str
    accuracy: str
    node_nm: int | None = None
    volts: float | None = None


@cache
def references() -> dict[str, Reference]:
    """The figures of ``tech/references.toml`` by name."""
    text = files("weightless_sim.model").joinpath("tech", "references.toml").read_text()
    return {row["name"]: Reference(**row) for row in tomllib.loads(text)["reference"]}


def reference(name: str) -> Reference:
    """The figure of that name.  Raises ValueError for one that is not known: there is no default."""
    if name not in references():
        raise ValueError(f"no figure is called {name!r}; there are: {', '.join(references())}")
    return references()[name]


def compare(
    array: NDArray[Any],
    n_stored: int,
    record_bits: int,
    pj_per_weight: tuple[float, float],
    how: str,
    other_bits: dict[str, int],
) -> list[dict[str, Any]]:
    """Rows of pJ per non-zero weight of ``array``: {name, on_chip, one per DRAM, counts, how}.

    ``n_stored`` weights of it are in a table of ``record_bits``, decoded at ``pj_per_weight`` (settled, with glitches).
    ``other_bits`` are the sizes of exact formats whose decoder's logic is not known: their reads alone are counted.
    Values are (low, high), the same where there is one figure.
    """  # fmt: skip
    n, n_all = int(np.count_nonzero(array)), array.size
    eie = reference("EIE entry")
    width, entries, bits = fitted_gaps(array)
    table = (pj_per_weight[0] * n_stored / n, pj_per_weight[1] * n_stored / n)
    rows = [
        _row("table", table, record_bits / n, f"{n_stored:,} weights decoded, {record_bits:,} bits", how),
        _row("gap-coded, as EIE", (eie.value * entries / n,) * 2, bits / n,
             f"{entries:,} entries of {width} bit gaps, {entries - n:,} of them padding; {bits:,} bits", "published"),
    ]  # fmt: skip
    for name, width in (("dense int8", 8), ("dense fp16", 16)):
        read = sram.read_energy_pj(DENSE_SRAM_BYTES, SRAM_BITS) / SRAM_BITS * width * n_all / n
        rows.append(
            _row(
                name,
                (read, read),
                width * n_all / n,
                f"{n_all:,} weights of {width} bits; 1 MB of SRAM",
                "table",
                dense=True,
            )
        )
    for name, size in other_bits.items():
        n_bytes = max(1024, 1 << ceil(log2(size / 8)))
        read = sram.read_energy_pj(n_bytes, SRAM_BITS) / SRAM_BITS * size / n
        rows.append(
            _row(
                f"{name}, reads alone",
                (read, read),
                size / n,
                f"{size:,} bits; its decoder's logic is not known",
                "table",
            )
        )
    return rows


def _row(
    name: str,
    on_chip: tuple[float, float],
    bits_per_nonzero: float,
    counts: str,
    how: str,
    dense: bool = False,
) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "on_chip": list(on_chip), "counts": counts, "how": how}
    for dram in DRAMS:
        fetched = reference(dram).value * bits_per_nonzero
        row[dram] = [fetched + (0.0 if dense else value) for value in on_chip]
    return row


def fitted_gaps(array: NDArray[Any]) -> tuple[int, int, int]:
    """(gap width, entries, bits) of the gap code that takes the fewest bits: a gap and a value number an entry.

    Along the flattened index; where a gap is too long a padding zero is an entry, too.
    """
    places = np.flatnonzero(array)
    gaps = np.diff(places, prepend=-1) - 1
    value_bits = max(1, ceil(log2(len(np.unique(array[array != 0])) + 1)))  # and the padding zero
    choices = []
    for width in GAP_WIDTHS:
        entries = len(places) + int((gaps >> width).sum())
        choices.append((entries * (width + value_bits), width, entries))
    bits, width, entries = min(choices)
    return width, entries, bits


def crossing(pj_per_weight: float) -> float | None:
    """The density from which on decoding every index takes less on chip than gap-coded entries as EIE's do.

    For weights at random places, the gap width fitted to the density; None where that is never so.
    """
    entry = reference("EIE entry").value
    for density in np.arange(0.005, 1.0001, 0.005):
        padding = min((1 - density) ** (1 << w) / (1 - (1 - density) ** (1 << w)) for w in GAP_WIDTHS)
        if pj_per_weight / density < entry * (1 + padding):
            return float(density)
    return None
