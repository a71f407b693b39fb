"""Entries and results of made-up figures, for the tests of reports."""

import dataclasses

from weightless_sim.model.technology import KnownEntry, KnownPlacement, Reference
from weightless_sim.study.result import Energy, EnergyRow, MultiplyAccumulate

ENTRY = KnownEntry(
    layout="classic", lanes=8, slot_bits=8, value_bits=16, decoder="d", verilog_sha256="0", library="x",
    corner="typical", volts=1.1, clock_ghz=1.0, clock_gates=False, workload="w", window_beats=1000,
    logic_settled_pj=8.0, logic_glitches_pj=16.0, memory_pj=8.0, leakage_pj=0.5, area_um2=9.0, cells=1, flip_flops=1,
    how="gate_sim", source="weightless asic; memory reads: CACTI, 45 nm itrs-lop", accuracy="no clock tree",
    parts={"address_hash": [12.0, 13.0], "mask_hash": [2.0, 2.0], "code": [2.68, 2.72], "top": [1.0, 1.0],
           "loader": [0.0, 0.0]},
    pj_per_weight_settled=2.0, pj_per_weight_glitches=3.0,
)  # fmt: skip
PLACEMENT = KnownPlacement(
    device="d", lanes=8, config="c", area={}, fmax={"1": 100.0}, verilog_sha256="0", utilization={}, fmax_mhz=100.0,
    weights_per_second=8e8, how={"fmax": "place_and_route"}, origin="shipped", older_decoder=False,
)  # fmt: skip
EIE = Reference("EIE entry", "entry", 11.4, "pJ", "them", "all in")
ADD = dataclasses.replace(EIE, name="add", value=0.4, source="somebody")


def row(name, complete=True, **places):
    """pJ in each place, (settled, with glitches)."""
    return EnergyRow(name=name, places=places, counts="c", how="h", complete=complete)


def energy(*rows, drams=("HBM2",)):
    """Of these rows; what wins is made up."""
    winners = {"on_chip": [[(0.0, "gap-coded"), (0.6, "table")], [(0.0, "gap-coded")]]}
    winners |= {dram: [[(0.0, "table")]] * 2 for dram in drams}
    of = MultiplyAccumulate(pj=1.5, of=[ADD, ADD])
    return Energy(
        library="lib",
        volts=1.1,
        clock_gates=False,
        rows=list(rows),
        drams=list(drams),
        winners=winners,
        gap_coded=EIE,
        multiply_accumulate=of,
    )


def with_decoders(result, **changes):
    """The result with other things known of every decoder."""
    changed = {name: dataclasses.replace(one, **changes) for name, one in result.decoders.items()}
    return dataclasses.replace(result, decoders=changed)
