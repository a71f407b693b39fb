"""A cell library in Liberty format: what the cells compute, and what they cost.

Capacitances come in fF, energies in fJ, leakage in nW, areas as in the library (um2).  Energy tables are read
at the third of their input slews, and at the load of the net.  Where energies are given by supply (``related_pg_pin``),
those of all supplies add up, as in OpenSTA.
"""

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sw.provenance import install_line

SLEW = 2  # place of the input slew that is read, or the last one
FARADS = {"ff": 1.0, "pf": 1e3, "nf": 1e6}
WATTS = {"fw": 1e-6, "pw": 1e-3, "nw": 1.0, "uw": 1e3, "mw": 1e6}
MAX_INPUTS = 6  # of a function, so that its truth table has 64 bits
# Groups that nothing here reads, and by far the largest: left out before the parser sees them.
UNREAD = re.compile(r'"[^"]*"|/\*.*?\*/|\b(timing)\s*\([^)]*\)\s*\{|[{}]', re.DOTALL)


class LibertyError(ValueError):
    """The library can't be used; the message says what is missing."""


@dataclass(frozen=True)
class Curve:
    """Energy of one edge over the load, at one input slew."""

    load: NDArray[np.float64]  # fF; one entry where it does not depend on it
    energy: NDArray[np.float64]  # fJ
    supply: str = ""  # whose energy it is


@dataclass(frozen=True)
class Pin:
    """A pin of a cell."""

    name: str
    is_output: bool
    capacitance: float
    function: str | None  # of an output
    rise: list[Curve]
    fall: list[Curve]

    def toggle_energy(self, load: float) -> float:
        """fJ inside the cell for one change of this pin: the mean over states and both edges, of all supplies."""
        return _over_supplies((c.supply, np.interp(load, c.load, c.energy)) for c in (*self.rise, *self.fall))

    @property
    def cycle_energy(self) -> float:
        """fJ inside the cell for a rise and a fall of this pin, where no output changes: of a clock pin."""
        return sum(
            _over_supplies((c.supply, c.energy[0]) for c in curves) for curves in (self.rise, self.fall)
        )


@dataclass(frozen=True)
class Cell:
    """A cell.  A flip-flop has the names of its ``state`` and of the inverse, and ``next_state``, a function."""

    name: str
    area: float
    leakage: float
    pins: dict[str, Pin]
    state: tuple[str, str] | None = None
    next_state: str = ""
    clock: str = ""  # pin
    gate: dict[str, str] = field(default_factory=dict)  # of a clock gate: role -> pin

    def pin_of(self, state: str) -> list[str]:
        """Outputs that show this state."""
        return [pin.name for pin in self.pins.values() if pin.function == state]


@dataclass(frozen=True)
class Library:
    """All cells, at one corner."""

    name: str
    voltage: float
    corner: str
    cells: dict[str, Cell]

    @property
    def clock_gates(self) -> list[str]:
        """Cells that gate a clock."""
        return [cell.name for cell in self.cells.values() if cell.gate]


def read(paths: Sequence[Path]) -> Library:
    """The library in these files, ``.lib`` or ``.lib.gz``: one, or several of the same corner.

    Raises LibertyError for what is no Liberty file, for files at several voltages, and where there is no flip-flop.
    """
    parts = [_read(path) for path in paths]
    names = ", ".join(map(str, paths))
    if len({(part.voltage, part.corner) for part in parts}) > 1:
        corners = "; ".join(f"{part.voltage} V, {part.corner}" for part in parts)
        raise LibertyError(f"{names}: not of one corner: {corners}")
    cells = {name: cell for part in parts for name, cell in part.cells.items()}
    if not any(cell.state for cell in cells.values()):
        raise LibertyError(f"{names}: the library has no flip-flop")
    return Library(_common([part.name for part in parts]), parts[0].voltage, parts[0].corner, cells)


def text_of(path: Path) -> bytes:
    """A Liberty file's text, unpacked.  Raises LibertyError where it is not what its name says."""
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LibertyError(f"{path}: not a gzip file: {error}") from error


def _common(names: list[str]) -> str:
    """The words that the names share: ``lib_AO_TT_1`` and ``lib_SEQ_TT_2`` are ``lib_TT``."""
    shared = set.intersection(*(set(name.split("_")) for name in names))
    return "_".join(word for word in names[0].split("_") if word in shared) or names[0]


def _read(path: Path) -> Library:
    try:
        from liberty.parser import parse_liberty
    except ImportError as error:
        raise LibertyError(f"reading a cell library needs liberty-parser: {install_line('asic')}") from error
    text = text_of(path).decode(errors="replace")
    try:
        root = parse_liberty(_without_unread(text))
    except Exception as error:  # the parser's own, several kinds
        raise LibertyError(f"{path}: not a Liberty file: {str(error)[:200]}") from error
    if root.group_name != "library":
        raise LibertyError(f"{path}: holds no library")
    try:
        return _Reader(root).library()
    except LibertyError as error:
        raise LibertyError(f"{path}: {error}") from error


