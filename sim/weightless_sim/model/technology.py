"""What things cost in a technology: entries of TOML files.

``[[logic]]``: a decoder, as ``weightless asic`` measured it; shipped ones are in ``tech/logic.toml``, those of this
machine in ``build/asic``.  An entry is of one Verilog text, by its digest; for another text it is shown as of an older
decoder.  ``[[reference]]``: figures of others for DRAM, SRAM, registers, arithmetic, wire, in ``tech/references.toml``.
Files of one's own hold either or both, and load the same way; a reference's later entry replaces an earlier one.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from weightless_sim.folders import HERE, Folders

# What an entry is a figure of, and the unit that such figures have.
UNITS = {
    "dram": "pJ/bit", "sram": "pJ/bit", "register": "pJ/bit", "arithmetic": "pJ", "wire": "pJ/bit/mm",
    "decoder": "pJ/entry", "bandwidth": "GB/s",
}  # fmt: skip


class TechnologyError(ValueError):
    """A file of entries can't be used; the message names it and says why."""


@dataclass(frozen=True)
class Entry:
    """Energy and area of a decoder's logic and of its banks' reads; per beat, in pJ."""

    layout: str
    lanes: int
    slot_bits: int
    value_bits: int
    decoder: str  # name of its configuration
    verilog_sha256: str  # of its text, 16 digits
    library: str
    corner: str
    volts: float
    clock_ghz: float
    clock_gates: bool
    workload: str
    window_beats: int
    logic_settled_pj: float
    logic_glitches_pj: float  # unit delay
    memory_pj: float
    leakage_pj: float
    area_um2: float  # without banks
    cells: int
    flip_flops: int
    how: str  # gate_sim
    source: str  # the command, and where the memories' figures come from
    accuracy: str  # what is not in it
    parts: dict[str, tuple[float, float]]  # logic_settled_pj and logic_glitches_pj by part of the decoder
    density: float | None = None  # share of the workload's weights that are not zero, where it is known
    origin: str = "shipped"  # or the file

    def pj_per_weight(self) -> tuple[float, float]:
        """(settled, with glitches): logic, memory reads and leakage."""
        rest = self.memory_pj + self.leakage_pj
        return (self.logic_settled_pj + rest) / self.lanes, (self.logic_glitches_pj + rest) / self.lanes


@dataclass(frozen=True)
class KnownEntry(Entry):
    """What is known of a decoder: an entry, and whether it is of this very Verilog."""

    pj_per_weight_settled: float = 0.0
    pj_per_weight_glitches: float = 0.0
    older_decoder: bool = False


@dataclass(frozen=True)
class KnownPlacement:
    """A decoder on a device, as ``weightless fpga`` kept it, and whether it was of this very Verilog."""

    device: str
    lanes: int
    config: str
    area: dict[str, Any]
    fmax: dict[str, float]  # megahertz by seed
    verilog_sha256: str
    utilization: dict[str, Any]
    fmax_mhz: float
    weights_per_second: float
    how: dict[str, str]
    origin: str
    older_decoder: bool


@dataclass(frozen=True)
class Synthesis:
    """A decoder of the grid on a device, as yosys and nextpnr have it; see ``weightless_sim.plan.measure``."""

    layout: str
    lanes: int
    slot_bits: int
    max_codes: int
    config: str
    device: str
    verilog_sha256: str
    luts: int
    luts_memory: int
    flip_flops: int
    block_rams: int
    multipliers: int
    tool: str
    fmax_mhz: dict[str, float]  # by seed; empty: not placed


@dataclass(frozen=True)
class Reference:
    """A figure of others: energy of one event, or a bandwidth, in the unit of its kind."""

    name: str
    kind: str  # of UNITS
    value: float
    unit: str
    source: str
    accuracy: str  # what is in it, how far others are from it
    node_nm: int | None = None
    volts: float | None = None
    how: str = "published"  # or table: computed with a program
    origin: str = "shipped"  # or the file


References = dict[str, Reference]
T = TypeVar("T", Entry, Reference)


def read(path: Path, origin: str = "") -> tuple[list[Entry], list[Reference]]:
    """The entries of a file, decoders' and references.

    Raises TechnologyError for a file without any, and for a field that is missing, unknown, or of another type.
    """
    try:
        table = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TechnologyError(f"{path}: not a TOML file: {error}") from error
    if unknown := [key for key in table if key not in ("logic", "reference")]:
        raise TechnologyError(
            f"{path}: {', '.join(unknown)}: not an entry; there are [[logic]] and [[reference]]"
        )
    logic = _entries(path, table, "logic", Entry, origin)
    references = _entries(path, table, "reference", Reference, origin)
    for one in references:
        if one.kind not in UNITS:
            raise TechnologyError(
                f"{path}: {one.name}: no kind is called {one.kind!r}; there are: {', '.join(UNITS)}"
            )
        if one.unit != UNITS[one.kind]:
            raise TechnologyError(
                f"{path}: {one.name}: in {one.unit!r}; figures of {one.kind} are in {UNITS[one.kind]}"
            )
        if not 0 < one.value < inf:
            raise TechnologyError(f"{path}: {one.name}: {one.value:g} is no figure")
    if not logic and not references:
        raise TechnologyError(f"{path}: holds no [[logic]] or [[reference]] entry")
    return logic, references


