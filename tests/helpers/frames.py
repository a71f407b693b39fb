"""Records of made-up layers, and frames that a decoder must refuse; what a layout adds is in its file of ``rooms``."""

import numpy as np

from weightless_hw.registers import LoadError
from weightless_sim.cosim.scenario import LAST, frame
from weightless_sw import codec, layouts, records
from weightless_sw.arrangement import Arrangement
from weightless_sw.codebook import CODEBOOK_DTYPES
from weightless_sw.records import geometry_of, resident_record, tile_record
from weightless_sw.spec.record import DESCRIPTOR_BYTES, Runs, ValueFormat, pack_fields, unpack_fields
from weightless_sw.tensor import EncodedTensor


def record(config, n_weights, n_nonzero, n_values, seed=0):
    """A layer of that size for this decoder, as bytes."""
    rng = np.random.default_rng([n_weights, n_nonzero, seed])
    weights = np.zeros(n_weights, np.float32)
    places = rng.choice(n_weights, n_nonzero, replace=False)
    weights[places] = rng.integers(1, n_values + 1, n_nonzero) / 4
    layout = config.GEOMETRY.NAME
    options = layouts.encoder(layouts.by_name(layout)).OPTIONS
    tensor, _ = codec.encode(
        weights, layout=layout, slot_bits=config.slot_bits, round_values=True, live="off",
        value_format=ValueFormat.FP16 if config.value_bits == 16 else ValueFormat.FIXED8,
        **{name: value for name, value in vars(config).items() if name in options},
    )  # fmt: skip
    return records.to_record(tensor)


def to_record(geometry, codebook, table):
    """Of a layer that nobody encoded."""
    return records.to_record(EncodedTensor(Arrangement((geometry.n_weights,)), geometry, codebook, table))


def value_format(config, rng):
    """One of those that the decoder takes."""
    formats = [one for one in ValueFormat if one.bits == config.value_bits]
    return formats[int(rng.integers(len(formats)))]


def codebook(geometry, rng):
    """As many entries as the geometry says, distinct, none zero."""
    values = rng.permutation([*range(-100, 0), *range(1, 100)])[: geometry.n_codes]
    return values.astype(CODEBOOK_DTYPES[geometry.value_format])


def layers(config):
    """Reload between layers: a usual one, tiles of it, N = 1, the same again from the loaded table, full tables, no
    weights."""
    from rooms import of

    usual, one = record(config, 1003, 90, 7), record(config, 1, 1, 1)
    return [
        usual,
        *([tile_record(usual, runs) for runs in TILES] if config.takes_tiles else []),
        one,
        *([resident_record(one)] if config.keeps_table() else []),
        of(config).full_record(config),
        record(config, 17, 0, 1),
        record(config, 64, 9, 3),  # whole beats on any of these decoders
    ]


TILES = (  # of 1003 weights
    Runs(3, 7, 5, 9),  # runs that begin and end anywhere
    Runs(1002, 1, 1, 1),  # the last weight
    Runs(5, 1, 100, 3),  # runs in one group, several of them
    Runs(16, 16, 6, 64),  # whole groups, of the decoders up to 16 lanes
    Runs(13, 40, 12, 77),
    Runs(0, 1003, 1, 1003),  # all
    Runs(0, 17, 59, 17),  # all, in runs
    Runs(2, 5, 2, 7),
)