def _without_unread(text: str) -> str:
    """The text without the groups that UNREAD names; braces in strings and comments are none."""
    kept, start, depth = [], 0, 0
    for found in UNREAD.finditer(text):
        if found[1] and not depth:
            kept.append(text[start : found.start()])
        if depth or found[1]:
            depth += {"{": 1, "}": -1}.get(found[0][-1], 0) if found[0][0] not in '"/' else 0
            start = found.end()
    return "".join([*kept, "" if depth else text[start:]])


def _over_supplies(values: Iterable[tuple[str, float]]) -> float:
    """The sum over supplies of the means of their values."""
    by_supply: dict[str, list[float]] = defaultdict(list)
    for supply, value in values:
        by_supply[supply].append(float(value))
    return float(sum(np.mean(found) for found in by_supply.values()))


class _Reader:
    """Units, templates, and one cell after another."""

    def __init__(self, root: Any):
        self.root = root
        number, unit = root.get("capacitive_load_unit") or (1, "pf")
        if _text(unit).lower() not in FARADS:
            raise LibertyError(f"capacitive_load_unit in {_text(unit)!r}; known are: {', '.join(FARADS)}")
        self.farad = _number(number) * FARADS[_text(unit).lower()]
        volts = _quantity(root.get("voltage_unit"), {"v": 1.0, "mv": 1e-3}, 1.0)
        self.joule = self.farad * volts * volts  # the unit of internal energies
        self.watt = _quantity(root.get("leakage_power_unit"), WATTS, 1.0)
        self.templates = {
            _text(group.args[0]): group
            for kind in ("power_lut_template", "lu_table_template")
            for group in root.get_groups(kind)
        }

    def library(self) -> Library:
        cells = {cell.name: cell for cell in map(self._cell, self.root.get_groups("cell"))}
        conditions = self.root.get("default_operating_conditions")
        corner = (
            f"{_text(conditions) if conditions else 'nominal'}, {self._nominal('temperature') or 'unknown'} C"
        )
        return Library(_text(self.root.args[0]), self._voltage(), corner, cells)

    def _voltage(self) -> float:
        """The nominal voltage, or else that of the first supply that has one."""
        if voltage := self._nominal("voltage"):
            return _number(voltage)
        for one in self.root.attributes:
            if one.name == "voltage_map" and _number(one.value[1]):  # ground is there, too
                return _number(one.value[1])
        raise LibertyError(
            "the library says no voltage: no nom_voltage, no voltage in operating_conditions, no voltage_map"
        )

    def _nominal(self, what: str) -> str:
        """The library's nominal ``what``, or else that of its operating conditions, the default ones first."""
        default = _text(self.root.get("default_operating_conditions", ""))
        conditions = self.root.get_groups("operating_conditions")
        conditions.sort(key=lambda group: not group.args or _text(group.args[0]) != default)
        values = [self.root.get(f"nom_{what}"), *(group.get(what) for group in conditions)]
        return next((_text(value) for value in values if value is not None), "")

    def _cell(self, group: Any) -> Cell:
        pins = {_text(pin.args[0]): self._pin(pin) for pin in group.get_groups("pin")}
        gate = {
            role: _text(pin.args[0])
            for pin in group.get_groups("pin")
            for role in ("clock", "enable", "test", "out")
            if _text(pin.get(f"clock_gate_{role}_pin", "")) == "true"
        }
        flip_flops = group.get_groups("ff")
        fields: dict[str, Any] = {}
        if len(flip_flops) == 1 and not gate:
            ff = flip_flops[0]
            clock = _text(ff.get("clocked_on", "")).strip("()! ")
            if clock in pins and "!" not in _text(ff.get("clocked_on")):
                fields = {
                    "state": (_text(ff.args[0]), _text(ff.args[1])),
                    "next_state": _text(ff.get("next_state", "")),
                    "clock": clock,
                }
        leakage = self._leakage(group) * self.watt
        area = _number(group.get("area", 0.0) or 0.0)
        return Cell(_text(group.args[0]), area, leakage, pins, gate=gate, **fields)

    def _leakage(self, group: Any) -> float:
        """Of the cell, or else the mean over its states."""
        if (leakage := group.get("cell_leakage_power")) is not None:
            return _number(leakage)
        states = group.get_groups("leakage_power")
        return _over_supplies(
            (_text(one.get("related_pg_pin", "")), _number(one.get("value", 0.0))) for one in states
        )

    def _pin(self, group: Any) -> Pin:
        function = group.get("function")
        curves: dict[str, list[Curve]] = {"rise_power": [], "fall_power": []}
        for power in group.get_groups("internal_power"):
            supply = _text(power.get("related_pg_pin", ""))
            for kind, found in curves.items():
                found += [replace(self._curve(table), supply=supply) for table in power.get_groups(kind)]
        return Pin(
            _text(group.args[0]),
            _text(group.get("direction", "")) == "output",
            _number(group.get("capacitance", 0.0) or 0.0) * self.farad,
            _text(function) if function is not None else None,
            curves["rise_power"],
            curves["fall_power"],
        )

    def _curve(self, table: Any) -> Curve:
        values = np.atleast_1d(np.squeeze(np.array(table.get_array("values"), np.float64))) * self.joule
        template = self.templates.get(_text(table.args[0])) if table.args else None
        axes = [self._axis(table, template, k + 1) for k in range(values.ndim)]
        names = [_text(template.get(f"variable_{k + 1}", "")) if template else "" for k in range(values.ndim)]
        loads = [k for k, name in enumerate(names) if "capacitance" in name]
        if values.ndim == 2 and loads:
            return Curve(
                axes[loads[0]] * self.farad,
                np.take(values, _middle(values.shape[1 - loads[0]]), 1 - loads[0]),
            )
        if values.ndim == 1 and loads:
            return Curve(axes[0] * self.farad, values)
        return Curve(np.zeros(1), np.atleast_1d(values.reshape(-1)[_middle(values.size)]))

    def _axis(self, table: Any, template: Any, number: int) -> NDArray[np.float64]:
        for group in (table, template):
            if group is not None and group.get(f"index_{number}") is not None:
                return np.array(group.get_array(f"index_{number}"), np.float64).reshape(-1)
        return np.zeros(1)


