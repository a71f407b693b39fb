"""Energy of an SRAM access: CACTI 7, run for the sizes of ``tech/cacti7.csv`` and interpolated between them.

CACTI 7 (HewlettPackard/cacti, 1ffd8df), one read-write port, 350 K; the columns are its own.
"""

import csv
from functools import cache
from importlib.resources import files

import msgspec
import numpy as np

SOURCE = "CACTI 7 (1ffd8df), one port, 350 K"


class _Row(msgspec.Struct):
    """What is read of CACTI's columns."""

    node_nm: int
    cell: str
    bytes: int
    width_bits: int
    read_pj: float
    write_pj: float
    area_mm2: float


@cache
def _rows(node_nm: int, cell: str) -> dict[tuple[int, int], tuple[float, float, float]]:
    """(bytes, width) -> (read pJ, area mm2, write pJ)."""
    text = files("weightless_sim.model").joinpath("tech", "cacti7.csv").read_text()
    rows = msgspec.convert(list(csv.DictReader(text.splitlines())), list[_Row], strict=False)
    found = {
        (row.bytes, row.width_bits): (row.read_pj, row.area_mm2, row.write_pj)
        for row in rows
        if (row.node_nm, row.cell) == (node_nm, cell)
    }
    if not found:
        kinds = sorted({(row.node_nm, row.cell) for row in rows})
        known = ", ".join(f"{node}:{name}" for node, name in kinds)
        raise ValueError(f"no SRAM of {node_nm} nm, {cell}; there are: {known}")
    return found


def read_energy_pj(n_bytes: int, width_bits: int, node_nm: int = 45, cell: str = "itrs-lop") -> float:
    """pJ of one read of ``width_bits`` from an array of ``n_bytes``; logarithms interpolated between the table's.

    A row wider than the table's widest is read from as many equal arrays side by side as it takes, one narrower than
    its narrowest with others in a word of that width.  Raises ValueError outside the table, and for a node or cell
    that it does not have.
    """
    return _interpolated(n_bytes, width_bits, node_nm, cell, 0)


def write_energy_pj(n_bytes: int, width_bits: int, node_nm: int = 45, cell: str = "itrs-lop") -> float:
    """pJ of one write; the rest as :func:`read_energy_pj`."""
    return _interpolated(n_bytes, width_bits, node_nm, cell, 2)


def area_mm2(n_bytes: int, width_bits: int, node_nm: int = 45, cell: str = "itrs-lop") -> float:
    """mm2 of that array; errors as :func:`read_energy_pj`."""
    return _interpolated(n_bytes, width_bits, node_nm, cell, 1)


def _interpolated(n_bytes: int, width_bits: int, node_nm: int, cell: str, column: int) -> float:
    rows = _rows(node_nm, cell)
    sizes, widths = (sorted({key[k] for key in rows}) for k in (0, 1))
    if (n := -(-width_bits // widths[-1])) > 1:
        return n * _interpolated(n_bytes // n, -(-width_bits // n), node_nm, cell, column)
    width_bits = max(width_bits, widths[0])
    for what, value, known in (("bytes", n_bytes, sizes), ("bits wide", width_bits, widths)):
        if not known[0] <= value <= known[-1]:
            raise ValueError(f"an SRAM of {value} {what} is outside the table, {known[0]} to {known[-1]}")
    by_size = [
        np.interp(np.log(width_bits), np.log(widths), np.log([rows[size, w][column] for w in widths]))
        for size in sizes
    ]
    return float(np.exp(np.interp(np.log(n_bytes), np.log(sizes), by_size)))
