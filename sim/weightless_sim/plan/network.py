"""What is planned for: the layers of a network, from shapes alone, from weights, or from a file of tables.

Shipped shapes are ``networks/*.toml``; a file of one's own looks the same: ``title``, ``note`` and, for each layer,
``[[layer]]`` with ``name``, ``shape`` (outputs, inputs, kernel), ``density``, ``source`` of the density, ``vectors``
that a layer's weights are used for in an inference (output pixels, tokens; 1) and ``count`` of layers alike (1).
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from math import isfinite, prod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors
from numpy.typing import NDArray

from weightless_sw import codec, container, inputs
from weightless_sw.files import describe
from weightless_sw.inputs import InputError
from weightless_sw.spec.record import MAX_WEIGHTS
from weightless_sw.tensor import CodedTensor, EncodedTensor

ASSUMED, GIVEN, COUNTED = "assumption", "--density", "counted in the file"
DENSE = 0.95  # what has more weights than that was not pruned
MAX_VECTORS, MAX_COUNT = 1 << 31, 1 << 20


@dataclass(frozen=True)
class Layer:
    """A matrix of weights, or ``count`` of them alike; ``source`` says where the density is from."""

    name: str
    shape: tuple[int, ...]  # outputs, inputs, and a kernel's sides
    density: float
    source: str = ASSUMED
    vectors: int = 1  # that use the weights in one inference
    count: int = 1

    @property
    def matrix(self) -> tuple[int, int]:
        """(inputs with the kernel, outputs): the rows and columns that an array is filled with."""
        return prod(self.shape[1:]), self.shape[0]

    @property
    def n_weights(self) -> int:
        """Of one of them."""
        return prod(self.shape)

    @property
    def n_nonzero(self) -> int:
        """Of one of them."""
        return round(self.n_weights * self.density)


@dataclass(frozen=True)
class Network:
    """Layers, and what is to be said of them; ``sizes`` are those of a file's tables."""

    title: str
    layers: list[Layer]
    note: str = ""
    remarks: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)  # slot_bits, codes
    records: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # bytes by layer and layout, of a file's tables