def _middle(n: int) -> int:
    return min(SLEW, n - 1)


def _text(value: Any) -> str:
    """An attribute without the quotes that the parser keeps."""
    return str(value).strip().strip('"').strip()


def _number(value: Any) -> float:
    """A number, which a library may have in quotes.  Raises LibertyError."""
    try:
        return float(_text(value))
    except ValueError as error:
        raise LibertyError(f"{_text(value)!r} is no number") from error


def _quantity(text: Any, units: dict[str, float], default: float) -> float:
    """``1nW`` -> 1.0, in the unit of ``units``."""
    found = re.fullmatch(r"([\d.]+)\s*(\w+)", _text(text)) if text is not None else None
    return float(found[1]) * units[found[2].lower()] if found and found[2].lower() in units else default


def truth_table(function: str, inputs: list[str]) -> int:
    """Bit k is the value of ``function`` where input j has bit j of k.

    Liberty's operators: ``!`` and ``'`` not, ``*`` ``&`` or none and, ``^`` exclusive or, ``+`` ``|`` or.  Raises
    LibertyError for another text, for an unknown input, and for more than MAX_INPUTS.
    """
    if len(inputs) > MAX_INPUTS:
        raise LibertyError(f"{function}: more than {MAX_INPUTS} inputs")
    rows = np.arange(1 << len(inputs))
    values = {name: (rows >> place & 1).astype(bool) for place, name in enumerate(inputs)}
    bits = _Parser(function, values, len(rows)).parse()
    return int(sum(1 << int(row) for row in rows[bits]))


class _Parser:
    """Recursive descent over a function's tokens, on all rows of the truth table at once."""

    def __init__(self, text: str, values: dict[str, NDArray[np.bool_]], n_rows: int):
        self.text, self.values, self.n_rows = text, values, n_rows
        self.tokens = re.findall(r"[A-Za-z_]\w*|[01]|\S", text)
        self.place = 0

    def parse(self) -> NDArray[np.bool_]:
        result = self._or()
        if self.place < len(self.tokens):
            raise LibertyError(f"{self.text!r}: unexpected {self.tokens[self.place]!r}")
        return result

    def _peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self, choices: str) -> bool:
        if self._peek() and self._peek() in choices:
            self.place += 1
            return True
        return False

    def _or(self) -> NDArray[np.bool_]:
        result = self._xor()
        while self._take("+|"):
            result = result | self._xor()
        return result

    def _xor(self) -> NDArray[np.bool_]:
        result = self._and()
        while self._take("^"):
            result = result ^ self._and()
        return result

    def _and(self) -> NDArray[np.bool_]:
        result = self._not()
        while self._take("*&") or re.match(r"[\w(!]", self._peek()):
            result = result & self._not()
        return result

    def _not(self) -> NDArray[np.bool_]:
        if self._take("!"):
            return ~self._not()
        if self._take("("):
            result = self._or()
            if not self._take(")"):
                raise LibertyError(f"{self.text!r}: a parenthesis is not closed")
        elif (token := self._peek()) in ("0", "1"):
            self.place += 1
            result = np.full(self.n_rows, token == "1")
        elif token in self.values:
            self.place += 1
            result = self.values[token]
        else:
            raise LibertyError(f"{self.text!r}: unexpected {token!r}")
        while self._take("'"):
            result = ~result
        return result
