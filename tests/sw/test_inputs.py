import numpy as np
import pytest

from weightless_sw import inputs
from weightless_sw.inputs import InputError, load_tensors, save_tensors

ARRAYS = {"fc.weight": np.eye(3, dtype=np.float32), "fc.bias": np.arange(3, dtype=np.float16)}


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    save_tensors(path, ARRAYS)
    read = load_tensors(path)
    assert sorted(read) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        assert np.array_equal(read[name], array)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "nonsense"])
def test_damaged_files_are_refused(tmp_path, suffix, damage):
    path = tmp_path / f"model.{suffix}"
    save_tensors(path, ARRAYS)
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "truncated": data[: len(data) // 2], "nonsense": b"x" * 100}[damage])
    with pytest.raises(InputError, match=rf"model\.{suffix}: not a"):
        load_tensors(path)


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="not a readable"):
        load_tensors(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_tensors(tmp_path / "none.npz")
    with pytest.raises(InputError, match=r"come from \.npz or \.safetensors"):
        load_tensors(tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"written as \.npz"):
        save_tensors(tmp_path / "model.txt", ARRAYS)
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(InputError, match="holds no tensors"):
        load_tensors(tmp_path / "empty.npz")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"single array, not an \.npz"):
        load_tensors(tmp_path / "one.npz")


def test_bundled_model():
    weights = load_tensors("lenet300_pruned")
    assert weights["fc1.weight"].shape == (300, 784)
    assert inputs.bundled_info("lenet300_pruned")["test_error_percent"] < 2
