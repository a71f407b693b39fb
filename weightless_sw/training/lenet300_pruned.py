"""Makes the bundled ``lenet300_pruned``: LeNet-300-100 on MNIST, trained, pruned, clustered.

    python -m weightless_sw.training.lenet300_pruned [--data FOLDER] [--out FOLDER] [--seed 0]

The steps are those of Reagen et al. (ICML 2018, section 3.3) without the tables: train, prune by
magnitude while training (the number of weights falls quadratically in its logarithm), cluster each
layer's weights with k-means, train the centroids with the assignment fixed, round them to fp16.
Every choice was made on the last 5,000 training images; the test set is read once, at the end.
"""

import argparse
import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sw.files import write_atomically
from weightless_sw.inputs import save_tensors
from weightless_sw.provenance import install_line
from weightless_sw.simplify import kmeans_1d, round_fp16
from weightless_sw.training import mnist

N_VALIDATION = 5_000
LAYERS = ("fc1", "fc2", "fc3")


@dataclass(frozen=True)
class Recipe:
    """The constants of a training run."""

    seed: int = 0
    batch: int = 128
    dense_epochs: int = 30
    prune_epochs: int = 40
    cluster_epochs: int = 12
    max_shift_pixels: int = 2  # random translation of the training images
    dense_rate: float = 1.5e-3
    prune_rate: float = 2e-3
    cluster_rate: float = 5e-4
    n_values: int = 15
    density: dict[str, float] = field(default_factory=lambda: {"fc1": 0.04, "fc2": 0.09, "fc3": 0.26})


