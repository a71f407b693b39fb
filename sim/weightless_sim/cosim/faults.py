"""A planted fault in the load stream: another table, whose CRC is the same.

What the decoder is sent differs from what the models are told by bits that the CRC doesn't see together: no checksum
finds them, so that what comes out must.
"""

import zlib
from collections.abc import Sequence

from weightless_hw.config import DecoderConfig
from weightless_sim.cosim.golden import GoldenModel, beats_of, to_bytes
from weightless_sim.cosim.scenario import LAST
from weightless_sw.records import geometry_of
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import DESCRIPTOR_WORDS


def wrong_table(config: DecoderConfig, words: Sequence[int]) -> dict[int, int]:
    """Bits to flip, by the place of the word: in the payload of the first frame of ``words``.

    Every layout reads its own words: bits are looked for from the payload's end which change beats, and nothing else,
    each alone and with those before.  Of 33 such bits some leave the CRC as it is, which is linear.  Raises ValueError
    where none do.
    """
    end = next(place for place, word in enumerate(words) if word & LAST)
    frame = list(words[: end + 1])
    start = DESCRIPTOR_WORDS + geometry_of(to_bytes(frame[:-1])).codebook_section.n_words
    right = beats_of(config, frame)

    def shows(flips: dict[int, int]) -> int | None:
        """How the CRC word changes, where that makes the frame one of other beats; else None."""
        flipped = [word ^ flips.get(place, 0) for place, word in enumerate(frame)]
        flipped[end] = LAST | zlib.crc32(to_bytes(flipped[:-1]))
        model = GoldenModel(config)
        found = [beat for word in flipped for beat in model.take(word)]
        is_good = not model.errors and len(found) == len(right) and found != right
        return flipped[end] ^ frame[end] if is_good else None

    basis: dict[int, tuple[int, int]] = {}  # by the highest bit: how the CRC changes, and with which bits
    before: dict[int, int] = {}
    for place in range(end - 1, start - 1, -1):
        for bit in range(WORD_BITS):
            crc, chosen = shows({place: 1 << bit}), 1 << WORD_BITS * place + bit
            together = before | {place: before.get(place, 0) | 1 << bit}
            if crc is None or shows(together) is None:
                continue
            before = together
            while crc and (known := basis.get(crc.bit_length())):
                crc, chosen = crc ^ known[0], chosen ^ known[1]
            if crc:
                basis[crc.bit_length()] = crc, chosen
            elif shows(flips := _by_word(chosen)) == 0:
                return flips
    raise ValueError("no fault in the payload shows in the beats")


def _by_word(bits: int) -> dict[int, int]:
    """Bits of a frame, by the places of their words."""
    n_words = -(-bits.bit_length() // WORD_BITS)
    parts = {place: bits >> WORD_BITS * place & (1 << WORD_BITS) - 1 for place in range(n_words)}
    return {place: part for place, part in parts.items() if part}
