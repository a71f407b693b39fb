import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from weightless_hw import decoders
from weightless_sim import cli
from weightless_sim.cosim import runner
from weightless_sim.report import summary, write
from weightless_sim.shown import to_json
from weightless_sim.study import run as study
from weightless_sim.study import simulation, subject
from weightless_sim.study.result import Accuracy, RunKind
from weightless_sw import codec, container, inputs


@pytest.fixture(scope="module")
def file(tmp_path_factory, sparse_layer):
    """Two tables that need decoders of their own, one more like the first, a coded tensor; and their weights."""
    folder = tmp_path_factory.mktemp("file")
    arrays = {
        "a": sparse_layer((40, 60), 200),
        "b": sparse_layer((10, 40), 40, seed=1),
        "c": sparse_layer((20, 40), 80, n_values=7, seed=2),
        "d": sparse_layer((8, 8), 9, n_values=2),
    }
    tensors = {
        "a": codec.encode(arrays["a"], layout="classic", slot_bits=8)[0],
        "b": codec.encode(arrays["b"], layout="classic", slot_bits=6, lanes=4)[0],
        "c": codec.encode(arrays["c"], layout="classic", slot_bits=8)[0],
        "d": codec.encode_coded(arrays["d"]),
    }
    metadata = {"wrong": "3 - 50 4 of 200"}
    container.write(folder / "model.wls", tensors, metadata)
    inputs.save_tensors(folder / "model.npz", arrays)
    return folder / "model.wls", folder / "model.npz"


def test_a_file_without_its_weights(file, step, tmp_path, need, capsys):
    """One decoder per kind of table; what needs the weights is absent, and said to be."""
    need(runner.missing("icarus"))
    result = study.run(study.Options(model=str(file[0]), build=tmp_path, simulator="icarus"), step)
    schema = json.loads((Path("docs") / "report.schema.json").read_text())
    jsonschema.validate(json.loads(to_json(result)), schema)
    assert [decoder.tables for decoder in result.decoders.values()] == [["a", "c"], ["b"]]
    in_turn = [name for name, run in result.runs.items() if run.kind == RunKind.IN_TURN]
    (other,) = in_turn[1:]
    assert list(result.runs) == ["in turn", *simulation.STALLS, other]
    assert result.runs["in turn"].layers == ["a", "c", "c (resident)"]
    assert result.runs[other].layers == ["b", "b", "b (resident)"]
    assert all(run.cycles_rtl_sim == run.cycles_cycle_model for run in result.runs.values())
    assert result.sizes == result.layouts == result.false_positives == []
    paths = write.write(result, tmp_path / "report")
    assert {path.suffix for path in paths} == {".md", ".json", ".html", ".png", ".svg"}
    assert len(paths) == 5
    text = paths[0].read_text()
    assert "sizes.png" not in text
    assert "--weights FILE" in text
    lines = {what: figure for what, figure, _ in summary.summary(result)}
    assert lines["test error, recorded"].startswith("dense 1.50%, encoded 25.00%, retrained 2.00%; ")
    assert "4_t6" in lines["decoders"]


def test_a_files_weights_give_what_encoding_gave(file):
    about = subject.from_file(str(file[0]), str(file[1]))
    weights = inputs.load_tensors(file[1])
    report = codec.encode(weights["a"], layout="classic", slot_bits=8)[1]
    assert about.layer == "a"
    read = about.reports["a"].as_dict()
    assert read.pop("n_attempts") is read.pop("seconds") is None
    assert read == {name: value for name, value in report.as_dict().items() if name in read}


def test_weights_of_another_network_are_refused(file, tmp_path, capsys, sparse_layer):
    path = tmp_path / "other.npz"
    weights = inputs.load_tensors(file[1])
    for change, message in (
        ({"a": sparse_layer((40, 60), 200, seed=9)}, "a: a non-zero weight does not decode to itself"),
        ({"a": weights["a"].T}, "a: shape (60, 40), the table's is (40, 60)"),
    ):
        inputs.save_tensors(path, weights | change)
        assert cli.main(["sim", str(file[0]), "--weights", str(path)]) == cli.EXIT_USAGE
        error = " ".join(capsys.readouterr().err.split())
        assert message in error
        assert "did not go into" in error
    del weights["c"]
    inputs.save_tensors(path, weights)
    assert cli.main(["sim", str(file[0]), "--weights", str(path)]) == cli.EXIT_USAGE
    assert "no tensor c, which" in capsys.readouterr().err


def test_files_without_tables_and_arrays_with_weights_are_refused(file, tmp_path, capsys):
    path = tmp_path / "raw.wls"
    container.write(path, {"a": np.zeros((3, 3), np.float32)})
    assert cli.main(["sim", str(path)]) == cli.EXIT_USAGE
    assert "no tensor is in a table" in capsys.readouterr().err
    assert cli.main(["sim", str(file[1]), "--weights", str(file[1])]) == cli.EXIT_USAGE
    assert "--weights goes with a .wls file" in capsys.readouterr().err


def test_a_layout_without_a_decoder_is_refused_before_it_is_decoded(
    tmp_path, step, sparse_layer, monkeypatch
):
    monkeypatch.delitem(decoders.BY_NAME, "ribbon")
    path = tmp_path / "ribbon.wls"
    container.write(path, {"a": codec.encode(sparse_layer((40, 60), 200), layout="ribbon")[0]})
    steps = []

    def noted(name):
        steps.append(name)
        return step(name)

    with pytest.raises(ValueError, match="no decoder for the layout 'ribbon'"):
        study.run(study.Options(model=str(path), build=tmp_path), noted)
    assert steps == ["read"]


def test_metadata_that_state_no_errors(file):
    about = subject.from_file(str(file[0]), None)
    assert about.accuracy == Accuracy(test_images=200, wrong={"dense": 3, "encoded": 50, "retrained": 4})
    about.metadata.clear()
    assert about.accuracy == Accuracy(unknown=subject.NOT_STATED)
