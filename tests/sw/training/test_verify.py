import json
import os
from pathlib import Path

import numpy as np
import pytest

from weightless_sw import codec, container, inputs
from weightless_sw.metadata import read_errors
from weightless_sw.training import verify

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "lenet300_logits.json"


@pytest.fixture(scope="session", autouse=True)
def torch() -> None:
    """Nothing here needs it."""


def synthetic_images() -> np.ndarray:
    """64 images that only arithmetic makes."""
    image, pixel = np.arange(64)[:, None], np.arange(784)
    return ((image * 7919 + pixel * (104729 + 2 * image)) % 256 / 255).reshape(64, 1, 28, 28)


def test_the_bundled_network_answers_as_when_it_was_made():
    found = verify.logits(container.read(inputs.bundled_file("lenet300")), synthetic_images())
    np.testing.assert_allclose(found, json.loads(VECTORS.read_text()), rtol=0, atol=1e-6)


def test_a_flipped_bit_of_the_table_is_seen():
    tensors = dict(container.read(inputs.bundled_file("lenet300")))
    table = tensors["fc1.weight"]
    table.table[np.arange(0, len(table.table), 500)] ^= 1
    found = verify.logits(tensors, synthetic_images())
    assert np.abs(found - json.loads(VECTORS.read_text())).max() > 1e-3


def test_the_bundled_network_gets_wrong_what_its_file_states(capsys):
    folder = os.environ.get("WEIGHTLESS_MNIST")
    if not folder:
        pytest.skip(
            "set WEIGHTLESS_MNIST to a folder with the four files of MNIST (make verify-model loads them)"
        )
    assert verify.main(["--data", folder]) == 0
    assert "of 10,000 test images wrong" in capsys.readouterr().out


def test_the_bar():
    """Stated, and verified above: at most 1.45 % of the test images wrong."""
    tensors = container.read(inputs.bundled_file("lenet300"))
    wrong, n = read_errors(tensors.metadata)
    assert n == 10_000
    assert wrong["retrained"] <= 145


def test_the_simplified_weights_are_the_files(capsys):
    """fc1 as it went into the encoder, the rest as in the file."""
    tensors, arrays = (
        container.read(inputs.bundled_file("lenet300")),
        inputs.load_tensors("lenet300_simplified"),
    )
    assert set(arrays) == set(tensors)
    for name, tensor in tensors.items():
        decoded = tensor if isinstance(tensor, np.ndarray) else codec.decode(tensor)
        kept = arrays[name] != 0
        assert np.array_equal(decoded[kept], arrays[name][kept])
        assert bool(decoded[~kept].any()) == (name == "fc1.weight")


def test_a_file_that_states_something_else_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verify, "n_wrong", lambda path, folder: (141, 10_000, "140"))
    assert verify.main([str(tmp_path / "x.wls")]) == 1
    assert "141 of 10,000 test images wrong (1.41%); the file states 140" in capsys.readouterr().out


def test_a_bias_that_is_not_there_is_zero():
    rng = np.random.default_rng(0)
    tensors = {
        "fc1.weight": rng.normal(size=(5, 9)),
        "fc2.weight": rng.normal(size=(2, 5)),
        "fc2.bias": np.ones(2),
    }
    images = rng.normal(size=(4, 3, 3))
    found = verify.logits(tensors, images)
    assert np.array_equal(found, verify.logits(tensors | {"fc1.bias": np.zeros(5)}, images))
    assert not np.array_equal(found, verify.logits(tensors | {"fc1.bias": np.ones(5)}, images))


@pytest.mark.parametrize("names", [[], ["conv.weight"], ["fc1.weight", "fc1.bias", "fc3.weight"]])
def test_other_networks_are_refused(names):
    tensors = {name: np.zeros((3, 3), np.float32) for name in names}
    with pytest.raises(ValueError, match="not the layers of a perceptron"):
        verify.logits(tensors, np.zeros((2, 3)))


def test_missing_data_is_said_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        verify.main(["--data", str(tmp_path)])
    assert stop.value.code == 2
    assert "is missing; give a folder with the four MNIST files" in capsys.readouterr().err