def digest(arrays: dict[str, NDArray[Any]]) -> str:
    """SHA-256 of the arrays' bytes, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()


class Trainer:
    """One training run; ``torch`` is imported here and nowhere else in the package."""

    def __init__(self, recipe: Recipe, data: dict[str, NDArray[np.uint8]], progress: Any):
        try:
            import torch
        except ImportError as error:
            raise SystemExit(f"training needs torch: {install_line('train')}") from error
        torch.manual_seed(recipe.seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1)  # sums in one order, so that the same seed gives the same bits
        self.torch, self.recipe, self.progress = torch, recipe, progress
        images = torch.from_numpy(data["train-images-idx3-ubyte"].astype(np.float32) / 255 - 0.1307) / 0.3081
        labels = torch.from_numpy(data["train-labels-idx1-ubyte"].astype(np.int64))
        self.train_set = images[:-N_VALIDATION], labels[:-N_VALIDATION]
        self.validation_set = images[-N_VALIDATION:], labels[-N_VALIDATION:]
        self.network = torch.nn.Sequential()
        for k, (name, n_in, n_out) in enumerate((("fc1", 784, 300), ("fc2", 300, 100), ("fc3", 100, 10))):
            if k:
                self.network.add_module(f"relu{k}", torch.nn.ReLU())
            self.network.add_module(name, torch.nn.Linear(n_in, n_out))
        self.layers = {name: self.network.get_submodule(name) for name in LAYERS}
        self.masks: dict[str, Any] = {}

    def n_errors(self, images: Any, labels: Any) -> int:
        """Misclassified images."""
        with self.torch.no_grad():
            return int((self.network(images.reshape(len(images), -1)).argmax(1) != labels).sum())

    def shifted(self, images: Any) -> Any:
        """Each image moved by a random whole number of pixels, the border filled with background."""
        s = self.recipe.max_shift_pixels
        padded = self.torch.nn.functional.pad(images, (s, s, s, s), value=float((0 - 0.1307) / 0.3081))
        rows = self.torch.arange(28)
        dy = self.torch.randint(0, 2 * s + 1, (len(images), 1, 1))
        dx = self.torch.randint(0, 2 * s + 1, (len(images), 1, 1))
        batch = self.torch.arange(len(images))[:, None, None]
        return padded[batch, dy + rows[None, :, None], dx + rows[None, None, :]]

    def epochs(self, title: str, n_epochs: int, parameters: list[Any], rate: float, hook: Any) -> None:
        """Adam with cosine decay; ``hook(done)`` runs before each step with the share of steps done."""
        torch, (images, labels) = self.torch, self.train_set
        n_steps = n_epochs * (len(images) // self.recipe.batch)
        optimizer = torch.optim.Adam(parameters, lr=rate)
        task = self.progress.add_task(title, total=n_steps)
        step = 0
        for _ in range(n_epochs):
            order = torch.randperm(len(images))[: len(images) // self.recipe.batch * self.recipe.batch]
            for batch in order.reshape(-1, self.recipe.batch):
                done = step / n_steps
                optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * done))
                hook(done)
                optimizer.zero_grad()
                output = self.network(self.shifted(images[batch]).reshape(len(batch), -1))
                torch.nn.functional.cross_entropy(output, labels[batch]).backward()
                optimizer.step()
                step += 1
                self.progress.update(task, completed=step)
        hook(1.0)
        wrong = self.n_errors(*self.validation_set)
        self.progress.console.print(f"{title}: validation error {100 * wrong / N_VALIDATION:.2f} %")

    def train_dense(self) -> None:
        """The baseline."""
        parameters = list(self.network.parameters())
        self.epochs("dense", self.recipe.dense_epochs, parameters, self.recipe.dense_rate, lambda done: None)

    def prune(self) -> None:
        """Keep each layer's largest weights; ln(kept) falls quadratically from 10 % to 75 % of the steps."""

        def hook(done: float) -> None:
            with self.torch.no_grad():
                phase = min(max((done - 0.10) / 0.65, 0.0), 1.0)
                for name, layer in self.layers.items():
                    if done < 0.8:  # then the choice is frozen
                        share = self.recipe.density[name] ** (1 - (1 - phase) ** 2)
                        k = round(share * layer.weight.numel())
                        keep = layer.weight.abs().flatten().topk(k).indices
                        mask = self.torch.zeros(layer.weight.numel())
                        mask[keep] = 1
                        self.masks[name] = mask.reshape(layer.weight.shape)
                    layer.weight *= self.masks[name]

        parameters = list(self.network.parameters())
        self.epochs("prune", self.recipe.prune_epochs, parameters, self.recipe.prune_rate, hook)

    def cluster(self) -> None:
        """Share each layer's weights among few values, and train the values."""
        torch = self.torch
        centroids, places = {}, {}
        for name, layer in self.layers.items():
            weights = layer.weight.detach().numpy().astype(np.float64)
            nonzero = weights != 0
            found = kmeans_1d(weights[nonzero], self.recipe.n_values)
            nearest = np.searchsorted((found[1:] + found[:-1]) / 2, weights)
            centroids[name] = torch.nn.Parameter(torch.tensor(found, dtype=torch.float32))
            places[name] = torch.from_numpy(nearest), torch.from_numpy(nonzero.astype(np.float32))
            del layer.weight  # from here on it is computed from the centroids
            layer.weight = centroids[name].detach()[places[name][0]] * places[name][1]

        def hook(done: float) -> None:
            for name, layer in self.layers.items():
                values = centroids[name]
                if done == 1.0:
                    values = torch.from_numpy(round_fp16(values.detach().numpy().astype(np.float64)))
                layer.weight = values[places[name][0]] * places[name][1]

        biases = [layer.bias for layer in self.layers.values()]
        parameters = [*centroids.values(), *biases]
        self.epochs("cluster", self.recipe.cluster_epochs, parameters, self.recipe.cluster_rate, hook)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The model as numpy arrays."""
        return {
            # + 0.0: a pruned place that is nearest a negative value would be stored as -0.0
            f"{name}.{kind}": getattr(layer, kind).detach().numpy() + np.float32(0)
            for name, layer in self.layers.items()
            for kind in ("weight", "bias")
        }


def describe(
    arrays: dict[str, NDArray[Any]], recipe: Recipe, errors: dict[str, int], torch: str
) -> dict[str, Any]:
    """What is written beside the model."""
    layers = {}
    for name in LAYERS:
        weight = arrays[f"{name}.weight"]
        nonzero = weight[weight != 0]
        layers[name] = {
            "shape": list(weight.shape),
            "n_nonzero": int(nonzero.size),
            "density": nonzero.size / weight.size,
            "n_values": len(np.unique(nonzero)),
        }
    return {
        "name": "LeNet-300-100 on MNIST, pruned and clustered",
        "command": "python -m weightless_sw.training.lenet300_pruned",
        "recipe": asdict(recipe),
        "test_images": 10_000,
        "test_errors": errors["clustered"],
        "test_error_percent": errors["clustered"] / 100,
        "dense_test_errors": errors["dense"],
        "dense_test_error_percent": errors["dense"] / 100,
        "layers": layers,
        "sha256": digest(arrays),
        "versions": {"torch": torch, "numpy": np.__version__},
    }


def main(arguments: list[str] | None = None) -> None:
    """Train, and write ``lenet300_pruned.npz`` and ``lenet300_pruned.json``."""
    from rich.progress import Progress, TimeElapsedColumn, TimeRemainingColumn

    parser = argparse.ArgumentParser(description="Make the bundled lenet300_pruned.")
    parser.add_argument("--data", type=Path, help="folder with the MNIST files (default: download them)")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "models", help="where to write"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    recipe = Recipe(seed=options.seed)
    try:
        data = mnist.load(options.data)
    except mnist.DataError as error:
        parser.error(str(error))
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        trainer = Trainer(recipe, data, progress)
        test = (
            trainer.torch.from_numpy(data["t10k-images-idx3-ubyte"].astype(np.float32) / 255 - 0.1307)
            / 0.3081
        )
        labels = trainer.torch.from_numpy(data["t10k-labels-idx1-ubyte"].astype(np.int64))
        trainer.train_dense()
        dense = [p.detach().clone() for p in trainer.network.parameters()]
        trainer.prune()
        trainer.cluster()
        errors = {"clustered": trainer.n_errors(test, labels)}
        arrays = trainer.arrays()
        weights = iter(dense)
        for layer in trainer.layers.values():
            layer.weight, layer.bias.data = next(weights), next(weights)
        errors["dense"] = trainer.n_errors(test, labels)
    options.out.mkdir(parents=True, exist_ok=True)
    info = describe(arrays, recipe, errors, trainer.torch.__version__)
    save_tensors(options.out / "lenet300_pruned.npz", arrays)
    write_atomically(options.out / "lenet300_pruned.json", (json.dumps(info, indent=1) + "\n").encode())
    print(f"test error: dense {info['dense_test_error_percent']} %, stored {info['test_error_percent']} %")


if __name__ == "__main__":
    main()
