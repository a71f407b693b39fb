"""The decoder's RTL against golden model and cycle model, on every simulator that is there.

Each run checks every beat, every cycle, the stream rules and the registers (weightless_sim/cosim).
"""

import dataclasses
import functools
import json
import operator
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from frames import aliases, bad_runs, changed, crc_bits, cut, layers, of_other_layers, record, refused
from rooms import CONFIGS

from weightless_hw import decoders
from weightless_hw.classic.config import ClassicConfig
from weightless_hw.registers import ADDRESS, IDENTITY, LoadError
from weightless_sim.cosim import bulk, runner
from weightless_sim.cosim.golden import to_bytes
from weightless_sim.cosim.runner import SimulationError
from weightless_sim.cosim.scenario import LAST, Scenario, frame, load_of, stall_patterns
from weightless_sim.folders import Folders
from weightless_sim.model.cycles import predict
from weightless_sw import inputs, records
from weightless_sw.arrangement import Arrangement
from weightless_sw.records import geometry_of, resident_record, tile_record
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import TILE_WORDS, Runs
from weightless_sw.tensor import EncodedTensor

STORING = {name: config for name, config in CONFIGS.items() if config.keeps_table()}
ONE_EACH = {
    name: CONFIGS[name] for name in ("paper's table", "ribbon", "bitmask")
}  # for what is the bench's, or a layout's
# Of those that Verilator builds, which takes long: the others in `make test-long`.
VERILATED = [name for name in CONFIGS if name in ("paper's table", "bitmask") or name.startswith("ribbon")]


def pairs(configs, effort):
    """(decoder, simulator) of each test that asks for both."""
    return [
        pytest.param(config, simulator, id=f"{name}-{simulator}")
        for simulator in runner.SIMULATORS
        for name, config in configs.items()
        if simulator == "icarus" or name in VERILATED or effort > 1
    ]


def pytest_generate_tests(metafunc):
    """``config`` is any decoder, ``storing`` one that keeps its table, ``kind`` one of each layout."""
    asked = {"config": CONFIGS, "storing": STORING, "kind": ONE_EACH}
    (name, configs) = next(((n, c) for n, c in asked.items() if n in metafunc.fixturenames), (None, {}))
    if "simulator" not in metafunc.fixturenames:
        if name:
            metafunc.parametrize(name, configs.values(), ids=configs)
    elif name:
        effort = int(os.environ.get("WEIGHTLESS_EFFORT", "1"))
        metafunc.parametrize((name, "simulator"), pairs(configs, effort), indirect=["simulator"])
    else:
        metafunc.parametrize("simulator", runner.SIMULATORS, indirect=True)


@pytest.fixture
def simulator(request, need):
    need(runner.missing(request.param))
    return request.param


def run(scenario, name, simulator):
    return runner.run(scenario, re.sub(r"\W+", "_", f"{scenario.config.name}-{name}"), simulator=simulator)


def run_all(scenarios, name, simulator):
    return runner.run_all(
        scenarios, re.sub(r"\W+", "_", f"{scenarios[0].config.name}-{name}"), simulator=simulator
    )


def test_stall_matrix(config, simulator):
    """Every layer under every pattern of stalls."""
    records, patterns = layers(config), stall_patterns(seed=3)
    scenarios = [
        Scenario(config=config, records=records, source=source, sink=sink, count=True)
        for source, sink in patterns.values()
    ]
    for result in run_all(scenarios, "stalls", simulator):
        assert result.n_mismatches == 0
        assert result.n_weights == sum(load.n_weights for load in scenarios[0].loads) > 2000
        assert result.layers == result.predicted
        assert len(result.layers) == len(records)
        units = {unit.name for unit in config.units}
        assert set(result.events.units) == set(result.predicted_events.units) == units
        registers = dict(enumerate(result.registers))
        assert registers[ADDRESS["identity"]] == IDENTITY
        assert registers[ADDRESS["digest"]] == config.GEOMETRY.layout_digest()
        assert registers[ADDRESS["fill_latency"]] == config.fill_latency


