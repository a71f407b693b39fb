"""Decoders, records and bad frames of the ribbon layout.

Records are written here from the specification, not by the encoder: any slots, any segments.
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

from weightless_hw.registers import LoadError
from weightless_hw.ribbon.config import RibbonConfig
from weightless_sw.records import unpack_bits
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.record import words_for_bits
from weightless_sw.spec.ribbon import Header, RibbonGeometry, entry_advance, entry_groups

CONFIGS = {
    "ribbon": RibbonConfig(slot_bits=8, max_codes=16),
    "ribbon, 16 lanes of 11 bits, 8-bit values, registers": RibbonConfig(
        lanes=16, slot_bits=11, max_codes=40, value_bits=8, rounds_per_stage=4, window_registers=1
    ),
}
DEAD = spec.DEAD << spec.GROUPS_BITS


def entry(words, groups):
    """Over so many groups (even, below 128) the window moves by so many words."""
    return words << spec.GROUPS_BITS | groups // spec.UNIT


def chunk(config, entries, n_words, rng, *, step=0, behind=0, pair_tail=0, padding=0):
    """The words of a chunk with random slots.  ``behind`` goes into the place of an entry that is not there,
    ``pair_tail`` behind a pair, ``padding`` behind all."""
    t = config.slot_bits
    bits, place = Header(n_words, len(entries), step).to_word(), 32
    n_blocks, called, left = 0, spec.WINDOW, list(entries)

    def put(value, n_bits):
        nonlocal bits, place
        bits, place = bits | value << place, place + n_bits

    while True:
        while 4 * n_blocks < min(n_words, called):
            put(int.from_bytes(rng.bytes(4 * t), "little"), 32 * t)
            n_blocks += 1
        if not left:
            break
        pair, left = left[:2], left[2:]
        called += sum(entry_advance(one) for one in pair if entry_advance(one) != spec.DEAD)
        first, second = pair if len(pair) == 2 else (pair[0], behind)
        put(first | second << 16, 32)
        put(pair_tail, spec.pair_bits(t) - 32)
    put(padding, -place % 32)
    return unpack_bits(bits.to_bytes(place // 8, "little"), place // 32, 32).tolist()


def record(config, n_weights, chunks, rng, *, n_codes=3, chunk_log2=13, seed=77):
    """Of these chunks."""
    table = np.array([word for words in chunks for word in words], np.uint32)
    geometry = RibbonGeometry(
        n_weights=n_weights, slot_bits=config.slot_bits, n_codes=n_codes, seed=seed, chunk_log2=chunk_log2,
        value_format=value_format(config, rng), table_words=max(len(table), 2 * -(-n_weights >> chunk_log2)),
    )  # fmt: skip
    return to_record(geometry, codebook(geometry, rng), table)


def full_record(config):
    """Two chunks, each with another seed: dense, sparse and dead segments, words that are not stored, words that no
    group reads."""
    rng = np.random.default_rng(9)
    dense = [entry(62, 62), entry(40, 80), DEAD | 20, entry(0, 30), entry(62, 100)]
    sparse = [entry(5, 120), 9 << 10 | 0x80, DEAD | 0x100]
    chunks = [
        chunk(config, [*dense, *sparse], 168, rng, step=15),
        chunk(config, [entry(60, 64), entry(60, 120)], 128, rng),
    ]
    return record(config, 8192 + 999, chunks, rng, seed=65_530, n_codes=config.max_codes)


def random_config(rng):
    """Any lanes and slot bits, in both forms."""
    slot_bits = int(rng.integers(1, 17))
    return RibbonConfig(
        lanes=int(2 ** rng.integers(0, 5)),
        window_registers=int(rng.integers(0, 2)),
        slot_bits=slot_bits,
        max_codes=int(rng.integers(1, min(1 << slot_bits, 40))),
        value_bits=int(rng.choice([8, 16])),
        rounds_per_stage=int(rng.integers(1, 5)),
    )


def random_chunk(config, n_groups, rng):
    """Any chunk of so many groups, dense or not."""
    entries, covered, called = [], 0, spec.WINDOW
    most = int(rng.choice([2, 10, 63, 200, 400]))
    while covered < n_groups and len(entries) < spec.MAX_ENTRIES:
        low = int(rng.integers(1, most + 1))
        w = int(rng.integers(0, min(entry_groups(low), spec.MAX_ADVANCE) + 1))
        entries.append((spec.DEAD if rng.random() < 0.1 else w) << spec.GROUPS_BITS | low)
        covered, called = covered + entry_groups(low), called + (0 if entries[-1] >= DEAD else w)
    n_words = int(rng.choice([0, rng.integers(0, called + 1), called])) + 3 & ~3
    return chunk(config, entries, n_words, rng, step=int(rng.integers(0, 16)))


def random_record(config, rng):
    """Any layer, of one chunk or of a few."""
    n_weights = int(rng.integers(1, 1500) if rng.random() < 0.8 else rng.integers(8192, 20_000))
    sizes = [min(8192, n_weights - first) for first in range(0, n_weights, 8192)]
    chunks = [random_chunk(config, -(-size // spec.LANES), rng) for size in sizes]
    n_codes, seed = int(rng.integers(0, config.max_codes + 1)), int(rng.integers(0, 1 << 16))
    return record(config, n_weights, chunks, rng, n_codes=n_codes, seed=seed)


def bad_payloads(config):
    """By name: a record whose payload no encoder writes, and what is wrong with it.  Software refuses it, too."""
    rng = np.random.default_rng(5)
    n, whole = 300, [entry(5, 20), entry(4, 18)]  # 38 groups, 17 words at most

    def of(entries, n_words=16, **options):
        return record(config, n, [chunk(config, entries, n_words, rng, **options)], rng)

    def payload(words):
        return record(config, n, [words], rng)

    good = chunk(config, whole, 16, rng)
    t = config.slot_bits
    spare = -(16 * 8 * t + spec.pair_bits(t)) % 32
    return {
        "words that are no whole block": (payload([good[0] + 1, *good[1:]]), LoadError.HEADER),
        "two words too many in the header": (payload([good[0] + 2, *good[1:]]), LoadError.HEADER),
        "no entries": (of([], n_words=0), LoadError.HEADER),
        "an entry of no groups": (of([entry(0, 0), *whole]), LoadError.ENTRY),
        "a second entry of no groups": (of([whole[0], DEAD, whole[1]]), LoadError.ENTRY),
        "more words than groups": (of([entry(21, 20), whole[1]]), LoadError.ENTRY),
        "more words than groups, second": (of([whole[0], entry(19, 18)]), LoadError.ENTRY),
        "an entry behind the last group": (of([entry(9, 38), whole[1]]), LoadError.ENTRY),
        "a pair behind the last group": (of([*whole, entry(1, 2)]), LoadError.ENTRY),
        "entries end before the last group": (of([whole[0], entry(4, 16)]), LoadError.COVER),
        "one entry ends before the last group": (of([entry(9, 36)]), LoadError.COVER),
        "words that nobody calls for": (of([entry(3, 38)], n_words=16), LoadError.WORDS),
        "a word missing": (payload(good[:-1]), LoadError.WORDS),
        "a header alone": (payload(good[:1] * 2), LoadError.WORDS),
        "a word behind the last chunk": (payload([*good, 0]), LoadError.WORDS),
        "bits behind an entry": (of([entry(9, 38)], behind=1), LoadError.PADDING),
        "the highest bit behind an entry": (of([entry(9, 38)], behind=1 << 15), LoadError.PADDING),
        **(
            {"bits behind a pair": (of(whole, pair_tail=1), LoadError.PADDING)}
            if spec.pair_bits(t) > 32
            else {}
        ),
        **({"padding": (of(whole, padding=1 << spare - 1), LoadError.PADDING)} if spare else {}),
        **({"padding, lowest bit": (of(whole, padding=1), LoadError.PADDING)} if spare else {}),
        "too few entries, too many words": (
            of([entry(3, 36)], n_words=16), LoadError.COVER | LoadError.WORDS,
        ),
    }  # fmt: skip


def refused(config, good):
    """By name: a frame that the decoder must refuse, and why."""
    words, old, start = frame(good), descriptor(good), payload_place(good)
    behind = start + 1  # the first word of a block
    return {
        "lanes": (changed(good, widths=old["widths"] | 1), LoadError.WIDTHS),
        "chunks too small": (changed(good, chunk_log2=12), LoadError.WIDTHS),
        "chunks too large": (changed(good, chunk_log2=23), LoadError.WIDTHS),
        "bits behind the size": (changed(good, zeros=1), LoadError.WIDTHS),
        **refused_where_it_streams(good),
        "a bit of the table": ([*words[:behind], words[behind] ^ 1, *words[behind + 1 :]], LoadError.CRC),
        **{name: (frame(bad), error) for name, (bad, error) in bad_payloads(config).items()},
        **late_crcs(config),
        "an entry of no groups, and the end": (
            ends_behind_pair(config, bad_payloads(config)["an entry of no groups"][0]), LoadError.ENTRY,
        ),
    }  # fmt: skip


def ends_behind_pair(config, data):
    """A frame whose last word comes before its time, right behind the two blocks and the first pair."""
    t = config.slot_bits
    return cut(frame(data), payload_place(data) + 1 + words_for_bits(2 * 32 * t + spec.pair_bits(t)) + 1)


def late_crcs(config):
    """Frames whose CRC is wrong, with more and more words behind those that the last beat needs: it is found before
    that beat is issued, while it is on its way, and when it is out."""
    rng = np.random.default_rng(6)
    frames = {}
    for n_words in range(8, 52, 4):
        words = frame(record(config, 64, [chunk(config, [entry(40, 40)], n_words, rng)], rng))
        frames[f"CRC, {n_words} words"] = [*words[:-1], words[-1] ^ 1], LoadError.CRC
    return frames


def aliases(config, good):
    """Frames that are right but for bits that a careless comparison leaves out: the layout's own fields."""
    old = descriptor(good)
    fields = {"widths": range(4), "chunk_log2": range(5, 8), "zeros": range(24)}
    return {
        f"{field}, bit {bit}": (changed(good, **{field: old[field] ^ 1 << bit}), LoadError.WIDTHS)
        for field, bits in fields.items()
        for bit in bits
    }


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
            if rng.random() < 0.8:
                words[begin] &= 0xF01F_003C  # a header that may be
        frames.append(words)
    return frames


def others(config, good):
    """No record is resident."""
    return {}
