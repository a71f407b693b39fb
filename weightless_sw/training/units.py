"""Units left out and moved: a network of the units that stay alone, and units in the order of their weights.

Neither changes what a network computes, and each is proved on real inputs.  Who reads which unit is what
:mod:`readers` found.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import nn

from weightless_sw.training import learn
from weightless_sw.training.readers import Readers, tensors_in
from weightless_sw.training.sparse import Layer

TOLERANCE = 1e-9  # of outputs in float64, whose sums come in another order
ROUNDED = 1e-4  # and where weights are rounded to float32 once more
BALANCINGS = 10  # of rows, then columns: after these they differ by little


@dataclass(frozen=True)
class Block:
    """Where a layer of the narrow network lies in its full one: numbers of rows, and of columns of the flat weight."""

    shape: torch.Size  # of the full weight
    rows: torch.Tensor
    columns: torch.Tensor

    @classmethod
    def whole(cls, shape: torch.Size) -> "Block":
        """All of a layer, where it is."""
        return cls(shape, torch.arange(shape[0]), torch.arange(shape[1:].numel()))

    def take(self, part: "Block") -> "Block":
        """Of this block's rows and columns those that ``part`` numbers, in its order."""
        return Block(self.shape, self.rows[part.rows], self.columns[part.columns])

    def expand(self, narrow: torch.Tensor) -> torch.Tensor:
        """The full weight or bias; zeros where the narrow one has nothing."""
        if narrow.ndim == 1:
            bias = narrow.new_zeros(self.shape[0])
            bias[self.rows] = narrow
            return bias
        matrix = narrow.new_zeros(self.shape[0], self.shape[1:].numel())
        matrix[self.rows[:, None], self.columns] = narrow.flatten(1)
        return matrix.reshape(self.shape)

    def cut(self, full: torch.Tensor) -> torch.Tensor:
        """The part of a full weight, or of its mask, that the narrow network has."""
        matrix = full.flatten(1)[self.rows[:, None], self.columns]
        return matrix.reshape(len(self.rows), -1, *self.shape[2:])


class Narrow(NamedTuple):
    """A network of the units that stay; by layer its place in the full network, where it was there, and its mask."""

    network: nn.Module
    blocks: dict[str, Block]
    origins: dict[str, Block]
    masks: dict[str, torch.Tensor]


def narrow(
    network: nn.Module, masks: Mapping[str, torch.Tensor], readers: Readers, inputs: Any, *, front: bool
) -> Narrow | None:
    """The network without the units that have no weight in ``masks`` (by layer, in the weight's shape).

    The place of each of its layers is where it was, or, with ``front``, in front of what is left out.  None where
    something but these layers has values by unit, or counts them, so that the outputs for ``inputs`` would not stay.
    """
    kept = torch.cat([mask.cpu().flatten(1).any(1) for mask in masks.values()]).float()
    kept = torch.where(readers.open, torch.ones_like(kept), kept)
    places = _in_front(kept, readers, masks) if front else kept
    masked, smaller = copy.deepcopy(network), copy.deepcopy(network)
    blocks: dict[str, Block] = {}
    origins: dict[str, Block] = {}
    kept_masks = {}
    for name, mask in masks.items():
        module, own = smaller.get_submodule(name), readers.units(name)
        if len(readers.reads[name]) > 1 or _n_users(smaller, module.weight) > 1:
            return None
        origins[name], blocks[name] = (
            Block(mask.shape, _ones(units[own]), _ones(readers.inputs(name, units)[0]))
            for units in (kept, places)
        )
        if len(origins[name].columns) != len(blocks[name].columns):
            return None
        weight = module.weight.detach() * mask.to(module.weight)
        masked.get_submodule(name).weight = nn.Parameter(weight)
        module.weight = nn.Parameter(origins[name].cut(weight))
        kept_masks[name] = origins[name].cut(mask)
        if module.bias is not None:
            module.bias = nn.Parameter(module.bias.detach()[origins[name].rows])
    expanded = copy.deepcopy(network)
    for name, block in blocks.items():
        module, full = smaller.get_submodule(name), expanded.get_submodule(name)
        full.weight = nn.Parameter(block.expand(module.weight.detach()))
        if module.bias is not None:
            full.bias = nn.Parameter(block.expand(module.bias.detach()))
    try:
        alike = all(same_outputs(masked, other, inputs) for other in (smaller, expanded))
    except RuntimeError:
        return None
    return Narrow(smaller, blocks, origins, kept_masks) if alike else None


def _in_front(kept: torch.Tensor, readers: Readers, layers: Mapping[str, Any]) -> torch.Tensor:
    """As many ones per layer, the first ones; layers with open units stay as they are."""
    places = kept.clone()
    for name in layers:
        own = readers.units(name)
        if not readers.open[own].any():
            places[own] = (torch.arange(own.stop - own.start) < kept[own].sum()).float()
    return places


def _ones(flags: torch.Tensor) -> torch.Tensor:
    return torch.nonzero(flags).flatten()


def _n_users(network: nn.Module, parameter: nn.Parameter) -> int:
    return sum(one is parameter for module in network.modules() for one in module._parameters.values())