def test_a_source_that_delays_the_last_word(config, simulator):
    """By 800 cycles: a layer that streams may be out by then, one that is stored has not begun."""
    scenarios, ends, records = [], [], [layers(config)[0]]
    for sink in (stall_patterns(seed=3)[name][1] for name in ("none", "sink")):
        loads = [load_of(records[0])]
        end = predict(config, loads, sink=sink)[0].last_word
        # The latest pause that still delays a word delays the CRC word alone.
        source = next(
            pausing(end, end - back)
            for back in range(1000)
            if predict(config, loads, pausing(end, end - back), sink)[0].last_word > end + 50
        )
        scenarios.append(Scenario(config=config, records=records, source=source, sink=sink, count=True))
        ends.append(end)
    for result, end in zip(run_all(scenarios, "late CRC", simulator), ends, strict=True):
        assert result.layers[0].last_word > end + 50


def pausing(end, begin):
    """A source that does nothing for 800 cycles, of one that would take up to ``end``."""
    source = np.ones(end + 1000, np.bool_)
    source[begin : begin + 800] = False
    return source


def test_reset_in_mid_stream(config, simulator):
    """While a descriptor, a codebook, a table is loaded, or beats come out: afterwards all is as after power-up."""
    source, sink = stall_patterns(seed=5)["both"]
    sent = [record(config, 1003, 90, 7), record(config, 1, 1, 1)]
    scenarios = [
        Scenario(config=config, records=sent, source=source, sink=sink, reset_at=cycle, soft=soft)
        for cycle in (45, 60, 150, 400)
        for soft in (False, True)
    ]
    for result in run_all(scenarios, "resets", simulator):
        assert result.n_weights == 1004


def test_what_is_wrong_is_refused_and_the_next_record_decodes(config, simulator):
    """Every kind twice, then a record that decodes; no reset between.  A resident one after a record that was cut.

    Words and beats stall on one simulator, and do not on the other.
    """
    good = record(config, 123, 10, 2, seed=1)
    sent = [good, resident_record(good)] if config.keeps_table() else [good]
    wrong = refused(config)
    frames, errors = [], LoadError(0)
    for bad, error in wrong.values():
        errors |= error
        before = wrong["CRC"][0] if error is LoadError.NOT_RESIDENT else bad
        frames += [before, bad, *map(frame, sent)]
    decoded = sent * len(wrong)
    source, sink = stall_patterns(seed=2)["both" if simulator == "icarus" else "none"]
    scenario = Scenario(config=config, records=decoded, frames=frames, source=source, sink=sink)
    result = run(scenario, "refused", simulator)
    assert LoadError(result.errors) == errors
    # Of a layer that streams beats came before it was found to be wrong.
    more = range(1) if config.keeps_table() else range(1, 20_000)
    assert result.n_weights - 123 * len(decoded) in more


def test_one_kind_alone_sets_its_bit_alone(config, need):
    need(runner.missing("icarus"))
    good, wrong = record(config, 50, 9, 2), refused(config)
    scenarios = [
        Scenario(config=config, records=[good], frames=[bad, frame(good)]) for bad, _ in wrong.values()
    ]
    found = run_all(scenarios, "refused alone", "icarus")
    assert {name: LoadError(result.errors) for name, result in zip(wrong, found, strict=True)} == {
        name: error for name, (_, error) in wrong.items()
    }


def test_every_bit_of_a_descriptor_is_compared(kind, need):
    """Frames that differ from good ones in high bits alone: each is refused, and the next one decodes."""
    need(runner.missing("icarus"))
    config = kind
    good, wrong = record(config, 50, 9, 2), aliases(config)
    assert len(wrong) > 60
    frames = [one for bad, _ in wrong.values() for one in (bad, frame(good))]
    result = run(Scenario(config=config, records=[good] * len(wrong), frames=frames), "aliases", "icarus")
    expected = LoadError(0)
    for _, error in wrong.values():
        expected |= error
    assert LoadError(result.errors) == expected
    assert result.n_weights == 50 * len(wrong)


