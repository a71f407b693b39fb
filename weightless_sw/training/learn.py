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
MEASURED = 1000  # images of a batch where nothing is trained

Loss = Callable[[Any, Any], torch.Tensor]
Hook = Callable[[float, torch.optim.Optimizer], None]  # told the share of steps done, after each step


class Batches:
    """A loader over a :class:`Part`: shuffled, whole batches, each image moved by a few pixels; seeded.

    Images move by up to ``max_shift`` pixels in both directions, or, with ``cross``, in one.  Each pass is another
    one, and the same again for the same ``seed``.
    """

    def __init__(
        self, part: Part, *, batch: int = 128, max_shift: int = 0, cross: bool = False, seed: int = 0
    ):
        self.images, self.labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
        self.batch = min(batch, len(part))
        reach = range(-max_shift, max_shift + 1)
        self.moves = torch.tensor([(y, x) for y in reach for x in reach if not (cross and y and x)])
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.labels) // self.batch

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for places, moves in self.draws():
            yield self.moved(places, moves), self.labels[places]

    def draws(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Of each batch of a pass: the numbers of its images, and of the moves that these make."""
        order = torch.randperm(len(self.labels), generator=self.generator)
        for places in order.split(self.batch)[: len(self)]:
            yield places, torch.randint(0, len(self.moves), places.shape, generator=self.generator)

    def moved(self, places: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        """Images by number, each with its move, zeros moving in."""
        images, furthest = self.images[places], int(self.moves.max())
        if not furthest:
            return images
        height, width = images.shape[2:]
        dy, dx = (self.moves[moves] + furthest).T
        rows, columns = dy[:, None] + torch.arange(height), dx[:, None] + torch.arange(width)
        padded = nn.functional.pad(images, (furthest,) * 4).movedim(1, 3)
        each = torch.arange(len(images))[:, None, None]
        return padded[each, rows[:, :, None], columns[:, None, :]].movedim(3, 1)


class Taught:
    """The batches of ``loader``, each with the outputs of ``teacher``, which are computed once for every move."""

    def __init__(self, loader: Batches, teacher: nn.Module):
        self.loader, self.teacher = loader, teacher
        self.outputs: torch.Tensor | None = None  # (moves, images, classes)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        if self.outputs is None:
            self.outputs = torch.stack([self._outputs(move) for move in range(len(self.loader.moves))])
        for places, moves in self.loader.draws():
            images, labels = self.loader.moved(places, moves), self.loader.labels[places]
            yield images, labels, self.outputs[moves, places]

    def _outputs(self, move: int) -> torch.Tensor:
        self.teacher.eval()
        device = device_of(self.teacher)
        with torch.no_grad():
            return torch.cat(
                [
                    self.teacher(self.loader.moved(part, torch.full_like(part, move)).to(device)).cpu()
                    for part in torch.arange(len(self.loader.labels)).split(MEASURED)
                ]
            )


def in_order(part: Part, batch: int = MEASURED) -> list[tuple[torch.Tensor, torch.Tensor]]:
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


def each_tensor(batch: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A tensor, or the tensors in nested lists, tuples and mappings, changed."""
    if isinstance(batch, torch.Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: each_tensor(value, change) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(each_tensor(value, change) for value in batch)
    return batch


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch on that device."""
    return each_tensor(batch, lambda tensor: tensor.to(device))


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

    With a ``teacher``, or a loader that is :class:`Taught` by one, a classifier's loss is 0.3 times the cross entropy
    and 0.7 T^2 times the divergence from the teacher's outputs at temperature T = 2 (Hinton et al. 2015).  Raises
    ValueError for a loss that is not finite.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = task.optimizer(parameters, lr=rate)
    n_steps, step, device = epochs * len(loader), 0, device_of(network)
    network.train()
    for epoch in range(epochs):
        for batch in loader:
            inputs, labels, taught = _taught(to_device(batch, device), loader, teacher, task)
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / n_steps))
            loss = _loss(network(inputs), labels, taught, task.loss)
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


def _taught(
    batch: Any, loader: Any, teacher: nn.Module | None, task: Task
) -> tuple[Any, Any, torch.Tensor | None]:
    """(inputs, labels, the teacher's outputs or None)."""
    if isinstance(loader, Taught):
        inputs, labels, outputs = batch
        return inputs, labels, outputs
    inputs, labels = batch
    if teacher is None or not task.is_classification:
        return inputs, labels, None
    with torch.no_grad():
        return inputs, labels, teacher(inputs)


def _loss(outputs: torch.Tensor, labels: torch.Tensor, taught: torch.Tensor | None, of: Loss) -> torch.Tensor:
    loss = of(outputs, labels)
    if taught is None:
        return loss
    soft = nn.functional.softmax(taught / TEMPERATURE, 1)
    log = nn.functional.log_softmax(outputs / TEMPERATURE, 1)
    divergence = nn.functional.kl_div(log, soft, reduction="batchmean")
    return (1 - TEACHER_SHARE) * loss + TEACHER_SHARE * TEMPERATURE**2 * divergence
