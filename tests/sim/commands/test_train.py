import dataclasses
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from weightless_sim import cli
from weightless_sim.commands import train
from weightless_sim.folders import Folders
from weightless_sw import arrangement, codec, container, inputs
from weightless_sw.metadata import read_errors
from weightless_sw.provenance import install_line


@pytest.fixture
def quick(torch, monkeypatch, tmp_path):
    """The digits by a recipe of a few epochs."""
    from weightless_sw.training import networks, recipes

    recipe = dataclasses.replace(
        recipes.RECIPES["digits"], prune_epochs=3, share_epochs=1, retrain_epochs=2, rest_epochs=1
    )
    monkeypatch.setitem(recipes.RECIPES, "digits", recipe)
    network = dataclasses.replace(networks.NETWORKS["digits"], epochs=3)
    monkeypatch.setitem(networks.NETWORKS, "digits", network)
    monkeypatch.setattr(train, "HERE", Folders(tmp_path / "checkpoints"))


def test_compress_then_evaluate(quick, tmp_path, capsys):
    path = tmp_path / "digits.wls"
    simplified = tmp_path / "simplified.npz"
    assert cli.main(["compress", "digits", "-o", str(path), "--simplified", str(simplified)]) == 0
    printed = capsys.readouterr().out
    assert "retrained fc1" in printed
    assert f"{path.stat().st_size:,} bytes of 202,440" in printed.replace("\n", "")
    file = container.read(path)
    wrong, n = read_errors(file.metadata)
    assert (list(file.metadata), n) == (["network", "wrong"], 360)
    errors = [f"{at} {wrong[at] / n:.2%}" for at in ("dense", "simplified", "encoded")]
    assert ", ".join(errors) in printed.replace("\n", " ")
    for name, array in inputs.load_tensors(simplified).items():
        decoded = file[name] if isinstance(file[name], np.ndarray) else codec.decode(file[name])
        kept = array != 0
        assert np.array_equal(decoded[kept], array[kept])
        assert (name == "fc1.weight") == bool(decoded[~kept].any())
    assert cli.main(["evaluate", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["network"], result["test_images"]) == ("digits", 360)
    assert result["wrong"] == wrong["retrained"]
    smaller = path.stat().st_size
    assert cli.main(["compress", "digits", "-o", str(path), "--hardware"]) == 0
    printed = capsys.readouterr().out.replace("\n", "")
    assert f"{path.stat().st_size:,} bytes of 202,440" in printed
    assert f"; {smaller:,} with coded records" in printed
    assert container.read(path)["fc2.weight"].geometry.NAME == "bitmask"
    assert cli.main(["evaluate", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wrong"] == wrong["retrained"]
    assert cli.main(["evaluate", str(path), "--network", "lenet300"]) == cli.EXIT_USAGE
    assert "not the tensors of this network" in capsys.readouterr().err


def test_demo(quick, tmp_path, capsys):
    assert cli.main(["demo", "--build", str(tmp_path), "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [row["step"] for row in steps] == ["dense", "simplified", "encoded", "retrained"]
    file = container.read(tmp_path / "demo.wls")
    assert {row["step"]: row["wrong"] for row in steps} == read_errors(file.metadata)[0]
    assert [row["bytes"] for row in steps][::3] == [202_440, (tmp_path / "demo.wls").stat().st_size]
    table = file["fc1.weight"]
    n_table = table.record_bytes + arrangement.map_bytes(table.arrangement)
    assert [row["layer_bytes"] for row in steps][::2] == [76_800, n_table]
    assert steps[2]["bytes"] - steps[1]["bytes"] == steps[2]["layer_bytes"] - steps[1]["layer_bytes"]
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["demo", "--build", str(tmp_path)]) == 0
    assert "stored zeros of fc1 are false positives" in capsys.readouterr().out


def test_auto_shows_what_it_tried(quick, tmp_path, capsys, monkeypatch):
    from weightless_sw.training import compress, recipes

    recipe = dataclasses.replace(  # a quarter of the work, and of that a quarter
        recipes.RECIPES["digits"], layout="ribbon", order="rows",
        prune_epochs=8, share_epochs=2, retrain_epochs=2, rest_epochs=2, choice_epochs=1,
    )  # fmt: skip
    monkeypatch.setitem(recipes.RECIPES, "digits", recipe)
    monkeypatch.setattr(compress, "CANDIDATE_CODES", (4, 8))
    monkeypatch.setattr(compress, "CANDIDATE_BITS", (4,))
    assert cli.main(["compress", "digits", "-o", str(tmp_path / "x.wls"), "--auto", "--limit", "50"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("taken") == 1
    assert "none is within" not in printed
    assert cli.main(["compress", "digits", "-o", str(tmp_path / "x.wls"), "--auto", "--limit", "-50"]) == 0
    assert "none is within" in " ".join(capsys.readouterr().out.split())


def test_a_file_that_names_no_network_is_refused(quick, tmp_path, capsys):
    path = tmp_path / "x.wls"
    container.write(path, {})
    assert cli.main(["evaluate", str(path)]) == cli.EXIT_USAGE
    assert "name one with --network" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["torch", "sklearn"])
def test_what_is_missing_is_named_in_one_line(tmp_path, name, need):
    if name == "sklearn" and importlib.util.find_spec("torch") is None:
        need(f"torch is not installed: {install_line('train')}")
    program = f"""
import sys
sys.modules["{name}"] = None
from weightless_sim import cli
from weightless_sim.commands import train
sys.exit(cli.main(["compress", "digits", "-o", {str(tmp_path / "x.wls")!r}]))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == cli.EXIT_USAGE, run.stderr
    assert run.stderr.splitlines()[-1].startswith("weightless: ")
    assert install_line("train") in run.stderr
