"""Large layers through the RTL: Verilator's model of a decoder inside a compiled harness, no Python per cycle.

The harness (``bulk.cpp``) sends frames, compares every weight, and says when each word and beat went; what must come
is the golden decoder's, and the cycle model says when.
"""

import hashlib
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from weightless_hw.config import DecoderConfig
from weightless_hw.export.verilog import TOP, to_rtlil, to_verilog
from weightless_hw.registers import ADDRESS, LoadError
from weightless_sim.cosim import runner
from weightless_sim.cosim.runner import SimulationError
from weightless_sim.cosim.scenario import frame, load_of
from weightless_sim.folders import HERE, Folders
from weightless_sim.model.cycles import LayerCycles, predict
from weightless_sim.model.patterns import ALWAYS, Pattern
from weightless_sim.tools import environment
from weightless_sw import layouts
from weightless_sw.files import locked
from weightless_sw.progress import Progress
from weightless_sw.tensor import EncodedTensor

MARGIN = 10_000  # cycles beyond the model's, after which a run hangs
FLAGS = [*runner.FLAGS["verilator"], "-O3"]
COMPILER = "-O2"


@dataclass(frozen=True)
class BulkResult:
    """What a run came to; there is none where it hangs."""

    n_weights: int
    seconds: float  # of the run, without building
    n_mismatches: int
    first_mismatch: int  # number of the weight, over all records, of its beat's first lane
    layers: list[LayerCycles]
    predicted: list[LayerCycles]

    def check(self) -> None:
        """Raise SimulationError where a weight or a cycle is another than the models say."""
        if self.n_mismatches:
            raise SimulationError(
                f"{self.n_mismatches} mismatches, the first in the beat of weight {self.first_mismatch}"
            )
        for k, (measured, model) in enumerate(zip(self.layers, self.predicted, strict=True)):
            if measured != model:
                raise SimulationError(f"record {k}: {measured}, the cycle model says {model}")


class _Written(msgspec.Struct):
    """The harness's file."""

    n_mismatches: int
    first_mismatch: int
    layers: list[tuple[int, int, int, int, int, int]]


def entries_of(tensor: EncodedTensor) -> NDArray[np.uint8 | np.uint16]:
    """What must come of a table by the golden decoder: each weight's codebook entry, (N,), in the record's order."""
    bits = tensor.geometry.value_format.bits
    entries = np.append(tensor.codebook.view(f"u{bits // 8}"), 0).astype(f"<u{bits // 8}")
    codes = layouts.golden(tensor.geometry).decode_codes(tensor)
    found: NDArray[np.uint8 | np.uint16] = entries[np.minimum(codes, tensor.geometry.n_codes)]
    return found


def build(config: DecoderConfig, folders: Folders = HERE) -> Path:
    """Compile the decoder and the harness, once per Verilog text; returns the program.

    Raises SimulationError when Verilator is missing or the build fails.
    """
    if reason := runner.missing("verilator", folders):
        raise SimulationError(reason)
    harness = files("weightless_sim.cosim").joinpath("bulk.cpp").read_text()
    sizes = f"-DLANES={config.lanes} -DVALUE_BITS={config.value_bits} -DERRORS={ADDRESS['errors']}"
    key = runner.digest_of(to_rtlil(config), harness, sizes, runner.tool_versions(), FLAGS, COMPILER)
    folder = folders.sim / f"{config.name}-bulk-{key}"
    program = folder.resolve() / "obj_dir" / "bulk"
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not program.exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{TOP}.v").write_text(to_verilog(config))
            (folder / "bulk.cpp").write_text(harness)
            command = [
                "verilator", *FLAGS, "--cc", "--exe", "--build", "--top-module", TOP, "--prefix", "Vtop",
                "-CFLAGS", f"-std=c++17 {sizes}", "-o", "bulk.new", f"{TOP}.v", "bulk.cpp",
            ]  # fmt: skip
            made = subprocess.run(
                command, cwd=folder, env=environment(COMPILER), capture_output=True, text=True, check=False
            )
            (folder / "build.log").write_text(made.stdout + made.stderr)
            if made.returncode:
                raise SimulationError(f"verilator could not build the decoder; see {folder / 'build.log'}")
            program.with_suffix(".new").replace(program)
    return program


def run(
    config: DecoderConfig,
    records: Sequence[bytes],
    entries: NDArray[np.uint8 | np.uint16],
    *,
    source: Pattern = ALWAYS,
    sink: Pattern = ALWAYS,
    progress: Progress | None = None,
    folders: Folders = HERE,
) -> BulkResult:
    """Send ``records`` one after another under stall patterns.

    ``entries`` are what must come: of each weight of each record its codebook entry as an unsigned number of
    ``value_bits`` bits, (n_weights of all records,).  Raises SimulationError when nothing ends, and when a record is
    refused.
    """
    program = build(config, folders)
    loads = [load_of(record) for record in records]
    counts = [load.geometry.n_weights for load in loads]
    predicted = predict(config, loads, source, sink)
    frames = [np.array(frame(record), np.uint64) for record in records]
    inputs = {
        "words": np.concatenate(frames).astype("<u4"),
        "ends": np.cumsum([len(words) for words in frames]).astype("<u8"),
        "counts": np.array(counts, "<u8"),
        "values": entries.astype(f"<u{config.value_bits // 8}", copy=False),
        "source": source.astype(np.uint8),
        "sink": sink.astype(np.uint8),
    }
    digest = hashlib.sha256(b"".join(array.tobytes() for array in inputs.values())).hexdigest()[:16]
    folder = folders.sim / "runs" / f"bulk-{config.name}-{digest}"
    limit = predicted[-1].end + MARGIN
    with locked(folder.with_name(f"{folder.name}.lock")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result").unlink(missing_ok=True)
        for name, array in inputs.items():
            array.tofile(folder / name)
        start = time.monotonic()
        _execute([str(program), str(limit)], folder, limit, progress)
        seconds = time.monotonic() - start
        written = msgspec.json.decode((folder / "result").read_bytes(), type=_Written)
        for name in inputs:
            (folder / name).unlink()
    return BulkResult(
        n_weights=sum(counts),
        seconds=seconds,
        n_mismatches=written.n_mismatches,
        first_mismatch=written.first_mismatch,
        layers=[LayerCycles(*cycles) for cycles in written.layers],
        predicted=predicted,
    )


def _execute(command: list[str], folder: Path, limit: int, progress: Progress | None) -> None:
    """Run the harness, which says each now and then the cycle that it is in."""
    with (
        (folder / "run.log").open("w+") as log,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout
        errors = LoadError(0)
        try:
            for line in process.stdout:
                if line.startswith("errors"):
                    errors = LoadError(int(line.split()[1]))
                elif progress:
                    progress(int(line), limit, f"cycle {int(line):,}")
        except BaseException:
            process.kill()
            raise
        if process.wait():
            log.seek(0)
            why = f" ({errors.name})" if errors else ""
            raise SimulationError(f"the harness stopped: {log.read().strip()[-300:]}{why}; see {folder}")
