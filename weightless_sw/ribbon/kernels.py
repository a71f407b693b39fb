"""The fast kernels, compiled by numba: hash, map, elimination, stream, decoding; each on a chunk.

They know the format only through ``weightless_sw.spec``; the tests hold them to its scalar functions and to the
frozen vectors.  A *row* is an equation's 64 coefficients, the window's first slot lowest.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from weightless_sw.compiled import jit, run_all
from weightless_sw.hash_kernels import initial_state, mix_round, rotate, shift
from weightless_sw.spec import hash as spec_hash
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.record import MAX_SEED
from weightless_sw.spec.ribbon import Header, RibbonGeometry
from weightless_sw.tensor import EncodedTensor

U = np.uint64
LANES, WINDOW, WORD_SLOTS, DEAD = spec.LANES, spec.WINDOW, spec.WORD_SLOTS, spec.DEAD
BLOCK_SLOTS = spec.BLOCK_WORDS * WORD_SLOTS
PLANE_BITS = 8  # of codes; eight slots of them fill a machine word
STRETCH = 64  # keys whose lanes are looked at together
RUN = 256  # groups that are decoded together, at most

_DOMAIN, _DOMAIN_FILL = U(spec.DOMAIN), U(spec_hash.DOMAIN_FILL)
_ONE, _HASH_SHIFT = U(1), U(spec.HASH_SHIFT)
_PLACES = np.array([[spec.tap(0, lane, column) for lane in range(LANES)] for column in (0, 1)])
# The number of a set bit by a perfect hash (de Bruijn): Leiserson, Prokop, Randall 1998.
_DEBRUIJN = U(0x03F79D71B4CB0A89)
_BIT_NUMBER = np.zeros(64, np.int64)
_BIT_NUMBER[[((1 << k) * int(_DEBRUIJN) & (1 << 64) - 1) >> 58 for k in range(64)]] = np.arange(64)

entry_groups = jit(spec.entry_groups)


@jit
def group_hash(group, seed):  # type: ignore[no-untyped-def]
    """Rotations and masks of a group."""
    x, y, z = initial_state(U(group), U(seed), _DOMAIN, rotate)
    for _ in range(spec.ROUNDS):
        x, y, z = mix_round(x, y, z, rotate, shift)
    return x >> _HASH_SHIFT, y >> _HASH_SHIFT


@jit
def _row(rotations, lane, word):  # type: ignore[no-untyped-def]
    """The coefficients of a lane whose window begins at ``word``."""
    row = U(0)
    for j in range(WINDOW):
        column = (word + j) % WINDOW
        if column == 0 or column != lane:
            turn = np.int64(rotations >> U(spec.ROTATION_BITS * column))
            row |= _ONE << U(WORD_SLOTS * j + ((_PLACES[column & 1, lane] + turn) & WORD_SLOTS - 1))
    return row


@jit
def _first_bit(row):  # type: ignore[no-untyped-def]
    return _BIT_NUMBER[((row & (~row + _ONE)) * _DEBRUIJN) >> U(58)]


# The map.


@jit
def _groups_field(groups, up):  # type: ignore[no-untyped-def]
    """The low bits of an entry: the largest number of groups that it can say up to ``groups``, or the smallest from
    there on: the small float of ``spec.entry_groups`` the other way round.
    """
    d = -(-groups // spec.UNIT) if up else groups // spec.UNIT
    top = 2 << spec.MANTISSA_BITS
    e = 0
    while d >> e >= top:
        e += 1
    m = d >> e
    if up and (m << e) < d:
        m += 1
        if m == top:
            m, e = top >> 1, e + 1
    return m if m < top >> 1 else (e + 1) << spec.MANTISSA_BITS | (m - (top >> 1))


@jit
def plan_segment(groups, key, first, end, is_last, fill, low, high, slots):  # type: ignore[no-untyped-def]
    """The entry of the longest segment from group ``first`` up to ``end`` that keeps the fill in its corridor; or -1.

    ``groups`` are those of the keys, ``key`` is the first that is not placed; the fill is the number of slots that are
    occupied from the window's start on.  A word that the window leaves has ``slots`` of them, so that after q groups
    it is fill + keys - slots floor(q w / d): every key bounds the slope w / d from below (``high``: not too full) and
    from above (``low``: no hole is left behind), and the tightest bounds are kept as fractions.  A segment aims at
    the corridor's middle, the chunk's last one (``is_last``) at few slots.
    """
    n, left = groups.size, end - first
    low_num, low_den, high_num, high_den = 0, 1, 1 << 40, 1
    best = -1
    k = key
    while True:
        q = min(groups[k] - first, left) if k < n else left  # no key stands between the last one and q
        field = _groups_field(q, q == left)
        d = entry_groups(field)
        if q > 0 and (k == key or d > groups[k - 1] - first):
            here, after = k - key, k - key
            while d == q and key + after < n and groups[key + after] - first == d:
                after += 1
            lowest = max(0, -(-low_num * d // low_den), -((high - fill - after) // slots))
            highest = min(spec.MAX_ADVANCE, d, (high_num * d - 1) // high_den)
            if q < left:
                highest = min(highest, max(0, (fill + here - low) // slots))
            if lowest <= highest:
                middle = (2 * (fill + here) - low - high + slots) // (2 * slots)
                w = lowest if q == left and is_last else min(max(middle, lowest), highest)
                best = w << spec.GROUPS_BITS | field
        if q == left:
            return best
        k2 = k
        while k2 < n and groups[k2] - first == q:
            k2 += 1
        if q > 0:
            bound = max(1, (fill + k - key - low) // slots + 1)
            if bound * high_den < high_num * q:
                high_num, high_den = bound, q
        bound = -((high - fill - (k2 - key)) // slots)
        if bound > 0:
            if q == 0:
                return best
            if bound * low_den > low_num * q:
                low_num, low_den = bound, q
        if low_num * high_den >= high_num * low_den or low_num > spec.MAX_ADVANCE:
            return best
        k = k2


@jit
def _end_alive(groups, key, end, dead_groups):  # type: ignore[no-untyped-def]
    """(the last key before the next dead segment, where a segment must end at the latest)."""
    n = groups.size
    while key < n and (groups[key + 1] if key + 1 < n else end) - groups[key] <= dead_groups:
        key += 1
    return key, groups[key] + 1 if key < n else end


@jit
def _crowded(lanes):  # type: ignore[no-untyped-def]
    """Which keys stand in a stretch of one lane that reads no slot of one column, so that a word in eight stays empty.

    Stretches are STRETCH keys long; without others such a lane can have 7/8 of the keys before columns run out.
    """
    crowded = np.zeros(lanes.size, np.bool_)
    for begin in range(0, lanes.size, STRETCH):
        end = min(begin + STRETCH, lanes.size)
        counts = np.zeros(LANES, np.int64)
        for k in range(begin, end):
            counts[lanes[k]] += 1
        crowded[begin:end] = WORD_SLOTS * np.max(counts[1:]) > (WORD_SLOTS - 1) * (end - begin)
    return crowded


@jit
def _end_alike(crowded, groups, key, group, stop):  # type: ignore[no-untyped-def]
    """Where the stretch of ``key`` ends, whose words are filled alike, or ``stop`` if that comes first."""
    k = key
    while k < groups.size and groups[k] < stop:
        if crowded[k] != crowded[key] and groups[k] >= group + spec.UNIT:
            return group + (groups[k] - group) // spec.UNIT * spec.UNIT
        k += 1
    return stop


@jit
def _entry(groups, key, first, stop, end, fill, low, ceiling, is_retry, slots):  # type: ignore[no-untyped-def]
    """An entry in any case: where the fill is too high already it must not rise, else the shortest segment there is."""
    entry = plan_segment(groups, key, first, stop, stop == end, fill, low, ceiling, slots)
    if entry < 0 and not is_retry:
        entry = plan_segment(groups, key, first, stop, stop == end, fill, low, fill + slots, slots)
    if entry < 0:
        w = min(spec.UNIT, (fill - low) // slots + 1) if fill > low else 0
        entry = w << spec.GROUPS_BITS | 1
    return entry


# Elimination: the equations of the keys, on the fly, each reduced by those before it.


@jit
def _insert(rows, sides, owner, slot, row, side, key):  # type: ignore[no-untyped-def]
    """Add an equation whose window begins at ``slot``; False if it contradicts the ones before."""
    while row:
        z = _first_bit(row)
        slot += z
        row >>= U(z)
        if owner[slot] < 0:
            rows[slot], sides[slot], owner[slot] = row, side, key
            return True
        row ^= rows[slot]
        side ^= sides[slot]
    return side == 0


@jit
def _insert_segment(groups, lanes, rotations, values, key, first, entry, word, rows, sides, owner):  # type: ignore[no-untyped-def]
    """Add the keys of a segment: (the first key behind it, whether none contradicts)."""
    w, d = entry >> spec.GROUPS_BITS, entry_groups(entry)
    while key < groups.size and groups[key] < first + d:
        start = word + (groups[key] - first) * w // d
        row = _row(rotations[key], lanes[key], start)
        if not _insert(rows, sides, owner, WORD_SLOTS * start, row, values[key], key):
            return key, False
        key += 1
    return key, True


@jit
def _substitute(rows, sides, owner, slot_bits, seed, offset):  # type: ignore[no-untyped-def]
    """The slots, from the right; one that no equation owns takes hashed bits of its number, from ``offset`` on."""
    top = owner.size
    while top > 0 and owner[top - 1] < 0:
        top -= 1
    slots = np.zeros(-(-top // BLOCK_SLOTS) * BLOCK_SLOTS, U)
    code_mask = (_ONE << U(slot_bits)) - _ONE
    for s in range(top - 1, -1, -1):
        if owner[s] < 0:
            x, y, z = initial_state(U(offset + s), U(seed), _DOMAIN_FILL, rotate)
            for _ in range(spec.ROUNDS):
                x, y, z = mix_round(x, y, z, rotate, shift)
            slots[s] = x & code_mask
            continue
        side, row = sides[s], rows[s] ^ _ONE
        while row:
            at = s + _first_bit(row)
            if at < slots.size:
                side ^= slots[at]
            row &= row - _ONE
        slots[s] = side
    return slots


@jit
def _equations(keys, codes, groups, slot_bits, seed):  # type: ignore[no-untyped-def]
    """(rotations, the code without its mask) of each key."""
    code_mask = (_ONE << U(slot_bits)) - _ONE
    rotations, values = np.empty(keys.size, U), np.empty(keys.size, U)
    group, turn, masks = np.int64(-1), U(0), U(0)
    for k in range(keys.size):
        if groups[k] != group:  # keys are sorted: a group is hashed once
            group = groups[k]
            turn, masks = group_hash(group, seed)
        rotations[k] = turn
        values[k] = (masks >> U(keys[k] % LANES) ^ U(codes[k])) & code_mask
    return rotations, values


@jit
def encode_chunk(keys, codes, first, end, slot_bits, seed, low, high, fall, tries, dead_groups):  # type: ignore[no-untyped-def]
    """(entries, slots) of groups ``first`` to ``end`` - 1; without entries where a key can't be placed.

    ``keys`` ((n,) int64, sorted) have ``codes`` ((n,) uint16); ``low`` and ``high`` are the corridor of the fill, and a
    gap of ``dead_groups`` becomes dead.  A segment with a contradiction is emptied and planned again, ``tries`` times,
    with a ceiling lower by ``fall``.
    """
    n = keys.size
    groups, lanes = keys // LANES, keys % LANES
    rotations, values = _equations(keys, codes, groups, slot_bits, seed)
    crowded = _crowded(lanes)
    any_crowded = np.any(crowded)
    size = min(WORD_SLOTS * (end - first) + 2 * 64, 2 * n + 4096)
    rows, sides, owner = np.zeros(size, U), np.zeros(size, U), np.full(size, -1, np.int32)
    entries, n_entries = np.empty(spec.MAX_ENTRIES, np.uint16), 0
    group, word, key, alive = first, 0, 0, 0
    ceiling, n_tries = high, 0
    while group < end:
        gap = (groups[key] if key < n else end) - group
        if n_entries == spec.MAX_ENTRIES or WORD_SLOTS * (word + 2 * WINDOW + 1) > size:
            return entries[:0], sides[:0]
        if gap >= dead_groups:
            entry = DEAD << spec.GROUPS_BITS | _groups_field(gap, key == n)
            entries[n_entries] = entry
            n_entries += 1
            group += entry_groups(entry)
            continue
        fill = np.sum(owner[WORD_SLOTS * word : WORD_SLOTS * (word + WINDOW + 1)] >= 0)
        alive, stop = _end_alive(groups, max(key, alive), end, dead_groups)
        slots = WORD_SLOTS
        if any_crowded and key < n:
            stop = _end_alike(crowded, groups, key, group, stop)
            slots -= crowded[key]
        entry = _entry(
            groups, key, group, stop, end, fill, low, ceiling * slots // WORD_SLOTS, n_tries > 0, slots
        )
        w, d = entry >> spec.GROUPS_BITS, entry_groups(entry)
        behind, is_good = _insert_segment(
            groups, lanes, rotations, values, key, group, entry, word, rows, sides, owner
        )
        if is_good:
            entries[n_entries] = entry
            n_entries += 1
            group, word, key = group + d, word + w, behind
            ceiling, n_tries = high, 0
        elif n_tries == tries:
            return entries[:0], sides[:0]
        else:
            for s in range(WORD_SLOTS * word, min(WORD_SLOTS * (word + w + WINDOW + 1), size)):
                if owner[s] >= key:
                    owner[s] = -1
            n_tries += 1
            ceiling = max(low + WORD_SLOTS, ceiling - fall)
    return entries[:n_entries], _substitute(rows, sides, owner, slot_bits, seed, LANES * first)


# The stream.


@jit
def _put(table, place, value, n_bits):  # type: ignore[no-untyped-def]
    """Write ``n_bits`` (up to 32) bits of ``value`` at bit ``place`` of ``table``, which is zero there."""
    at, shift_by = place >> 5, U(place & 31)
    value <<= shift_by
    table[at] |= np.uint32(value & U(0xFFFFFFFF))
    if (place & 31) + n_bits > 32:
        table[at + 1] |= np.uint32(value >> U(32))


@jit
def _get(table, place, n_bits):  # type: ignore[no-untyped-def]
    """``n_bits`` (up to 32) bits at bit ``place`` of ``table``."""
    at = place >> 5
    value = U(table[at])
    if (place & 31) + n_bits > 32:
        value |= U(table[at + 1]) << U(32)
    return value >> U(place & 31) & ((_ONE << U(n_bits)) - _ONE)


@jit
def to_stream(table, entries, slots, slot_bits, pair_bits):  # type: ignore[no-untyped-def]
    """Fill ``table`` ((n,) uint32 zeros), the words behind a header; whether every word was called for."""
    n_words = slots.size // WORD_SLOTS
    place = word = 0
    called = WINDOW
    for pair in range(-1, (entries.size + 1) // 2):
        if pair >= 0:
            bits = U(0)
            for k in range(2 * pair, min(2 * pair + 2, entries.size)):
                bits |= U(entries[k]) << U(spec.ENTRY_BITS * (k & 1))
                w = int(entries[k]) >> spec.GROUPS_BITS
                called += 0 if w == DEAD else w
            _put(table, place, bits, 2 * spec.ENTRY_BITS)
            place += pair_bits
        while word < min(n_words, called):
            for k in range(BLOCK_SLOTS):
                slot = WORD_SLOTS * (word + k % spec.BLOCK_WORDS) + k // spec.BLOCK_WORDS
                _put(table, place, slots[slot], slot_bits)
                place += slot_bits
            word += spec.BLOCK_WORDS
    return word == n_words


@jit
def _from_stream(table, n_words, n_entries, slot_bits, pair_bits):  # type: ignore[no-untyped-def]
    """The inverse of :func:`to_stream` on a table that was checked: entries, and words in planes.

    A plane holds PLANE_BITS bits of each slot, or what is left of them; its words, (n_words + WINDOW,) uint64 with
    zeros at the end, hold slot k from bit k times that number on.
    """
    entries = np.empty(n_entries, np.uint16)
    low_bits = min(slot_bits, PLANE_BITS)
    planes = np.zeros((1 if slot_bits <= PLANE_BITS else 2, n_words + WINDOW), U)
    low_mask = (_ONE << U(low_bits)) - _ONE
    place = word = 0
    called = WINDOW
    for pair in range(-1, (n_entries + 1) // 2):
        if pair >= 0:
            for k in range(2 * pair, min(2 * pair + 2, n_entries)):
                entries[k] = _get(table, place + spec.ENTRY_BITS * (k & 1), spec.ENTRY_BITS)
                w = int(entries[k]) >> spec.GROUPS_BITS
                called += 0 if w == DEAD else w
            place += pair_bits
        while word < min(n_words, called):
            for k in range(BLOCK_SLOTS):
                slot = _get(table, place, slot_bits)
                at, number = word + k % spec.BLOCK_WORDS, U(k // spec.BLOCK_WORDS)
                planes[0, at] |= (slot & low_mask) << U(low_bits) * number
                if slot_bits > PLANE_BITS:
                    planes[1, at] |= (slot >> U(PLANE_BITS)) << U(slot_bits - PLANE_BITS) * number
                place += slot_bits
            word += spec.BLOCK_WORDS
    return entries, planes


# Decoding.


@jit
def _keep(bits):  # type: ignore[no-untyped-def]
    """Which bits of a word each column gives, (WINDOW,) uint64: not those of the lane that leaves it out."""
    keep = np.empty(WINDOW, U)
    every = ~U(0) >> U(64 - WORD_SLOTS * bits)
    for column in range(WINDOW):
        skipped = ((_ONE << U(bits)) - _ONE) << U(bits * _PLACES[column & 1, column])
        keep[column] = every ^ skipped if column else every
    return keep


@jit
def _turned(word, rotations, column, bits):  # type: ignore[no-untyped-def]
    """A word rotated so that the slots that lanes tap stand at their places; bits beyond the word are left over."""
    turn = (rotations >> U(spec.ROTATION_BITS * column) & U(WORD_SLOTS - 1)) * U(bits)
    return word >> turn | word << (U(WORD_SLOTS * bits) - turn & U(63))


@jit
def _run(even, odd, masks, words, start, first_group, seed, bits, keep):  # type: ignore[no-untyped-def]
    """What the groups from ``first_group`` on tap, whose windows all begin at word ``start``.

    For each, in ``even`` and ``odd`` (uint64): the window's words, turned and XORed, of even columns and of odd ones;
    and in ``masks``.  The words stay in registers, so that compilers take several groups at a time.
    """
    base, column = start - start % WINDOW, start % WINDOW
    w0, k0 = words[base + (WINDOW if column > 0 else 0)], keep[0]
    w1, k1 = words[base + 1 + (WINDOW if column > 1 else 0)], keep[1]
    w2, k2 = words[base + 2 + (WINDOW if column > 2 else 0)], keep[2]
    w3, k3 = words[base + 3 + (WINDOW if column > 3 else 0)], keep[3]
    w4, k4 = words[base + 4 + (WINDOW if column > 4 else 0)], keep[4]
    w5, k5 = words[base + 5 + (WINDOW if column > 5 else 0)], keep[5]
    w6, k6 = words[base + 6 + (WINDOW if column > 6 else 0)], keep[6]
    w7, k7 = words[base + 7], keep[7]
    for k in range(even.size):
        r, masks[k] = group_hash(first_group + k, seed)
        even[k] = (_turned(w0, r, 0, bits) & k0 ^ _turned(w2, r, 2, bits) & k2 ^ _turned(w4, r, 4, bits) & k4
                   ^ _turned(w6, r, 6, bits) & k6)  # fmt: skip
        odd[k] = (_turned(w1, r, 1, bits) & k1 ^ _turned(w3, r, 3, bits) & k3 ^ _turned(w5, r, 5, bits) & k5
                  ^ _turned(w7, r, 7, bits) & k7)  # fmt: skip


@jit
def _fill(codes, even, odd, masks, bits):  # type: ignore[no-untyped-def]
    """What lanes tapped and their masks, XORed; eight codes (uint16) a group, bits beyond theirs left over."""
    for k in range(even.size):
        for lane in range(LANES):
            crosswise = lane << 1 & WORD_SLOTS - 2 | lane >> 2
            codes[LANES * k + lane] = (
                even[k] >> U(bits * lane) ^ odd[k] >> U(bits * crosswise) ^ masks[k] >> U(lane)
            )


@jit
def _fill_wide(codes, even, odd, high_even, high_odd, masks, bits):  # type: ignore[no-untyped-def]
    """The same where there is a second plane, of ``bits`` bits."""
    low_mask = (_ONE << U(PLANE_BITS)) - _ONE
    for k in range(even.size):
        for lane in range(LANES):
            crosswise = lane << 1 & WORD_SLOTS - 2 | lane >> 2
            low = (even[k] >> U(PLANE_BITS * lane) ^ odd[k] >> U(PLANE_BITS * crosswise)) & low_mask
            high = high_even[k] >> U(bits * lane) ^ high_odd[k] >> U(bits * crosswise)
            codes[LANES * k + lane] = low ^ high << U(PLANE_BITS) ^ masks[k] >> U(lane)


@jit
def decode_chunk(codes, table, n_words, n_entries, first_group, slot_bits, pair_bits, seed):  # type: ignore[no-untyped-def]
    """Fill ``codes`` (uint16) with those of a chunk; ``table`` ((n,) uint32) are its words behind the header.

    Groups whose windows begin at one word are decoded together; up to RUN of them.
    """
    entries, planes = _from_stream(table, n_words, n_entries, slot_bits, pair_bits)
    code_mask = (_ONE << U(slot_bits)) - _ONE
    n_all = (codes.size + LANES - 1) // LANES
    bits, high_bits = min(slot_bits, PLANE_BITS), max(1, slot_bits - PLANE_BITS)
    keep, high_keep = _keep(bits), _keep(high_bits)
    even, odd, high_even, high_odd, masks = np.empty((5, RUN), U)
    made = np.empty(LANES * RUN, np.uint16)
    group, word = 0, 0
    for entry in entries:
        w, d = int(entry) >> spec.GROUPS_BITS, entry_groups(int(entry))
        end = min(group + d, n_all)
        if w == DEAD:
            codes[LANES * group : LANES * end] = code_mask
            group = end
            continue
        q = 0
        while group < end:
            moved = q * w // d
            n = min(end - group, RUN, -(-(moved + 1) * d // w) - q if w else RUN)  # till the window moves on
            at = min(word + moved, n_words)  # where all is zero, a map may go on and on
            _run(even[:n], odd[:n], masks[:n], planes[0], at, first_group + group, seed, bits, keep)
            if slot_bits <= PLANE_BITS:
                _fill(made, even[:n], odd[:n], masks, bits)
            else:
                _run(high_even[:n], high_odd[:n], masks[:n], planes[1], at, first_group + group, seed, high_bits,
                     high_keep)  # fmt: skip
                _fill_wide(made, even[:n], odd[:n], high_even, high_odd, masks, high_bits)
            first, last = LANES * group, min(LANES * (group + n), codes.size)
            for k in range(first, last):
                codes[k] = made[k - first] & code_mask
            group, q = group + n, q + n
        word += w


def decode_codes(tensor: EncodedTensor, first: int = 0, last: int | None = None) -> NDArray[np.uint16]:
    """The codes of weights ``first`` to ``last`` - 1, uint16, on all cores; only their chunks are touched."""
    g = tensor.geometry
    assert isinstance(g, RibbonGeometry)
    last = g.n_weights if last is None else last
    if first >= last:
        return np.empty(0, np.uint16)
    begin = first >> g.chunk_log2 << g.chunk_log2
    end = min(-(-last >> g.chunk_log2) << g.chunk_log2, g.n_weights)
    codes = np.empty(end - begin, np.uint16)
    size = 1 << g.chunk_log2
    parts = {at >> g.chunk_log2: codes[at - begin : at - begin + size] for at in range(begin, end, size)}
    run_all(decode_chunk, _calls(parts, tensor.table, g))
    return codes[first - begin : last - begin]


def decode_at(tensor: EncodedTensor, positions: NDArray[np.int64]) -> NDArray[np.uint16]:
    """The codes of the weights at ``positions`` (n,), uint16, on all cores; only their chunks are decoded."""
    g = tensor.geometry
    assert isinstance(g, RibbonGeometry)
    size = 1 << g.chunk_log2
    chunks, numbers = np.unique(positions >> g.chunk_log2, return_inverse=True)
    codes = np.empty((len(chunks), size), np.uint16)
    parts = {
        chunk: codes[k, : g.n_weights - chunk * size]
        for k, chunk in enumerate(chunks.tolist())  # the layer's last one is shorter
    }
    run_all(decode_chunk, _calls(parts, tensor.table, g))
    found: NDArray[np.uint16] = codes[numbers, positions & size - 1]
    return found


def _calls(
    parts: Mapping[int, NDArray[np.uint16]], table: NDArray[np.uint32], g: RibbonGeometry
) -> Iterator[tuple]:  # type: ignore[type-arg]
    """The arguments of ``decode_chunk`` for each chunk of ``parts``, by its number, whose codes go there."""
    pair_bits, place = spec.pair_bits(g.slot_bits), 0
    for chunk in range(max(parts, default=-1) + 1):
        header = Header.from_word(int(table[place]))
        end = place + header.chunk_words(g.slot_bits)
        if chunk in parts:
            yield (
                parts[chunk], table[place + 1 : end], header.n_words, header.n_entries,
                (chunk << g.chunk_log2) // LANES, g.slot_bits, pair_bits, (g.seed + header.step) & MAX_SEED,
            )  # fmt: skip
        place = end
