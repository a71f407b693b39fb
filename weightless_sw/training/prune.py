"""Fewer weights: structural compaction to a live block, gradual pruning by saliency, one-shot magnitude.

Layers are taken to feed one another in the order in which they come, as they do in the networks of this
package; a layer that is told nothing of its neighbours is pruned all the same.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import torch

from weightless_sw.training.learn import Hook
from weightless_sw.training.sparse import Layer

STEP, SHARE = 50, 0.01  # a choice of what stays comes every 50 steps, or every 1 % of them if that is sooner
BEGIN, SPAN, FREEZE = 0.10, 0.65, 0.80  # shares of the steps


def one_shot(layer: Layer, n_weights: int) -> None:
    """Keep the ``n_weights`` of largest magnitude."""
    layer.set_mask(_largest(torch.from_numpy(layer.weights).abs(), n_weights))


def compact(
    layers: Sequence[Layer],
    units: Mapping[str, int],
    n_inputs: int | None = None,
    deviation: torch.Tensor | None = None,
) -> None:
    """Keep the strongest units of each layer named in ``units``, and the ``n_inputs`` strongest inputs of the first.

    A unit is as strong as the norms of its weights in and of those that read it, multiplied; an input as the norm
    of the weights that read it times its ``deviation`` ((inputs,); an input that never changes has weights that
    were never trained).
    """
    matrices = [torch.from_numpy(layer.weights).flatten(1) for layer in layers]
    masks = [torch.ones_like(matrix) for matrix in matrices]
    if n_inputs:
        strength = matrices[0].norm(dim=0)
        masks[0] *= _largest(strength if deviation is None else strength * deviation, n_inputs)
    for k, layer in enumerate(layers[:-1]):
        if layer.name not in units:
            continue
        n_units = len(matrices[k])
        reads = _by_unit(matrices[k + 1], n_units)
        if reads is None:
            raise ValueError(
                f"{layer.name}: what follows it does not read {n_units} units; it can't be compacted"
            )
        kept = _largest(matrices[k].norm(dim=1) * reads.norm(dim=(0, 2)), units[layer.name])
        masks[k] *= kept[:, None]
        masks[k + 1] *= kept.repeat_interleave(reads.shape[2])
    for layer, mask in zip(layers, masks, strict=True):
        layer.set_mask(layer.mask * mask.reshape(layer.mask.shape))


def silence(layers: Sequence[Layer], biases: Mapping[str, Layer], units: Iterable[str]) -> None:
    """Drop the biases of units that nothing reads, in the layers named ``units``; the outputs stay as they are."""
    for layer, follower in pairwise(layers):
        if layer.name in units and layer.name in biases:
            reads = _by_unit(torch.from_numpy(follower.weights).flatten(1), len(layer.mask))
            if reads is not None:
                biases[layer.name].set_mask(reads.ne(0).any(2).any(0).float())


def gradual(layers: Sequence[Layer], targets: Mapping[str, int]) -> Hook:
    """A hook that prunes each layer of ``targets`` to its number of weights while it trains.

    At intervals the weights of largest |w| sqrt(sqrt(v)) stay, v being Adam's second moment; the logarithm
    of their number falls quadratically from 10 % to 75 % of the steps, and after 80 % nothing changes.
    A unit that has lost all its inputs, or all that read it, is worth nothing.
    """
    before = {layer.name: max(1, int(layer.mask.sum())) for layer in layers}
    n_steps, last = 0, 0.0

    def hook(done: float, optimizer: torch.optim.Optimizer) -> None:
        nonlocal n_steps, last
        n_steps += 1
        if done > FREEZE or (n_steps % STEP and done - last < SHARE):
            return
        last = done
        share = min(max((done - BEGIN) / SPAN, 0.0), 1.0)
        for k, layer in enumerate(layers):
            if layer.name not in targets:
                continue
            start, target = before[layer.name], targets[layer.name]
            wanted = math.log(start) + math.log(target / start) * (1 - (1 - share) ** 2)
            score = _saliency(layer, optimizer)
            score = _without_dead_units(score, layers, k)
            n_alive = int((score > 0).sum())
            layer.set_mask(_largest(score, min(max(round(math.exp(wanted)), target), n_alive)))

    return hook


def _saliency(layer: Layer, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    weights = layer.original.detach() * layer.mask
    moment = optimizer.state[layer.original]["exp_avg_sq"]
    return weights.abs() * (moment.sqrt() + 1e-12).sqrt()


def _without_dead_units(score: torch.Tensor, layers: Sequence[Layer], k: int) -> torch.Tensor:
    matrix = score.flatten(1)
    if k > 0:
        alive = layers[k - 1].mask.flatten(1).any(1)
        reads = _by_unit(matrix, len(alive))
        if reads is not None:
            matrix = matrix * alive.repeat_interleave(reads.shape[2])
    if k + 1 < len(layers):
        reads = _by_unit(layers[k + 1].mask.flatten(1), len(matrix))
        if reads is not None:
            matrix = matrix * reads.sum((0, 2)).bool()[:, None]
    return matrix.reshape(score.shape)


def _by_unit(matrix: torch.Tensor, n_units: int) -> torch.Tensor | None:
    """The columns of a following layer by the unit that they read; None where they are no multiple of the units."""
    if matrix.shape[1] % n_units:
        return None
    return matrix.reshape(len(matrix), n_units, -1)


def _largest(score: torch.Tensor, n: int) -> torch.Tensor:
    """Ones at the ``n`` largest entries, in the shape of ``score``."""
    mask = torch.zeros(score.numel())
    mask[torch.topk(score.flatten(), min(n, score.numel())).indices] = 1
    return mask.reshape(score.shape)
