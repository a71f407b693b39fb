import numpy as np
import pytest
from frames import bad_runs

from weightless_hw.classic.config import ClassicConfig
from weightless_sim.cosim.scenario import FAULTS, LAST, Scenario, frame, stall_patterns
from weightless_sim.model.patterns import Load
from weightless_sw import codec, container, records
from weightless_sw.records import geometry_of, is_resident, resident_record, runs_of, tile_record
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import DESCRIPTOR_BYTES, DESCRIPTOR_WORDS, Runs

GEOMETRY = ClassicGeometry(n_weights=100, lanes=4, slot_bits=8, bank_rows=20, n_codes=7, seed=3)
RECORD = GEOMETRY.to_descriptor() + bytes(4 * (GEOMETRY.record_words - 7))


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_saved_is_loaded(tmp_path, fault):
    source, sink = stall_patterns()["both"]
    scenario = Scenario(
        config=ClassicConfig(lanes=4), records=[RECORD, resident_record(RECORD)], source=source, sink=sink,
        reset_at=50, soft=True, fault=fault, frames=[frame(RECORD), [1, 2 | LAST]],
    )  # fmt: skip
    scenario.save(tmp_path / "scenario.json")
    loaded = Scenario.load(tmp_path / "scenario.json")
    assert (loaded.config, loaded.records) == (scenario.config, scenario.records)
    assert (loaded.reset_at, loaded.soft, loaded.fault) == (50, True, fault)
    assert loaded.words == scenario.words == [*frame(RECORD), 1, 2 | LAST]
    assert loaded.digest == scenario.digest
    assert np.array_equal(loaded.source, source)
    assert np.array_equal(loaded.sink, sink)
    assert loaded.loads == [Load(GEOMETRY, RECORD, False), Load(GEOMETRY, resident_record(RECORD), True)]
    assert [load.n_words for load in loaded.loads] == [len(frame(RECORD)), DESCRIPTOR_WORDS + 1]


def test_a_resident_record_is_a_descriptor_with_its_flag():
    again = resident_record(RECORD)
    assert len(again) == DESCRIPTOR_BYTES
    assert is_resident(again)
    assert not is_resident(RECORD)
    assert geometry_of(again) == GEOMETRY
    assert [k for k in range(DESCRIPTOR_BYTES) if again[k] != RECORD[k]] == [3]


def test_a_tile_is_a_descriptor_with_its_flag_and_four_words():
    runs = Runs(3, 7, 5, 9)
    tile = tile_record(RECORD, runs)
    assert (len(tile), runs_of(tile), geometry_of(tile)) == (DESCRIPTOR_BYTES + 16, runs, GEOMETRY)
    assert is_resident(tile)
    assert runs_of(RECORD) is runs_of(resident_record(RECORD)) is None
    assert np.frombuffer(tile[DESCRIPTOR_BYTES:], "<u4").tolist() == [3, 7, 5, 9]
    assert [k for k in range(DESCRIPTOR_BYTES) if tile[k] != RECORD[k]] == [3]
    scenario = Scenario(config=ClassicConfig(lanes=4, tiles=1), records=[RECORD, tile])
    (_, load) = scenario.loads
    assert load == Load(GEOMETRY, tile, True, runs)
    assert (load.n_words, load.n_weights) == (DESCRIPTOR_WORDS + 5, 35)
    for name, bad in bad_runs(100).items():
        with pytest.raises(
            ValueError, match="of 100 weights: they are empty, overlap, or end behind the last one"
        ):
            print(name, tile_record(RECORD, bad))
    with pytest.raises(ValueError, match="number must be an integer from 0 to 4294967295, not 4294967296"):
        Runs(0, 1, 1 << 32, 1).to_bytes()


def test_faults_are_named():
    with pytest.raises(ValueError, match="fault must be one of"):
        Scenario(config=ClassicConfig(), records=[], fault="other")


def test_every_pattern_lets_something_through():
    for name, (source, sink) in stall_patterns().items():
        assert source.any(), name
        assert sink.any(), name
        assert name == "none" or not (source.all() and sink.all())


def test_a_frame_ends_with_its_crc_as_the_file_has_it():
    """zlib's CRC-32 over the record's bytes, behind them, with LAST and nowhere else."""
    data = container.to_bytes({"w": codec.encode(np.eye(9))[0]})
    record = records.to_record(container.from_bytes(data)["w"])
    *words, crc = frame(record)
    assert b"".join(word.to_bytes(4, "little") for word in words) == record
    assert data.endswith(record + (crc ^ LAST).to_bytes(4, "little"))
    assert crc & LAST
