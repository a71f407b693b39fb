"""Decoders, records and bad frames of the classic layout."""

import numpy as np
from frames import changed, codebook, cut, descriptor, frame, to_record, value_format

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.registers import LoadError
from weightless_sim.cosim.scenario import LAST
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import ValueFormat

CONFIGS = {
    "paper's table": ClassicConfig(lanes=1, slot_bits=8, max_bank_rows=120, max_codes=16),
    "8 lanes, rows of 72 bits": ClassicConfig(lanes=8, slot_bits=9, max_bank_rows=40, max_codes=40, tiles=1),
    "16 lanes, 8-bit values": ClassicConfig(
        lanes=16, slot_bits=5, max_bank_rows=16, max_codes=7, value_bits=8, rounds_per_stage=4
    ),
}


def full_record(config):
    """The largest table that fits, every slot random: any table is a valid one."""
    rng = np.random.default_rng(9)
    geometry = ClassicGeometry(
        n_weights=999, lanes=config.lanes, slot_bits=config.slot_bits, bank_rows=config.max_bank_rows,
        n_codes=config.max_codes, seed=11,
        value_format=ValueFormat.FIXED16 if config.value_bits == 16 else ValueFormat.FIXED8,
    )  # fmt: skip
    table = rng.integers(0, 1 << config.slot_bits, geometry.n_slots).astype(np.uint16)
    return to_record(geometry, codebook(geometry, rng), table)


def random_config(rng):
    """Any lanes and slot bits; sizes small enough for Icarus."""
    slot_bits = int(rng.integers(1, 17))
    return ClassicConfig(
        lanes=int(2 ** rng.integers(0, 7)),
        slot_bits=slot_bits,
        max_bank_rows=int(rng.integers(1, 40)),
        max_codes=int(rng.integers(1, min(1 << slot_bits, 40))),
        value_bits=int(rng.choice([8, 16])),
        rounds_per_stage=int(rng.integers(1, 7)),
        tiles=int(rng.integers(2)),
    )


def random_record(config, rng):
    """Any layer that fits; every table is a valid one."""
    geometry = ClassicGeometry(
        n_weights=int(rng.integers(1, config.lanes * 40)),
        lanes=config.lanes,
        slot_bits=config.slot_bits,
        bank_rows=int(rng.integers(1, config.max_bank_rows + 1)),
        n_codes=int(rng.integers(0, config.max_codes + 1)),
        seed=int(rng.integers(0, 1 << 16)),
        value_format=value_format(config, rng),
    )
    table = rng.integers(0, 1 << config.slot_bits, geometry.n_slots).astype(np.uint16)
    return to_record(geometry, codebook(geometry, rng), table)


def row_bits(config):
    """Of the rows of one number in all banks."""
    return spec.N_BANKS * config.lanes * config.slot_bits


def refused(config, good):
    """By name: a frame made of the record ``good`` that the decoder must refuse, and why."""
    words, old = frame(good), descriptor(good)
    payload, row = old["payload_words"], row_bits(config)
    other_rows = next(n for n in range(1, config.max_bank_rows + 1) if -(-n * row // 32) != payload)
    too_many = config.max_bank_rows + 1
    return {
        "lanes": (changed(good, widths=old["widths"] ^ 1), LoadError.WIDTHS),
        "no rows": (changed(good, bank_rows=0, payload_words=0), LoadError.BANK_ROWS),
        "a row too many": (
            changed(good, bank_rows=too_many, payload_words=-(-too_many * row // 32)),
            LoadError.BANK_ROWS,
        ),
        "payload words too few": (changed(good, payload_words=payload - 1), LoadError.PAYLOAD_WORDS),
        "payload words too many": (changed(good, payload_words=payload + 1), LoadError.PAYLOAD_WORDS),
        "other rows": (changed(good, bank_rows=other_rows), LoadError.PAYLOAD_WORDS),
        "ends in the table": (cut(words, len(words) // 2), LoadError.SHORT),
        "no CRC word": (cut(words, len(words) - 1), LoadError.SHORT),
        "a word too many": ([*words[:-1], words[-1] & LAST - 1, LAST], LoadError.LONG),
        "many too many": ([*words[:-1], *words[:-1], *words], LoadError.LONG),
        "CRC": ([*words[:-1], words[-1] ^ 1 << 31], LoadError.CRC),
        "a bit of the table": ([*words[:-2], words[-2] ^ 1, words[-1]], LoadError.CRC),
    }


def aliases(config, good):
    """Frames that are right but for bits that a careless comparison leaves out: the layout's own fields."""
    old = descriptor(good)
    return {
        **{f"lanes, bit {bit}": (changed(good, widths=old["widths"] ^ 1 << bit), LoadError.WIDTHS) for bit in range(4)},
        **{f"payload_words, bit {bit}": (changed(good, payload_words=old["payload_words"] ^ 1 << bit),
                                         LoadError.PAYLOAD_WORDS) for bit in range(32)},
        **{f"rows + 2^{bit}": (changed(good, bank_rows=old["bank_rows"] | 1 << bit), LoadError.BANK_ROWS)
           for bit in range(config.max_bank_rows.bit_length(), 32)},
    }  # fmt: skip


def others(config, good):
    """By name: descriptor fields of a layer that is another one than ``good`` in the layout's own fields alone."""
    rows = descriptor(good)["bank_rows"] + 1
    return {"rows": {"bank_rows": rows, "payload_words": -(-rows * row_bits(config) // 32)}}
