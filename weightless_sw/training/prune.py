"""Fewer weights: structural compaction to a live block, gradual pruning by saliency.

Which layer feeds which is what :mod:`readers` found; units that may be used otherwise stay.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import torch

from weightless_sw.training.learn import Hook
from weightless_sw.training.readers import NOBODY, Readers
from weightless_sw.training.sparse import Layer

UNKNOWN = "nothing that the first validation batch shows"  # reads a layer that it does not call
STEP, SHARE = 50, 0.01  # a choice of what stays comes every 50 steps, or every 1 % of them if that is sooner
BEGIN, SPAN, FREEZE = 0.10, 0.65, 0.80  # shares of the steps


def compact(
    layers: Sequence[Layer],
    readers: Readers,
    units: Mapping[str, int],
    n_inputs: int | None = None,
    deviation: torch.Tensor | None = None,
) -> None:
    """Keep the strongest units of each layer named in ``units``, and the ``n_inputs`` strongest inputs of the first.

    A unit is as strong as the norms of its weights in and of those that read it, multiplied; an input as the norm
    of the weights that read it times its ``deviation`` ((inputs,); an input that never changes has weights that
    were never trained).  Raises ValueError for a layer whose units are used in ways that are not known, and for
    ``n_inputs`` where the first layer reads another.
    """
    check_compactable(layers, readers, units, n_inputs)
    matrices = {layer.name: torch.from_numpy(layer.weights).flatten(1) for layer in layers}
    read = readers.total({name: matrix.square() for name, matrix in matrices.items()}).sqrt()
    kept = torch.ones(len(read))
    for name, n_units in units.items():
        own = readers.units(name)
        kept[own] = _largest(matrices[name].norm(dim=1) * read[own], n_units)
    masks = {}
    for name in matrices:
        masks[name] = kept[readers.units(name), None] * readers.inputs(name, kept)
    if n_inputs:
        strength = matrices[layers[0].name].norm(dim=0)
        strength = strength if deviation is None else strength * deviation
        masks[layers[0].name] *= _largest(strength, n_inputs)
    for layer in layers:
        layer.set_mask(layer.mask.cpu() * masks[layer.name].reshape(layer.mask.shape))


def check_compactable(
    layers: Sequence[Layer], readers: Readers, units: Iterable[str], n_inputs: int | None = None
) -> None:
    """Raise ValueError where :func:`compact` would."""
    for name in units:
        if readers.open[readers.units(name)].any():
            raise ValueError(
                f"{name}: its units can't be left out, as {readers.why.get(name, UNKNOWN)} uses them, which is no "
                "Linear or Conv2d layer that reads them one by one; take it out of `units`"
            )
    first = layers[0].name
    if n_inputs and (readers.reads[first] != NOBODY).any():
        raise ValueError(f"{first}: n_inputs is of the first layer, and this one reads the units of another")


def silence(
    layers: Sequence[Layer], biases: Mapping[str, Layer], readers: Readers, units: Iterable[str]
) -> None:
    """Drop the biases of units that nothing reads, in the layers named ``units``; the outputs stay as they are."""
    used = (
        readers.total({layer.name: torch.from_numpy(layer.weights != 0).flatten(1) for layer in layers}) > 0
    )
    for name in units:
        if name in biases:
            biases[name].set_mask((used | readers.open)[readers.units(name)].float())


def gradual(layers: Sequence[Layer], readers: Readers, targets: Mapping[str, int]) -> Hook:
    """A hook that prunes each layer of ``targets`` to its number of weights while it trains.

    The weights of largest |w| v^(1/4) stay, v being Adam's second moment (of |w| with an optimizer that has none); the
    logarithm of their number falls as in :func:`_falling`.  A unit that has lost all its inputs, or all that read it,
    is worth nothing.
    """
    before = {layer.name: max(1, int(layer.mask.sum())) for layer in layers}

    def choose(fallen: float, optimizer: torch.optim.Optimizer) -> None:
        for layer in layers:
            if layer.name not in targets:
                continue
            start, target = before[layer.name], targets[layer.name]
            wanted = math.exp(math.log(start) + math.log(target / start) * fallen)
            matrix = _alive(layer, layers, readers) * _saliency(layer, optimizer, 0.25).flatten(1)
            n_alive = int((matrix > 0).sum())
            mask = _largest(matrix, min(max(round(wanted), target), n_alive))
            layer.set_mask(mask.reshape(layer.mask.shape))

    return _falling(choose)


def to_budget(
    layers: Sequence[Layer],
    readers: Readers,
    bits: Mapping[str, float],
    budget: float,
    grouped: Collection[str] = (),
) -> Hook:
    """A hook that prunes all layers of ``bits`` (what a weight of each takes) to ``budget`` bits while it trains.

    One choice for all: the weights of largest |w| sqrt(v) a bit stay, and the logarithm of what they take falls as in
    :func:`_falling`.  In the layers ``grouped`` a weight is worth more where its row and its columns' unit are worth
    more, so that what stays lies together.
    """
    chosen = [layer for layer in layers if layer.name in bits]
    before = sum(bits[layer.name] * int(layer.mask.sum()) for layer in chosen)

    def choose(fallen: float, optimizer: torch.optim.Optimizer) -> None:
        wanted = before * min(1.0, budget / before) ** fallen
        worth = []
        for layer in chosen:
            matrix = _alive(layer, layers, readers) * _saliency(layer, optimizer, 0.5).flatten(1)
            if layer.name in grouped:
                matrix = _grouped(matrix, readers.reads[layer.name])
            worth.append((matrix / bits[layer.name]).flatten())
        each = torch.cat(
            [torch.full_like(one, bits[layer.name]) for one, layer in zip(worth, chosen, strict=True)]
        )
        ranked = torch.cat(worth)
        order = torch.argsort(ranked, descending=True, stable=True)
        kept = torch.zeros_like(ranked)
        kept[order] = (each[order].double().cumsum(0) <= wanted).to(kept)
        kept *= ranked > 0
        for layer, mask in zip(chosen, kept.split([len(one) for one in worth]), strict=True):
            layer.set_mask(mask.reshape(layer.mask.shape))

    return _falling(choose)


def _falling(choose: Callable[[float, torch.optim.Optimizer], None]) -> Hook:
    """A hook that calls ``choose`` at intervals with what has fallen: quadratically from 0 at 10 % of the steps to 1 at
    75 %; after 80 % nothing is chosen any more.
    """
    n_steps, last = 0, 0.0

    def hook(done: float, optimizer: torch.optim.Optimizer) -> None:
        nonlocal n_steps, last
        n_steps += 1
        if done > FREEZE or (n_steps % STEP and done - last < SHARE):
            return
        last = done
        share = min(max((done - BEGIN) / SPAN, 0.0), 1.0)
        choose(1 - (1 - share) ** 2, optimizer)

    return hook


def _alive(layer: Layer, layers: Sequence[Layer], readers: Readers) -> torch.Tensor:
    """Ones, (rows, columns), where a weight's own unit is read, and the unit that it reads has weights."""
    alive = torch.cat([one.mask.cpu().flatten(1).any(1) for one in layers]).float()
    matrix = readers.inputs(layer.name, alive).expand(len(layer.mask), -1).clone()
    if of := set(readers.of(layer.name)):
        matrix *= _read(layers, readers, of)[readers.units(layer.name), None]
    return matrix


