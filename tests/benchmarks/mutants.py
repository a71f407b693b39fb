"""Planted faults of the RTL and its exports: each must turn a test red.  ``make mutants`` runs them all, ten minutes.

A row of MUTANTS is a file, a text that stands in it once, what is put in its place, and the tests that ought to find
it (GROUPS).  Each is applied to a copy of the tree in build/mutants; survivors are printed, and are a failure.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "build" / "mutants"
RUNNER = "tests/sim/cosim/test_runner.py"
GROUPS = {  # pytest's arguments
    "stream": [RUNNER, "-k", "icarus and stall_matrix"],
    "refuse": [
        RUNNER,
        "-k",
        "paper and icarus and (refused or another) or paper and descriptor or crc_word or alone",
    ],
    "wide": [RUNNER, "-k", "8 and icarus and refused or 8 and descriptor"],
    "soft": ["tests/hw/test_soft_reset.py"],
    "reset": [RUNNER, "-k", "icarus and paper and reset"],
    "parts": ["tests/hw/parts", "tests/hw/classic"],
    "axi": ["tests/sim/cosim/test_axi.py", "-k", "icarus"],
    "package": ["tests/hw/export/test_packages.py", "-k", "not fusesoc_lints"],
    "verilog": ["tests/hw/export/test_verilog.py", "-k", "header or deep or built or lint"],
    "registers": ["tests/hw/test_registers.py", "tests/test_docs.py"],
    "counters": [RUNNER, "-k", "counters"],
    # The ribbon's decoder: streams that are right, those that are not, and both.
    "ribbon": [RUNNER, "-k", "icarus and ribbon and stall_matrix and not registers"],
    "ribbons": [RUNNER, "-k", "icarus and registers and stall_matrix"],
    "bad ribbon": [RUNNER, "-k", "ribbon and (alone or icarus and next_record)"],
    "any ribbon": [
        RUNNER,
        "tests/sim/cosim/test_ribbon.py",
        "-k",
        "ribbon and icarus and (stall_matrix or next_record) or width",
    ],
    # Tiles: counter and check alone, and in the decoder.
    "runs": ["tests/hw/classic/test_tiles.py"],
    "tiles": [RUNNER, "-k", "icarus and stall_matrix and rows or tiles_that"],
    # The bitmask's.
    "bitmask": [RUNNER, "-k", "icarus and bitmask and stall_matrix"],
    "bad bitmask": [RUNNER, "-k", "bitmask and (alone or icarus and next_record)"],
    "any bitmask": [
        RUNNER,
        "tests/sim/cosim/test_bitmask.py",
        "-k",
        "bitmask and icarus and (stall_matrix or next_record) or width",
    ],
}
FRAME = "hw/weightless_hw/frame.py"
FILE = "hw/weightless_hw/register_file.py"
HASH = "hw/weightless_hw/parts/hash.py"
ITEMS = "hw/weightless_hw/parts/items.py"
BEATS = "hw/weightless_hw/parts/beats.py"
CODES = "hw/weightless_hw/parts/codes.py"
CONFIG = "hw/weightless_hw/config.py"
LOAD = "hw/weightless_hw/classic/load.py"
STAGES = "hw/weightless_hw/classic/stages.py"
DECODER = "hw/weightless_hw/classic/decoder.py"
CLASSIC = "hw/weightless_hw/classic/config.py"
TILES = "hw/weightless_hw/classic/tiles.py"
RIBBON_LOAD = "hw/weightless_hw/ribbon/load.py"
RIBBON_STAGES = "hw/weightless_hw/ribbon/stages.py"
RIBBON = "hw/weightless_hw/ribbon/decoder.py"
BITMASK_LOAD = "hw/weightless_hw/bitmask/load.py"
BITMASK_STAGES = "hw/weightless_hw/bitmask/stages.py"
BITMASK = "hw/weightless_hw/bitmask/decoder.py"
AXI = "hw/weightless_hw/export/axi.py"
PACKAGES = "hw/weightless_hw/export/packages.py"
REGISTERS = "hw/weightless_hw/registers.py"
VERILOG = "hw/weightless_hw/export/verilog.py"
BENCH = "hw/weightless_hw/export/bench.py"


class Mutant(NamedTuple):
    """A planted fault."""

    file: str
    old: str
    new: str
    group: str


MUTANTS = [
    # What a descriptor is refused for: each check left out, or blind to some bits.
    Mutant(
        FRAME,
        "LoadError.LAYOUT: fields.layout != config",
        "LoadError.LAYOUT: fields.layout[:4] != config",
        "refuse",
    ),
    Mutant(LOAD, "LoadError.WIDTHS: fields.widths !=", "LoadError.WIDTHS: 0 & fields.widths !=", "refuse"),
    Mutant(FRAME, "fields.value_format == one for", "fields.value_format[:2] == one for", "refuse"),
    Mutant(FRAME, "LoadError.FLAGS: fields.flags != 0", "LoadError.FLAGS: fields.flags[:2] != 0", "refuse"),
    Mutant(
        FRAME,
        "            is_resident = fields.flags == FLAG_RESIDENT\n",
        "            is_resident = fields.flags[0]\n",
        "refuse",
    ),
    # Entries of no code.
    Mutant(CODES, "m.d.sync += filling.eq(1)", "pass", "stream"),
    Mutant(CODES, "write.eq(filling & (items.o.valid | ~any_left))", "write.eq(items.o.valid)", "parts"),
    Mutant(CODES, "Mux(addr < self.n_codes, item, 0)", "item", "parts"),
    Mutant(CODES, "with m.If(self.fill):", "with m.If(self.start):", "parts"),
    Mutant(FRAME, "LoadError.N_WEIGHTS: fields.n_weights == 0", "LoadError.N_WEIGHTS: Signal()", "refuse"),
    Mutant(LOAD, "(fields.bank_rows == 0) | (fields", "(fields", "refuse"),
    Mutant(
        LOAD,
        "(fields.bank_rows > config.max_bank_rows)",
        "(fields.bank_rows[:16] > config.max_bank_rows)",
        "refuse",
    ),
    Mutant(
        LOAD, "fields.bank_rows > config.max_bank_rows", "fields.bank_rows > config.max_bank_rows + 1", "wide"
    ),
    Mutant(
        FRAME,
        "LoadError.N_CODES: fields.n_codes > config",
        "LoadError.N_CODES: fields.n_codes[:8] > config",
        "refuse",
    ),
    Mutant(FRAME, "= is_resident & ~resident\n", "= Signal()\n", "refuse"),
    Mutant(
        FRAME,
        "LoadError.DIGEST: fields.digest !=",
        "LoadError.DIGEST: fields.digest[:31] != 0x7FFFFFFF &",
        "refuse",
    ),
    Mutant(
        LOAD,
        "LoadError.PAYLOAD_WORDS: fields.payload_words !=",
        "LoadError.PAYLOAD_WORDS: fields.payload_words[:16] !=",
        "refuse",
    ),
    Mutant(
        LOAD,
        "LoadError.PAYLOAD_WORDS: fields.payload_words !=",
        "LoadError.PAYLOAD_WORDS: fields.payload_words >",
        "refuse",
    ),
    Mutant(FRAME, "= is_resident & resident & self._differs(m, fields)", "= Signal()", "refuse"),
    *(
        Mutant(CONFIG, f'            "{name}": {bits},\n', "", "refuse")
        for name, bits in (
            ("value_format", "max(ValueFormat).bit_length()"),
            ("n_weights", "32"),
            ("n_codes", "self.n_codes_bits"),
            ("seed", "16"),
            ("scale", "32"),
        )
    ),
    Mutant(CLASSIC, ' | {"bank_rows": self.max_bank_rows.bit_length()}', "", "refuse"),
    Mutant(CONFIG, '"scale": 32,', '"scale": 31,', "refuse"),
    Mutant(
        FRAME,
        "m.d.sync += [loaded[name].eq(value) for",
        "m.d.sync += [] and [loaded[name].eq(value) for",
        "refuse",
    ),
    Mutant(
        FRAME,
        "with m.If(self._is(Phase.CODEBOOK)):  # it",
        "with m.If(self._is(Phase.CHECK)):  # it",
        "refuse",
    ),
    # Frames that are short, long, or wrong.
    Mutant(
        FRAME,
        "is_right.eq(self.record_crc == crc.crc)",
        "is_right.eq(self.record_crc[:31] == crc.crc[:31])",
        "refuse",
    ),
    Mutant(
        FRAME,
        "is_right.eq(self.record_crc == crc.crc)",
        "is_right.eq(self.record_crc[1:] == crc.crc[1:])",
        "refuse",
    ),
    Mutant(FRAME, "is_right.eq(self.record_crc == crc.crc)", "is_right.eq(1)", "refuse"),
    Mutant(FRAME, "crc.start.eq(self._is(Phase.DESCRIPTOR) & (n_words == 0))", "crc.start.eq(0)", "stream"),
    Mutant(FRAME, "self.faults.eq(LoadError.LONG)", "self.faults.eq(0)", "refuse"),
    Mutant(
        FRAME,
        "self.faults.eq(LoadError.SHORT)\n            m.d.sync += [self.at.eq(home), n_words",
        "self.faults.eq(0)\n            m.d.sync += [self.at.eq(home), n_words",
        "refuse",
    ),
    Mutant(FRAME, "else LoadError.CRC", "else LoadError.LONG", "refuse"),
    Mutant(FRAME, "m.d.sync += [self.at.eq(home), n_words.eq(0)]", "m.d.sync += self.at.eq(home)", "refuse"),
    Mutant(
        FRAME, "with m.If(self.load.valid & self.load.payload.last):", "with m.If(self.load.valid):", "refuse"
    ),
    Mutant(
        FRAME,
        "with m.If(self.load.valid & self.load.payload.last & before_crc):",
        "with m.If(self.load.payload.last & before_crc):",
        "stream",
    ),
    Mutant(FRAME, "with m.If(~self.load.payload.last):", "with m.If(0):", "refuse"),
    Mutant(FRAME, "described | comes", "comes", "stream"),
    Mutant(FRAME, "Mux(comes, self.load.payload.data, 0)", "0", "stream"),
    Mutant(
        FRAME,
        "m.d.sync += [self.at.eq(hot(Phase.CODEBOOK)), resident.eq(0)]",
        "m.d.sync += self.at.eq(hot(Phase.CODEBOOK))",
        "refuse",
    ),
    Mutant(
        FRAME,
        "m.d.sync += [self.at.eq(hot(Phase.DECODE)), resident.eq(1)]",
        "m.d.sync += self.at.eq(hot(Phase.DECODE))",
        "stream",
    ),
    Mutant(FRAME, "Signal(len(Phase)), Signal()", "Signal(len(Phase), init=1), Signal()", "stream"),
    Mutant(FRAME, "Mux(self.passes, left - 1", "Mux(self.passes, left - 2", "stream"),
    Mutant(FRAME, "with m.Elif(self.body_done):", "with m.Else():", "stream"),
    Mutant(CLASSIC, "self.tiles else 0).bit_length()", "self.tiles else 0).bit_length() - 1", "stream"),
    Mutant(LOAD, "bank.eq(Cat(Const(0, 1), bank))", "bank.eq(bank)", "stream"),
    # Registers and resets.
    Mutant(FILE, "errors & ~Mux(writes", "~Mux(writes", "soft"),
    Mutant(
        FILE,
        '~Mux(writes["errors"], self.write_data[: len(errors)], 0)',
        '~Mux(writes["errors"], ~0, 0)',
        "refuse",
    ),
    Mutant(FILE, "self.error.eq(errors.any())", "self.error.eq(errors[:12].any())", "refuse"),
    Mutant(FILE, '"beats": taken,', '"beats": decoder.weights.valid,', "stream"),
    Mutant(FILE, '"records": loader.finished,', '"records": loader.start,', "stream"),
    Mutant(FILE, '"load_stalls": decoder.load.valid & ~', '"load_stalls": ~', "stream"),
    Mutant(FILE, '"weights_stalls": decoder.weights.valid & ~', '"weights_stalls": ~', "stream"),
    Mutant(FILE, "self.write_data[SOFT_RESET.bit_length() - 1])", "self.write_data.any())", "soft"),
    Mutant(FILE, "self.write_data[SOFT_RESET.bit_length() - 1])", "self.write_data[8])", "soft"),
    Mutant(
        FILE,
        'm.d.sync += self.soft_reset.eq(writes["control"]',
        'm.d.comb += self.soft_reset.eq(writes["control"]',
        "soft",
    ),
    Mutant(FILE, '"table_size": config.table_size,', '"table_size": config.table_size + 1,', "stream"),
    Mutant(FILE, '"format_version": FORMAT_VERSION,', '"format_version": 1,', "stream"),
    Mutant(
        CONFIG,
        "self.slot_bits << 8 | self.value_bits << 16",
        "self.slot_bits << 8 | self.value_bits << 17",
        "stream",
    ),
    Mutant(FILE, "write.eq(self.write & (self.addr == ADDRESS[name]))", "write.eq(self.write)", "axi"),
    Mutant(FILE, "if self.config.counters:\n            counts", "if True:\n            counts", "counters"),
    # The pipeline.
    Mutant(
        BEATS,
        " - (tail == 0 if lanes_log2 else 1)",
        "",
        "stream",
    ),
    Mutant(BEATS, "with m.If(tail == 0):", "with m.If(0):", "stream"),
    Mutant(BEATS, "event & low.all()", "event & low[1:].all()", "stream"),
    Mutant(BEATS, "wrapped.eq(wraps)", "wrapped.eq(0)", "parts"),
    Mutant(BEATS, "(1 << LOW_BITS) - 2", "(1 << LOW_BITS) - 1", "parts"),
    Mutant(CODES, "changes = keep | not_zero", "changes = keep", "parts"),
    Mutant(CODES, "Mux(moves, chosen.hits, 0)", "Mux(moves, spare.hits, 0)", "parts"),
    Mutant(BEATS, "with m.Elif(self.go):", "with m.Elif(self.valid):", "parts"),
    Mutant(CODES, "keep.eq(hits & lane_valid)", "keep.eq(hits)", "stream"),
    Mutant(CODES, "looked_up.eq(valid | spare_full)", "looked_up.eq(valid)", "parts"),
    Mutant(CODES, "with m.Elif(valid & ~spare_full):", "with m.Elif(valid):", "parts"),
    Mutant(CODES, "chosen.eq(Mux(spare_full, spare, arrived))", "chosen.eq(arrived)", "parts"),
    Mutant(CODES, "items.i.valid.eq(self.i.valid & any_left)", "items.i.valid.eq(self.i.valid)", "parts"),
    Mutant(CODES, "moves.eq(self.o.ready | ~self.o.valid)", "moves.eq(self.o.ready)", "stream"),
    Mutant(CODES, "else code < self.n_codes", "else code <= self.n_codes", "stream"),
    Mutant(DECODER, "rows[0] ^ rows[1] ^ rows[2]", "rows[0] ^ rows[1]", "stream"),
    Mutant(STAGES, "read.en.eq(self.en & ~self.write)", "read.en.eq(~self.write)", "stream"),
    Mutant(STAGES, "row.eq((high + (low >> half)) >> half)", "row.eq(high >> half)", "parts"),
    Mutant(STAGES, "row.word_select(lane ^ 1 << k, t)", "row.word_select(lane, t)", "parts"),
    Mutant(ITEMS, "self.i.ready.eq(kept < per_item)", "self.i.ready.eq(1)", "parts"),
    Mutant(ITEMS, "given.eq(self.o.valid & self.o.ready)", "given.eq(self.o.valid)", "parts"),
    Mutant(HASH, "if k % self.per_stage == 0 or k == self.n_rounds", "if k == self.n_rounds", "parts"),
    # The ribbon: entries.
    Mutant(RIBBON_LOAD, "(raw.mantissa == 0) | more_words", "more_words", "bad ribbon"),
    Mutant(RIBBON_LOAD, "(raw.mantissa == 0) | more_words", "raw.mantissa == 0", "bad ribbon"),
    Mutant(
        RIBBON_LOAD,
        "(raw.advance > spec.UNIT * raw.mantissa)",
        "(raw.advance >= spec.UNIT * raw.mantissa)",
        "ribbon",
    ),
    Mutant(RIBBON_LOAD, "self.wrong.eq(came & (odd | left[-1]))", "self.wrong.eq(came & odd)", "bad ribbon"),
    Mutant(RIBBON_LOAD, "left - entry.units)", "left - entry.units - came)", "any ribbon"),
    Mutant(RIBBON_LOAD, "Mux(full[0], waiting[0], waiting[1])", "waiting[0]", "ribbon"),
    Mutant(RIBBON_LOAD, "Mux(entry.advance == spec.DEAD, 0, entry.advance)", "entry.advance", "ribbon"),
    # Chunks, blocks, pairs.
    Mutant(RIBBON_LOAD, "(came.odd_words != 0) | (came", "came.odd_words[0] | (came", "bad ribbon"),
    Mutant(RIBBON_LOAD, " | (came.entries == 0)", "", "bad ribbon"),
    Mutant(
        RIBBON_LOAD,
        "self.seed.eq(self.fields.seed + header.step)",
        "self.seed.eq(self.fields.seed)",
        "ribbon",
    ),
    Mutant(RIBBON_LOAD, "self.two.eq(self.entries > 1)", "self.two.eq(self.entries > 0)", "bad ribbon"),
    Mutant(
        RIBBON_LOAD,
        "self.no_entries.eq(self.one_pair)",
        "self.no_entries.eq(self.entries == 2)",
        "any ribbon",
    ),
    Mutant(
        RIBBON_LOAD,
        "self.room.eq(self.config.RING_WORDS - spec.BLOCK_WORDS)",
        "self.room.eq(self.config.RING_WORDS)",
        "ribbon",
    ),
    Mutant(RIBBON_LOAD, "self.write.half.eq(self.block[1])", "self.write.half.eq(self.block[0])", "ribbon"),
    Mutant(
        RIBBON_LOAD,
        "self.write.slots.eq(0)",
        "self.write.slots.eq(1)",
        "ribbon",
    ),
    Mutant(RIBBON_LOAD, "(has_room | ~self.active)", "has_room", "ribbon"),
    Mutant(RIBBON_LOAD, "has_room.eq(self.room >= 0)", "has_room.eq(self.room >= -1)", "ribbon"),
    Mutant(RIBBON_LOAD, " & ~(last_item & item)", "", "ribbon"),
    Mutant(
        RIBBON_LOAD,
        "with m.If(self.quiet & self.skid.o.valid)",
        "with m.If(self.skid.o.valid)",
        "ribbon",
    ),
    Mutant(RIBBON_LOAD, "self.surplus.eq(~words[:BLOCK_LOG2])", "self.surplus.eq(0)", "any ribbon"),
    Mutant(
        RIBBON_LOAD,
        "((self.unit ^ self.final) & ~within) == 0",
        "((self.unit ^ self.final) & ~within)[:2] == 0",
        "ribbon",
    ),
    Mutant(RIBBON_LOAD, "final[:CHUNK_UNITS] & self.mask, self.mask", "self.mask, self.mask", "bad ribbon"),
    Mutant(RIBBON_LOAD, "items.o.valid & ~self.reader.kept", "items.o.valid", "ribbon"),
    Mutant(
        RIBBON_LOAD,
        "self.found[LoadError.COVER].eq(at_end & self.reader.uncovered)",
        "self.found[LoadError.COVER].eq(0)",
        "bad ribbon",
    ),
    Mutant(RIBBON_LOAD, "(at_end & ~self.no_blocks)", "0", "bad ribbon"),
    Mutant(RIBBON_LOAD, " | (is_done & self.skid.o.valid)", "", "bad ribbon"),
    Mutant(RIBBON_LOAD, "missing = self.starved & self.ended & ~is_done", "missing = 0", "bad ribbon"),
    Mutant(RIBBON_LOAD, ".eq(self.items.any)", ".eq(self.items.bits[0])", "bad ribbon"),
    Mutant(
        RIBBON_LOAD,
        "Mux(self.two, behind, self.pair).any()",
        "Mux(self.two, behind, self.pair)[0]",
        "bad ribbon",
    ),
    Mutant(RIBBON_LOAD, "with m.If(self.abort | fault.any()):", "with m.If(0):", "bad ribbon"),
    # How the window moves.
    Mutant(RIBBON_STAGES, "passes = Const(0, 1), over >= 0", "passes = Const(0, 1), over > 0", "ribbon"),
    Mutant(RIBBON_STAGES, "next_moves.eq(~dead & after)", "next_moves.eq(after)", "ribbon"),
    Mutant(
        RIBBON_STAGES,
        "following = Mux(over >= 0, over, total + words)",
        "following = total + words",
        "ribbon",
    ),
    Mutant(
        RIBBON_STAGES,
        "last.eq(Mux(loads, n_steps == 1, left == 2))",
        "last.eq(Mux(loads, n_steps == 1, left == 1))",
        "ribbon",
    ),
    Mutant(RIBBON_STAGES, "waiting.eq(Mux(count == 2, behind, move))", "waiting.eq(move)", "ribbon"),
    Mutant(
        RIBBON_STAGES,
        "with m.If(self.begin):\n            m.d.sync += total.eq(0)",
        "with m.If(0):\n            m.d.sync += total.eq(0)",
        "ribbon",
    ),
    Mutant(RIBBON_STAGES, "Cat(come >= words for", "Cat(come >= words - 1 for", "ribbon"),
    Mutant(RIBBON_STAGES, "self.full.eq(enough.bit_select(moved, 1))", "self.full.eq(enough[0])", "ribbon"),
    # The window, the pipeline.
    Mutant(
        RIBBON_STAGES,
        "write.en.eq(self.write.columns[upper])",
        "write.en.eq(self.write.columns.any())",
        "ribbon",
    ),
    Mutant(RIBBON_STAGES, "less.eq(self.write.slot - place)", "less.eq(self.write.slot + place)", "ribbon"),
    Mutant(
        RIBBON_STAGES,
        "if not self._taps(lane, column):\n            return",
        "if lane == column:\n            return",
        "ribbon",
    ),
    Mutant(
        RIBBON_STAGES,
        "with m.If(self.en):\n                m.d.sync += self.sums",
        "with m.If(1):\n                m.d.sync += self.sums",
        "ribbon",
    ),
    Mutant(RIBBON_LOAD, "with m.If(self.clear | came):", "with m.If(came):", "ribbon"),
    Mutant(RIBBON_LOAD, "with m.If(takes | first):", "with m.If(takes):", "ribbon"),
    Mutant(RIBBON, "half ^ (column < first)", "half ^ (column <= first)", "ribbon"),
    Mutant(
        RIBBON,
        "self.freed.eq(Mux(self.en & valid[n_hash], moved, 0))",
        "self.freed.eq(Mux(valid[n_hash], moved, 0))",
        "ribbon",
    ),
    Mutant(RIBBON, "~self.active & ~reading", "~self.active", "ribbon"),
    Mutant(RIBBON, "closing.eq(index.valid)", "closing.eq(0)", "bad ribbon"),
    Mutant(RIBBON, "closing.eq(index.valid)", "closing.eq(1)", "bad ribbon"),
    Mutant(RIBBON, "failed.eq(abort)", "failed.eq(0)", "bad ribbon"),
    Mutant(RIBBON, "closing | index.last, n_stages", "index.last, n_stages", "bad ribbon"),
    Mutant(RIBBON, "chunk_last | index.last", "chunk_last", "ribbon"),
    Mutant(RIBBON, "(size < spec.MIN_CHUNK_LOG2) | ", "0 & ", "bad ribbon"),
    Mutant(RIBBON, " | (fields.zeros != 0)", "", "bad ribbon"),
    Mutant(CODES, "hit & ~self.i.payload.dead", "hit", "ribbon"),
    Mutant(ITEMS, "valid.eq(spare_full | self.i.valid)", "valid.eq(self.i.valid)", "ribbon"),
    Mutant(ITEMS, "word.eq(Mux(spare_full, spare, self.i.payload))", "word.eq(self.i.payload)", "ribbon"),
    Mutant(
        FRAME,
        "self.body.valid.eq(self.load.valid & ~is_last)",
        "self.body.valid.eq(self.load.valid)",
        "bad ribbon",
    ),
    Mutant(FRAME, "with m.Elif(self.body_starved & short):", "with m.Elif(short):", "bad ribbon"),
    Mutant(
        FRAME, "self.at.eq(Mux(short, home, hot(Phase.DRAIN)))", "self.at.eq(hot(Phase.DRAIN))", "bad ribbon"
    ),
    Mutant(FRAME, "with m.Elif(self.body_done & ~short):", "with m.Else():", "bad ribbon"),
    # Two groups a beat, parts of a group, the window in registers.
    Mutant(RIBBON_STAGES, "Mux(over >= 0, twice >= 0, once >= 0)", "twice >= 0", "ribbons"),
    Mutant(RIBBON_STAGES, "Mux(once >= 0, once, total + 2 * words)", "total + 2 * words", "ribbons"),
    Mutant(RIBBON_STAGES, "self.part == part, 0, value", "0, 0, value", "any ribbon"),
    Mutant(RIBBON_STAGES, "parts[self.part] if", "parts[0] if", "any ribbon"),
    Mutant(RIBBON_STAGES, "& (self.write.half == half)", "", "ribbons"),
    Mutant(RIBBON_STAGES, "row.rotate_right(t << bit)", "row.rotate_left(t << bit)", "ribbons"),
    Mutant(RIBBON, "moved = Mux(is_first, moves, 0)", "moved = Mux(1, moves, 0)", "any ribbon"),
    Mutant(RIBBON, "segments.o.ready.eq(taken & is_last)", "segments.o.ready.eq(taken)", "any ribbon"),
    Mutant(RIBBON, "parts[part] if config.beats > 1", "parts[0] if config.beats > 1", "any ribbon"),
    # AXI, and what is written beside the Verilog.
    Mutant(AXI, "self.m_axis_tlast.eq(beat.last)", "self.m_axis_tlast.eq(0)", "axi"),
    Mutant(
        AXI,
        "lane.replicate(lane_bytes) for lane in beat.lane_valid",
        "Const(1).replicate(lane_bytes) for lane in beat.lane_valid",
        "axi",
    ),
    # The bitmask: words.
    Mutant(
        BITMASK_LOAD, "more.eq(self.called > self.spare)", "more.eq(self.called >= self.spare)", "bitmask"
    ),
    Mutant(
        BITMASK_LOAD,
        "self.called - self.spare + WORD_BITS - 1",
        "self.called - self.spare + WORD_BITS",
        "bitmask",
    ),
    Mutant(
        BITMASK_LOAD, "self.spare.eq(self.spare - self.called)", "self.spare.eq(~self.called + 1)", "bitmask"
    ),
    Mutant(BITMASK_LOAD, "came.ready.eq(~self.waits | moves)", "came.ready.eq(moves)", "bitmask"),
    Mutant(BITMASK_LOAD, "self.is_last.eq(blocks == 2)", "self.is_last.eq(blocks == 1)", "bitmask"),
    Mutant(
        BITMASK_LOAD,
        "self.is_last.eq(n_weights <= MASK_BITS)",
        "self.is_last.eq(n_weights < MASK_BITS)",
        "any bitmask",
    ),
    Mutant(
        BITMASK_LOAD,
        "Mux(tail == 0, 0, Const(~0, MASK_BITS) << tail)",
        "Const(~0, MASK_BITS) << tail",
        "any bitmask",
    ),
    Mutant(BITMASK_LOAD, "self.pads.eq(self.is_last & self.outside)", "self.pads.eq(0)", "bad bitmask"),
    Mutant(BITMASK_LOAD, "(self.spare >= k)", "(self.spare > k)", "bad bitmask"),
    Mutant(BITMASK_LOAD, "self.at_end & (set_left != 0)", "self.at_end & set_left[-1]", "bad bitmask"),
    Mutant(BITMASK_LOAD, "self.whole & self.has_word", "Const(0)", "bad bitmask"),
    Mutant(BITMASK_LOAD, "self.running & no_word & self.ended", "Const(0)", "bad bitmask"),
    Mutant(
        BITMASK_LOAD,
        "with m.If(self.names_none):",
        "with m.If(self.names_none & self.looked_at):",
        "bad bitmask",
    ),
    Mutant(BITMASK_LOAD, "begun & no_word & self.looked_at", "begun & no_word", "any bitmask"),
    # Masks and codes.
    Mutant(BITMASK_STAGES, "count != n_masks", "count != n_masks - 1", "bitmask"),
    Mutant(BITMASK_STAGES, "(moves & (beats == 0))", "(moves & (beats == 1))", "bitmask"),
    Mutant(BITMASK_STAGES, "low + [low[-1] + one for one in high[1:]]", "low + high[1:]", "bitmask"),
    Mutant(BITMASK_STAGES, "filled >= self.used", "filled > self.used", "bitmask"),
    Mutant(
        BITMASK_STAGES, "filled <= (n_words - 1) * per_word", "filled < (n_words - 1) * per_word", "bitmask"
    ),
    Mutant(BITMASK_STAGES, "Mux(self.go, more - self.used, more)", "more - self.used", "bitmask"),
    Mutant(
        BITMASK_STAGES, "filled.eq(0), place.eq(0), place_in.eq(0)", "filled.eq(0), place.eq(0)", "bitmask"
    ),
    Mutant(BITMASK_STAGES, "count.eq(0), place_in.eq(0)", "count.eq(0)", "any bitmask"),
    # Beats.
    Mutant(BITMASK, ">= self.n_codes", "> self.n_codes", "bad bitmask"),
    Mutant(BITMASK, "steps & (masks.n_set > lane)", "steps & (masks.n_set >= lane + 2)", "bitmask"),
    Mutant(BITMASK, "(self.en & ~aligned.dead[lane])", "~aligned.dead[lane]", "bitmask"),
    Mutant(BITMASK, "has_aligned.eq(0), goes_on.eq(0)", "goes_on.eq(0)", "bad bitmask"),
    Mutant(
        BITMASK,
        "closing.eq(index.valid | found), found.eq(0)",
        "closing.eq(index.valid), found.eq(0)",
        "bad bitmask",
    ),
    Mutant(
        BITMASK,
        "closing.eq(index.valid | found), found.eq(0)",
        "closing.eq(index.valid | found)",
        "bad bitmask",
    ),
    Mutant(
        BITMASK,
        "fresh.eq(is_looked_at & self.en & ~found & ~bad)",
        "fresh.eq(is_looked_at & self.en)",
        "bad bitmask",
    ),
    Mutant(BITMASK, "self.names_none.eq(found & (whole != 0))", "self.names_none.eq(found)", "bad bitmask"),
    Mutant(AXI, "Mux(strobes[k], data.word_select(k, 8), 0)", "data.word_select(k, 8)", "axi"),
    Mutant(
        AXI, "Mux(strobes[k], data.word_select(k, 8), 0)", "Mux(strobes[0], data.word_select(k, 8), 0)", "axi"
    ),
    Mutant(
        AXI,
        "Mux(addr[2:] < Const(len(REGISTERS)), OKAY, SLVERR)",
        "Mux(addr[2:] <= Const(len(REGISTERS)), OKAY, SLVERR)",
        "axi",
    ),
    Mutant(AXI, "with m.If(has_addr & ~self.s_axi_rvalid & ~write):", "with m.If(has_addr & ~write):", "axi"),
    Mutant(AXI, "ResetSignal().eq(~self.aresetn)", "ResetSignal().eq(self.aresetn)", "axi"),
    Mutant(PACKAGES, '"read-write" if register.write else "read-only"', '"read-write"', "package"),
    Mutant(PACKAGES, 'modifiedWriteValue="oneToClear"', 'modifiedWriteValue="zeroToClear"', "package"),
    Mutant(
        PACKAGES,
        "baseAddress=0, range=1 << ports.AXI_ADDRESS_BITS, width=32",
        "baseAddress=0, range=64, width=32",
        "package",
    ),
    Mutant(PACKAGES, '"slave" if is_slave else "master"', '"master" if is_slave else "slave"', "package"),
    Mutant(PACKAGES, "left=port.width - 1, right=0", "left=port.width, right=0", "package"),
    Mutant(PACKAGES, "name=name, value=value)", "name=name, value=value + 1)", "package"),
    Mutant(VERILOG, "/* verilator lint_restore */", "", "package"),
    Mutant(VERILOG, "rtlil.ModuleEmitter.emit_memory = lambda *_: None", "pass", "verilog"),
    Mutant(REGISTERS, "LONG = 2048", "LONG = 16384", "package"),
    # Tiles: what the layer does not have, each way; the runs' beats and lanes; the frame.
    Mutant(TILES, "(runs.length == 0) | ", "", "runs"),
    Mutant(TILES, "runs.stride < runs.length", "runs.stride < runs.length - 1", "runs"),
    Mutant(TILES, "wrong | beyond | total[-1]", "wrong | total[-1]", "runs"),
    Mutant(TILES, "wrong | beyond | total[-1]", "wrong | beyond", "runs"),
    Mutant(TILES, "wrong | beyond | total[-1]", "beyond | total[-1]", "runs"),
    Mutant(TILES, "behind <= self.n_weights", "behind < self.n_weights", "runs"),
    Mutant(TILES, "beyond.eq(beyond | share[-1])", "beyond.eq(share[-1])", "runs"),
    Mutant(TILES, "Cat(Const(1, 1), runs.number - 1)", "Cat(Const(1, 1), runs.number)", "runs"),
    Mutant(TILES, "share.eq(runs.stride)", "share.eq(runs.length)", "runs"),
    Mutant(TILES, "others.eq(runs.number != 1)", "others.eq(runs.number > 2)", "runs"),
    Mutant(TILES, "ends.eq(left == least)", "ends.eq(left == 1)", "runs"),
    Mutant(TILES, " | ((whole == 1) & (more == -1))", "", "runs"),
    Mutant(TILES, "((whole == 0) & (more == 0)) | ", "", "runs"),
    Mutant(TILES, "ends.eq(left == least), head.eq(0)]", "ends.eq(left == least)]", "runs"),
    Mutant(TILES, "Mux(ends, tail, ~0)", "tail", "runs"),
    Mutant(TILES, "runs.first + runs.stride", "runs.first + runs.length", "runs"),
    Mutant(TILES, "runs.number.eq(1)]", "runs.number.eq(2)]", "runs"),
    Mutant(TILES, "[n_words.eq(0), is_tile.eq(0)]", "[is_tile.eq(0)]", "tiles"),
    Mutant(TILES, "is_tile & ~check.start & check.known", "check.known", "runs"),
    Mutant(FRAME, "~settled | (self.is_tile & ~self.runs_known) if", "~settled if", "tiles"),
    Mutant(FRAME, "crc_is_right & (~self.is_tile | self.runs_fit) if", "crc_is_right if", "tiles"),
    Mutant(
        FRAME, "crc_is_right & (~self.is_tile | self.runs_fit) if", "crc_is_right & self.runs_fit if", "tiles"
    ),
    Mutant(
        FRAME,
        "Mux(crc_is_right, LoadError.TILE, LoadError.CRC)",
        "Mux(self.runs_fit, LoadError.CRC, LoadError.TILE)",
        "tiles",
    ),
    Mutant(FRAME, "is_resident |= fields.flags == FLAG_TILE", "is_resident |= fields.flags[1]", "tiles"),
    Mutant(FRAME, "with m.Elif(fields.flags == FLAG_TILE):", "with m.Elif(fields.flags[0]):", "tiles"),
    Mutant(FRAME, "self._left(words).eq(TILE_WORDS)", "self._left(words).eq(TILE_WORDS - 1)", "tiles"),
    Mutant(CODES, "arrived.lanes.eq(self.i.payload.lanes)", "arrived.lanes.eq(~0)", "tiles"),
    Mutant(CODES, "delayed(m, moves, chosen.lanes, 1,", "delayed(m, moves, arrived.lanes, 1,", "tiles"),
    Mutant(DECODER, "(ones << head) & ~(ones << tail << 1)", "~(ones << tail << 1)", "tiles"),
    Mutant(DECODER, "(ones << head) & ~(ones << tail << 1)", "(ones << head)", "tiles"),
    Mutant(DECODER, "pipeline.begin.eq(loader.begin)", "pipeline.begin.eq(0)", "tiles"),
    Mutant(CLASSIC, "return bool(self.tiles)", "return True", "parts"),
    Mutant(BENCH, "lanes * bits + lane & 1)", "lanes * bits + 0 & 1)", "package"),
]


def copies(n: int) -> Iterator[Path]:
    """Copies of what git tracks, as it is in the working tree."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    shutil.rmtree(FOLDER, ignore_errors=True)
    for k in range(n):
        folder = FOLDER / str(k)
        for name in names.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        yield folder


