"""The project's own networks from nothing to a file, and what a file's network gets wrong."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from weightless_sw import baselines, container
from weightless_sw.codec import AUTO
from weightless_sw.metadata import STEPS, errors_metadata
from weightless_sw.training import compress, learn, networks, recipes, stored
from weightless_sw.training.checkpoint import Checkpoint
from weightless_sw.training.data import Dataset

BATCH = {"digits": 32}
DEFAULT_BATCH = 128


@dataclass(frozen=True)
class Job:
    """A network that was compressed, and its wrong answers on the test set.

    ``wrong`` has them by STEPS: as trained, its big layer pruned and with few values, that layer decoded from its
    bytes, and all that the file decodes to, after the rest was retrained.  With several tables a step is that of
    the last one.
    """

    dense: nn.Module
    result: compress.Compressed
    n_test: int
    wrong: dict[str, int]
    metadata: dict[str, str]

    @property
    def dense_bytes(self) -> int:
        """The dense network in fp32."""
        return sum(4 * value.numel() for value in self.dense.state_dict().values())


def run(
    name: str,
    seed: int,
    folder: Path | None,
    step: compress.Step,
    checkpoints: Path | None = None,
    *,
    recipe: recipes.Recipe | None = None,
    keep: bool = False,
    auto: bool = False,
    error_limit: float | None = None,
    layout: str = AUTO,
    order: str = AUTO,
) -> Job:
    """Train the network called ``name``, compress it by its recipe, and look at the test set once, at the end.

    With ``auto`` the slot bits and the number of values of its tables are chosen (see compress.Candidate), within
    ``error_limit`` of the dense network's validation error.  ``layout`` and ``order`` of tables are as in codec.encode;
    another ``recipe`` than the network's own has all of these itself.  What is reached is kept in the folder
    ``checkpoints``, with ``keep`` for other recipes, too; the same call goes on from there after a kill.

    Raises ValueError for a network without a recipe, mnist.DataError without its data.
    """
    if recipe is None:
        recipe = _recipe(name, auto, error_limit, layout, order)
    torch.set_num_threads(1)  # sums in one order, so that the same seed gives the same bytes
    network, dataset = networks.NETWORKS[name], networks.NETWORKS[name].load(folder)
    batch = BATCH.get(name, DEFAULT_BATCH)
    dense, kept = _dense(network, seed, dataset, step, checkpoints)
    loader = learn.Batches(
        dataset.train, batch=batch, max_shift=network.max_shift, cross=network.cross, seed=seed
    )
    validation = learn.in_order(dataset.validation)
    result = compress.compress(
        dense, loader, validation, recipe, step=step, checkpoints=checkpoints, keep=keep
    )
    if not keep:
        kept.remove()
    networks_by_step = {"dense": dense, "retrained": result.network}
    for passed, state in result.passed.items():
        at = networks_by_step[passed.split()[0]] = copy.deepcopy(dense)
        at.load_state_dict(state)
    wrong = {at: _wrong(networks_by_step[at], dataset) for at in STEPS if at in networks_by_step}
    metadata = {"network": name} | errors_metadata(wrong, len(dataset.test)) | result.tensors.metadata
    return Job(dense, result, len(dataset.test), wrong, metadata)


def _recipe(name: str, auto: bool, error_limit: float | None, layout: str, order: str) -> recipes.Recipe:
    if name not in recipes.RECIPES:
        raise ValueError(f"no recipe for {name!r}; there are: {', '.join(recipes.RECIPES)}")
    recipe = replace(recipes.RECIPES[name], layout=layout, order=order)
    if auto:
        recipe = replace(recipe, tables=dict.fromkeys(recipe.tables))
    return recipe if error_limit is None else replace(recipe, error_limit=error_limit)


def _dense(
    network: networks.Network,
    seed: int,
    dataset: Dataset,
    step: compress.Step,
    folder: Path | None,
) -> tuple[nn.Module, Checkpoint]:
    """The network as it is before compression, trained or taken up, and where it is kept."""
    dense, batch = networks.build(network.name, seed), BATCH.get(network.name, DEFAULT_BATCH)
    settings = network.epochs, network.rate, network.dense_shift
    kept = Checkpoint(folder, "dense", network.name, seed, settings)
    if state := kept.load():
        dense.load_state_dict(state)
        return dense, kept
    loader = learn.Batches(dataset.train, batch=batch, max_shift=network.dense_shift, seed=seed)
    with step(f"train {network.name}") as progress:
        learn.train(dense, loader, epochs=network.epochs, rate=network.rate, progress=progress)
    kept.save(dense.state_dict())
    return dense, kept


def dense_weights(
    name: str, layer: str, seed: int, folder: Path | None, step: compress.Step, build: Path
) -> NDArray[np.float32]:
    """A layer's weights in the trained network of :func:`run`, which is kept in ``build``."""
    torch.set_num_threads(1)
    network = networks.NETWORKS[name]
    dense, _ = _dense(network, seed, network.load(folder), step, build)
    return np.array(dense.state_dict()[f"{layer}.weight"].numpy())


