"""Layers whose weights, or biases, are masked, shared, or held: a parametrization on every Linear and Conv2d.

Terms.  A *mask* says which weights there are.  *Centroids* are the values that they share; a weight takes
the nearest, and gradients go straight through to the weight as it is, and to the centroid.  Weights that are
trained so come to lie between two centroids, where the least change of either moves many; once they are *assigned*,
each keeps its centroid, and only the centroids are trained.  A *held* layer has the weights that its file decodes to,
false positives included, and is not trained; where a part of it is *frozen*, the other weights are, among the values
that there are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from weightless_sw.simplify import kmeans_1d


class Sparse(nn.Module):
    """What a layer's weight goes through."""

    mask: torch.Tensor
    held: torch.Tensor | None
    frozen: torch.Tensor | None  # bool, where ``held`` is computed with; None: everywhere
    assigned: torch.Tensor | None  # int64, the number of each weight's centroid

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight))
        self.register_buffer("held", None)
        self.register_buffer("frozen", None)
        self.register_buffer("assigned", None)
        self.centroids: nn.Parameter | None = None

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights that the layer computes with."""
        if self.held is None:
            return self._trained(weight)
        if self.frozen is None:
            return self.held
        return torch.where(self.frozen, self.held, self._trained(weight))

    def _trained(self, weight: torch.Tensor) -> torch.Tensor:
        masked = weight * self.mask
        if self.centroids is None:
            return masked
        if self.assigned is not None:
            return self.centroids[self.assigned] * self.mask
        return self.centroids[self.nearest(masked)] * self.mask + (masked - masked.detach())

    @torch.no_grad()
    def nearest(self, masked: torch.Tensor) -> torch.Tensor:
        """The number of the centroid that is nearest to each weight."""
        assert self.centroids is not None
        order = torch.argsort(self.centroids)
        ordered = self.centroids[order]
        return order[torch.bucketize(masked, (ordered[1:] + ordered[:-1]) / 2)]


class Layer:
    """A named layer of a network, with the :class:`Sparse` of its weights, or of its ``tensor`` of another name.

    Made by :func:`attach` and :func:`attach_biases`.
    """

    def __init__(self, name: str, module: Any, tensor: str = "weight"):
        self.name, self.module, self.tensor = name, module, tensor
        if not parametrize.is_parametrized(module, tensor):
            sparse = Sparse(getattr(module, tensor).detach())
            parametrize.register_parametrization(module, tensor, sparse)
        self.sparse: Sparse = module.parametrizations[tensor][0]
        self.original: nn.Parameter = module.parametrizations[tensor].original

    @property
    def weights(self) -> NDArray[np.float32]:
        """What the layer computes with, as an array."""
        with torch.no_grad():
            weights = getattr(self.module, self.tensor).detach().float().cpu().numpy()
        return np.array(weights + np.float32(0))  # no -0.0

    @property
    def mask(self) -> torch.Tensor:
        """Ones where there are weights, in the weight's shape."""
        return self.sparse.mask

    def set_mask(self, mask: torch.Tensor) -> None:
        """Keep these weights; the others become zero for good."""
        with torch.no_grad():
            self.sparse.mask.copy_(mask)
            self.original.mul_(self.sparse.mask)

    def drop_zeros(self) -> None:
        """What is zero now stays zero."""
        self.set_mask(torch.from_numpy((self.weights != 0).astype(np.float32)))

    def share(self, n_codes: int) -> None:
        """From here on the weights share ``n_codes`` values, which are trained as they are."""
        weights = self.weights
        found = kmeans_1d(weights[weights != 0].astype(np.float64), n_codes) if weights.any() else [1.0]
        self.sparse.centroids = nn.Parameter(torch.as_tensor(found, dtype=torch.float32).to(self.original))
        self.sparse.assigned = None

    def assign(self) -> None:
        """From here on each weight keeps the value that it has now, if they share values and have not kept them yet."""
        if self.sparse.centroids is not None and self.sparse.assigned is None:
            self.sparse.assigned = self.sparse.nearest(self.original * self.mask)

    def round_centroids(self) -> None:
        """Round the shared values to what fp16 holds; each weight keeps its own."""
        self.assign()
        assert self.sparse.centroids is not None
        with torch.no_grad():
            self.sparse.centroids.copy_(self.sparse.centroids.half().float())

    def hold(self, weights: NDArray[np.float32]) -> None:
        """Compute with ``weights`` from here on, and train nothing of the layer but its bias."""
        self.sparse.held = torch.from_numpy(np.array(weights, np.float32)).to(self.original)
        self.sparse.frozen = self.sparse.centroids = self.sparse.assigned = None
        self.original.requires_grad_(False)

    def hold_part(self, weights: NDArray[np.float32], frozen: NDArray[np.bool_]) -> None:
        """Compute with ``weights`` where ``frozen``; train the others among the shared values as they are now."""
        assert self.sparse.centroids is not None
        self.sparse.held = torch.from_numpy(np.array(weights, np.float32)).to(self.original)
        self.sparse.frozen = torch.from_numpy(np.array(frozen)).to(self.original.device)
        self.sparse.assigned = None
        self.sparse.centroids.requires_grad_(False)

    def is_held_in(self, weights: NDArray[np.float32]) -> bool:
        """Whether ``weights`` have what is frozen."""
        held, frozen = self.sparse.held, self.sparse.frozen
        same = torch.from_numpy(weights).to(self.original) == held
        return bool(same.all() if frozen is None else same[frozen].all())

    @property
    def unheld(self) -> NDArray[np.float32]:
        """The weights without what a table, of which a part is held, has at the places of zeros."""
        return np.array(self.weights * self.mask.cpu().numpy() + np.float32(0))

    def state(self) -> dict[str, torch.Tensor | None]:
        """All that can change of the layer's weight."""
        centroids = self.sparse.centroids
        return {
            "original": self.original.detach().clone(),
            "mask": self.sparse.mask.clone(),
            "held": self.sparse.held,
            "frozen": self.sparse.frozen,
            "assigned": self.sparse.assigned,
            "centroids": None if centroids is None else centroids.detach().clone(),
        }

    def take(self, state: dict[str, torch.Tensor | None]) -> None:
        """The inverse of :meth:`state`."""
        with torch.no_grad():
            self.original.copy_(state["original"])
            self.sparse.mask.copy_(state["mask"])
        held, centroids, assigned = state["held"], state["centroids"], state["assigned"]
        frozen = state.get("frozen")
        self.sparse.held = None if held is None else held.to(self.original)
        self.sparse.frozen = None if frozen is None else frozen.to(self.original.device)
        self.sparse.assigned = None if assigned is None else assigned.to(self.original.device)
        self.sparse.centroids = (
            None if centroids is None else nn.Parameter(centroids.clone().to(self.original))
        )
        self.original.requires_grad_(held is None or frozen is not None)


