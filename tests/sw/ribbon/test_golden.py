"""The golden reader of a stream: what each word makes known, and what is wrong with it."""

import numpy as np
import pytest
from rooms import CONFIGS, ribbon

from weightless_hw.registers import LoadError
from weightless_sim.cosim.scenario import load_of
from weightless_sw.ribbon import golden
from weightless_sw.spec.record import DESCRIPTOR_BYTES

CONFIG = CONFIGS["ribbon"]


def taken(data):
    """(codes by word of the payload, the reader) of a record; up to the word with which something is wrong."""
    geometry = load_of(data).geometry
    reader = golden.reader(data[:DESCRIPTOR_BYTES])
    payload = np.frombuffer(data, "<u4")[-geometry.payload_words :]
    codes = []
    for word in payload.tolist():
        codes.append(reader.take(word))
        if reader.wrong:
            break
    return codes, reader


@pytest.mark.parametrize("seed", range(20))
def test_codes_are_known_in_order_and_none_is_left(seed):
    rng = np.random.default_rng(seed)
    data = ribbon.random_record(ribbon.random_config(rng), rng)
    geometry = load_of(data).geometry
    codes, reader = taken(data)
    assert (reader.wrong, reader.is_whole) == (frozenset(), True)
    table = np.frombuffer(data, "<u4")[-geometry.payload_words :].tolist()
    expected = np.concatenate([golden.decode_chunk(chunk) for chunk in geometry.chunks(table)])
    assert np.array_equal(np.concatenate(codes), expected)


def test_a_group_is_known_with_its_window_and_not_before():
    """Two blocks, a pair of entries, two blocks: the first word of those does nothing, their last one all."""
    rng = np.random.default_rng(1)
    chunk = ribbon.chunk(CONFIG, [ribbon.entry(8, 8)], 16, rng)
    data = ribbon.record(CONFIG, 64, [chunk], rng)
    codes, _ = taken(data)
    known = np.cumsum([len(part) for part in codes])
    # A header; 8 items a block, each a word at t = 8; the start words of the groups are 0, 1, .. 7.
    assert known[16] == 0
    assert known[17] == 8
    assert known[17 + 8 - 1] == 8
    assert known[17 + 8] == 5 * 8
    assert known[17 + 16] == 64


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("ribbon")])
def test_what_is_wrong_has_its_name(name):
    for what, (bad, error) in ribbon.bad_payloads(CONFIGS[name]).items():
        _, reader = taken(bad)
        assert reader.wrong == {LoadError(bit).name for bit in error}, what
