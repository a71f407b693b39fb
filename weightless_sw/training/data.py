"""Images and labels of the networks' own tasks, split once into training, validation and test set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from weightless_sw.provenance import install_line
from weightless_sw.training import mnist

N_MNIST_VALIDATION = 5_000
DIGITS_TEST, DIGITS_VALIDATION = 0.2, 0.15  # shares
SPLIT_SEED = 0


@dataclass(frozen=True)
class Part:
    """Images (n, channels, height, width) float32 from 0 to 1, labels (n,) int64."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """The three parts.  The test set is for one look, at the end."""

    train: Part
    validation: Part
    test: Part


def load_mnist(folder: Path | None = None) -> Dataset:
    """MNIST; the last 5,000 of a seeded shuffle of its training images validate.  Raises mnist.DataError."""
    arrays = mnist.load(folder)
    parts = {}
    for kind in ("train", "t10k"):
        images = arrays[f"{kind}-images-idx3-ubyte"][:, None].astype(np.float32) / np.float32(255)
        parts[kind] = Part(images, arrays[f"{kind}-labels-idx1-ubyte"].astype(np.int64))
    order = np.random.default_rng(SPLIT_SEED).permutation(len(parts["train"]))
    return Dataset(
        _take(parts["train"], order[:-N_MNIST_VALIDATION]),
        _take(parts["train"], order[-N_MNIST_VALIDATION:]),
        parts["t10k"],
    )


def load_digits() -> Dataset:
    """The 1,797 8x8 digits that come with scikit-learn; every part has each digit in the same share.

    Raises ValueError where scikit-learn is missing.
    """
    try:
        from sklearn.datasets import load_digits as load
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise ValueError(f"the digits come with scikit-learn: {install_line('train')}") from error

    bunch = load()
    everything = Part((bunch.images[:, None] / 16).astype(np.float32), bunch.target.astype(np.int64))
    places = np.arange(len(everything))
    rest, test = train_test_split(
        places, test_size=DIGITS_TEST, random_state=SPLIT_SEED, stratify=everything.labels
    )
    train, validation = train_test_split(
        rest, test_size=DIGITS_VALIDATION, random_state=SPLIT_SEED, stratify=everything.labels[rest]
    )
    return Dataset(_take(everything, train), _take(everything, validation), _take(everything, test))


def _take(part: Part, places: NDArray[np.int64]) -> Part:
    return Part(part.images[places], part.labels[places])
