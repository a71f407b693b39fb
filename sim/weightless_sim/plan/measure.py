"""The grid of decoders that estimates stand on, measured: ``make grid``, an hour and a half; it goes on where it was.

Logic in the cells of each library goes to ``tech/grid.toml``, LUTs, flip-flops and frequency to ``tech/grid.json``.
``make rivals`` measures, by the same way, what docs/rivals.md compares: to ``docs/results/rivals.toml`` and ``.json``.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from weightless_sim.model import grid, technology
from weightless_sim.model.technology import Entry, Synthesis
from weightless_sim.shown import to_json
from weightless_sw import codec, inputs, layouts
from weightless_sw.files import write_atomically

WORKLOAD, TENSOR = "lenet300_pruned", "fc1.weight"
LANES = {"classic": (1, 4, 16, 64), "ribbon": (1, 4, 16), "bitmask": (1, 4, 16)}
SLOT_BITS, CODES = (4, 8, 12), 15  # what the workload has; that many fit four bits
CODE_POINTS = ((16, 8, 3), (4, 8, 63))  # (lanes, slot bits, codes): what a codebook of another size takes
DENSITIES = (
    0.01,
    0.15,
    0.4,
)  # beside the workload's: a decoder that streams works on, and waits for, what comes
RIVALS, RIVAL_LANES = (("classic", 8), ("ribbon", 8), ("bitmask", 8), ("bitmask", 4)), (1, 2, 4, 8, 16)
FPGA, PLACED_SLOT_BITS, PLACED_LANES, SEEDS, MAX_BANK_ROWS = "ecp5-85k", 8, 16, 3, 512
MORE_SEEDS = {8: 5}  # of a rival, by lanes
# By library: fF of wire on every net, node and cell of the memories.
ASSUMED = {"Nangate": (1.5, 45), "asap7": (0.4, 22)}


class Point(NamedTuple):
    """A decoder of the grid, and what it decodes: None: the workload as it is."""

    layout: str
    lanes: int
    slot_bits: int
    codes: int
    density: float | None = None


def points() -> Iterator[Point]:
    """Those of few lanes first."""
    grid = [
        Point(layout, lanes, slot_bits, CODES)
        for layout, choices in LANES.items()
        for lanes in choices
        for slot_bits in SLOT_BITS
    ]
    grid += [
        point._replace(density=density)
        for point in grid
        for density in DENSITIES
        if not decoders.BY_NAME[point.layout].config.keeps_table()
    ]
    grid += [Point(layout, *point) for layout in LANES for point in CODE_POINTS]
    yield from sorted(grid, key=lambda point: point.lanes)


def rivals() -> Iterator[Point]:
    """The decoders that are compared, at each density; where a table is stored each is another, and few are run: its
    memories are too small for CACTI at the lowest."""
    for lanes in RIVAL_LANES:
        for layout, slot_bits in RIVALS:
            densities: tuple[float, ...] = DENSITIES
            if decoders.BY_NAME[layout].config.keeps_table():
                densities = DENSITIES[1:] if lanes in MORE_SEEDS else ()
            for density in (None, *densities):
                yield Point(layout, lanes, slot_bits, CODES, density)


def workload(point: Point) -> tuple[Any, int]:
    """(a table of the bundled model's largest layer in the point's form, weights that are not zero)."""
    array: NDArray[Any] = inputs.load_tensors(WORKLOAD)[TENSOR]
    if point.codes != CODES or point.density is not None:
        values = np.arange(1, point.codes + 1, dtype=np.float32) / 64
        places = np.flatnonzero(array)
        if point.density is not None:
            rng = np.random.default_rng(1)
            places = rng.permutation(array.size)[: round(point.density * array.size)]
        array = np.zeros_like(array)
        array.ravel()[places] = values[np.arange(len(places)) * 7919 % point.codes]
    own: dict[str, Any] = {"lanes": point.lanes} if layouts.has_option(point.layout, "lanes") else {}
    made = codec.encode(
        array, layout=point.layout, live="off", order="rows", slot_bits=point.slot_bits, **own
    )
    return made[0], made[1].n_nonzero


def said(point: Point) -> str:
    """What is decoded, in words."""
    if point.density is not None:
        return f"{WORKLOAD}'s {TENSOR} in size, {point.density:.0%} at random places, {point.codes} values"
    return f"{TENSOR} of {WORKLOAD}" + (f", {point.codes} values" if point.codes != CODES else "")


def _key(entry: Entry) -> tuple[str, str, str]:
    """What was run."""
    return entry.verilog_sha256, entry.library, entry.workload


def measure_cells(
    files: tuple[Path, ...], path: Path, chosen: Iterable[Point], others: Sequence[Entry] = ()
) -> None:
    """Points in the cells of a library, appended to ``path`` as they come; those of this Verilog are skipped.

    What ``others`` have is taken from there.
    """
    wire, node = next(pair for name, pair in ASSUMED.items() if name.lower() in files[0].name.lower())
    options = characterise.Options(files, clock_gates=True, wire_ff=wire, sram_node_nm=node)
    library = liberty.read(files).name
    for point in chosen:
        table, n_nonzero = workload(point)
        own = {} if layouts.has_option(point.layout, "lanes") else {"lanes": point.lanes}
        config = decoders.for_layers([table.geometry], **own).for_cells()
        what = said(point)
        known = set(map(_key, read_cells(path)))
        digest = technology.digest(to_verilog(config))
        if (digest, library, what) in known:
            continue
        if taken := next((one for one in others if _key(one) == (digest, library, what)), None):
            write_atomically(
                path, (path.read_bytes() if path.exists() else b"") + technology.to_toml(taken).encode()
            )
            continue
        print(f"{library}: {config.name}, {what}", flush=True)
        made = characterise.run(config, table, n_nonzero, options, lambda *_: None, what)
        kept = [
            one
            for one in read_cells(path)
            if (one.decoder, one.library, one.workload) != (config.name, library, what)
        ]
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


def seeds_of(point: Point) -> range:
    """With which it is placed: of the grid, PLACED_SLOT_BITS and the usual codebook alone."""
    if (point.slot_bits, point.codes) != (PLACED_SLOT_BITS, CODES):
        return range(0)
    return range(1, (SEEDS if point.lanes <= PLACED_LANES else 1) + 1)


def rival_seeds(point: Point) -> range:
    """With which it is placed, of the rivals."""
    return range(1, MORE_SEEDS.get(point.lanes, SEEDS) + 1)


def measure_fpga(path: Path, chosen: Iterable[Point], seeds: Callable[[Point], range]) -> None:
    """Points synthesised, and placed with their seeds."""
    device = families.DEVICES[FPGA]
    for point in (one for one in chosen if one.density is None):
        made = Implementation(fpga_config(point), device)
        known = technology.read_syntheses(path) if path.exists() else []
        digest = technology.digest(made.verilog)
        if digest in {one.verilog_sha256 for one in known}:
            continue
        print(f"{FPGA}: {made.config.name}", flush=True)
        area = {name: value for name, value in vars(made.area()).items() if name != "tool"}
        one = Synthesis(
            layout=point.layout, lanes=point.lanes, slot_bits=point.slot_bits, max_codes=made.config.max_codes,
            config=made.config.name, device=FPGA, verilog_sha256=digest, **area, tool=made.area().tool,
            fmax_mhz={str(seed): made.place(seed)[0] for seed in seeds(point)},
        )  # fmt: skip
        kept = [row for row in known if row.config != one.config]
        write_atomically(path, (to_json([*kept, one]) + "\n").encode())


def main() -> None:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="where grid.toml and grid.json lie, or rivals.toml and .json"
    )
    parser.add_argument("--rivals", action="store_true", help="the decoders that are compared, not the grid")
    parser.add_argument("--liberty", type=Path, nargs="+", action="append", default=[],
                        help="a cell library: one file, or several of one corner; may be repeated")  # fmt: skip
    parser.add_argument("--fpga", action="store_true", help="synthesise and place")
    options = parser.parse_args()
    name, chosen, seeds = ("rivals", rivals, rival_seeds) if options.rivals else ("grid", points, seeds_of)
    others = grid.cells() if options.rivals else ()
    for files in options.liberty:
        measure_cells(tuple(files), options.folder / f"{name}.toml", chosen(), others)
    if options.fpga:
        measure_fpga(options.folder / f"{name}.json", chosen(), seeds)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
