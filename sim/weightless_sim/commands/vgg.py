"""``weightless vgg16``: the fully connected layers of VGG-16 at full size, in every layout and exact."""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sim.commands import common
from weightless_sim.shown import to_json
from weightless_sw import codec, container, inputs, layouts
from weightless_sw.baselines import Rate, rate_of
from weightless_sw.files import write_atomically
from weightless_sw.provenance import install_line
from weightless_sw.simplify import simplify

CODES, SLOT_BITS = 15, 8
WARM_UP = (64, 512)  # weights that are coded first, so that no time is a compiler's


@dataclass(frozen=True)
class _Layer:
    """Outputs and inputs, the share of weights that pruning leaves (Han et al. 2015), torchvision's name."""

    shape: tuple[int, int]
    density: float
    name: str


LAYERS = {
    "fc6": _Layer((4096, 25088), 0.04, "classifier.0.weight"),
    "fc7": _Layer((4096, 4096), 0.04, "classifier.3.weight"),
    "fc8": _Layer((1000, 4096), 0.23, "classifier.6.weight"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A layer in one format."""

    layer: str
    weights_of: str  # synthetic, or a file, pruned by magnitude and not retrained
    n_weights: int
    n_nonzero: int
    stored_as: str
    bytes: int  # record and maps
    ratio: float  # to fp32
    n_false_positives: int
    encode_seconds: float
    decode_seconds: float
    decoder: Rate  # in hardware


def add(commands: Any) -> None:
    """The command of this file."""
    command = common.command(commands, "vgg16", _vgg16)
    command.add_argument("layers", nargs="*", metavar="LAYER", help=f"of {', '.join(LAYERS)} (default: all)")
    command.add_argument(
        "--weights", type=Path, metavar="FILE",
        help="torchvision's state dict (.pt, .pth) or .safetensors, .npz; else synthetic weights, labelled so",
    )  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help="of synthetic weights")
    command.add_argument("-o", "--output", type=Path, help="write the figures there as JSON, too")
    common.add_json(command)


def _vgg16(options: argparse.Namespace) -> int:
    names = options.layers or list(LAYERS)
    if unknown := [name for name in names if name not in LAYERS]:
        raise ValueError(f"no layer is called {unknown[0]!r}; there are: {', '.join(LAYERS)}")
    arrays = None if options.weights is None else _load(options.weights)
    step = common.Steps()
    with step("load the kernels"):
        list(_rows("", "", _synthetic(WARM_UP, 0.1, 0), common.Steps()))
    rows: list[Row] = []
    for name in names:
        layer, origin = LAYERS[name], "synthetic"
        with step(f"{name}: make {layer.density:.0%} of {layer.shape[0]:,} x {layer.shape[1]:,} weights"):
            if arrays is None:
                weights = _synthetic(layer.shape, layer.density, options.seed)
            else:
                weights, origin = _pruned(arrays, layer, options.weights), options.weights.name
        rows += _rows(name, origin, weights, step)
    if options.output:
        write_atomically(options.output, (to_json(rows) + "\n").encode())
    if options.json:
        common.print_json(rows)
        return 0
    head = ("layer", "weights", "stored as", ">bytes", ">ratio", ">false positives", ">encode", ">decode")
    table = common.table(*head, "in hardware")
    for row in rows:
        table.add_row(
            row.layer, row.weights_of, row.stored_as, f"{row.bytes:,}", f"{row.ratio:.1f}x",
            f"{row.n_false_positives:,}", f"{row.encode_seconds:.1f} s", f"{row.decode_seconds:.2f} s", row.decoder,
        )  # fmt: skip
    common.console().print(table)
    return 0


def _synthetic(shape: tuple[int, int], density: float, seed: int) -> NDArray[np.float32]:
    """Weights of CODES values at random places: the least that a format could know of them."""
    rng = np.random.default_rng(seed)
    n = shape[0] * shape[1]
    weights = np.zeros(n, np.float32)
    places = rng.choice(n, round(n * density), replace=False, shuffle=False)
    weights[places] = rng.integers(1, CODES + 1, len(places), np.int32) / 16
    return weights.reshape(shape)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file.  Raises ValueError where it is none, or needs torch that is missing."""
    if path.suffix not in (".pt", ".pth"):
        return dict(inputs.load_tensors(path))
    try:
        import torch
    except ImportError as error:
        raise ValueError(f"{path}: files of torch need it: {install_line('train')}") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes make its unpickler raise
        raise ValueError(f"{path}: no state dict that torch reads: {type(error).__name__}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path}: no state dict, tensors by name")
    return {name: value.numpy() for name, value in state.items() if value.is_floating_point()}


def _pruned(arrays: dict[str, NDArray[Any]], layer: _Layer, path: Path) -> NDArray[np.float32]:
    """The layer's largest weights, of CODES values; nothing is retrained.  Raises ValueError for another network."""
    array = arrays.get(layer.name)
    if array is None or array.shape != layer.shape:
        found = "not there" if array is None else f"of shape {array.shape}"
        raise ValueError(f"{path}: {layer.name} is {found}; VGG-16's has {layer.shape}")
    return simplify(array, density=layer.density, n_codes=CODES, name=layer.name)[0]


def _rows(name: str, origin: str, weights: NDArray[np.float32], step: common.Steps) -> Iterator[Row]:
    """In every layout, and in the exact record."""
    about: dict[str, Any] = {
        "layer": name, "weights_of": origin, "n_weights": weights.size, "n_nonzero": int(np.count_nonzero(weights)),
    }  # fmt: skip
    for stored_as in (*layouts.BY_NAME, "coded"):
        with step(f"{name}: {stored_as}") as progress:
            begun = time.perf_counter()
            if stored_as == "coded":
                tensor: container.Tensor = codec.encode_coded(weights, name=name)
            else:
                width = SLOT_BITS if stored_as in layouts.TABLES else None
                tensor, _ = codec.encode(
                    weights, layout=stored_as, order="rows", slot_bits=width, name=name, progress=progress
                )
            tensor = _read_back(tensor)
            encoded = time.perf_counter()
            decoded = codec.decode(tensor)
            seconds = time.perf_counter() - encoded
        n_bytes = container.stored_bytes(tensor)
        yield Row(
            **about, stored_as=stored_as, bytes=n_bytes, ratio=4 * weights.size / n_bytes,
            n_false_positives=int(np.count_nonzero(decoded)) - about["n_nonzero"],
            encode_seconds=encoded - begun, decode_seconds=seconds,
            decoder=_rate(stored_as),
        )  # fmt: skip


def _rate(stored_as: str) -> Rate:
    """Of its decoder in hardware."""
    if stored_as == "coded":
        return Rate.SERIAL
    return rate_of(layouts.by_name(stored_as).geometry)


def _read_back(tensor: container.Tensor) -> container.Tensor:
    """As a file has it, which knows no codes that were not decoded."""
    return container.from_bytes(container.to_bytes({"x": tensor}))["x"]
