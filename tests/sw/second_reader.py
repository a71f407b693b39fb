"""A second reader of ``.wls`` files: standard library only, written from docs/format.md, shares no line.

``read(data)`` gives name -> (shape, weights as floats, or the raw bytes) and the metadata, and raises
ValueError for everything that the page says a reader refuses.  Slow and short on purpose.
"""

import json
import struct
import zlib
from math import isfinite, prod

DIGEST, RIBBON_DIGEST, BITMASK_DIGEST = 0x344C0B8B, 0xF001FAA0, 0xBDB6F74C
RAW_BYTES = {1: 4, 2: 2, 3: 8, 4: 1, 5: 1, 6: 2, 7: 4, 8: 8, 9: 1, 10: 2, 11: 4, 12: 8}


def need(condition):
    if not condition:
        raise ValueError("refused")


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        need(self.at <= len(self.data))
        return self.data[self.at - n : self.at]

    def varint(self):
        value = k = 0
        while True:
            need(k < 9)
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * k
            if byte < 128:
                need(byte or k == 0)
                return value
            k += 1


def live(source, n):
    form = source.take(1)[0]
    if form == 0:
        bits = int.from_bytes(source.take((n + 7) // 8), "little")
        need(bits >> n == 0)
        numbers = [k for k in range(n) if bits >> k & 1]
    else:
        gaps = [source.varint() for _ in range(min(source.varint(), len(source.data)))]
        numbers = [sum(gaps[: k + 1]) + k for k in range(len(gaps))]
    need(0 < len(numbers) < n and numbers[-1] < n)
    gaps = [b - a - 1 for a, b in zip([-1, *numbers], numbers, strict=False)]
    in_gaps = 1 + sum(max(1, -(-v.bit_length() // 7)) for v in [len(numbers), *gaps])
    need(form == (in_gaps < 1 + (n + 7) // 8))  # 0 or 1, whichever is shorter
    return numbers


def entry(source):
    kind, dtype = source.take(2)
    n_name = source.varint()
    need(1 <= n_name <= 4096)
    name = source.take(n_name).decode()
    n_dims = source.varint()
    need(n_dims <= 32)
    shape = [source.varint() for _ in range(n_dims)]
    need(all(d < 1 << 32 for d in shape) and prod(shape) < 1 << 32)
    n_bytes = source.varint()
    if kind == 2:
        need(dtype in RAW_BYTES and n_bytes == prod(shape) * RAW_BYTES[dtype])
        return name, shape, n_bytes, dtype, None
    need(kind & 0x8F == 1 and dtype == 0 and n_bytes % 4 == 0 and 0 not in shape)
    rows, columns = range(shape[0] if shape else 1), range(prod(shape[1:]))
    rows = live(source, len(rows)) if kind & 32 else rows
    columns = live(source, len(columns)) if kind & 64 else columns
    need(not kind & 16 or (len(rows) > 1 and len(columns) > 1))
    return name, shape, n_bytes, 0, (rows, columns, bool(kind & 16))


def hash_words(g, seed, rounds, domain=0x574C5363):
    def rotate(v, k):
        return (v << k | v >> 32 - k) & 0xFFFFFFFF

    x, y, z = g, rotate(g, 16) ^ seed, rotate(g, 8) ^ domain
    for _ in range(rounds):
        x, y = rotate(x, 24), rotate(y, 9)
        x, y, z = z ^ y ^ (x & y) << 3, y ^ x ^ (x | z) << 1, x ^ z << 1 ^ (y & z) << 2
        x, y, z = (v & 0xFFFFFFFF for v in (x, y, z))
    return x, y, z


def table(record, shape, rows, columns, by_columns):
    need(len(record) >= 28)
    layout, widths, form, flags, n, seed, k, scale, words, digest, own = struct.unpack(
        "<4BIHHfIII", record[:28]
    )
    lanes, t = 1 << (widths & 15), (widths >> 4) + 1
    need(layout in (1, 2, 3) and form in (1, 2, 3) and flags == 0)
    need(n == len(rows) * len(columns) and (k <= 1 << t if layout == 3 else k < 1 << t))
    need(scale == 1 if form == 1 else isfinite(scale) and scale > 0)
    letter = " ebh"[form]
    n_book = (k * struct.calcsize(letter) + 3) // 4 * 4
    need(len(record) == 28 + n_book + 4 * words)
    entries = struct.unpack_from(f"<{k}{letter}", record, 28)
    need(all(abs(q * scale) < 2.0**128 * (1 - 2.0**-25) for q in entries))  # else it rounds to infinity
    book = [struct.unpack("<f", struct.pack("<f", q * scale))[0] for q in entries]
    need(all(isfinite(v) and v for v in book) and len(set(book)) == k)
    need(not any(record[28 + k * struct.calcsize(letter) : 28 + n_book]))
    if layout == 1:
        need(lanes <= 64 and digest == DIGEST)
        codes = classic(record[28 + n_book :], n, lanes, t, seed, own)
    elif layout == 3:
        need(lanes == 1 and digest == BITMASK_DIGEST and seed == 0)
        codes = bitmask(record[28 + n_book :], n, t, k, own)
    else:
        need(lanes == 1 and digest == RIBBON_DIGEST)
        codes = ribbon(record[28 + n_book :], n, t, seed, own)
    weights = [0.0] * prod(shape)
    places = (
        [(r, c) for c in columns for r in rows] if by_columns else [(r, c) for r in rows for c in columns]
    )
    for code, (row, column) in zip(codes, places, strict=True):
        weights[row * prod(shape[1:]) + column] = book[code] if code < k else 0.0
    return weights


def classic(payload, n, lanes, t, seed, bank_rows):
    need(1 <= bank_rows <= 1 << 24)
    n_slots, slots = 3 * bank_rows * lanes, int.from_bytes(payload, "little")
    need(len(payload) == 4 * ((n_slots * t + 31) // 32) and slots >> n_slots * t == 0)
    codes = []
    for i in range(n):
        g, lane = divmod(i, lanes)
        x, y, z = hash_words(g, seed, 7)
        code = (x | y << 32 | z << 64) >> lane
        for bank, word in enumerate(hash_words(g, seed, 6)):
            slot = (bank * bank_rows + ((word >> 8) * bank_rows >> 24)) * lanes + (lane ^ word % lanes)
            code ^= slots >> slot * t
        codes.append(code % (1 << t))
    return codes


def bitmask(payload, n, t, k, n_nonzero):
    words = list(struct.unpack(f"<{len(payload) // 4}I", payload))
    codes, held, n_held, seen = [], 0, 0, 0
    for first in range(0, n, 32):
        need(words)
        mask = words.pop(0)
        need(mask >> min(32, n - first) == 0)
        for bit in range(min(32, n - first)):
            if not mask >> bit & 1:
                codes.append(k)
                continue
            if n_held < t:
                need(words)
                held, n_held = held | words.pop(0) << n_held, n_held + 32
            codes.append(held % (1 << t))
            need(codes[-1] < k)
            held, n_held, seen = held >> t, n_held - t, seen + 1
    need(not words and not held and seen == n_nonzero and (k > 0) == (seen > 0))
    return codes


def ribbon(payload, n, t, seed, k):
    need(13 <= k <= 22)
    codes, at = [], 0
    for first in range(0, n, 1 << k):
        need(at + 4 <= len(payload))
        header = int.from_bytes(payload[at : at + 4], "little")
        n_words, n_entries, own = header & 0x1FFFF, header >> 17 & 0x7FF, (seed + (header >> 28)) & 0xFFFF
        need(n_words % 4 == 0 and n_entries)
        pair_bits = (32 + 4 * t - 1) // (4 * t) * 4 * t
        n_bits = 8 * t * n_words + (n_entries + 1) // 2 * pair_bits
        size = (n_bits + 31) // 32 * 4
        need(at + 4 + size <= len(payload))
        stream = int.from_bytes(payload[at + 4 : at + 4 + size], "little")
        need(stream >> n_bits == 0)
        words, starts = segments(stream, n_words, n_entries, t, (min(n - first, 1 << k) + 7) // 8)
        codes += chunk(words, starts, t, own, first // 8)[: min(n - first, 1 << k)]
        at += 4 + size
    need(at == len(payload))
    return codes


def segments(stream, n_words, n_entries, t, n_groups):
    """The words, each a list of slots, and the start word of each group, None where it is dead."""
    words, starts, start, called, seen = [], [], 0, 8, 0

    def take(bits):
        nonlocal stream
        value = stream & (1 << bits) - 1
        stream >>= bits
        return value

    def blocks():
        while len(words) < min(n_words, called):
            block = [[take(t) for _ in range(4)] for _ in range(8)]
            words.extend([block[slot][word] for slot in range(8)] for word in range(4))

    blocks()
    while seen < n_entries:
        pair = take((32 + 4 * t - 1) // (4 * t) * 4 * t)
        for entry in [pair & 0xFFFF, pair >> 16 & 0xFFFF][: n_entries - seen]:
            m, e, w = entry & 63, entry >> 6 & 15, entry >> 10
            d = 2 * (m if e == 0 else (64 + m) << e - 1)
            need(d and (w <= d or w == 63) and len(starts) < n_groups)
            dead = w == 63
            starts += [None if dead else start + q * w // d for q in range(min(d, n_groups - len(starts)))]
            start, called = start + (0 if dead else w), called + (0 if dead else w)
        need(pair >> (32 if n_entries - seen > 1 else 16) == 0)
        seen += 2
        blocks()
    need(len(starts) == n_groups and len(words) == n_words)
    return words, starts


def chunk(words, starts, t, seed, group):
    codes = []
    for g, start in enumerate(starts, group):
        if start is None:
            codes += [(1 << t) - 1] * 8
            continue
        x, y, _ = hash_words(g, seed, 4, 0x574C5372)
        for lane in range(8):
            code = y >> 8 + lane
            for v in range(start, min(start + 8, len(words))):
                c = v % 8
                if c != lane or lane == 0:
                    place = lane if c % 2 == 0 else lane << 1 & 6 | lane >> 2
                    code ^= words[v][(place + (x >> 8 + 3 * c)) % 8]
            codes.append(code % (1 << t))
    return codes


def read(data):
    source = Bytes(data)
    magic, version, n_tensors, n_bytes = struct.unpack("<4sHHI", source.take(12))
    need(magic == b"WLS\x1a" and version == 2 and n_bytes % 4 == 0)
    directory = Bytes(source.take(n_bytes))
    need(source.take(4) == struct.pack("<I", zlib.crc32(data[: 12 + n_bytes])))
    entries = [entry(directory) for _ in range(n_tensors)]
    need(len({e[0] for e in entries}) == n_tensors)
    text, metadata = directory.take(directory.varint()), {}
    if text:
        metadata = json.loads(text)
        need(type(metadata) is dict and metadata and all(type(v) is str for v in metadata.values()))
        need(json.dumps(metadata, sort_keys=True, separators=(",", ":")).encode() == text)
    need(len(directory.data) - directory.at < 4 and not any(directory.data[directory.at :]))
    tensors = {}
    for name, shape, n_record, dtype, arrangement in entries:
        start, record, padding = source.at, source.take(n_record), source.take(-n_record % 4)
        need(
            source.take(4) == struct.pack("<I", zlib.crc32(data[start : source.at - 4])) and not any(padding)
        )
        need(dtype != 9 or not record.strip(b"\0\1"))
        tensors[name] = (tuple(shape), record if arrangement is None else table(record, shape, *arrangement))
    need(source.at == len(data))
    return tensors, metadata
