"""Decoders, records and bad frames of the bitmask layout.

Records are written here from the specification, not by the encoder: any codes, any stretches without.
"""

import numpy as np
from frames import (
    changed,
    codebook,
    cut,
    descriptor,
    frame,
    payload_place,
    refused_where_it_streams,
    to_record,
    value_format,
)

from weightless_hw.bitmask.config import BitmaskConfig
from weightless_hw.registers import LoadError
from weightless_sim.cosim.scenario import LAST
from weightless_sw.spec import bitmask as spec
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.spec.record import words_for_bits

CONFIGS = {
    "bitmask": BitmaskConfig(slot_bits=8, max_codes=16),
    "bitmask, 16 lanes of 4 bits, all of them codes, 8-bit values, lanes apart": BitmaskConfig(
        lanes=16, slot_bits=4, max_codes=16, value_bits=8, lane_registers=1
    ),
    "bitmask, one lane of 3 bits": BitmaskConfig(lanes=1, slot_bits=3, max_codes=7),
}


def record(config, codes, rng, *, n_codes, words=None):
    """Of these codes, ``n_codes`` for a zero weight; or of these words."""
    codes = np.asarray(codes)
    geometry = BitmaskGeometry(
        n_weights=len(codes), slot_bits=config.slot_bits, n_codes=n_codes, seed=0,
        n_nonzero=int(np.count_nonzero(codes < n_codes)), value_format=value_format(config, rng),
    )  # fmt: skip
    if words is None:
        words = spec.write(codes.tolist(), config.slot_bits, n_codes)
    data = to_record(geometry, codebook(geometry, rng), np.array(words, np.uint32))
    return data if len(words) == geometry.table_words else with_words(data, words)


def with_words(data, words):
    """The record with other words as its payload, of which its descriptor knows."""
    head = data[: 4 * payload_place(data)] + np.array(words, "<u4").tobytes()
    framed = changed(head, payload_words=len(words))
    return b"".join((word & LAST - 1).to_bytes(4, "little") for word in framed[:-1])


