import json

import numpy as np
import pytest

from weightless_sim import cli
from weightless_sim.commands import vgg
from weightless_sw import inputs


@pytest.fixture
def small(monkeypatch):
    layers = {
        "fc6": vgg._Layer((40, 250), 0.1, "classifier.0.weight"),
        "fc8": vgg._Layer((30, 50), 0.2, "classifier.6.weight"),
    }
    monkeypatch.setattr(vgg, "LAYERS", layers)
    return layers


def test_every_layer_in_every_format(small, tmp_path, capsys):
    assert cli.main(["vgg16", "--json", "-o", str(tmp_path / "x.json")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == json.loads((tmp_path / "x.json").read_text())
    assert [(row["layer"], row["stored_as"]) for row in rows] == [
        (layer, form) for layer in ("fc6", "fc8") for form in ("classic", "ribbon", "bitmask", "coded")
    ]
    assert {row["weights_of"] for row in rows} == {"synthetic"}
    for row in rows:
        assert row["n_nonzero"] == {"fc6": 1000, "fc8": 300}[row["layer"]]
        assert row["ratio"] == pytest.approx(4 * row["n_weights"] / row["bytes"])
        assert (row["n_false_positives"] == 0) == (row["stored_as"] in ("bitmask", "coded"))
    assert cli.main(["vgg16", "fc8"]) == 0
    assert "synthetic" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt"])
def test_weights_of_ones_own(small, tmp_path, suffix, capsys, request):
    rng = np.random.default_rng(0)
    arrays = {layer.name: rng.normal(size=layer.shape).astype(np.float32) for layer in small.values()}
    path = tmp_path / f"vgg16{suffix}"
    if suffix == ".pt":
        torch = request.getfixturevalue("torch")
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    else:
        inputs.save_tensors(path, arrays)
    assert cli.main(["vgg16", "--weights", str(path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["weights_of"] for row in rows} == {path.name}
    assert {row["n_nonzero"] for row in rows} == {1000, 300}


def test_what_is_no_vgg16_is_refused(small, tmp_path, capsys, torch):
    inputs.save_tensors(tmp_path / "x.npz", {"classifier.0.weight": np.ones((3, 4), np.float32)})
    (tmp_path / "broken.pt").write_bytes(b"rubbish")
    torch.save([1, 2], tmp_path / "list.pt")
    for arguments, message in (
        (["fc9"], "no layer is called 'fc9'; there are: fc6, fc8"),
        (
            ["--weights", str(tmp_path / "x.npz")],
            "classifier.0.weight is of shape (3, 4); VGG-16's has (40, 250)",
        ),
        (["fc8", "--weights", str(tmp_path / "x.npz")], "classifier.6.weight is not there"),
        (["--weights", str(tmp_path / "broken.pt")], "no state dict that torch reads"),
        (["--weights", str(tmp_path / "list.pt")], "no state dict, tensors by name"),
    ):
        assert cli.main(["vgg16", *arguments]) == cli.EXIT_USAGE
        assert message in " ".join(capsys.readouterr().err.split())
