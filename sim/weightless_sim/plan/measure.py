"""The grid of decoders that estimates stand on, measured: ``make grid``, an hour and a half; it goes on where it was.

Logic in the cells of each library goes to ``tech/grid.toml``, LUTs, flip-flops and frequency to ``tech/grid.json``.
"""

import argparse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_hw.export.verilog import to_verilog
from weightless_sim.fpga import families
from weightless_sim.fpga.implementation import Implementation
from weightless_sim.gates import characterise, liberty
from weightless_sim.model import technology
from weightless_sim.model.technology import Entry, Synthesis
from weightless_sim.shown import to_json
from weightless_sw import codec, inputs, layouts
from weightless_sw.files import write_atomically

WORKLOAD, TENSOR = "lenet300_pruned", "fc1.weight"
LANES = {"classic": (1, 4, 16, 64), "ribbon": (1, 4, 16)}
SLOT_BITS, CODES = (4, 8, 12), 15  # what the workload has; that many fit four bits
CODE_POINTS = ((16, 8, 3), (4, 8, 63))  # (lanes, slot bits, codes): what a codebook of another size takes
FPGA, PLACED_SLOT_BITS, PLACED_LANES, SEEDS, MAX_BANK_ROWS = "ecp5-85k", 8, 16, 3, 512
# By library: fF of wire on every net, node and cell of the memories.
ASSUMED = {"Nangate": (1.5, 45), "asap7": (0.4, 22)}


class Point(NamedTuple):
    """A decoder of the grid."""

    layout: str
    lanes: int
    slot_bits: int
    codes: int


def points() -> Iterator[Point]:
    """Those of few lanes first."""
    grid = [
        Point(layout, lanes, slot_bits, CODES)
        for layout, choices in LANES.items()
        for lanes in choices
        for slot_bits in SLOT_BITS
    ]
    grid += [Point(layout, *point) for layout in LANES for point in CODE_POINTS]
    yield from sorted(grid, key=lambda point: point.lanes)


def workload(point: Point) -> tuple[Any, int]:
    """(a table of the bundled model's largest layer in the point's form, weights that are not zero)."""
    array: NDArray[Any] = inputs.load_tensors(WORKLOAD)[TENSOR]
    if point.codes != CODES:
        values = np.arange(1, point.codes + 1, dtype=np.float32) / 64
        places = np.flatnonzero(array)
        array = np.zeros_like(array)
        array.ravel()[places] = values[np.arange(len(places)) * 7919 % point.codes]
    own: dict[str, Any] = {"lanes": point.lanes} if layouts.has_option(point.layout, "lanes") else {}
    made = codec.encode(
        array, layout=point.layout, live="off", order="rows", slot_bits=point.slot_bits, **own
    )
    return made[0], made[1].n_nonzero


def measure_cells(files: tuple[Path, ...], path: Path) -> None:
    """Every point in the cells of a library, appended to ``path`` as it comes; those of this Verilog are skipped."""
    wire, node = next(pair for name, pair in ASSUMED.items() if name.lower() in files[0].name.lower())
    options = characterise.Options(files, clock_gates=True, wire_ff=wire, sram_node_nm=node)
    library = liberty.read(files).name
    for point in points():
        table, n_nonzero = workload(point)
        own = {} if layouts.has_option(point.layout, "lanes") else {"lanes": point.lanes}
        config = decoders.for_layers([table.geometry], **own).for_cells()
        known = {(entry.verilog_sha256, entry.library) for entry in read_cells(path)}
        digest = technology.digest(to_verilog(config))
        if (digest, library) in known:
            continue
        print(f"{library}: {config.name}", flush=True)
        what = f"{TENSOR} of {WORKLOAD}" + (f", {point.codes} values" if point.codes != CODES else "")
        made = characterise.run(config, table, n_nonzero, options, lambda *_: None, what)
        kept = [one for one in read_cells(path) if (one.decoder, one.library) != (config.name, library)]
        (entry,) = technology.read(Path(made.entry))[0]
        write_atomically(path, "".join(map(technology.to_toml, [*kept, entry])).encode())


def read_cells(path: Path) -> list[Entry]:
    """What is there of them."""
    return technology.read(path)[0] if path.exists() else []


def fpga_config(point: Point) -> DecoderConfig:
    """The point's decoder with MAX_BANK_ROWS rows, and one code more than the workload has where it fits."""
    codes = min(point.codes + 1, (1 << point.slot_bits) - 1)
    rows = {"max_bank_rows": MAX_BANK_ROWS} if point.layout == "classic" else {}
    return decoders.configure(
        point.layout, lanes=point.lanes, slot_bits=point.slot_bits, max_codes=codes, **rows
    )


def measure_fpga(path: Path) -> None:
    """Every point synthesised, those of PLACED_SLOT_BITS and the usual codebook placed, too."""
    device = families.DEVICES[FPGA]
    for point in points():
        made = Implementation(fpga_config(point), device)
        known = technology.read_syntheses(path) if path.exists() else []
        digest = technology.digest(made.verilog)
        if digest in {one.verilog_sha256 for one in known}:
            continue
        print(f"{FPGA}: {made.config.name}", flush=True)
        seeds = range(0)
        if (point.slot_bits, point.codes) == (PLACED_SLOT_BITS, CODES):
            seeds = range(1, (SEEDS if point.lanes <= PLACED_LANES else 1) + 1)
        area = {name: value for name, value in vars(made.area()).items() if name != "tool"}
        one = Synthesis(
            layout=point.layout, lanes=point.lanes, slot_bits=point.slot_bits, max_codes=made.config.max_codes,
            config=made.config.name, device=FPGA, verilog_sha256=digest, **area, tool=made.area().tool,
            fmax_mhz={str(seed): made.place(seed)[0] for seed in seeds},
        )  # fmt: skip
        kept = [row for row in known if row.config != one.config]
        write_atomically(path, (to_json([*kept, one]) + "\n").encode())


def main() -> None:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where grid.toml and grid.json lie")
    parser.add_argument("--liberty", type=Path, nargs="+", action="append", default=[],
                        help="a cell library: one file, or several of one corner; may be repeated")  # fmt: skip
    parser.add_argument("--fpga", action="store_true", help="synthesise and place")
    options = parser.parse_args()
    for files in options.liberty:
        measure_cells(tuple(files), options.folder / "grid.toml")
    if options.fpga:
        measure_fpga(options.folder / "grid.json")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
