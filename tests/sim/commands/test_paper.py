import dataclasses
import json

import numpy as np
import pytest

from weightless_sim import cli
from weightless_sim.commands import paper
from weightless_sim.folders import Folders
from weightless_sw import codec, container
from weightless_sw.simplify import simplify
from weightless_sw.training import recipes


@pytest.fixture
def quick(torch, monkeypatch, tmp_path):
    """One run of a few epochs on the digits, and the same exact."""
    from weightless_sw.training import networks
    from weightless_sw.training import paper as runs

    recipe = recipes.Recipe(
        rounds=(recipes.Round(2, 900, 2e-3),), bits={"fc1": 8.5, "fc2": 6.5, "fc3": 5.5}, permute=True,
        units={"fc1": 90, "fc2": 40}, tables={"fc1": (8, 3)}, biases={"fc1": 1, "fc2": 0, "fc3": 0},
        layout="ribbon", order="rows", share_epochs=1, retrain_epochs=1, rest_epochs=1,
    )  # fmt: skip
    run = runs.Run("digits", recipe)
    monkeypatch.setattr(runs, "RUNS", {"tiny": run, "tiny-exact": run.exact})
    monkeypatch.setitem(
        networks.NETWORKS, "digits", dataclasses.replace(networks.NETWORKS["digits"], epochs=2)
    )
    monkeypatch.setattr(paper, "HERE", Folders(tmp_path))
    return runs


def test_runs_are_made_once_and_say_what_their_files_are(quick, tmp_path, capsys, monkeypatch):
    arguments = ["paper", "--seeds", "1", "-o", str(tmp_path / "results")]
    assert cli.main([*arguments, "--list"]) == 0
    assert capsys.readouterr().out == "tiny, seed 1: to do\ntiny-exact, seed 1: to do\n"
    assert cli.main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    table, exact = (quick.read(tmp_path / "results" / f"{name}-1.json") for name in ("tiny", "tiny-exact"))
    assert [one["run"] for one in printed] == ["tiny", "tiny-exact"]
    for found in (table, exact):
        path = tmp_path / "paper" / f"{found.run}-1.wls"
        file = container.read(path)
        assert found.bytes == path.stat().st_size
        assert found.dense_bytes == 202_440
        assert {name: part.bytes for name, part in found.parts.items()} == {
            name: container.stored_bytes(tensor) for name, tensor in file.items()
        }
        assert found.test_images == 360
        assert found.wrong["file"] == found.wrong["retrained"]
        assert cli.main(["evaluate", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["wrong"] == found.wrong["file"]
    assert [part.kind for part in table.parts.values()] == ["table", "coded", "coded", "coded"]
    assert {part.kind for part in exact.parts.values()} == {"coded"}
    fc1 = table.tables["fc1"]
    assert (fc1.layout, fc1.slot_bits, fc1.n_codes, fc1.bytes) == (
        "ribbon",
        8,
        3,
        table.parts["fc1.weight"].bytes,
    )
    assert fc1.n_keys + fc1.n_false_positives == table.parts["fc1.weight"].n_nonzero
    assert exact.parts["fc1.weight"].n_codes == 3
    assert not exact.tables
    # What leads to both was done once, and what is there is not done again.
    assert any(title.endswith("prune to 900 bytes, round 1") for title in table.seconds)
    assert list(exact.seconds) == ["share values in the rest"]
    monkeypatch.setattr(quick, "one", None)
    assert cli.main(arguments) == 0
    assert f"{found.bytes:,}" in capsys.readouterr().out
    monkeypatch.setitem(
        quick.RUNS, "tiny", dataclasses.replace(quick.RUNS["tiny"], recipe=recipes.Recipe(tables={}))
    )
    assert cli.main([*arguments, "--list"]) == 0
    listed = capsys.readouterr().out
    assert listed == "tiny, seed 1: done, by another recipe\ntiny-exact, seed 1: done\n"
    assert cli.main(arguments) == 0
    assert "tiny, seed 1: by another recipe than today's" in " ".join(capsys.readouterr().err.split())
    log = (tmp_path / "paper" / "log").read_text()
    assert log.count(" bytes, {") == 2


def test_an_unknown_run_and_another_file_are_refused(quick, tmp_path, capsys):
    assert cli.main(["paper", "lenet9"]) == cli.EXIT_USAGE
    assert "no run is called 'lenet9'; there are: tiny, tiny-exact" in capsys.readouterr().err
    (tmp_path / "tiny-1.json").write_text("{}")
    assert cli.main(["paper", "tiny", "--seeds", "1", "-o", str(tmp_path)]) == cli.EXIT_USAGE
    assert "tiny-1.json: no result of a run" in " ".join(capsys.readouterr().err.split())


def test_sizes_by_density_are_those_of_the_layers_records(quick, tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(60, 80)).astype(np.float32)
    asked = []
    monkeypatch.setattr(quick.jobs, "dense_weights", lambda *about: asked.append(about[:3]) or weights)
    monkeypatch.setattr(quick, "DENSITIES", (0.02, 0.1))
    assert cli.main(["paper", "--density", str(tmp_path / "density.json")]) == 0
    assert "ribbon" in capsys.readouterr().out
    assert asked == [("lenet300", "fc1", 1)]
    rows = json.loads((tmp_path / "density.json").read_text())
    assert [row["n_nonzero"] for row in rows] == [96, 480]
    few, _ = simplify(weights, density=0.1, n_codes=4)
    for layout in ("classic", "ribbon"):
        report = codec.encode(few, layout=layout, slot_bits=8)[1]
        assert rows[1]["bytes"][layout] == report.bytes
        assert rows[1]["n_false_positives"][layout] == report.n_false_positives
    assert rows[1]["bytes"]["coded record"] == container.stored_bytes(codec.encode_coded(few))