@dataclass(frozen=True)
class Reached:
    """A network at one of STEPS: wrong answers, their share of the test images, bytes of a layer and of all tensors."""

    step: str
    wrong: int
    error: float
    layer_bytes: int
    bytes: int
    what: str


def steps(job: Job, layer: str) -> list[Reached]:
    """What the network was at each of STEPS, bytes of ``layer`` and of all tensors as a file has them.

    Until the last step the layers that are in no table have weights of fp32, which no exact coder makes small.
    """
    result = job.result
    report, table = result.reports[layer], result.tensors[f"{layer}.weight"]
    simplified, encoded = (
        {name: stored.smaller(value.numpy(), name) for name, value in _passed(result, at).items()}
        for at in ("simplified", "encoded")
    )
    encoded[f"{layer}.weight"] = table

    def row(at: str, n_layer: int, n_all: int, what: str) -> Reached:
        return Reached(at, job.wrong[at], job.wrong[at] / job.n_test, n_layer, n_all, what)

    def reached(at: str, tensors: dict[str, container.Tensor], what: str) -> Reached:
        n_layer = container.stored_bytes(tensors[f"{layer}.weight"])
        return row(at, n_layer, len(container.to_bytes(tensors, job.metadata)), what)

    return [
        row("dense", 4 * report.n_weights, job.dense_bytes, "as trained, fp32"),
        reached("simplified", simplified, f"pruned; {layer} has {report.n_codes} values, stored exactly"),
        reached("encoded", encoded, f"{layer} in a table, false positives included"),
        reached("retrained", result.tensors, "the rest retrained around them, with few values"),
    ]


def storages(job: Job, layer: str) -> list[baselines.Stored]:
    """``layer`` exact in other formats, the smallest of each kind of decoder, and in its table: bytes, and the test
    error of the network with it.

    Exact, the network is that of the step *simplified*; the table's is *encoded*, and *retrained*.
    """
    exact = baselines.exact_sizes(job.result.simplified[layer])
    smallest: dict[str, baselines.Size] = {}
    for size in sorted(exact, key=lambda size: -size.bits):
        smallest[size.decoder] = size  # the last one stays
    error = {at: wrong / job.n_test for at, wrong in job.wrong.items()}
    rows = [
        baselines.Stored(f"exact: {size.name}", size.bytes, error["simplified"], size.decoder, lossless=True)
        for size in smallest.values()
        if size.decoder != baselines.Rate.NONE
    ]
    table = container.stored_bytes(job.result.tensors[f"{layer}.weight"])
    return rows + [
        baselines.Stored(f"table, {at}", table, error[at], baselines.Rate.CONSTANT, lossless=False)
        for at in ("encoded", "retrained")
    ]


def _passed(result: compress.Compressed, step: str) -> dict[str, torch.Tensor]:
    """The state at the last step of that kind."""
    return [state for name, state in result.passed.items() if name.split()[0] == step][-1]


def evaluate(path: Path, name: str | None, folder: Path | None) -> tuple[str, int, int, list[str]]:
    """(network, wrong answers, test images, biases taken as zero) of what a file decodes to.

    The network is ``name``, or the one in the file's metadata.  Raises ValueError when there is none, or when the
    file holds other tensors.
    """
    tensors = container.read(path)
    name = name or tensors.metadata.get("network")
    if name not in networks.NETWORKS:
        raise ValueError(
            f"{path}: network {name!r} is not one of {', '.join(networks.NETWORKS)}; name one with --network"
        )
    network = networks.build(name, seed=0)
    zeros = stored.restore(network, tensors)
    dataset = networks.NETWORKS[name].load(folder)
    return name, _wrong(network, dataset), len(dataset.test), zeros


def _wrong(network: nn.Module, dataset: Dataset) -> int:
    """Wrong answers on the test set, in float64, so that another program's sums come to the same."""
    batches = [(images.double(), labels) for images, labels in learn.in_order(dataset.test)]
    return learn.evaluate(copy.deepcopy(network).double(), batches)[1]
