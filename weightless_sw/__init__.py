"""Weightless: neural-network weights in a table that hardware decodes at a constant rate.

import weightless_sw as wl
tensor, report = wl.encode(weights, lanes=8, slot_bits=8)
wl.write("layer.wls", {"fc1.weight": tensor})
weights = wl.decode(wl.read("layer.wls")["fc1.weight"])

With the extra ``train`` a whole network, given loaders of (inputs, labels):

recipe = wl.Recipe(weights={"fc1": 9_400}, tables={"fc1": (8, 4)})
result = wl.compress(network, train_loader, validation_loader, recipe)
wl.write("network.wls", result.tensors)
wl.restore(network, wl.read("network.wls"))
"""

from importlib import import_module
from typing import Any

from weightless_sw.codebook import EncodeError
from weightless_sw.codec import EncodeReport, decode, encode, encode_coded
from weightless_sw.container import FormatError, read, write
from weightless_sw.inputs import InputError, load_tensors, save_tensors
from weightless_sw.spec.record import Geometry, ValueFormat
from weightless_sw.tensor import Arrangement, CodedTensor, EncodedTensor

__version__ = "0.1.0"
__all__ = [
    "Arrangement",
    "CodedTensor",
    "EncodeError",
    "EncodeReport",
    "EncodedTensor",
    "FormatError",
    "Geometry",
    "InputError",
    "ValueFormat",
    "decode",
    "encode",
    "encode_coded",
    "load_tensors",
    "read",
    "save_tensors",
    "write",
]

_TRAINING = ("Recipe", "compress", "restore")  # need torch, and are imported when they are asked for


def __getattr__(name: str) -> Any:
    if name in _TRAINING:
        return getattr(import_module("weightless_sw.training.compress"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
