"""The golden model of a decoder, fed words alone."""

import numpy as np
import pytest
from frames import layers
from rooms import CONFIGS

from weightless_hw.classic.config import ClassicConfig
from weightless_hw.registers import LoadError
from weightless_sim.cosim.faults import wrong_table
from weightless_sim.cosim.golden import GoldenModel, beats_of
from weightless_sim.cosim.scenario import LAST, frame
from weightless_sw import codec, records
from weightless_sw.records import resident_record


def test_model_knows_only_the_words(sparse_layer):
    weights = sparse_layer(10, 3, n_values=3)
    tensor, _ = codec.encode(weights, lanes=4)
    model = GoldenModel(ClassicConfig(lanes=4))
    record = records.to_record(tensor)
    words = frame(record)
    assert all(model.take(word) == [] and not model.record_ended for word in words[:-1])
    beats = model.take(words[-1])
    assert model.record_ended
    entries = [beat >> 16 * lane & 0xFFFF for beat in beats for lane in range(4)]
    values = np.array(entries, np.uint16).view(np.float16)
    assert values[:10].tolist() == codec.decode(tensor).tolist()
    assert [beat >> 64 for beat in beats] == [0b01111, 0b01111, 0b10011]
    again = [model.take(word) for word in frame(resident_record(record))]
    assert again[-1] == beats
    assert not model.errors


@pytest.mark.parametrize("order", ["rows", "columns"])
def test_a_matrix_tile_by_tile_is_the_whole(order, sparse_layer):
    """Tiles of 7 x 9 and what is left at the edges, in any order, dead rows and columns among them."""
    weights = sparse_layer((40, 60), 160)
    weights[10:25] = weights[:, 33:40] = 0
    tensor, _ = codec.encode(weights, layout="classic", order=order, lanes=4, live="auto")
    assert tensor.arrangement.live_rows is not None
    model = GoldenModel(ClassicConfig(lanes=4, tiles=1))
    for word in frame(records.to_record(tensor)):
        model.take(word)
    tiles = [(slice(r, r + 7), slice(c, c + 9)) for r in range(0, 40, 7) for c in range(0, 60, 9)]
    np.random.default_rng(0).shuffle(tiles)
    n_tiles = 0
    for rows, columns in tiles:
        expected = codec.decode(tensor, rows=rows, columns=columns)
        runs = tensor.arrangement.runs(rows, columns)
        if runs is None:
            assert not expected.any()
            continue
        made = records.to_frame(tensor, runs=runs)
        words = np.frombuffer(made, "<u4").tolist()
        beats = [beat for word in [*words[:-1], words[-1] | LAST] for beat in model.take(word)]
        entries = [beat >> 16 * lane & 0xFFFF for beat in beats for lane in range(4) if beat >> 64 + lane & 1]
        values = np.array(entries, np.uint16).view(np.float16).astype(np.float32)
        shape = (runs.number, runs.length)
        block = values.reshape(shape) if order == "rows" else values.reshape(shape).T
        part = tensor.arrangement.part(rows, columns)
        assert np.array_equal(part.scatter(block), expected)
        assert [beat >> 68 for beat in beats] == [0] * (len(beats) - 1) + [1]
        n_tiles += 1
    assert n_tiles > 25
    assert not model.errors


def test_model_refuses_what_is_wrong(sparse_layer):
    """Bit by bit of the CRC word, cut anywhere, and what a refused record means for a resident one."""
    tensor, _ = codec.encode(sparse_layer(10, 3, n_values=3), lanes=4)
    record = records.to_record(tensor)
    words, again = frame(record), frame(resident_record(record))

    def after(*frames):
        model = GoldenModel(ClassicConfig(lanes=4))
        decoded = [bool([beat for word in one for beat in model.take(word)]) for one in frames]
        return decoded, model.errors

    for bit in range(32):
        bad = [*words[:-1], words[-1] ^ 1 << bit]
        assert after(bad, words) == ([False, True], LoadError.CRC)
    for n in range(1, len(words)):
        assert after([*words[: n - 1], words[n - 1] | LAST], words) == ([False, True], LoadError.SHORT)
    assert after([*words[:-1], words[-1] & LAST - 1, LAST]) == ([False], LoadError.LONG)
    assert after(again, words, again) == ([False, True, True], LoadError.NOT_RESIDENT)
    assert after(words, bad, again) == ([True, False, False], LoadError.CRC | LoadError.NOT_RESIDENT)
    assert after(words, [*again[:-1], again[-1] ^ 1], again) == ([True, False, True], LoadError.CRC)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_planted_fault_keeps_the_crc_and_changes_beats(config):
    words = frame(layers(config)[0])
    planted = wrong_table(config, words)
    bad = [word ^ planted.get(place, 0) for place, word in enumerate(words)]
    assert planted
    assert bad[-1] == words[-1]
    found, right = beats_of(config, bad), beats_of(config, words)  # a wrong CRC would give none
    assert len(found) == len(right) == -(-1003 // config.lanes)
    assert found != right
