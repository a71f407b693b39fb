"""Between a network and the tensors of its file: the names of its state, what it computes with, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from weightless_sw import codec, container
from weightless_sw.codebook import EncodeError
from weightless_sw.metadata import BIAS, WEIGHT
from weightless_sw.tensor import CodedTensor
from weightless_sw.training import sparse

EXACT = "bitmask"  # the layout


def first_names(network: nn.Module) -> dict[str, str]:
    """See sparse.first_names; ValueError for a state that a file can't hold."""
    for name, value in network.state_dict().items():
        path, _, tensor = name.rpartition(".")
        if not isinstance(value, torch.Tensor) or not hasattr(network.get_submodule(path), tensor):
            raise ValueError(f"{name}: state that is no tensor of its module; a file can't hold it")
    return sparse.first_names(network)


def computed(network: nn.Module, name: str) -> torch.Tensor:
    """What the network has under a name of its state; of a layer or bias of ours, what it computes with."""
    path, _, tensor = name.rpartition(".")
    module = network.get_submodule(path)
    value: torch.Tensor = getattr(module, tensor).detach()
    if parametrize.is_parametrized(module, tensor):
        return value + 0.0  # no -0.0
    return value.clone()


def smaller(array: NDArray[Any], name: str = "tensor") -> container.Tensor:
    """``array`` in a coded record if it is exact and smaller there, else itself."""
    if not array.size or array.dtype != np.float32:
        return array
    try:
        coded = codec.encode_coded(array, name=name)
    except EncodeError:
        return array
    return coded if container.stored_bytes(coded) < array.nbytes else array


def for_hardware(tensors: container.Tensors) -> container.Tensors:
    """The same weights in layouts that a decoder reads at a constant rate: what is no table as a bitmask, exactly.

    Of two or more dimensions; what has too many values for one, and biases, stay as they are.
    """
    made = container.Tensors(tensors, tensors.metadata)
    for name, tensor in tensors.items():
        if isinstance(tensor, CodedTensor) and len(tensor.shape) > 1:
            made[name], _ = codec.encode(codec.decode(tensor), layout=EXACT, name=name)
    return made


def restore(network: nn.Module, tensors: Mapping[str, container.Tensor]) -> list[str]:
    """Give ``network`` the weights that ``tensors`` (by the names of its state) decode to.

    What the network has under several names need be there under one, and the bias of a layer whose weight is there
    need not be there: it is zero then.  Returns the names of these biases.  Raises ValueError when the tensors are not
    those of the network.
    """
    arrays = {
        name: np.array(codec.decode(tensor))  # one that torch may write to
        for name, tensor in tensors.items()
    }
    state, first_names = network.state_dict(), sparse.first_names(network)
    there = {first_names[name]: arrays[name] for name in arrays if name in first_names}
    zeros = [
        name
        for name, first in first_names.items()
        if first not in there
        and name.endswith(BIAS)
        and first_names.get(f"{name.removesuffix(BIAS)}{WEIGHT}") in there
    ]
    arrays |= {
        name: there[first] for name, first in first_names.items() if first in there and name not in arrays
    }
    arrays |= {name: np.zeros(state[name].shape, np.float32) for name in zeros}
    try:
        network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:  # names or shapes
        raise ValueError(f"these are not the tensors of this network: {error}") from error
    return zeros