def same_outputs(one: nn.Module, other: nn.Module, inputs: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether both compute the same, but for the order of sums, in float64 and evaluation mode."""
    before, after = (_outputs(network, inputs) for network in (one, other))
    return before.shape == after.shape and bool(torch.allclose(before, after, rtol=tolerance, atol=tolerance))


def _outputs(network: nn.Module, inputs: Any) -> torch.Tensor:
    network = copy.deepcopy(network).double().eval()
    device = learn.device_of(network)

    def double(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(device, torch.float64 if tensor.is_floating_point() else tensor.dtype)

    with torch.no_grad():
        outputs = network(learn.each_tensor(inputs, double))
    return torch.cat([one.flatten() for one in tensors_in(outputs)])


def move(
    network: nn.Module, layers: Sequence[Layer], biases: Mapping[str, Layer], readers: Readers, inputs: Any
) -> dict[str, Block]:
    """Put the units of each layer in the order of their weights and of those that read them, dead ones last.

    Layers with open units stay.  Returns for each layer where its rows and columns were.  Raises ValueError where the
    outputs for ``inputs`` do not stay, since something but these layers has values by unit.
    """
    before = copy.deepcopy(network)
    were = {one.name: Block.whole(one.mask.shape) for one in layers}
    for layer in layers:
        own = readers.units(layer.name)
        if readers.open[own].any():
            continue
        counts = layer.mask.cpu().flatten(1).sum(1)
        read = readers.total({one.name: one.mask.cpu().flatten(1) for one in layers})[own]
        order = torch.argsort(torch.where((counts > 0) & (read > 0), -counts - read, 1), stable=True)
        columns = {one.name: _moved(readers, one.name, own, order) for one in layers}
        if any(moved is None for moved in columns.values()):
            continue
        _take(layer, order, None)
        if layer.name in biases:
            _take(biases[layer.name], order, None)
        were[layer.name] = replace(were[layer.name], rows=were[layer.name].rows[order])
        for one in layers:
            _take(one, None, columns[one.name])
            were[one.name] = replace(were[one.name], columns=were[one.name].columns[columns[one.name]])
    if not same_outputs(before, network, inputs):
        raise ValueError(
            "the units of this network can't be moved: something that is no Linear or Conv2d layer has values by unit; "
            "leave `permute` out of the recipe"
        )
    return were


def _moved(readers: Readers, name: str, own: slice, order: torch.Tensor) -> torch.Tensor | None:
    """Where each column of a layer comes from when the units ``own`` are put in ``order``; None where none can tell."""
    reads = readers.reads[name]
    columns = torch.arange(reads.shape[1])
    if not ((reads >= own.start) & (reads < own.stop)).any():
        return columns
    of_unit = [torch.nonzero(reads[0] == unit).flatten() for unit in range(own.start, own.stop)]
    if len(reads) > 1 or len({len(its) for its in of_unit}) > 1:
        return None
    for unit, before in enumerate(order.tolist()):
        columns[of_unit[unit]] = of_unit[before]
    return columns


def _take(layer: Layer, rows: torch.Tensor | None, columns: torch.Tensor | None) -> None:
    """Move rows and columns of all that a layer has by weight."""
    with torch.no_grad():
        for tensor in (layer.original, layer.mask):
            matrix = tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None]
            matrix = matrix if rows is None else matrix[rows]
            matrix = matrix if columns is None else matrix[:, columns]
            tensor.copy_(matrix.reshape(tensor.shape))


def balance(
    network: nn.Module,
    layers: Mapping[str, Layer],
    biases: Mapping[str, Layer],
    readers: Readers,
    name: str,
    inputs: Any,
) -> bool:
    """Scale units so that weights of the layer ``name`` are of one size in all rows, and for each unit that they read.

    A unit that is scaled, with its bias, and whose readers are scaled back, gives what it gave behind a ReLU or
    pooling.  Few values then fit the layer better; others get the differences.  Where the outputs for ``inputs`` do not
    stay nothing is changed, and the result is False.
    """
    before, all_of = copy.deepcopy(network), [*layers.values(), *biases.values()]
    states = [one.state() for one in all_of]
    for _ in range(BALANCINGS):
        own = _relative(layers[name], readers, rows=True)
        _scale(1 / own, layers, biases, readers)
        _scale(_relative(layers[name], readers, rows=False), layers, biases, readers)
    if same_outputs(before, network, inputs, ROUNDED):
        return True
    for one, state in zip(all_of, states, strict=True):
        one.take(state)
    return False


def _relative(layer: Layer, readers: Readers, *, rows: bool) -> torch.Tensor:
    """For each unit the root mean square of the weights in its row of ``layer``, or of those there that read it.

    Against that of all weights; one for units that have none, or that are open.
    """
    counts = layer.mask.cpu().flatten(1)
    squares = (layer.original.detach().cpu().flatten(1) * counts).double().square()
    of_unit = torch.zeros(2, len(readers.open), dtype=torch.float64)
    for place, matrix in zip(of_unit, (squares, counts), strict=True):
        if rows:
            place[readers.units(layer.name)] = matrix.sum(1).double()
        else:
            place += readers.total({layer.name: matrix})
    mean = of_unit[0] / of_unit[1].clamp(min=1) / (squares.sum() / counts.sum().clamp(min=1))
    return torch.where(readers.open | (mean <= 0), 1.0, mean.sqrt()).float()


def _scale(
    of_units: torch.Tensor, layers: Mapping[str, Layer], biases: Mapping[str, Layer], readers: Readers
) -> None:
    """Multiply what each unit gives, and take it back where it is read."""
    with torch.no_grad():
        for name, layer in layers.items():
            own = of_units[readers.units(name)]
            factors = own[:, None] / readers.inputs(name, of_units)
            layer.original.mul_(factors.reshape(-1, *layer.original.shape[1:]).to(layer.original))
            if name in biases:
                biases[name].original.mul_(own.to(layer.original))
