"""A planted fault in the load stream: another table, whose CRC is the same.

What the decoder is sent differs from what the models are told by a multiple of the CRC's polynomial: no checksum finds
it, so that what comes out must.
"""

from collections.abc import Sequence

from weightless_hw.config import DecoderConfig
from weightless_sim.cosim.golden import beats_of, to_bytes
from weightless_sim.cosim.scenario import LAST
from weightless_sw.records import geometry_of
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import DESCRIPTOR_WORDS

POLYNOMIAL = 0x1_DB71_0641  # of CRC-32 with its lowest power last, as bits of a record follow each other


def wrong_table(config: DecoderConfig, words: Sequence[int]) -> dict[int, int]:
    """Bits to flip, by the place of the word: in the payload of the first frame of ``words``.

    Every layout reads its own words: the fault is looked for from the payload's end, and taken where beats change.
    Raises ValueError where none does.
    """
    end = next(place for place, word in enumerate(words) if word & LAST)
    frame = list(words[: end + 1])
    start = DESCRIPTOR_WORDS + geometry_of(to_bytes(frame[:-1])).codebook_section.n_words
    right = beats_of(config, frame)
    for place in range(end - 2, start - 1, -1):
        for shift in range(0, WORD_BITS, 8):
            flipped = POLYNOMIAL << shift
            both = {place: flipped & LAST - 1, place + 1: flipped >> WORD_BITS}
            found = beats_of(config, [word ^ both.get(k, 0) for k, word in enumerate(frame)])
            if len(found) == len(right) and found != right:
                return both
    raise ValueError("no fault in the payload shows in the beats")
