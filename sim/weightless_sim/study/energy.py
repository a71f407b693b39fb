"""Energy to have a layer's weights, per non-zero weight: the table beside other ways, by one method for all.

On chip: reads of the SRAM that the layer lies in, and the decoder's logic where it is known.  From DRAM: the bits
of the file times the DRAM's energy per bit come on top (of a dense layer: instead, it is not kept on chip).  Counts
are exact for the layer; what is published and what is measured is said with each row.  A record that streams lies
nowhere: its decoder's logic is all, in a table as in the exact layout beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isclose, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_sim.model import grid, sram, technology
from weightless_sim.model.technology import KnownEntry, References, reference
from weightless_sim.study import sizes
from weightless_sim.study.result import Energy, EnergyRow, MultiplyAccumulate, SizeRow
from weightless_sim.study.subject import Subject
from weightless_sw import container, layouts
from weightless_sw.baselines import Kind, expected_padding

DRAMS = ("HBM2", "LPDDR4")
ON_CHIP = "on_chip"
DENSE_SRAM_BYTES, SRAM_BITS = 1 << 20, 64
DENSE = (("dense int8", 8), ("dense fp16", 16))
GAP_CODED, EIE = "gap-coded, as EIE", "EIE entry"
GAP_WIDTHS = range(2, 11)
DENSITIES = np.arange(1, 201) / 200
SAME_DENSITY = 0.02  # of two layers
MEMORY_READS = "memory reads"
# What the parts of a decoder do; those of other names stand for themselves.
FUNCTIONS = {
    "address_hash": "hash", "mask_hash": "hash", "index": "group counter", "range": "row numbers",
    "bank": "registers behind the banks", "permute": "lane permutation", "pipeline": "XOR, and what goes beside",
    "codebook": "codebook", "code": "codes that wait, and output", "loader": "loading", "entries": "loading",
    "chunks": "reading of chunks", "reader": "reading of chunks", "segments": "how the window moves",
    "position": "how the window moves", "skid": "loading", "table": "loading", "items": "loading", "crc": "loading",
    "registers": "registers and counts",
    "top": "registers and counts",
}  # fmt: skip


@dataclass(frozen=True)
class Exact:
    """A layer in the exact layout that hardware reads, and its decoder, of as many lanes as the table's."""

    name: str
    config: DecoderConfig
    library: str
    n_stored: int
    n_bits: int  # record and maps
    density: float  # of what is stored
    sram_bits: int  # that are read from SRAM where the table's are
    measured: tuple[float, float] | None = None  # pJ per weight of its very decoder at this density

    def pj_per_weight(self, density: float) -> tuple[float, float]:
        """Of its decoder, at a density: settled, with glitches."""
        settled, glitches, leakage = grid.logic(self.config.for_cells(), self.library, density)
        return (settled + leakage) / self.config.lanes, (glitches + leakage) / self.config.lanes

    def bits_per_nonzero(self, density: float) -> float:
        """Of a record at that density."""
        return 1 / density + self.config.slot_bits


def by_function(entry: KnownEntry) -> dict[str, tuple[float, float]]:
    """pJ of a beat by what a decoder's parts do, settled and with glitches; without parts, where they are estimated."""
    sums = {MEMORY_READS: (entry.memory_pj, entry.memory_pj)}
    for name, (settled, glitches) in [
        *entry.parts.items(),
        ("leakage", (entry.leakage_pj, entry.leakage_pj)),
    ]:
        function = FUNCTIONS.get(name, name)
        before = sums.get(function, (0.0, 0.0))
        sums[function] = before[0] + settled, before[1] + glitches
    return sums


def in_exact_layout(about: Subject, entry: KnownEntry) -> Exact | None:
    """The largest layer beside its table, whose decoder ``entry`` is; None where the grid has none of
    such a layout."""
    exact = [name for name in grid.layouts() if layouts.by_name(name).geometry.EXACT]
    if not exact or entry.library not in grid.libraries():
        return None
    tensor, report = about.encoded(about.layer, exact[0])
    lanes = max(n for n in (1, 2, 4, 8, 16) if n <= entry.lanes)
    config = decoders.for_layers([tensor.geometry], lanes=lanes)
    n_bits, density = 8 * container.stored_bytes(tensor), report.n_nonzero / tensor.geometry.n_weights
    measured = [
        one.pj_per_weight()
        for one in technology.shipped()
        if (one.decoder, one.library, one.clock_gates)
        == (config.for_cells().name, entry.library, entry.clock_gates)
        and isclose(one.density or 0.0, density, rel_tol=SAME_DENSITY)
    ]
    return Exact(
        name=exact[0], config=config, library=entry.library, n_stored=tensor.geometry.n_weights, n_bits=n_bits,
        density=density, sram_bits=n_bits if entry.memory_pj else 0, measured=measured[0] if measured else None,
    )  # fmt: skip


