"""FPGA families, a row each: a new one is one more row of FAMILIES."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """An FPGA family: how yosys synthesises for it, and what its cells are, each with its weight."""

    name: str
    synthesis: str  # yosys command, told the top module
    lut4: Mapping[str, int]  # logic
    lut4_memory: Mapping[str, int]  # LUTs used as memory
    flip_flops: Mapping[str, int]
    block_rams: Mapping[str, int]
    multipliers: Mapping[str, int]


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "ecp5",
            "synth_ecp5 -top {top}",
            lut4={"LUT4": 1, "CCU2C": 2},  # a carry cell takes two LUT4s
            lut4_memory={"TRELLIS_DPR16X4": 4},
            flip_flops={"TRELLIS_FF": 1},
            block_rams={"DP16KD": 1},  # 18 kbit each
            multipliers={"MULT18X18D": 1},
        ),
    )
}
