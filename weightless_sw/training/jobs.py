"""The project's own networks from nothing to a file, and what a file's network gets wrong."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from weightless_sw import container
from weightless_sw.training import compress, learn, networks
from weightless_sw.training.checkpoint import Checkpoint
from weightless_sw.training.data import Dataset

BATCH = {"digits": 32}
DEFAULT_BATCH = 128


@dataclass(frozen=True)
class Job:
    """A network that was compressed, and its wrong answers on the test set."""

    result: compress.Compressed
    n_test: int
    wrong_dense: int
    wrong_stored: int
    metadata: dict[str, str]


def run(
    name: str,
    seed: int,
    folder: Path | None,
    step: compress.Step,
    command: str,
    checkpoints: Path | None = None,
    *,
    auto: bool = False,
    error_limit: float | None = None,
) -> Job:
    """Train the network called ``name``, compress it by its recipe, and look at the test set once, at the end.

    With ``auto`` the slot bits and the number of values of its tables are chosen (see compress.Candidate), within
    ``error_limit`` of the dense network's validation error.  What is reached is kept in the folder
    ``checkpoints``; the same call goes on from there after a kill.

    Raises ValueError for a network without a recipe, mnist.DataError without its data.
    """
    if name not in compress.RECIPES:
        raise ValueError(f"no recipe for {name!r}; there are: {', '.join(compress.RECIPES)}")
    torch.set_num_threads(1)  # sums in one order, so that the same seed gives the same bytes
    network, dataset = networks.NETWORKS[name], networks.NETWORKS[name].load(folder)
    loader = learn.Batches(
        dataset.train, batch=BATCH.get(name, DEFAULT_BATCH), max_shift=network.max_shift, seed=seed
    )
    dense = networks.build(name, seed)
    kept = Checkpoint(checkpoints, "dense", name, seed, network.epochs, network.rate, network.max_shift)
    if state := kept.load():
        dense.load_state_dict(state["network"])
        loader.generator.set_state(state["generator"])
    else:
        with step(f"train {name}") as progress:
            learn.train(dense, loader, epochs=network.epochs, rate=network.rate, progress=progress)
        kept.save({"network": dense.state_dict(), "generator": loader.generator.get_state()})
    validation = learn.in_order(dataset.validation)
    recipe = compress.RECIPES[name]
    if auto:
        recipe = replace(recipe, tables=dict.fromkeys(recipe.tables))
    if error_limit is not None:
        recipe = replace(recipe, error_limit=error_limit)
    result = compress.compress(dense, loader, validation, recipe, step=step, checkpoints=checkpoints)
    kept.remove()
    wrong = {
        kind: _wrong(model, dataset) for kind, model in (("dense", dense), ("retrained", result.network))
    }
    metadata = {"network": name, "command": command, "test_images": str(len(dataset.test))}
    metadata |= {f"wrong_{kind}": str(n) for kind, n in wrong.items()}
    return Job(result, len(dataset.test), wrong["dense"], wrong["retrained"], metadata)


def evaluate(path: Path, name: str | None, folder: Path | None) -> tuple[str, int, int]:
    """(network, wrong answers, test images) of what a file decodes to.

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
    compress.restore(network, tensors)
    dataset = networks.NETWORKS[name].load(folder)
    return name, _wrong(network, dataset), len(dataset.test)


def _wrong(network: nn.Module, dataset: Dataset) -> int:
    return learn.evaluate(network, learn.in_order(dataset.test))[1]