def is_green(group: str, folder: Path) -> bool:
    """Whether the tests of a group pass on a copy as it is."""
    places = os.pathsep.join(str(folder / part) for part in ("", "hw", "sim"))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        *GROUPS[group],
    ]
    environment = os.environ | {"PYTHONPATH": places}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1, 2):
        raise SystemExit(
            f"{group}: pytest ended with {run.returncode}: {run.stdout[-2000:]}{run.stderr[-500:]}"
        )
    return run.returncode == 0


def is_found(mutant: Mutant, folder: Path) -> bool:
    """Whether a test of its group is red; the copy is as before afterwards."""
    path = folder / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(
            f"{mutant.file}: {mutant.old!r} stands there {text.count(mutant.old)} times, not once"
        )
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        return not is_green(mutant.group, folder)
    finally:
        path.write_text(text)


def main() -> None:
    """All of them, or those whose number is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, help="of MUTANTS; default: all")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    numbers = options.numbers or list(range(len(MUTANTS)))
    free: SimpleQueue[Path] = SimpleQueue()
    for folder in copies(options.jobs):
        free.put(folder)
    for group in sorted(
        {MUTANTS[number].group for number in numbers}
    ):  # a test that is red anyhow finds nothing
        if not is_green(group, FOLDER / "0"):
            raise SystemExit(f"the tests of {group!r} are red without a mutant")
    survivors = []

    def one(number: int) -> None:
        folder = free.get()
        try:
            found = is_found(MUTANTS[number], folder)
        finally:
            free.put(folder)
        print(
            f"{number:3} {'found' if found else 'SURVIVES'}: {MUTANTS[number].new.strip()[:70]!r}", flush=True
        )
        if not found:
            survivors.append(number)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, numbers))
    print(f"{len(numbers)} mutants, {len(survivors)} survivors")
    for number in sorted(survivors):
        print(f"  {number}: {MUTANTS[number]}")
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
