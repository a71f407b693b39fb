import json

import numpy as np
import pytest

from weightless_sim.plan import network
from weightless_sw import container, inputs, simplify
from weightless_sw.inputs import InputError

TOML = """
title = "mine"
[[layer]]
name = "a"
shape = [8, 4, 3, 3]
density = 0.25
vectors = 49
count = 2
[[layer]]
name = "b"
shape = [10, 72]
density = 0.5
source = "me"
"""


@pytest.mark.parametrize(
    ("name", "n_weights"),
    [
        ("lenet-300-100", 266_200), ("lenet-5", 430_500), ("vgg-16", 138_344_128), ("resnet-50", 25_502_912),
        ("bert-base", 84_934_656), ("llm-8b", 6_979_321_856),
    ],
)  # fmt: skip
def test_shipped_networks_have_their_weights_and_say_where_densities_are_from(name, n_weights):
    found = network.read(name)
    assert sum(layer.count * layer.n_weights for layer in found.layers) == n_weights
    assert found.title
    assert all(len(layer.source) > 8 for layer in found.layers)


def test_all_that_are_shipped_are_tested():
    assert set(network.shipped()) == {
        "lenet-300-100", "lenet-5", "vgg-16", "resnet-50", "bert-base", "llm-8b",
    }  # fmt: skip


def test_a_toml_of_shapes(tmp_path):
    (tmp_path / "x.toml").write_text(TOML)
    a, b = network.read(str(tmp_path / "x.toml")).layers
    assert (a.matrix, a.n_weights, a.n_nonzero, a.vectors, a.count, a.source) == (
        (36, 8), 288, 72, 49, 2, "assumption",
    )  # fmt: skip
    assert b.source == "me"
    (only,) = network.read(str(tmp_path / "x.toml"), density=0.1, exclude=["b"]).layers
    assert (only.name, only.density, only.source) == ("a", 0.1, "--density")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("density = 0.25", "density = 0.0", "x.toml: a: density is above 0 and at most 1, not 0"),
        ("density = 0.25", "density = nan", "density is above 0 and at most 1, not nan"),
        ("shape = [10, 72]", "shape = [10]", r"b: shape is \(outputs, inputs, kernel\)"),
        ("shape = [10, 72]", "shape = [10, -72]", r"b: shape is"),
        ("shape = [10, 72]", "shape = [1000000, 1000000]", r"b: shape is"),
        ("vectors = 49", "vectors = 0", "a: vectors is 1 to"),
        ("count = 2", "count = 99999999", "a: count is 1 to 1,048,576, not 99999999"),
        ("count = 2", "cuont = 2", "unknown field `cuont`"),
        ("count = 2", 'count = "2"', "Expected `int`, got `str`"),
        ('name = "b"', 'name = "a"', "there twice: a"),
        ("[[layer]]", "[layer]", "x.toml: "),
        (TOML, "layer = []", "no layer with a weight that is not zero"),
        (TOML, "", "missing required field `layer`"),
    ],
)
def test_bad_shapes_are_refused_by_name(tmp_path, old, new, message):
    (tmp_path / "x.toml").write_text(TOML.replace(old, new))
    with pytest.raises(InputError, match=message):
        network.read(str(tmp_path / "x.toml"))


def pruned(shape, density, seed=1):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < density, rng.standard_normal(shape), 0).astype(np.float32)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_weights_are_counted(tmp_path, suffix):
    arrays = {
        "a.weight": pruned((20, 30), 0.2),
        "a.bias": np.ones(20, np.float32),
        "ids": np.ones((2, 2), np.int64),
    }
    path = tmp_path / f"x{suffix}"
    inputs.save_tensors(path, arrays)
    (layer,) = network.read(str(path)).layers
    assert (layer.name, layer.shape, layer.source) == ("a.weight", (20, 30), "counted in the file")
    assert layer.n_nonzero == np.count_nonzero(arrays["a.weight"])


def test_a_dense_file_needs_a_density(tmp_path):
    arrays = {"a": np.ones((20, 30), np.float32), "conv": np.ones((4, 2, 3, 3), np.float32)}
    path = tmp_path / "x.safetensors"
    inputs.save_tensors(path, arrays)
    with pytest.raises(InputError, match=r"dense: a \(100%\), conv \(100%\); --density says"):
        network.read(str(path))
    found = network.read(str(path), density=0.1)
    assert [layer.density for layer in found.layers] == [0.1, 0.1]
    assert "conv: convolutions whose output pixels the file does not say" in found.remarks[0]