def random_codes(config, n_weights, rng, n_codes):
    """Of a layer whose density changes with every few blocks; the last code among them."""
    density = np.repeat(rng.choice([0, 0.02, 0.2, 0.5, 1], n_weights // 50 + 1), 50)[:n_weights]
    codes = np.where(rng.random(n_weights) < density, rng.integers(0, max(1, n_codes), n_weights), n_codes)
    if n_codes:
        codes[rng.integers(0, n_weights)] = n_codes - 1
    return codes


def full_record(config):
    """Every stretch there is: dense, sparse, none, and as many codes as the decoder knows."""
    rng = np.random.default_rng(9)
    k = config.max_codes
    dense, none = rng.integers(0, k, 1000), np.full(777, k)
    sparse = np.where(rng.random(2000) < 0.05, rng.integers(0, k, 2000), k)
    return record(config, np.concatenate([dense, none, sparse, dense[:99], none[:40]]), rng, n_codes=k)


def random_config(rng):
    """Any lanes and slot bits."""
    slot_bits = int(rng.integers(1, 17))
    return BitmaskConfig(
        lanes=int(2 ** rng.integers(0, 5)),
        slot_bits=slot_bits,
        max_codes=int(rng.integers(1, min(1 << slot_bits, 40) + 1)),
        value_bits=int(rng.choice([8, 16])),
        lane_registers=int(rng.integers(0, 2)),
    )


def random_record(config, rng):
    """Any layer."""
    n_codes = int(rng.integers(0, config.max_codes + 1))
    return record(
        config, random_codes(config, int(rng.integers(1, 1500)), rng, n_codes), rng, n_codes=n_codes
    )


def bad_payloads(config):
    """By name: a record whose payload no encoder writes, and what is wrong with it.  Software refuses it, too."""
    rng = np.random.default_rng(5)
    n, t, n_codes = 300, config.slot_bits, max(1, config.max_codes // 2)
    codes = np.where(rng.random(n) < 0.3, rng.integers(0, n_codes, n), n_codes)
    codes[[0, n - 1]] = codes[32:64] = 0  # a block of all its codes
    good = spec.write(codes.tolist(), t, n_codes)
    n_masks = -(-n // spec.MASK_BITS)

    def of(words, codes=codes):
        return record(config, codes, rng, n_codes=n_codes, words=words)

    def place(block):
        """Where a block's mask is."""
        n_known = np.count_nonzero(codes[: block * spec.MASK_BITS] < n_codes)
        return block + words_for_bits(t * int(n_known))

    def flipped(where, bits):
        return [word ^ (bits if k == where else 0) for k, word in enumerate(good)]

    def naming(*places, code=(1 << t) - 1):
        """The payload with another code at these weights, which names nothing."""
        wrong = codes.copy()
        wrong[list(places)] = code
        return spec.write(np.where(codes == n_codes, 1 << t, wrong).tolist(), t, 1 << t)

    last = place(n_masks - 1)
    set_places = np.flatnonzero(codes < n_codes)
    fewer, more = codes.copy(), codes.copy()
    fewer[set_places[3]] = n_codes  # the descriptor says one less
    more[np.flatnonzero(codes == n_codes)[3]] = 0  # or one more
    n_spare = -t * len(set_places) % 32
    bad = {
        "a bit behind the last weight": (of(flipped(last, 1 << n % 32)), LoadError.PADDING),
        "the highest bit of the last mask": (of(flipped(last, 1 << 31)), LoadError.PADDING),
        "a bit more than there are": (of(good, fewer), LoadError.COVER),
        "a bit less than there are": (of(good, more), LoadError.COVER),
        "a word missing": (of(good[:-1]), LoadError.WORDS),
        "all but a mask missing": (of(good[:1]), LoadError.WORDS),
        "a mask missing": (of(good[:last]), LoadError.WORDS),
        "a word behind the last": (of([*good, 0]), LoadError.WORDS),
        "many words behind the last": (of([*good, *good]), LoadError.WORDS),
    }
    if n_codes < 1 << t:
        bad |= {
            "the first code names nothing": (of(naming(0)), LoadError.ENTRY),
            "the last code names nothing": (of(naming(n - 1)), LoadError.ENTRY),
            "a code is one too high": (of(naming(n - 1, code=n_codes)), LoadError.ENTRY),
            "a code names nothing, and words are missing": (of(naming(40)[:-1]),
                                                            LoadError.ENTRY),
            "no code names anything": (of(naming(*set_places)), LoadError.ENTRY),
            "a code names nothing, and a bit too many": (of(naming(n - 1), fewer), LoadError.ENTRY),
            "a code names nothing in a block that ends too soon": (of(naming(32)[: place(1) + 2]), LoadError.WORDS),
        }  # fmt: skip
    if n_spare:
        bad |= {
            "a bit behind the last code": (of(flipped(-1 % len(good), 1 << 32 - n_spare)), LoadError.PADDING),
            "the highest bit behind the last code": (of(flipped(-1 % len(good), 1 << 31)), LoadError.PADDING),
        }
    return bad


def refused(config, good):
    """By name: a frame that the decoder must refuse, and why."""
    words, old, start = frame(good), descriptor(good), payload_place(good)
    return {
        "the low bits of the widths": (changed(good, widths=old["widths"] | 1), LoadError.WIDTHS),
        "a seed": (changed(good, seed=1), LoadError.WIDTHS),
        "more weights that are not zero than weights": (changed(good, n_nonzero=301), LoadError.N_WEIGHTS),
        "weights of no value": (changed(good, n_codes=0), LoadError.N_CODES),
        "values of no weight": (changed(good, n_nonzero=0), LoadError.N_CODES),
        "a tile": (changed(good, flags=2), LoadError.FLAGS),
        **refused_where_it_streams(good),
        "ends behind a mask": (cut(words, start + 2), LoadError.SHORT),
        "a bit of the codebook": ([*words[:7], words[7] ^ 1, *words[8:]], LoadError.CRC),
        **{name: (frame(bad), error) for name, (bad, error) in bad_payloads(config).items()},
        **late_crcs(config),
    }


def late_crcs(config):
    """Frames whose CRC is wrong, with fewer and fewer words behind those of the first weights: it is found before the
    last beat is issued, while it is on its way, and when it is out."""
    rng = np.random.default_rng(6)
    frames = {}
    for n in (1, 31, 33, 65, 130):
        codes = np.where(np.arange(n) % 2 == 0, 0, 1)
        words = frame(record(config, codes, rng, n_codes=1))
        frames[f"CRC, {n} weights"] = [*words[:-1], words[-1] ^ 1], LoadError.CRC
    return frames


def aliases(config, good):
    """Frames that are right but for bits that a careless comparison leaves out: the layout's own fields."""
    old = descriptor(good)
    return {
        **{f"widths, bit {bit}": (changed(good, widths=old["widths"] ^ 1 << bit), LoadError.WIDTHS)
           for bit in range(4)},
        **{f"seed, bit {bit}": (changed(good, seed=1 << bit), LoadError.WIDTHS) for bit in range(16)},
        **{f"n_nonzero, bit {bit}": (changed(good, n_nonzero=old["n_nonzero"] ^ 1 << bit), LoadError.N_WEIGHTS)
           for bit in range(6, 32)},
    }  # fmt: skip


def random_frames(config, n, rng):
    """Frames of random words behind a right descriptor, and good ones of which a word is another."""
    frames = []
    for k in range(n):
        data = random_record(config, rng)
        words, begin = frame(data), payload_place(data)
        if k % 2:
            place = int(rng.integers(begin, len(words)))
            words[place] ^= 1 << int(rng.integers(0, 32))
        else:
            words[begin:-1] = rng.integers(0, 1 << 32, len(words) - 1 - begin).tolist()
        frames.append(words)
    return frames


def others(config, good):
    """No record is resident."""
    return {}