def test_every_bit_of_the_crc_word_counts(need):
    need(runner.missing("icarus"))
    config = CONFIGS["paper's table"]
    good = record(config, 50, 9, 2)
    wrong = crc_bits(config)
    frames = [one for bad, _ in wrong.values() for one in (bad, frame(good))]
    result = run(Scenario(config=config, records=[good] * len(wrong), frames=frames), "crc bits", "icarus")
    assert LoadError(result.errors) == LoadError.CRC
    assert result.n_weights == 50 * len(wrong)


def test_more_than_two_to_the_sixteen_weights_are_good(need):
    """N = 65,536: its low half is zero, which is no empty layer."""
    need(runner.missing("icarus"))
    config = CONFIGS["16 lanes, 8-bit values"]
    result = run(Scenario(config=config, records=[record(config, 65_536, 50, 3)]), "65536", "icarus")
    assert (result.n_weights, result.n_mismatches) == (65_536, 0)


def test_a_resident_record_of_another_layer_is_refused(storing, simulator):
    """Each field that may differ, alone, after the layer was loaded and after it was decoded once more: none of them
    gives a beat.  What was refused or cut between leaves the loaded layer alone."""
    config = storing
    good, wrong = record(config, 123, 10, 2, seed=1), refused(config)
    again, others = resident_record(good), of_other_layers(config, good)
    assert len(others) >= 8
    frames = []
    for k, bad in enumerate(others.values()):
        between = wrong["digest"][0] if k % 2 else wrong["half a descriptor"][0]
        frames += [frame(good), bad, frame(again), between, bad, frame(again)]
    scenario = Scenario(config=config, records=[good, again, again] * len(others), frames=frames)
    result = run(scenario, "of other layers", simulator)
    assert LoadError(result.errors) == LoadError.RESIDENT_MISMATCH | LoadError.DIGEST | LoadError.SHORT
    assert (result.n_weights, result.n_mismatches) == (3 * 123 * len(others), 0)


@pytest.mark.parametrize("lanes", [1, 2, 8, 64])
def test_tiles_that_the_layer_does_not_have(lanes, need):
    """Each sets its bit and gives no beat; cut, with a word too many, or with another CRC, what such a record gets; the
    next tile decodes."""
    need(runner.missing("icarus"))
    config = ClassicConfig(lanes=lanes, slot_bits=6, max_bank_rows=60, max_codes=7, tiles=1)
    good, runs = record(config, 123, 10, 2, seed=1), Runs(5, 3, 4, 17)
    tile = frame(tile_record(good, runs))
    # First, as its bit must be set alone.
    wrong = {"CRC, and no run": ([*changed_runs(good, Runs(0, 8, 0, 8))[:-1], LAST], LoadError.CRC)}
    wrong |= {name: (changed_runs(good, bad), LoadError.TILE) for name, bad in bad_runs(123).items()}
    wrong |= {
        name: (changed_runs(other, runs), LoadError.RESIDENT_MISMATCH)
        for name, other in others_of(config, good).items()
    }
    wrong |= {
        "cut": (cut(tile, 10), LoadError.SHORT),
        "no CRC word": (cut(tile, 11), LoadError.SHORT),
        "descriptor alone": (cut(tile, 7), LoadError.SHORT),
        "a word too many": ([*tile[:-1], tile[-1] & LAST - 1, LAST], LoadError.LONG),
        "CRC": ([*tile[:-1], tile[-1] ^ 1], LoadError.CRC),
        "flags 3": (changed(tile_record(good, runs), flags=3), LoadError.FLAGS),
        "no flag": (changed(tile_record(good, runs), flags=0), LoadError.SHORT),  # which forgets the table
    }
    for source, sink in (stall_patterns(seed=4)[name] for name in ("none", "both")):
        frames, expected = [frame(good)], [good]
        for bad, error in wrong.values():
            again = [good] if error is LoadError.SHORT else []
            frames += [bad, *map(frame, again), tile]
            expected += [*again, tile_record(good, runs)]
        scenario = Scenario(config=config, records=expected, frames=frames, source=source, sink=sink)
        result = run(scenario, "bad tiles", "icarus")
        assert LoadError(result.errors) == functools.reduce(
            operator.or_, (error for _, error in wrong.values())
        )
        assert result.n_mismatches == 0