def beside(
    about: Subject, entry: KnownEntry, rows: Sequence[SizeRow], known: References, drams: Sequence[str]
) -> Energy | None:
    """The largest layer's energy beside others; ``entry`` is its decoder's, ``rows`` are its sizes in other formats.

    None where no weight is not zero.  Raises ValueError for an unknown DRAM.
    """
    tensor, array = about.tables[about.layer], about.weights[about.layer]
    n_nonzero = int(np.count_nonzero(array))
    if not n_nonzero:
        return None
    per_weight = entry.pj_per_weight_settled, entry.pj_per_weight_glitches
    # Of each kind the last row: of the live block, where there is one.
    exact = None if tensor.geometry.EXACT else in_exact_layout(about, entry)
    unknown = (Kind.DEEP_COMPRESSION,) if exact else (Kind.DEEP_COMPRESSION, Kind.BITMASK)
    others = {str(kind): 8 * row.bytes for kind in unknown for row in rows if row.kind == kind}
    how = entry.how + (", of an older decoder" if entry.older_decoder else "")
    n_bits = 8 * sizes.table(tensor).bytes
    asked = n_bits / n_nonzero, gap_value_bits(array), known
    add, multiply = (reference(known, name) for name in ("fp16 add", "fp16 multiply"))
    return Energy(
        library=entry.library,
        volts=entry.volts,
        clock_gates=entry.clock_gates,
        rows=compare(array, tensor.geometry.n_weights, n_bits, per_weight, how, others, known, drams, exact),
        drams=list(drams),
        winners={
            place or ON_CHIP: [winners(pj, *asked, place, exact, k) for k, pj in enumerate(per_weight)]
            for place in ("", *drams)
        },
        gap_coded=reference(known, EIE),
        multiply_accumulate=MultiplyAccumulate(pj=add.value + multiply.value, of=[add, multiply]),
    )


def compare(
    array: NDArray[Any],
    n_stored: int,
    record_bits: int,
    pj_per_weight: tuple[float, float],
    how: str,
    other_bits: dict[str, int],
    known: References,
    drams: Sequence[str] = DRAMS,
    exact: Exact | None = None,
) -> list[EnergyRow]:
    """Rows of pJ per non-zero weight of ``array``.

    ``n_stored`` weights of it are in a table of ``record_bits``, decoded at ``pj_per_weight`` (settled, with glitches).
    ``exact`` is the layer in an exact layout of ours, its decoder estimated between those that were measured.
    ``other_bits`` are the sizes of exact formats whose decoder's logic is not known: their reads alone are counted.
    Values are (low, high), the same where there is one figure.  Raises ValueError for an unknown DRAM.
    """  # fmt: skip
    n, n_all = int(np.count_nonzero(array)), array.size
    eie = reference(known, EIE)
    width, entries, bits = fitted_gaps(array)
    fetched = {dram: reference(known, dram, "dram").value for dram in drams}

    def row(
        name: str, on_chip: tuple[float, float], n_bits: int, counts: str, how: str, complete: bool = True,
        *, is_kept: bool = True,
    ) -> EnergyRow:  # fmt: skip
        """Bits of DRAM come on top of what is on chip; where that is not kept, instead."""
        kept = on_chip if is_kept else (0.0, 0.0)
        fetched_too = {
            dram: (pj * n_bits / n + kept[0], pj * n_bits / n + kept[1]) for dram, pj in fetched.items()
        }
        places = {ON_CHIP: on_chip} | fetched_too
        return EnergyRow(name=name, places=places, counts=counts, how=how, complete=complete)

    table = (pj_per_weight[0] * n_stored / n, pj_per_weight[1] * n_stored / n)
    rows = [
        row("table", table, record_bits, f"{n_stored:,} weights decoded, {record_bits:,} bits", how),
        row(GAP_CODED, (eie.value * entries / n,) * 2, bits,
            f"{entries:,} entries of {width} bit gaps, {entries - n:,} of them padding; {bits:,} bits", eie.how),
    ]  # fmt: skip
    if exact:
        read = _sram_bit_pj(_sram_bytes(exact.n_bits)) * exact.sram_bits
        per_weight = exact.measured or exact.pj_per_weight(exact.density)
        low, high = ((pj * exact.n_stored + read) / n for pj in per_weight)
        counts = f"{exact.n_stored:,} weights decoded, {exact.n_bits:,} bits; {exact.config.name}"
        rows.append(
            row(
                exact.name,
                (low, high),
                exact.n_bits,
                counts,
                "gate_sim" if exact.measured else grid.ESTIMATED,
            )
        )
    for name, width in DENSE:
        read = _sram_bit_pj(DENSE_SRAM_BYTES) * width * n_all / n
        counts = f"{n_all:,} weights of {width} bits; 1 MB of SRAM"
        rows.append(row(name, (read, read), width * n_all, counts, "table", is_kept=False))
    for name, size in other_bits.items():
        read = _sram_bit_pj(_sram_bytes(size)) * size / n
        left = f"{max(0.0, table[0] - read):.0f} to {max(0.0, table[1] - read):.0f} pJ per non-zero"
        counts = (
            f"{size:,} bits; its decoder's logic is not known, the table takes less where that is over {left}"
        )
        rows.append(row(f"{name}, reads alone", (read, read), size, counts, "table", complete=False))
    return rows


