"""The test error that a file of a perceptron states, computed once more: in numpy, float64, without torch.

    python -m weightless_sw.training.verify [FILE] [--data FOLDER]

Images come from ``--data``, else from the folder that WEIGHTLESS_MNIST names, else they are downloaded once.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sw import codec, container, inputs
from weightless_sw.metadata import read_errors
from weightless_sw.training import data
from weightless_sw.training.mnist import DataError


def logits(tensors: Mapping[str, container.Tensor], images: NDArray[Any]) -> NDArray[np.float64]:
    """Outputs (n, classes) of the layers fc1, fc2 .. with ReLU between them, for ``images`` (n, ...).

    A bias that is not there is zero.  Raises ValueError when the tensors are not those of such a network.
    """
    n_layers = sum(name.endswith(".weight") for name in tensors)
    layers = [(f"fc{k}.weight", f"fc{k}.bias") for k in range(1, n_layers + 1)]
    weights = {weight for weight, _ in layers}
    if not layers or not weights <= set(tensors) <= weights | {bias for _, bias in layers}:
        raise ValueError(f"these are not the layers of a perceptron: {', '.join(tensors) or 'none'}")
    arrays = {name: codec.decode(tensor).astype(np.float64) for name, tensor in tensors.items()}
    x = images.reshape(len(images), -1).astype(np.float64)
    for k, (weight, bias) in enumerate(layers):
        x = (np.maximum(x, 0) if k else x) @ arrays[weight].T + arrays.get(bias, 0)
    return x


def n_wrong(path: Path, folder: Path | None) -> tuple[int, int, str]:
    """(wrong answers of what ``path`` decodes to, test images, wrong answers that its metadata state)."""
    tensors = container.read(path)
    test = data.load_mnist(folder).test
    wrong = logits(tensors, test.images).argmax(1) != test.labels
    stated = read_errors(tensors.metadata)[0].get("retrained", "not stated")
    return int(wrong.sum()), len(test), str(stated)


def main(arguments: list[str] | None = None) -> int:
    """Compare; 0 when the file states what its network gets wrong."""
    parser = argparse.ArgumentParser(description="Compute the test error that a .wls file states once more.")
    parser.add_argument("file", type=Path, nargs="?", default=inputs.bundled_file("lenet300"))
    named = os.environ.get("WEIGHTLESS_MNIST")
    parser.add_argument("--data", type=Path, default=Path(named) if named else None)
    options = parser.parse_args(arguments)
    try:
        wrong, n, stated = n_wrong(options.file, options.data)
    except (DataError, OSError, ValueError) as error:
        parser.error(str(error))
    print(
        f"{options.file.name}: {wrong} of {n:,} test images wrong ({wrong / n:.2%}); the file states {stated}"
    )
    return 0 if str(wrong) == stated else 1


if __name__ == "__main__":
    sys.exit(main())