def test_of_a_large_file_only_shapes_are_read(tmp_path):
    """A header that claims 16 GB: with a density nothing else is looked at; it may not claim what is not there."""
    header = {"w": {"dtype": "F32", "shape": [1 << 16, 1 << 16], "data_offsets": [0, 4 << 32]}}
    data = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    with pytest.raises(InputError, match=r"not a \.safetensors file"):
        network.read(str(path), density=0.1)
    with path.open("r+b") as file:
        file.truncate(8 + len(data) + (4 << 32))  # sparse
    (layer,) = network.read(str(path), density=0.1).layers
    assert layer.n_weights == 1 << 32


def test_tables_tell_what_was_not_zero(tmp_path):
    truth = inputs.load_tensors("lenet300_simplified")
    found = network.read("lenet300")
    assert found.sizes == {"slot_bits": 8, "codes": 4}
    for layer in found.layers:
        assert layer.n_nonzero == pytest.approx(np.count_nonzero(truth[layer.name]), rel=0.02)
    tensors = container.read(inputs.bundled_file("lenet300"))
    for name, bytes_of in found.records.items():
        assert list(bytes_of.values()) == [container.stored_bytes(tensors[name])]


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.pt", "x.pt: a network is a .wls"), ("x.toml", "No such file"), ("x.onnx", "not an ONNX file")],
)
def test_what_is_no_network(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        network.read(str(tmp_path / name))


def test_layers_are_chosen_by_name():
    assert [one.name for one in network.read("vgg-16", tensor=["fc8"]).layers] == ["fc8"]
    with pytest.raises(InputError, match="vgg-16: no layer fc9; there are: conv1_1"):
        network.read("vgg-16", exclude=["fc9"])


def onnx_file(path, external=False):
    """A convolution of 8 x 8 inputs, a product either way round."""
    onnx = pytest.importorskip("onnx", reason="install it: pip install -e '.[onnx]'")
    weights = {
        "conv.w": pruned((6, 2, 3, 3), 0.5),
        "gemm.w": pruned((216, 12), 0.3),
        "mm.w": pruned((12, 5), 0.6),
    }
    h, n = onnx.helper, onnx.numpy_helper
    nodes = [
        h.make_node("Conv", ["x", "conv.w"], ["a"]),
        h.make_node("Flatten", ["a"], ["b"]),
        h.make_node("Gemm", ["b", "gemm.w"], ["c"]),
        h.make_node("MatMul", ["c", "mm.w"], ["y"]),
    ]
    graph = h.make_graph(
        nodes, "g",
        [h.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, 8, 8])],
        [h.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 5])],
        [n.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    onnx.save(h.make_model(graph), str(path), save_as_external_data=external, size_threshold=0)
    return weights


def test_onnx(tmp_path):
    weights = onnx_file(tmp_path / "x.onnx")
    conv, gemm, product = network.read(str(tmp_path / "x.onnx")).layers
    assert (conv.shape, conv.vectors, conv.n_nonzero) == (
        (6, 2, 3, 3),
        36,
        np.count_nonzero(weights["conv.w"]),
    )
    assert (gemm.shape, gemm.vectors, gemm.matrix) == ((12, 216), 1, (216, 12))
    assert (product.shape, product.vectors) == ((5, 12), 1)


def test_onnx_of_several_files_is_refused(tmp_path):
    onnx_file(tmp_path / "x.onnx", external=True)
    with pytest.raises(
        InputError, match=r"weights in another file, which is not opened: conv\.w, gemm\.w, mm\.w"
    ):
        network.read(str(tmp_path / "x.onnx"))


def test_without_the_package_it_says_how_to_install_it(tmp_path, monkeypatch):
    import sys

    from weightless_sim import extras

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError) as caught:
        network.read(str(tmp_path / "x.onnx"))
    assert "onnx]" in extras.missing(caught.value)


def test_simplified_weights_of_a_dense_file_plan_alike(tmp_path):
    """Pruned on paper and pruned in fact: the same layer."""
    dense = np.random.default_rng(3).standard_normal((64, 96)).astype(np.float32)
    inputs.save_tensors(tmp_path / "dense.npz", {"w": dense})
    made, _ = simplify.simplify(dense, density=0.2, n_codes=8)
    inputs.save_tensors(tmp_path / "pruned.npz", {"w": made})
    (paper,) = network.read(str(tmp_path / "dense.npz"), density=0.2).layers
    (real,) = network.read(str(tmp_path / "pruned.npz")).layers
    assert abs(paper.n_nonzero - real.n_nonzero) <= 1