def changed_runs(record, runs):
    """The frame of a tile, whatever it asks for."""
    return frame(tile_record(record, Runs(0, 1, 1, 1))[: -TILE_WORDS * 4] + runs.to_bytes())


def others_of(config, good):
    """By field: descriptors of layers that differ from ``good`` in that field alone."""
    return {name: to_bytes(words[:-1]) for name, words in of_other_layers(config, good).items()}


def test_wide_counters_and_large_parameters(need, monkeypatch):
    """More than 2^16 groups, a seed above 255, more codes than half of 2^t, more than 1,000 rows, one reset cycle."""
    need(runner.missing("verilator"))
    monkeypatch.setattr(bulk, "COMPILER", "-O0")
    config = ClassicConfig(lanes=1, slot_bits=3, max_bank_rows=1100, max_codes=7)
    geometry = ClassicGeometry(n_weights=66_000, lanes=1, slot_bits=3, bank_rows=1100, n_codes=7, seed=0xBEEF)
    table = np.random.default_rng(4).integers(0, 8, geometry.n_slots).astype(np.uint16)
    codebook = np.arange(1, 8).astype(np.float16)
    tensor = EncodedTensor(Arrangement((66_000,)), geometry, codebook, table)
    result = bulk.run(config, [records.to_record(tensor)], bulk.entries_of(tensor))
    result.check()
    assert (result.n_weights, result.n_mismatches) == (66_000, 0)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("slot", r"mismatches; the first: beat \d+"),
        ("expectation", r"mismatches; the first: beat \d+"),
        ("event", r"events: RTL RunEvents\(cycles="),
    ],
)
def test_planted_faults_turn_the_run_red(kind, fault, message, simulator):
    scenario = Scenario(config=kind, records=layers(kind)[:1], fault=fault, count=fault == "event")
    with pytest.raises(SimulationError, match=message) as caught:
        run(scenario, fault, simulator)
    log = re.search(r"see (\S+)", str(caught.value))
    assert log
    assert "run.log" in log[1]


def test_a_wrong_cycle_model_turns_the_run_red(simulator, monkeypatch):
    """The model in the simulator reads the latency from the configuration: give it three registers less."""
    config = CONFIGS["paper's table"]
    folder = runner.build(config, simulator)
    other = dataclasses.replace(config, rounds_per_stage=2)
    monkeypatch.setattr(runner, "build", lambda *_, **__: folder)
    with pytest.raises(SimulationError, match="cycles: RTL"):
        run(Scenario(config=other, records=layers(config)[:1]), "wrong model", simulator)


def test_a_decoder_without_counters(config, need):
    """They read as 0 in every cycle; identity, errors and the soft reset are as they were."""
    need(runner.missing("icarus"))
    config = dataclasses.replace(config, counters=0)
    good, bad = record(config, 50, 9, 2), refused(config)["digest"][0]
    scenario = Scenario(config=config, records=[good], frames=[bad, frame(good)], reset_at=60, soft=True)
    result = run(scenario, "no counters", "icarus")
    assert LoadError(result.errors) == LoadError.DIGEST
    assert result.n_weights == 50


def test_vectors_layers(vectors, need):
    """The frozen layers, on the decoders that they take; what comes out is the frozen codes by the golden model."""
    need(runner.missing("icarus"))  # which builds at once
    left = [(bytes.fromhex(case["record"]), len(case["codes"])) for case in vectors["layers"]]
    for config in decoders.alike([geometry_of(data) for data, _ in left]):
        served = [one for one in left if not config.misfits(geometry_of(one[0]))]
        left = [one for one in left if one not in served]
        scenario = Scenario(config=config, records=[data for data, _ in served])
        assert run(scenario, "vectors", "icarus").n_weights == sum(n for _, n in served)
    assert not left


def test_waveform_is_written_and_named(need, monkeypatch, capsys):
    need(runner.missing("icarus"))
    monkeypatch.setenv("WAVES", "1")
    config = CONFIGS["paper's table"]
    run(Scenario(config=config, records=layers(config)[1:2]), "waves", "icarus")
    named = re.search(r"waveform: (\S+)", capsys.readouterr().err)
    assert named
    assert Path(named[1]).stat().st_size > 1000
    assert "runs" in named[1]