def shipped() -> dict[str, Path]:
    """The networks that have a name."""
    folder = Path(str(files("weightless_sim.plan").joinpath("networks")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read(
    model: str, density: float | None = None, tensor: Collection[str] = (), exclude: Collection[str] = ()
) -> Network:
    """The network that ``model`` names: a shipped one, a ``.wls``, ``.npz``, ``.safetensors``, ``.onnx`` or ``.toml``.

    Where ``density`` is given, every layer has it; a file of dense weights needs it.  Raises InputError.
    """
    path = inputs.bundled_file(model)
    if model in shipped():
        found = _from_toml(shipped()[model])
    elif model in inputs.BUNDLED:
        found = _from_arrays(model, inputs.load_tensors(model), density)
    else:
        found = _from_file(path, density)
    known = {layer.name for layer in found.layers}
    if unknown := [name for name in (*tensor, *exclude) if name not in known]:
        raise InputError(f"{model}: no layer {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    layers = [one for one in found.layers if one.name in (tensor or known) and one.name not in exclude]
    if density is not None:
        layers = [replace(one, density=density, source=GIVEN) for one in layers]
    dense = [
        f"{one.name} ({one.density:.0%})" for one in layers if one.source == COUNTED and one.density > DENSE
    ]
    if dense:
        raise InputError(
            f"{model}: dense: {', '.join(dense[:4])}{', ..' if len(dense) > 4 else ''}; --density says what pruning "
            "would leave (nothing is written), --exclude leaves a layer out"
        )
    layers = [one for one in layers if one.n_nonzero]
    if not layers:
        raise InputError(f"{model}: no layer with a weight that is not zero")
    return replace(found, layers=layers)


def _from_file(path: Path, density: float | None) -> Network:
    if path.suffix == ".toml":
        return _from_toml(path)
    if path.suffix == ".wls":
        return _from_tables(path)
    if path.suffix == ".onnx":
        return _from_onnx(path, density)
    if path.suffix == ".safetensors" and density is not None:
        return _of_shapes(path.name, _safetensors_shapes(path), density)
    if path.suffix in inputs.SUFFIXES:
        return _from_arrays(path.name, inputs.load_tensors(path), density)
    raise InputError(
        f"{path}: a network is a .wls, .npz, .safetensors, .onnx or .toml file, or one of: {', '.join(shipped())}"
    )


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    density: float
    source: str = ASSUMED
    vectors: int = 1
    count: int = 1


class _File(msgspec.Struct, forbid_unknown_fields=True):
    layer: list[_Row]
    title: str = ""
    note: str = ""


def _from_toml(path: Path) -> Network:
    try:
        found = msgspec.convert(tomllib.loads(path.read_text()), _File)
    except OSError as error:
        raise InputError(describe(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file: {error}") from error
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from error
    for row in found.layer:
        _check(f"{path}: {row.name}", row)
    names = [row.name for row in found.layer]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path}: there twice: {', '.join(twice)}; layers alike have a count")
    layers = [
        Layer(row.name, tuple(row.shape), row.density, row.source, row.vectors, row.count)
        for row in found.layer
    ]
    return Network(found.title or path.stem, layers, found.note)


def _check(where: str, row: _Row) -> None:
    """Raise InputError for what no layer is."""
    if len(row.shape) < 2 or min(row.shape) < 1 or prod(row.shape) > MAX_WEIGHTS:
        raise InputError(
            f"{where}: shape is (outputs, inputs, kernel), of 1 to {MAX_WEIGHTS:,} weights, not {row.shape}"
        )
    if not (isfinite(row.density) and 0 < row.density <= 1):
        raise InputError(f"{where}: density is above 0 and at most 1, not {row.density:g}")
    for name, most in (("vectors", MAX_VECTORS), ("count", MAX_COUNT)):
        if not 1 <= getattr(row, name) <= most:
            raise InputError(f"{where}: {name} is 1 to {most:,}, not {getattr(row, name)}")


def _of_shapes(title: str, shapes: Mapping[str, tuple[int, ...]], density: float) -> Network:
    layers = [Layer(name, shape, density, GIVEN) for name, shape in shapes.items()]
    return Network(title, layers, remarks=_kernels(layers))


def _kernels(layers: Collection[Layer]) -> list[str]:
    """What a file of weights does not say."""
    names = [layer.name for layer in layers if len(layer.shape) > 2 and layer.vectors == 1]
    if not names:
        return []
    return [
        f"{', '.join(names[:4])}{', ..' if len(names) > 4 else ''}: convolutions whose output pixels the file does not "
        "say, counted as fully connected: a TOML file of shapes has vectors"
    ]


def _from_arrays(title: str, arrays: Mapping[str, NDArray[Any]], density: float | None) -> Network:
    layers = []
    for name, array in arrays.items():
        if array.ndim < 2 or not array.size or name.endswith("_mask") or not _is_float(array):
            continue
        share = np.count_nonzero(array) / array.size if density is None else density
        layers.append(Layer(name, array.shape, share, COUNTED if density is None else GIVEN))
    return Network(title, layers, remarks=_kernels(layers))


def _is_float(array: NDArray[Any]) -> bool:
    return np.issubdtype(array.dtype, np.floating) or array.dtype.kind == "V" or "float" in array.dtype.name


def _safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Those of all matrices; the weights are not read."""
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 -- it is no dict
            kept = {name: tuple(one.get_shape()) for name, one in found.items() if one.get_dtype() in FLOATS}
    except Exception as error:  # whatever a hostile file makes it raise
        raise InputError(f"{path}: not a .safetensors file: {error}") from error
    return {name: shape for name, shape in kept.items() if len(shape) > 1 and prod(shape)}


FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")


def _from_tables(path: Path) -> Network:
    """Every layer of a ``.wls`` file; what is not zero in a table is told from its false positives."""
    layers, records = [], {}
    sizes = {}
    largest = 0
    for name, tensor in container.read(path).items():
        if len(tensor.shape) < 2:
            continue
        array = codec.decode(tensor)
        n_nonzero = float(np.count_nonzero(array))
        source = COUNTED
        if isinstance(tensor, EncodedTensor):
            geometry = tensor.geometry
            wrong = geometry.false_positive_rate
            n_nonzero = max(1.0, (n_nonzero - wrong * geometry.n_weights) / (1 - wrong))
            source = "told from the table, its expected false positives taken off"
            records[name] = {geometry.NAME: container.stored_bytes(tensor)}
            if geometry.n_weights > largest and not geometry.EXACT:
                largest = geometry.n_weights
                sizes = {"slot_bits": geometry.slot_bits, "codes": geometry.n_codes}
        elif isinstance(tensor, CodedTensor):
            records[name] = {"coded": container.stored_bytes(tensor)}
        layers.append(Layer(name, tuple(tensor.shape), min(1.0, n_nonzero / array.size), source))
    return Network(path.name, layers, remarks=_kernels(layers), sizes=sizes, records=records)


def _from_onnx(path: Path, density: float | None) -> Network:
    """Convolutions and matrix products with weights of the file's own; nothing is run."""
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # whatever a hostile file makes it raise
        raise InputError(f"{path}: not an ONNX file: {error}") from error
    outside = [one.name for one in model.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise InputError(
            f"{path}: weights in another file, which is not opened: {', '.join(outside[:4])}"
            f"{', ..' if len(outside) > 4 else ''}; save the model in one file, or write its shapes to a .toml"
        )
    layers = list(_onnx_layers(onnx, model, density))
    return Network(path.name, layers, remarks=_kernels(layers))


def _onnx_layers(onnx: Any, model: Any, density: float | None) -> Iterator[Layer]:
    initializers = {one.name: one for one in model.graph.initializer}
    try:
        inferred = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # a model that it can't follow: vectors are not known then
        inferred = model.graph
    values = (*inferred.value_info, *inferred.output, *inferred.input)
    dims = {one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in values}
    for node in model.graph.node:
        if (
            node.op_type not in ("Conv", "Gemm", "MatMul")
            or len(node.input) < 2
            or node.input[1] not in initializers
        ):
            continue
        name = node.input[1]
        array = onnx.numpy_helper.to_array(initializers[name])
        attributes = {one.name: one.i for one in node.attribute}
        if array.ndim < 2 or not array.size:
            continue
        if node.op_type == "MatMul" or (node.op_type == "Gemm" and not attributes.get("transB", 0)):
            array = np.swapaxes(array, 0, -1)
        output = dims.get(node.output[0], [])
        between = output[2:] if node.op_type == "Conv" else output[1:-1]
        share = np.count_nonzero(array) / array.size if density is None else density
        groups = max(1, attributes.get("group", 1)) if node.op_type == "Conv" else 1
        shape = (max(1, array.shape[0] // groups), *array.shape[1:])
        yield Layer(
            name,
            shape,
            share,
            COUNTED if density is None else GIVEN,
            max(1, prod(between)) if between else 1,
            groups,
        )