def random_runs(rng, n_weights):
    """A tile of a layer of so many weights; ``rng`` is Python's own."""
    length = rng.randint(1, min(n_weights, 40))
    first = rng.randint(0, n_weights - length)
    stride = rng.randint(length, max(length, min(n_weights, 2 * length + 20)))
    return Runs(first, length, rng.randint(1, (n_weights - length - first) // stride + 1), stride)


def bad_runs(n_weights):
    """By name: runs that a layer of so many weights does not have, 64 < n_weights."""
    top = 1 << 32
    return {
        "no run": Runs(0, 8, 0, 8),
        "empty runs": Runs(0, 0, 3, 8),
        "empty runs, no stride": Runs(0, 0, 1, 0),
        "runs that overlap": Runs(0, 9, 2, 8),
        "one run, shorter stride": Runs(0, 9, 1, 8),
        "a weight too many": Runs(n_weights - 4, 5, 1, 5),
        "a weight too many, in the last of three": Runs(n_weights - 36, 5, 3, 16),
        "begins behind": Runs(n_weights, 1, 1, 1),
        "begins far behind": Runs(top - 1, 1, 1, 1),
        "first and length wrap": Runs(top - 4, 8, 1, 8),
        "length wraps by one": Runs(1, top - 1, 1, top - 1),
        "product wraps": Runs(0, 8, (1 << 28) + 1, 16),  # 2^32 and a run
        "product wraps, stride 2^31": Runs(0, 8, 3, 1 << 31),
        "all that there is": Runs(top - 1, top - 1, top - 1, top - 1),
        "many runs": Runs(0, 1, top - 1, 1),
        "a stride that is shifted out": Runs(0, 1, 5, 1 << 31),
        "sum wraps": Runs(16, 8, 2, top - 16),  # 2^32 + 8
    }


def descriptor(record):
    """The fields of a record, by name."""
    fields = layouts.BY_NUMBER[record[0]].geometry.FIELDS
    return unpack_fields(fields, record[:DESCRIPTOR_BYTES])


def changed(record, **fields):
    """The record with other fields in its descriptor, and the CRC word that goes with it."""
    names = layouts.BY_NUMBER[record[0]].geometry.FIELDS
    return frame(pack_fields(names, descriptor(record) | fields) + record[DESCRIPTOR_BYTES:])


def cut(words, n):
    """The first ``n`` words, the last of them last."""
    return [*words[: n - 1], words[n - 1] | LAST]


def payload_place(record):
    """The word of a record with which its payload begins."""
    return DESCRIPTOR_BYTES // 4 + geometry_of(record).codebook_section.n_words


def refused_where_it_streams(good):
    """By name: what a layout that streams refuses of frames of a good record, and why."""
    words, start, n_payload = frame(good), payload_place(good), descriptor(good)["payload_words"]
    return {
        "resident": (changed(good, flags=1), LoadError.FLAGS),
        "no payload": (changed(good[: 4 * start], payload_words=0), LoadError.WORDS),
        "payload words too few": (changed(good, payload_words=n_payload - 1), LoadError.WORDS),
        "payload words too many": (changed(good, payload_words=n_payload + 1), LoadError.SHORT),
        "ends before the payload": (cut(words, start + 1), LoadError.SHORT),
        "ends in the payload": (cut(words, len(words) - 5), LoadError.SHORT),
        "no CRC word": (cut(words, len(words) - 1), LoadError.SHORT),
        "a word too many": ([*words[:-1], words[-1] & LAST - 1, LAST], LoadError.LONG),
        "many too many": ([*words[:-1], *words[:-1], *words], LoadError.LONG),
        "CRC": ([*words[:-1], words[-1] ^ 1 << 31], LoadError.CRC),
    }


def of_other_layers(config, good):
    """By field: the resident frame of a layer that differs from ``good`` in that field alone."""
    from rooms import of

    record = resident_record(good)
    old = descriptor(record)
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
    fields = {f"{name}, bit {bit}": {name: old[name] ^ 1 << bit} for name, bit in bits}
    return {
        name: changed(record, **others) for name, others in (fields | of(config).others(config, good)).items()
    }


def aliases(config):
    """Frames that are right but for bits that a careless comparison leaves out: the high ones of every field."""
    from rooms import of

    good = record(config, 60, 9, 3)
    old = descriptor(good)

    def frames(field, bits, error):
        return {
            f"{field}, bit {bit}": (changed(good, **{field: old[field] ^ 1 << bit}), error) for bit in bits
        }

    beyond = range(config.max_codes.bit_length(), 16)
    codes = {f"n_codes + 2^{bit}": (changed(good, n_codes=old["n_codes"] + (1 << bit)), LoadError.N_CODES)
             for bit in beyond}  # fmt: skip
    return {
        **frames("layout", range(1, 8), LoadError.LAYOUT),
        **frames("widths", range(4, 8), LoadError.WIDTHS),
        **frames("value_format", range(2, 8), LoadError.VALUE_FORMAT),
        **frames("flags", range(2 if config.takes_tiles else 1, 8), LoadError.FLAGS),
        "flags 3": (changed(good, flags=3), LoadError.FLAGS),
        **frames("digest", range(32), LoadError.DIGEST),
        **codes,
        **of(config).aliases(config, good),
    }


def crc_bits(config):
    """A right record with each bit of its CRC word wrong."""
    words = frame(record(config, 60, 9, 3))
    return {f"CRC, bit {bit}": ([*words[:-1], words[-1] ^ 1 << bit], LoadError.CRC) for bit in range(32)}


def refused(config):
    """By name: a frame that the decoder must refuse, and why."""
    from rooms import of

    good = record(config, 300, 40, 3)
    words, old = frame(good), descriptor(good)
    resident = frame(resident_record(good)), LoadError.NOT_RESIDENT
    tile = frame(tile_record(good, Runs(3, 7, 5, 9))), LoadError.NOT_RESIDENT
    return {
        "layout": (changed(good, layout=old["layout"] + 1), LoadError.LAYOUT),
        "slot bits": (changed(good, widths=old["widths"] ^ 16), LoadError.WIDTHS),
        "value format": (changed(good, value_format=0), LoadError.VALUE_FORMAT),
        "flags": (changed(good, flags=4), LoadError.FLAGS),
        "no weights": (changed(good, n_weights=0), LoadError.N_WEIGHTS),
        "digest": (changed(good, digest=old["digest"] ^ 1), LoadError.DIGEST),
        "codes": (changed(good, n_codes=config.max_codes + 1), LoadError.N_CODES),
        "one word": (cut(words, 1), LoadError.SHORT),
        "half a descriptor": (cut(words, 4), LoadError.SHORT),
        "descriptor alone": (cut(words, 7), LoadError.SHORT),
        **({"ends in the codebook": (cut(words, 8), LoadError.SHORT)} if geometry_of(good).n_codes else {}),
        **of(config).refused(config, good),
        **({"resident, and refused before it": resident} if config.keeps_table() else {}),
        **({"a tile, and refused before it": tile} if config.takes_tiles else {}),
    }
