"""One training run: cosine decay, distillation from a teacher, batches from any loader, of any task."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from weightless_sw.progress import Progress
from weightless_sw.training.data import Part

TEMPERATURE = 2.0
TEACHER_SHARE = 0.7  # of the loss, where there is a teacher

Loss = Callable[[Any, Any], torch.Tensor]
Hook = Callable[[float, torch.optim.Optimizer], None]  # told the share of steps done, after each step


class Batches:
    """A loader over a :class:`Part`: shuffled, whole batches, each image moved by a few pixels; seeded.

    Each pass over it is another one, and the same again for the same ``seed``.
    """

    def __init__(self, part: Part, *, batch: int = 128, max_shift: int = 0, seed: int = 0):
        self.images, self.labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
        self.batch, self.max_shift = min(batch, len(part)), max_shift
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.labels) // self.batch

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.randperm(len(self.labels), generator=self.generator)
        for k in range(len(self)):
            places = order[k * self.batch : (k + 1) * self.batch]
            yield self._shifted(self.images[places]), self.labels[places]

    def _shifted(self, images: torch.Tensor) -> torch.Tensor:
        """Each image moved by up to ``max_shift`` pixels, zeros moving in."""
        if not (s := self.max_shift):
            return images
        n, _, height, width = images.shape
        dy, dx = torch.randint(0, 2 * s + 1, (2, n), generator=self.generator)
        rows, columns = dy[:, None] + torch.arange(height), dx[:, None] + torch.arange(width)
        padded = nn.functional.pad(images, (s, s, s, s)).movedim(1, 3)
        each = torch.arange(n)[:, None, None]
        return padded[each, rows[:, :, None], columns[:, None, :]].movedim(3, 1)


def in_order(part: Part, batch: int = 1000) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """All of ``part`` in batches, none left out: a loader to measure with."""
    images, labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
    return list(zip(images.split(batch), labels.split(batch), strict=True))


def wrong_answers(outputs: torch.Tensor, labels: torch.Tensor) -> int:
    """The metric of a classifier: answers, each the largest of its outputs, that are not the label."""
    return int((outputs.argmax(1) != labels).sum())


@dataclass(frozen=True)
class Task:
    """What a network is trained for, and measured by.

    ``loss`` (outputs, labels) gives the mean over a batch, a tensor with a gradient.  ``metric`` (outputs, labels)
    gives the number of wrong answers in a batch; None: there are no wrong answers, as in a regression.  ``optimizer``
    (parameters, lr=rate) makes one of torch's.
    """

    loss: Loss = nn.functional.cross_entropy
    metric: Callable[[Any, Any], int] | None = wrong_answers
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam

    @property
    def is_classification(self) -> bool:
        """Whether a teacher's outputs are logits, so that there is a divergence from them."""
        return self.loss is nn.functional.cross_entropy


CLASSIFICATION = Task()


def to_device(batch: Any, device: torch.device) -> Any:
    """A tensor, or the tensors in nested lists, tuples and mappings, on that device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def device_of(network: nn.Module) -> torch.device:
    """Where its parameters are; the CPU where it has none."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def evaluate(
    network: nn.Module, loader: Iterable[Any], task: Task = CLASSIFICATION
) -> tuple[float, int, int]:
    """(mean loss, wrong answers, answers) over ``loader``."""
    loss, n_wrong, n = 0.0, 0, 0
    device = device_of(network)
    network.eval()
    with torch.no_grad():
        for batch in loader:
            inputs, labels = to_device(batch, device)
            outputs = network(inputs)
            loss += task.loss(outputs, labels).item() * len(labels)
            n_wrong += 0 if task.metric is None else int(task.metric(outputs, labels))
            n += len(labels)
    return loss / max(1, n), n_wrong, n


def train(
    network: nn.Module,
    loader: Any,
    *,
    epochs: int,
    rate: float,
    teacher: nn.Module | None = None,
    hook: Hook | None = None,
    progress: Progress | None = None,
    task: Task = CLASSIFICATION,
) -> None:
    """Train all parameters that want a gradient.  ``loader`` has a length and gives (inputs, labels).

    With a ``teacher`` a classifier's loss is 0.3 times the cross entropy and 0.7 T^2 times the divergence from the
    teacher's outputs at temperature T = 2 (Hinton et al. 2015).  Raises ValueError for a loss that is not finite.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = task.optimizer(parameters, lr=rate)
    n_steps, step, device = epochs * len(loader), 0, device_of(network)
    network.train()
    for epoch in range(epochs):
        for batch in loader:
            inputs, labels = to_device(batch, device)
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / n_steps))
            loss = _loss(
                network(inputs), labels, teacher if task.is_classification else None, inputs, task.loss
            )
            if not torch.isfinite(loss):
                raise ValueError(
                    f"the loss became {loss.item()} in epoch {epoch + 1}; lower the rate ({rate})"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if hook:
                hook(step / n_steps, optimizer)
            if progress:
                progress(step, n_steps, f"epoch {epoch + 1} of {epochs}")


def _loss(
    outputs: torch.Tensor, labels: torch.Tensor, teacher: nn.Module | None, inputs: torch.Tensor, of: Loss
) -> torch.Tensor:
    loss = of(outputs, labels)
    if teacher is None:
        return loss
    with torch.no_grad():
        soft = nn.functional.softmax(teacher(inputs) / TEMPERATURE, 1)
    log = nn.functional.log_softmax(outputs / TEMPERATURE, 1)
    divergence = nn.functional.kl_div(log, soft, reduction="batchmean")
    return (1 - TEACHER_SHARE) * loss + TEACHER_SHARE * TEMPERATURE**2 * divergence
