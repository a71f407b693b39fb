import dataclasses
import json

import jsonschema
import numpy as np
import pytest

from weightless_hw.config import DecoderConfig
from weightless_sim import cosim, plots, report, study
from weightless_sw import inputs


@pytest.fixture(scope="module")
def result(tmp_path_factory, need_tool, small_model):
    """A whole study of a small model, on the real simulator."""
    need_tool(cosim.missing("verilator"))
    build = tmp_path_factory.mktemp("study")
    options = study.Options(model=str(small_model), lanes=8, slot_bits=8, build=build)
    return study.run(options, quiet)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory, sparse_layer):
    path = tmp_path_factory.mktemp("model") / "small.npz"
    arrays = {"a": sparse_layer((40, 60), 200), "b": sparse_layer((10, 40), 40, seed=1), "c": np.arange(3.0)}
    inputs.save_tensors(path, arrays)
    return path


@pytest.fixture(scope="module")
def need_tool(need):
    return need


class quiet:  # noqa: N801 - stands in for a function
    """Steps without a display; counts what it is told."""

    def __init__(self, title):
        self.title = title

    def __enter__(self):
        return lambda done, total: None

    def __exit__(self, *_):
        return None


def schema():
    return json.loads((cosim.BUILD.parent / "docs" / "report.schema.json").read_text())


def test_report_follows_its_schema(result):
    jsonschema.validate(json.loads(json.dumps(result)), schema())


def test_schema_refuses_a_mismatch(result):
    broken = json.loads(json.dumps(result))
    broken["runs"][0]["n_mismatches"] = 1
    with pytest.raises(jsonschema.ValidationError, match="0 was expected"):
        jsonschema.validate(broken, schema())


def test_every_run_compared_every_weight(result):
    assert [run["name"] for run in result["runs"]] == ["all layers", *study.STALLS]
    assert [run["n_weights"] for run in result["runs"]] == [2800] + [2400] * len(study.STALLS)
    for run in result["runs"]:
        assert run["cycles_rtl_sim"] == run["cycles_cycle_model"]
    assert result["runs"][1]["weights_per_cycle"] == 8.0


def test_sizes_are_those_of_the_file(result):
    assert result["layer"] == "a"
    assert result["sizes"][-1]["bytes"] == result["encoding"]["a"]["record_bytes"]
    assert result["sizes"][0]["bytes"] == 4 * 2400


def test_files_and_summary(result, tmp_path):
    paths = report.write(result, tmp_path)
    assert {path.name for path in paths} == {
        "report.md", "report.json", "sizes.png", "false_positives.png", "throughput.png", "datapath.svg",
    }  # fmt: skip
    for path in paths:
        assert path.stat().st_size > 500
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
    text = paths[0].read_text()
    for name in [*report.PLOTS, "datapath.svg"]:
        assert f"]({name})" in text
    lines = dict(report.summary(result))
    assert lines["RTL against golden model"].startswith(
        "0 mismatches in 2,400 weights of a; 0 in 14,800 of all 6 runs"
    )
    assert "equal in all 6 runs" in lines["cycles"]


def test_summary_says_when_cycles_differ(result):
    broken = json.loads(json.dumps(result))
    broken["runs"][3]["cycles_cycle_model"] += 1
    assert "NOT EQUAL" in dict(report.summary(broken))["cycles"]


def test_a_failing_simulation_gives_no_report(small_model, tmp_path, monkeypatch, need):
    need(cosim.missing("verilator"))
    monkeypatch.setattr(study, "Scenario", lambda **fields: SCENARIO(**fields, fault="expectation"))
    with pytest.raises(cosim.SimulationError, match="mismatches"):
        study.run(study.Options(model=str(small_model), build=tmp_path), quiet)


SCENARIO = study.Scenario


@pytest.mark.parametrize("lanes", [1, 8, 64])
def test_picture_of_the_data_path_adds_up(lanes, tmp_path):
    config = DecoderConfig(lanes=lanes)
    stages = plots.data_path_stages(config)
    assert sum(registers for _, _, registers in stages) == config.fill_latency
    plots.data_path(config, tmp_path / "path.svg")
    drawn = (tmp_path / "path.svg").read_text()
    assert all(f">{name}<" in drawn for name, _, _ in stages)


def test_picture_in_the_docs_is_of_this_decoder(tmp_path):
    committed = (cosim.BUILD.parent / "docs" / "datapath.svg").read_text()
    for name, text, registers in plots.data_path_stages(DecoderConfig()):
        for line in [name, *text.split("\n"), f"{registers} register{'s' if registers != 1 else ''}"]:
            assert f">{line.replace('<', '&lt;')}<" in committed
    assert f"fill latency {DecoderConfig().fill_latency} cycles" in committed


def test_options_have_the_defaults_of_the_command():
    assert dataclasses.asdict(study.Options())["model"] == "lenet300"
