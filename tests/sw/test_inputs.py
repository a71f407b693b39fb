import hashlib
import json
import zipfile

import numpy as np
import pytest

from weightless_sw import inputs
from weightless_sw.codebook import ML_DTYPES
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


def test_the_bundled_arrays_are_what_their_description_says():
    """They are frozen: the bytes of all of them, in the order of their names, have the digest of the day."""
    arrays = load_tensors("lenet300_pruned")
    info = inputs.bundled_info("lenet300_pruned")
    whole = b"".join(arrays[name].tobytes() for name in sorted(arrays))
    assert hashlib.sha256(whole).hexdigest() == info["sha256"]
    assert len(info["commit"]) == 40
    for name, layer in info["layers"].items():
        weight = arrays[f"{name}.weight"]
        values = np.unique(weight[weight != 0])
        assert list(weight.shape) == layer["shape"]
        assert np.count_nonzero(weight) == layer["n_nonzero"]
        assert not np.signbit(weight[weight == 0]).any()  # a decoder writes +0.0
        assert len(values) == layer["n_values"] <= 15
        assert np.array_equal(values.astype(np.float16).astype(np.float32), values)


def test_the_same_input_gives_the_same_order_every_time(tmp_path):
    """Safetensors' reader gives its tensors in any order."""
    arrays = {f"t{k}": np.zeros(1, np.float32) for k in range(40)}
    save_tensors(tmp_path / "x.safetensors", arrays)
    assert list(load_tensors(tmp_path / "x.safetensors")) == sorted(arrays)
    save_tensors(tmp_path / "x.npz", dict(reversed(arrays.items())))
    assert list(load_tensors(tmp_path / "x.npz")) == list(reversed(arrays))


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for suffix in inputs.SUFFIXES:
        files = [tmp_path / f"{k}{suffix}" for k in range(2)]
        for file in files:
            save_tensors(file, ARRAYS)
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    "name", ["allow_pickle", "file", "[/red]", "block[a].w", "a/b", "x.npy", "päö", "a\nb"]
)
@pytest.mark.parametrize("suffix", inputs.SUFFIXES)
def test_any_name_comes_back(tmp_path, name, suffix):
    save_tensors(tmp_path / f"x{suffix}", {name: np.arange(3)})
    (found,) = load_tensors(tmp_path / f"x{suffix}").items()
    assert found[0] == name
    assert found[1].tolist() == [0, 1, 2]
    if suffix == ".npz":
        assert np.load(tmp_path / "x.npz").files == [name]


def test_names_that_a_format_can_not_hold_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"can't hold a tensor of the name __metadata__; write \.npz"):
        save_tensors(tmp_path / "x.safetensors", {"__metadata__": np.zeros(1)})
    with pytest.raises(InputError, match=r"can't hold the name 'a\\x00b'; write \.safetensors"):
        save_tensors(tmp_path / "x.npz", {"a\0b": np.zeros(1)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ML_DTYPES)
def test_bfloat16_and_float8_come_back_from_safetensors(tmp_path, dtype):
    array = np.array([[0, 0.5, -2]], np.float32).astype(dtype)
    save_tensors(tmp_path / "x.safetensors", {"w": array})
    back = load_tensors(tmp_path / "x.safetensors")["w"]
    assert back.dtype == dtype
    assert np.array_equal(back, array)
    with pytest.raises(InputError, match=r"an \.npz archive can't hold .*float.* \(w\); write \.safetensors"):
        save_tensors(tmp_path / "x.npz", {"w": array})


@pytest.mark.parametrize("suffix", inputs.SUFFIXES)
def test_a_tensor_without_dimensions_keeps_its_shape(tmp_path, suffix):
    save_tensors(tmp_path / f"x{suffix}", {"n": np.array(7), "f": np.array(0.5, np.float32)})
    back = load_tensors(tmp_path / f"x{suffix}")
    assert [back[name].shape for name in "nf"] == [(), ()]


def npy(header: bytes, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"w.txt": b"hello"}, r"w\.txt is no \.npy array"),
        ({"w.npy": b"hello"}, "w.npy: "),
        ({"w.npy": npy(b"{[(garbage")}, "w.npy: "),
        ({"w.npy": npy(b"(" * 9_000)}, "w.npy: "),
        ({"w.npy": npy(b"{'descr': 7, 'fortran_order': 0, 'shape': ()}")}, "w.npy: "),
        ({"w.npy": npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1048576, 2097152), }\n")},
         "its header claims 8,796,093,022,208 bytes, 0 are there"),
        ({"w.npy": npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n")}, "its header claims -4 bytes"),
        ({"w.npy": npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"12345678")},
         "objects, which may run code"),
        ({"w.npy": npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1," * 65 + b"), }\n", b"1234")},
         "65 dimensions; at most 64"),
        ({"w.npy": b"", "w": b""}, "w.npy: "),
    ],
)  # fmt: skip
def test_hostile_archives_are_one_clear_line(tmp_path, members, message):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match=message) as found:
        load_tensors(tmp_path / "x.npz")
    assert "\n" not in str(found.value)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    """By what it claims; the claim of a member is then held to its header."""
    np.savez_compressed(tmp_path / "x.npz", w=np.zeros(1_000_000, np.uint8))
    monkeypatch.setattr(inputs.os, "sysconf", lambda name: 1000 if "SIZE" in name else 100)
    with pytest.raises(
        InputError, match=r"claims 1,000,128 bytes unpacked, more than the memory here \(100,000\)"
    ):
        load_tensors(tmp_path / "x.npz")


def test_memory_that_is_not_there_is_one_clear_line(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", w=np.zeros(9))
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(InputError, match=r"w\.npy: not enough memory for its 200 bytes"):
        load_tensors(tmp_path / "x.npz")


def test_unknown_element_types_of_safetensors_are_named(tmp_path):
    header = json.dumps({"w": {"dtype": "F8_E8M0", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    with pytest.raises(InputError, match="w is F8_E8M0; convert it to one of F64, F32"):
        load_tensors(tmp_path / "x.safetensors")


def test_an_array_in_an_archives_clothes(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"a single array, not an \.npz archive"):
        load_tensors(tmp_path / "x.npz")


def test_devices_take_an_archive(tmp_path):
    save_tensors("/dev/null", ARRAYS)
    assert (tmp_path / "/dev/null").is_char_device()