def _grouped(worth: torch.Tensor, reads: torch.Tensor) -> torch.Tensor:
    """Each times the share that its row, and the columns that read its unit, have of all, against an even one."""
    rows = worth.sum(1, keepdim=True)
    result = worth * rows * (rows > 0).sum() / rows.sum().clamp(min=1e-30)
    if len(reads) == 1 and bool((reads != NOBODY).all()):
        units, named = reads[0].unique(return_inverse=True)
        of_unit = worth.new_zeros(len(units)).index_add_(0, named, worth.sum(0))
        result = result * (of_unit * (of_unit > 0).sum() / of_unit.sum().clamp(min=1e-30))[named]
    return result


def _read(layers: Sequence[Layer], readers: Readers, of: Collection[str]) -> torch.Tensor:
    """Ones at the units that a weight of the layers ``of`` reads, or that may be used otherwise."""
    total = readers.total({layer.name: layer.mask.cpu().flatten(1) for layer in layers if layer.name in of})
    return ((total > 0) | readers.open).float()


def _saliency(layer: Layer, optimizer: torch.optim.Optimizer, power: float) -> torch.Tensor:
    """|w| v^power, v being the second moment."""
    weights = layer.original.detach() * layer.mask
    moment = optimizer.state[layer.original].get("exp_avg_sq")
    if moment is None:  # an optimizer without a second moment
        return weights.abs().cpu()
    return (weights.abs() * (moment.sqrt() + 1e-12) ** (2 * power)).cpu()


def _largest(score: torch.Tensor, n: int) -> torch.Tensor:
    """Ones at the ``n`` largest entries, in the shape of ``score``."""
    mask = torch.zeros(score.numel())
    mask[torch.topk(score.flatten(), min(n, score.numel())).indices] = 1
    return mask.reshape(score.shape)
