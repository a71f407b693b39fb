"""Records of made-up layers, and frames that a decoder must refuse."""

import numpy as np

from weightless_hw.registers import LoadError
from weightless_sim.cosim.scenario import LAST, frame, resident_record
from weightless_sw import codec, container
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import DESCRIPTOR_BYTES, ValueFormat, pack_fields, unpack_fields


def record(config, n_weights, n_nonzero, n_values, seed=0):
    """A layer of that size for this decoder, as bytes."""
    rng = np.random.default_rng([n_weights, n_nonzero, seed])
    weights = np.zeros(n_weights, np.float32)
    places = rng.choice(n_weights, n_nonzero, replace=False)
    weights[places] = rng.integers(1, n_values + 1, n_nonzero) / 4
    value_format = ValueFormat.FP16 if config.value_bits == 16 else ValueFormat.FIXED8
    tensor, _ = codec.encode(
        weights, lanes=config.lanes, slot_bits=config.slot_bits, value_format=value_format, round_values=True
    )
    return container.to_record(tensor)


def changed(record, **fields):
    """The record with other fields in its descriptor, and the CRC word that goes with it."""
    old = unpack_fields(ClassicGeometry.FIELDS, record[:DESCRIPTOR_BYTES])
    return frame(pack_fields(ClassicGeometry.FIELDS, old | fields) + record[DESCRIPTOR_BYTES:])


def of_other_layers(good):
    """By field: the resident frame of a layer that differs from ``good`` in that field alone."""
    record = resident_record(good)
    old = unpack_fields(ClassicGeometry.FIELDS, record[:DESCRIPTOR_BYTES])
    row_bits = spec.N_BANKS * 8 * (1 << (old["widths"] & 15)) * ((old["widths"] >> 4) + 1) // 8
    rows = {"bank_rows": old["bank_rows"] + 1, "payload_words": -(-(old["bank_rows"] + 1) * row_bits // 32)}
    bits = [
        ("n_weights", 0),
        ("n_weights", 31),
        ("seed", 0),
        ("seed", 15),
        ("scale", 0),
        ("scale", 31),
        ("n_codes", 0),
    ]
    if old["value_format"] != ValueFormat.FIXED8:  # of 16 bits there are two
        bits.append(("value_format", 1))
    fields = {f"{name}, bit {bit}": {name: old[name] ^ 1 << bit} for name, bit in bits} | {"rows": rows}
    return {name: changed(record, **others) for name, others in fields.items()}


def cut(words, n):
    """The first ``n`` words, the last of them last."""
    return [*words[: n - 1], words[n - 1] | LAST]


def aliases(config):
    """Frames that are right but for bits that a careless comparison leaves out: the high ones of every field."""
    good = record(config, 60, 9, 3)
    old = unpack_fields(ClassicGeometry.FIELDS, good[:DESCRIPTOR_BYTES])

    def frames(field, bits, error):
        return {
            f"{field}, bit {bit}": (changed(good, **{field: old[field] ^ 1 << bit}), error) for bit in bits
        }

    beyond = range(config.max_codes.bit_length(), 16)
    codes = {f"n_codes + 2^{bit}": (changed(good, n_codes=old["n_codes"] + (1 << bit)), LoadError.N_CODES)
             for bit in beyond}  # fmt: skip
    rows = {f"rows + 2^{bit}": (changed(good, bank_rows=old["bank_rows"] | 1 << bit), LoadError.BANK_ROWS)
            for bit in range(config.max_bank_rows.bit_length(), 32)}  # fmt: skip
    return {
        **frames("layout", range(1, 8), LoadError.LAYOUT),
        **frames("widths", range(8), LoadError.WIDTHS),
        **frames("value_format", range(2, 8), LoadError.VALUE_FORMAT),
        **frames("flags", range(1, 8), LoadError.FLAGS),
        "flags 3": (changed(good, flags=3), LoadError.FLAGS),
        **frames("digest", range(32), LoadError.DIGEST),
        **frames("payload_words", range(32), LoadError.PAYLOAD_WORDS),
        **codes,
        **rows,
    }


def crc_bits(config):
    """A right record with each bit of its CRC word wrong."""
    words = frame(record(config, 60, 9, 3))
    return {f"CRC, bit {bit}": ([*words[:-1], words[-1] ^ 1 << bit], LoadError.CRC) for bit in range(32)}


def refused(config):
    """By name: a frame that the decoder must refuse, and why."""
    good = record(config, 300, 40, 3)
    words, descriptor = frame(good), unpack_fields(ClassicGeometry.FIELDS, good[:DESCRIPTOR_BYTES])
    payload = descriptor["payload_words"]
    row_bits = 3 * config.lanes * config.slot_bits
    other_rows = next(n for n in range(1, config.max_bank_rows + 1) if -(-n * row_bits // 32) != payload)
    too_many = config.max_bank_rows + 1
    return {
        "layout": (changed(good, layout=2), LoadError.LAYOUT),
        "lanes": (changed(good, widths=descriptor["widths"] ^ 1), LoadError.WIDTHS),
        "slot bits": (changed(good, widths=descriptor["widths"] ^ 16), LoadError.WIDTHS),
        "value format": (changed(good, value_format=0), LoadError.VALUE_FORMAT),
        "flags": (changed(good, flags=4), LoadError.FLAGS),
        "no weights": (changed(good, n_weights=0), LoadError.N_WEIGHTS),
        "no rows": (changed(good, bank_rows=0, payload_words=0), LoadError.BANK_ROWS),
        "a row too many": (
            changed(good, bank_rows=too_many, payload_words=-(-too_many * row_bits // 32)),
            LoadError.BANK_ROWS,
        ),
        "digest": (changed(good, digest=descriptor["digest"] ^ 1), LoadError.DIGEST),
        "codes": (changed(good, n_codes=config.max_codes + 1), LoadError.N_CODES),
        "payload words too few": (changed(good, payload_words=payload - 1), LoadError.PAYLOAD_WORDS),
        "payload words too many": (changed(good, payload_words=payload + 1), LoadError.PAYLOAD_WORDS),
        "other rows": (changed(good, bank_rows=other_rows), LoadError.PAYLOAD_WORDS),
        "one word": (cut(words, 1), LoadError.SHORT),
        "half a descriptor": (cut(words, 4), LoadError.SHORT),
        "descriptor alone": (cut(words, 7), LoadError.SHORT),
        "ends in the codebook": (cut(words, 8), LoadError.SHORT),
        "ends in the table": (cut(words, len(words) // 2), LoadError.SHORT),
        "no CRC word": (cut(words, len(words) - 1), LoadError.SHORT),
        "a word too many": ([*words[:-1], words[-1] & LAST - 1, LAST], LoadError.LONG),
        "many too many": ([*words[:-1], *words[:-1], *words], LoadError.LONG),
        "CRC": ([*words[:-1], words[-1] ^ 1 << 31], LoadError.CRC),
        "a bit of the table": ([*words[:-2], words[-2] ^ 1, words[-1]], LoadError.CRC),
        "resident, and refused before it": (frame(resident_record(good)), LoadError.NOT_RESIDENT),
    }
