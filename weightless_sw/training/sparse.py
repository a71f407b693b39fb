"""Layers whose weights, or biases, are masked, shared, or held: a parametrization on every Linear and Conv2d.

Terms.  A *mask* says which weights there are.  *Centroids* are the values that they share; a weight takes
the nearest, and gradients go straight through to the weight as it is, and to the centroid.  A *held* layer
has the weights that its file decodes to, false positives included, and is not trained.
"""

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

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight))
        self.register_buffer("held", None)
        self.centroids: nn.Parameter | None = None

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights that the layer computes with."""
        if self.held is not None:
            return self.held
        masked = weight * self.mask
        if self.centroids is None:
            return masked
        with torch.no_grad():
            order = torch.argsort(self.centroids)
            ordered = self.centroids[order]
            nearest = order[torch.bucketize(masked, (ordered[1:] + ordered[:-1]) / 2)]
        return self.centroids[nearest] * self.mask + (masked - masked.detach())


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
            weights = getattr(self.module, self.tensor).detach().cpu().numpy()
        return np.array(weights + np.float32(0))  # no -0.0

    @property
    def mask(self) -> torch.Tensor:
        """Ones where there are weights, in the weight's shape."""
        return self.sparse.mask

    def set_mask(self, mask: torch.Tensor) -> None:
        """Keep these weights; the others become zero for good."""
        with torch.no_grad():
            self.sparse.mask.copy_(mask)
            self.original.mul_(mask)

    def drop_zeros(self) -> None:
        """What is zero now stays zero."""
        self.set_mask(torch.from_numpy((self.weights != 0).astype(np.float32)))

    def share(self, n_codes: int) -> None:
        """From here on the weights share ``n_codes`` values, which are trained as they are."""
        weights = self.weights
        found = kmeans_1d(weights[weights != 0].astype(np.float64), n_codes) if weights.any() else [1.0]
        self.sparse.centroids = nn.Parameter(torch.tensor(found, dtype=torch.float32))

    def round_centroids(self) -> None:
        """Round the shared values to what fp16 holds."""
        assert self.sparse.centroids is not None
        with torch.no_grad():
            self.sparse.centroids.copy_(self.sparse.centroids.half().float())

    def hold(self, weights: NDArray[np.float32]) -> None:
        """Compute with ``weights`` from here on, and train nothing of the layer but its bias."""
        self.sparse.held = torch.from_numpy(np.array(weights, np.float32))
        self.sparse.centroids = None
        self.original.requires_grad_(False)

    def state(self) -> dict[str, torch.Tensor | None]:
        """All that can change of the layer's weight."""
        centroids = self.sparse.centroids
        return {
            "original": self.original.detach().clone(),
            "mask": self.sparse.mask.clone(),
            "held": self.sparse.held,
            "centroids": None if centroids is None else centroids.detach().clone(),
        }

    def take(self, state: dict[str, torch.Tensor | None]) -> None:
        """The inverse of :meth:`state`."""
        with torch.no_grad():
            self.original.copy_(state["original"])
            self.sparse.mask.copy_(state["mask"])
        self.sparse.held = state["held"]
        centroids = state["centroids"]
        self.sparse.centroids = None if centroids is None else nn.Parameter(centroids.clone())
        self.original.requires_grad_(state["held"] is None)


def attach(network: nn.Module) -> dict[str, Layer]:
    """The Linear and Conv2d layers of ``network`` by name, in its order, each with a Sparse.

    Raises ValueError when there are none.
    """
    layers = {
        name: Layer(name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
    if not layers:
        raise ValueError("the network has no Linear and no Conv2d layer")
    return layers


def attach_biases(layers: dict[str, Layer]) -> dict[str, Layer]:
    """The biases of these layers by the layer's name, each with a Sparse of its own."""
    return {
        name: Layer(name, layer.module, "bias")
        for name, layer in layers.items()
        if layer.module.bias is not None
    }