def _sram_bytes(n_bits: int) -> int:
    """Of the SRAM that holds them."""
    return max(1024, 1 << ceil(log2(n_bits / 8)))


def _sram_bit_pj(n_bytes: int) -> float:
    return sram.read_energy_pj(n_bytes, SRAM_BITS) / SRAM_BITS


def fitted_gaps(array: NDArray[Any]) -> tuple[int, int, int]:
    """(gap width, entries, bits) of the gap code that takes the fewest bits: a gap and a value number an entry.

    Along the flattened index; where a gap is too long a padding zero is an entry, too.
    """
    places = np.flatnonzero(array)
    gaps = np.diff(places, prepend=-1) - 1
    value_bits = gap_value_bits(array)
    choices = []
    for width in GAP_WIDTHS:
        entries = len(places) + int((gaps >> width).sum())
        choices.append((entries * (width + value_bits), width, entries))
    bits, width, entries = min(choices)
    return width, entries, bits


def gap_value_bits(array: NDArray[Any]) -> int:
    """Bits of a value number of a gap-coded entry; the padding zero is a value, too."""
    return max(1, ceil(log2(len(np.unique(array[array != 0])) + 1)))


def winners(
    pj_per_weight: float,
    record_bits_per_nonzero: float,
    value_bits: int,
    known: References,
    dram: str = "",
    exact: Exact | None = None,
    delay_model: int = 0,
) -> list[tuple[float, str]]:
    """What takes the least energy per non-zero weight at which density: [(from that density on, name)], rising.

    Of the table, gap-coded entries, dense, and the ``exact`` layout (settled, or 1: with glitches), on chip or with
    ``dram``, for weights at random places in an array of which every index is decoded; the rest as in :func:`compare`.
    """  # fmt: skip
    bit = reference(known, dram, "dram").value if dram else 0.0
    entry = reference(known, EIE).value
    found: list[tuple[float, str]] = []
    for density in map(float, DENSITIES):
        gap_bits, padded = expected_gaps(density, value_bits)
        energies = {
            "table": pj_per_weight / density + bit * record_bits_per_nonzero,
            GAP_CODED: entry * padded + bit * gap_bits,
        }
        if exact:
            bits = exact.bits_per_nonzero(density)
            logic = exact.pj_per_weight(density)[delay_model]
            read = _sram_bit_pj(_sram_bytes(exact.n_bits)) if exact.sram_bits else 0.0
            energies[exact.name] = logic / density + (read + bit) * bits
        for name, width in DENSE:
            energies[name] = (bit or _sram_bit_pj(DENSE_SRAM_BYTES)) * width / density
        best = min(energies, key=lambda name: energies[name])
        if not found or found[-1][1] != best:
            found.append((density if found else 0.0, best))
    return found


def expected_gaps(density: float, value_bits: int) -> tuple[float, float]:
    """(bits, entries) per non-zero weight of the gap code that takes the fewest bits, at random places."""
    padded = {width: 1 + expected_padding(density, width) for width in GAP_WIDTHS}
    return min((n * (width + value_bits), n) for width, n in padded.items())