def test_two_runs_of_one_name_at_once(tmp_path, need):
    """Each reads its own result, whatever folder its report goes to; a result names its scenario."""
    need(runner.missing("icarus"))
    rng = np.random.default_rng(1)
    for name, shape in (("a", (12, 200)), ("b", (15, 200))):
        array = np.where(rng.random(shape) < 0.05, np.float32(0.5), np.float32(0))
        array[-1, -1] = 0.5
        inputs.save_tensors(tmp_path / f"{name}.npz", {f"fc.{name}": array})
    command = [sys.executable, "-m", "weightless_sim", "sim", "--simulator", "icarus", "--json", "--build"]
    started = [
        subprocess.Popen([*command, str(tmp_path / f"o{name}"), str(tmp_path / f"{name}.npz")],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        for name in "ab"
    ]  # fmt: skip
    for process, n_weights in zip(started, (2400, 3000), strict=True):
        out, err = process.communicate()
        assert process.returncode == 0, err
        runs = json.loads(out)["runs"]
        assert {run["n_weights"] for name, run in runs.items() if name != "in turn"} == {n_weights}


def test_a_result_of_another_scenario_is_not_taken(monkeypatch, need):
    need(runner.missing("icarus"))
    config = CONFIGS["paper's table"]
    scenario = Scenario(config=config, records=layers(config)[1:2])
    monkeypatch.setattr(Scenario, "digest", property(lambda self: f"{id(self):064x}"))
    with pytest.raises(SimulationError, match="is of another run"):
        runner.run(scenario, "another", simulator="icarus")


def test_a_fault_is_found_whatever_the_environment_says(monkeypatch, need):
    """Without assertions, a bench finds nothing."""
    need(runner.missing("icarus"))
    for name, value in (("PYTHONOPTIMIZE", "1"), ("TESTCASE", "none"), ("MODULE", "none")):
        monkeypatch.setenv(name, value)
    config = CONFIGS["paper's table"]
    scenario = Scenario(config=config, records=layers(config)[1:2], fault="expectation")
    with pytest.raises(SimulationError, match="mismatch"):
        runner.run(scenario, "fault_o", simulator="icarus")


@pytest.mark.parametrize("name", ["my dir", "a#b", "a$b", "a(1)", "a:b"])
def test_a_folder_that_make_can_not_build_in_is_said_before_the_work(tmp_path, need, name):
    need(runner.missing("verilator"))
    said = runner.missing("verilator", Folders(tmp_path / name))
    assert re.search(r"make can't build in a folder with '.' in its path; work in another", said)


def test_what_a_killed_build_left_is_not_taken_for_whole(tmp_path, need):
    need(runner.missing("icarus"))
    config = ClassicConfig(lanes=1, slot_bits=8, max_bank_rows=7, max_codes=2)
    folder = runner.build(config, "icarus", folders=Folders(tmp_path))
    (folder / "built").unlink()
    (folder / "sim.vvp").write_text("half a file")
    assert runner.build(config, "icarus", folders=Folders(tmp_path)) == folder
    assert "half" not in (folder / "sim.vvp").read_text()


def test_builds_share_verilators_own_objects_and_nothing_else(tmp_path):
    """They are younger than the makefile, which is written later."""
    first, second, mine = tmp_path / "first", tmp_path / "second", Folders(tmp_path)
    with runner.shared_runtime(first, folders=mine):
        for name in ("verilated.o", "Vtop.o"):
            (first / name).write_text(name)
    with runner.shared_runtime(second, folders=mine):
        assert [path.name for path in second.iterdir()] == ["verilated.o"]
        makefile = second / "Vtop.mk"
        makefile.touch()
        assert (second / "verilated.o").stat().st_mtime > makefile.stat().st_mtime
    with runner.shared_runtime(tmp_path / "third", waves=True, folders=mine):
        assert not list((tmp_path / "third").iterdir())
