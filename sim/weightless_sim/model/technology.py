"""What a decoder's logic costs in a technology: entries of TOML files, each as ``weightless asic`` measured it.

Shipped ones are in ``tech/logic.toml``, those of this machine in ``build/asic``; files of one's own load the same way.
An entry is of one Verilog text, by its digest; for another text it is shown as of an older decoder.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

CACHE = Path("build") / "asic"
PLACED = Path("build") / "fpga" / "results"  # of weightless fpga, a file each
UNKNOWN = "not characterised: run `weightless asic`"


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
    parts: dict[str, list[float]]  # logic_settled_pj and logic_glitches_pj by part of the decoder
    origin: str = "shipped"  # or the file

    def pj_per_weight(self) -> tuple[float, float]:
        """(settled, with glitches): logic, bank reads and leakage."""
        rest = self.memory_pj + self.leakage_pj
        return (self.logic_settled_pj + rest) / self.lanes, (self.logic_glitches_pj + rest) / self.lanes


def read(path: Path, origin: str = "") -> list[Entry]:
    """The entries of a file.  Raises TechnologyError for a field that is missing, unknown, or of another type."""
    try:
        table = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TechnologyError(f"{path}: not a TOML file: {error}") from error
    wanted = {
        field.name: str(getattr(field.type, "__name__", field.type))
        for field in fields(Entry)
        if field.name != "origin"
    }
    entries = []
    for k, row in enumerate(table.get("logic", []), 1):
        problems = [f"no {name}" for name in wanted if name not in row]
        problems += [f"unknown field {name}" for name in row if name not in wanted]
        for name, kind in wanted.items():
            value = row.get(name)
            if value is not None and not _is_a(value, str(kind)):
                problems.append(f"{name} is {value!r}")
        if problems:
            raise TechnologyError(f"{path}: entry {k}: {'; '.join(problems)}")
        entries.append(Entry(**row, origin=origin or str(path)))
    if not entries:
        raise TechnologyError(f"{path}: holds no [[logic]] entry")
    return entries


def _is_a(value: object, kind: str) -> bool:
    """Whether a TOML value is of the type of that name; a whole number serves as a float, no boolean as a number."""
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind.startswith("dict"):
        return isinstance(value, dict) and all(
            isinstance(pair, list) and len(pair) == 2 and all(_is_a(pj, "float") for pj in pair)
            for pair in value.values()
        )
    return type(value).__name__ == kind


def known(more: Iterable[Path] = ()) -> list[Entry]:
    """Shipped entries, those of this machine, and those of ``more`` files."""
    shipped = read(Path(str(files("weightless_sim.model").joinpath("tech", "logic.toml"))), "shipped")
    own = []
    for path in sorted(CACHE.glob("*/entry.toml")):
        with suppress(
            TechnologyError
        ):  # of another version of this program: measured again when it is asked for
            own += read(path)
    return [*shipped, *own, *(entry for path in more for entry in read(path))]


def to_toml(entry: Entry) -> str:
    """The entry as :func:`read` takes it."""
    row = {name: value for name, value in asdict(entry).items() if name not in ("origin", "parts")}
    lines = [f"{name} = {json.dumps(value)}" for name, value in row.items()]
    parts = [f"{json.dumps(name)} = {json.dumps(pair)}" for name, pair in entry.parts.items()]
    return "\n".join(["[[logic]]", *lines, "[logic.parts]", *parts, ""])


def placed(name: str, text_digest: str) -> list[dict[str, Any]]:
    """That decoder on FPGAs, shipped or of this machine; with another Verilog text as an older one's."""
    shipped = json.loads(files("weightless_sim.model").joinpath("tech", "fpga.json").read_text())
    rows = [row | {"origin": "shipped"} for row in shipped]
    for path in sorted(PLACED.glob("*.json")):
        with suppress(ValueError):
            rows.append(json.loads(path.read_text()) | {"origin": str(path)})
    found = [
        row | {"older_decoder": row["verilog_sha256"] != text_digest}
        for row in rows
        if row.get("config") == name and row.get("weights_per_second")
    ]
    return sorted(found, key=lambda row: bool(row["older_decoder"]))


def digest(verilog: str) -> str:
    """Names a Verilog text."""
    return hashlib.sha256(verilog.encode()).hexdigest()[:16]


def of_decoder(name: str, text_digest: str, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """What is known of the decoder of that configuration's name, newest text first."""
    rows = [
        asdict(entry)
        | dict(zip(("pj_per_weight_settled", "pj_per_weight_glitches"), entry.pj_per_weight(), strict=True))
        | {"older_decoder": entry.verilog_sha256 != text_digest}
        for entry in entries
        if entry.decoder == name
    ]
    return sorted(rows, key=lambda row: bool(row["older_decoder"]))