def _entries(path: Path, table: dict[str, Any], key: str, kind: type[T], origin: str) -> list[T]:
    """The entries of that key, each checked against the dataclass ``kind``."""
    rows = table.get(key, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TechnologyError(f"{path}: write [[{key}]] before each entry")
    names = {field.name for field in fields(kind)} - {"origin"}
    found = []
    for k, row in enumerate(rows, 1):
        problems = [f"unknown field {name}" for name in row if name not in names]
        try:
            found.append(msgspec.convert({**row, "origin": origin or str(path)}, kind))
        except msgspec.ValidationError as error:
            problems.append(str(error))
        if problems:
            raise TechnologyError(f"{path}: {key} entry {k}: {'; '.join(problems)}")
    return found


def known(more: Iterable[Path] = (), folders: Folders = HERE) -> list[Entry]:
    """Entries of ``more`` files, shipped ones, and those of this machine that are none of them again."""
    own = []
    for path in sorted(folders.asic.glob("*/entry.toml")):
        with suppress(
            TechnologyError
        ):  # of another version of this program: measured again when it is asked for
            own += read(path)[0]
    first = [*(entry for path in more for entry in read(path)[0]), *shipped()]
    seen = {_measured(entry) for entry in first}
    return [*first, *(entry for entry in own if _measured(entry) not in seen)]


def shipped() -> list[Entry]:
    """The entries of decoders that are shipped."""
    return _shipped("logic.toml")[0]


def _measured(entry: Entry) -> tuple[object, ...]:
    """What tells one measurement from another: what was run, and what came out."""
    return (
        entry.verilog_sha256, entry.library, entry.corner, entry.volts, entry.clock_ghz, entry.clock_gates,
        entry.workload, entry.window_beats, entry.accuracy, entry.memory_pj, entry.cells,
        round(entry.logic_settled_pj, 2), round(entry.logic_glitches_pj, 2),
    )  # fmt: skip


def references(more: Iterable[Path] = ()) -> References:
    """The figures of others by name: shipped, and those of ``more`` files."""
    _, found = _shipped("references.toml")
    return {one.name: one for one in (*found, *(one for path in more for one in read(path)[1]))}


def reference(known: References, name: str, kind: str = "") -> Reference:
    """The figure of that name.  Raises ValueError for one that is not known: there is no default."""
    if name not in known or kind not in ("", known[name].kind):
        names = [one.name for one in known.values() if kind in ("", one.kind)]
        raise ValueError(
            f"no figure{f' of {kind}' if kind else ''} is called {name!r}; there are: {'; '.join(names)}"
        )
    return known[name]


def _shipped(name: str) -> tuple[list[Entry], list[Reference]]:
    return read(Path(str(files("weightless_sim.model").joinpath("tech", name))), "shipped")


def read_syntheses(path: Path) -> list[Synthesis]:
    """The grid's decoders on FPGAs.  Raises TechnologyError for a file that is none of them."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Synthesis])
    except msgspec.DecodeError as error:
        raise TechnologyError(f"{path}: {error}") from error


def to_toml(entry: Entry) -> str:
    """The entry as :func:`read` takes it."""
    row = {
        name: value
        for name, value in asdict(entry).items()
        if name not in ("origin", "parts") and value is not None
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in row.items()]
    parts = [f"{json.dumps(name)} = {json.dumps(pair)}" for name, pair in entry.parts.items()]
    return "\n".join(["[[logic]]", *lines, "[logic.parts]", *parts, ""])


def shipped_placements() -> list[KnownPlacement]:
    """The placements that are shipped."""
    rows = json.loads(files("weightless_sim.model").joinpath("tech", "fpga.json").read_text())
    return [KnownPlacement(**row, origin="shipped", older_decoder=False) for row in rows]


def placed(name: str, text_digest: str, folders: Folders = HERE) -> list[KnownPlacement]:
    """That decoder on FPGAs, shipped or of this machine; with another Verilog text as an older one's."""
    found = shipped_placements()
    for path in sorted(folders.placed.glob("*.json")):
        with suppress(ValueError, TypeError):  # broken, or of another version of this program
            found.append(
                KnownPlacement(**json.loads(path.read_text()), origin=str(path), older_decoder=False)
            )
    mine = [
        replace(one, older_decoder=one.verilog_sha256 != text_digest)
        for one in found
        if one.config == name and one.weights_per_second
    ]
    return sorted(mine, key=lambda one: one.older_decoder)


def digest(verilog: str) -> str:
    """Names a Verilog text."""
    return hashlib.sha256(verilog.encode()).hexdigest()[:16]


def of_decoder(name: str, text_digest: str, entries: Iterable[Entry]) -> list[KnownEntry]:
    """What is known of the decoder of that configuration's name, newest text first."""
    found = []
    for entry in entries:
        if entry.decoder == name:
            settled, glitches = entry.pj_per_weight()
            found.append(KnownEntry(**vars(entry), pj_per_weight_settled=settled, pj_per_weight_glitches=glitches,
                                    older_decoder=entry.verilog_sha256 != text_digest))  # fmt: skip
    return sorted(found, key=lambda one: one.older_decoder)
