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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightless_sw.arrangement import Arrangement
    from weightless_sw.codebook import EncodeError
    from weightless_sw.codec import EncodeReport, decode, encode, encode_coded
    from weightless_sw.container import read, write
    from weightless_sw.inputs import InputError, load_tensors, save_tensors
    from weightless_sw.reader import FormatError
    from weightless_sw.spec.record import Geometry, ValueFormat
    from weightless_sw.tensor import CodedTensor, EncodedTensor

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

# Public names by the module that has them, imported when they are asked for: the specification alone needs no numpy.
_PUBLIC = {
    "arrangement": ("Arrangement",),
    "codebook": ("EncodeError",),
    "codec": ("EncodeReport", "decode", "encode", "encode_coded"),
    "container": ("read", "write"),
    "inputs": ("InputError", "load_tensors", "save_tensors"),
    "reader": ("FormatError",),
    "spec.record": ("Geometry", "ValueFormat"),
    "tensor": ("CodedTensor", "EncodedTensor"),
    "training.compress": ("compress",),  # these need torch
    "training.recipes": ("Recipe", "Round"),
    "training.stored": ("restore",),
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