FOREIGN = (  # what other code leaves on a module in place of its parameter: (attributes, what it is, what removes it)
    (("{}_orig", "{}_mask"), "torch.nn.utils.prune", "torch.nn.utils.prune.remove(module, '{}')"),
    (("{}_g", "{}_v"), "torch.nn.utils.weight_norm", "torch.nn.utils.remove_weight_norm(module, '{}')"),
    (
        ("{}_orig", "{}_u"),
        "torch.nn.utils.spectral_norm",
        "torch.nn.utils.remove_spectral_norm(module, '{}')",
    ),
    (
        ("parametrizations",),
        "torch.nn.utils.parametrize",
        "torch.nn.utils.parametrize.remove_parametrizations(module, '{}')",
    ),
)


def find_layers(network: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of the Linear and Conv2d layers of ``network``, by the layer's name, in its order.

    A weight that several share, or that another module has, too, is there once, under its first layer's name.
    Raises ValueError where there is none, and for what can't be compressed as it is: a weight or bias that is computed
    by somebody else's hooks, that does not exist yet, or that shares its memory with another.
    """
    layers: dict[str, nn.Parameter] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            _check_own(name, module)
            if not any(module.weight is other for other in layers.values()):
                layers[name] = module.weight
    if not layers:
        raise ValueError("the network has no Linear and no Conv2d layer")
    _check_memory(network)
    return layers


def _check_own(name: str, module: nn.Module) -> None:
    for tensor in ("weight", "bias"):
        if tensor not in module._parameters:
            for attributes, whose, remedy in FOREIGN:
                if all(hasattr(module, attribute.format(tensor)) for attribute in attributes):
                    raise ValueError(
                        f"{name}: its {tensor} is computed by {whose}; make it a parameter again with "
                        + remedy.format(tensor)
                    )
            raise ValueError(
                f"{name}: its {tensor} is no parameter of its own, but computed; make it one first"
            )
        if isinstance(module._parameters[tensor], nn.parameter.UninitializedParameter):
            raise ValueError(f"{name}: its {tensor} has no shape yet; let the network compute a batch first")


def _check_memory(network: nn.Module) -> None:
    """Raise ValueError for two parameters in one place: training one would change the other behind its back."""
    places: dict[int, tuple[str, nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.numel() or parameter.is_meta:
            continue
        other, before = places.setdefault(parameter.data_ptr(), (name, parameter))
        if before is not parameter:
            raise ValueError(
                f"{other} and {name} are two parameters in the same memory; make them one parameter, or copy one"
            )


def first_names(network: nn.Module) -> dict[str, str]:
    """Each name in the network's state: the first name of the very same tensor, which is itself for most."""
    first: dict[int, str] = {}
    return {
        name: first.setdefault(id(value), name) for name, value in network.state_dict(keep_vars=True).items()
    }


def attach(network: nn.Module) -> dict[str, Layer]:
    """The layers that :func:`find_layers` finds, each with a Sparse, which all share that have the same weight."""
    weights = find_layers(network)
    return {name: _attach(network, name, "weight") for name in weights}


def attach_biases(network: nn.Module, layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """The biases of these layers by the layer's name, each with a Sparse of its own; a shared one is there once."""
    biases: dict[str, Layer] = {}
    for name, layer in layers.items():
        if layer.module.bias is not None and not parametrize.is_parametrized(layer.module, "bias"):
            biases[name] = _attach(network, name, "bias")
    return biases


def _attach(network: nn.Module, name: str, tensor: str) -> Layer:
    """Parametrize a layer's tensor, wherever else in the network it is used, too."""
    parameter = getattr(network.get_submodule(name), tensor)
    users = [
        (module, own)
        for module in network.modules()
        for own, other in module._parameters.items()
        if other is parameter
    ]
    layer = Layer(name, network.get_submodule(name), tensor)
    for module, own in users:
        if not parametrize.is_parametrized(module, own):
            parametrize.register_parametrization(module, own, layer.sparse)
    return layer
