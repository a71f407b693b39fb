"""The paper's algorithm on any network: simplify, encode a layer, freeze it with its errors, retrain the rest.

Reagen et al. (ICML 2018), section 3.3, one block per layer.  What a layer is frozen to is what its real bytes
decode to.  Before that the network is compacted, pruned and distilled, without which too many false positives
would fall on what it needs.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from weightless_sw import codec, container, records
from weightless_sw.arrangement import Arrangement
from weightless_sw.codebook import EncodeError
from weightless_sw.codec import EncodeReport
from weightless_sw.progress import Progress
from weightless_sw.tensor import EncodedTensor
from weightless_sw.training import learn, prune, readers, sparse
from weightless_sw.training.checkpoint import Checkpoint, digest
from weightless_sw.training.recipes import Recipe

Step = Callable[[str], AbstractContextManager[Progress]]  # begins a step with a title


@dataclass(frozen=True)
class Measured:
    """The network after a step, on the validation set."""

    step: str
    loss: float
    n_wrong: int
    n: int

    @property
    def error(self) -> float:
        """Share of wrong answers."""
        return self.n_wrong / max(1, self.n)


CANDIDATE_CODES = (4, 8, 16)
CANDIDATE_BITS = (
    4,
    5,
    6,
)  # slot bits beyond log2 of the codes: false positives of 1/16, 1/32, 1/64 of the zeros


@dataclass(frozen=True)
class Candidate:
    """A pair of t and K that was tried for a layer: encoded, and retrained for ``choice_epochs``.

    Taken is the smallest table whose validation error is at most ``error_limit`` above the dense network's, or,
    where there is none, the one of least error.
    """

    layer: str
    slot_bits: int
    n_codes: int
    n_bytes: int  # record and maps
    error: float


@dataclass(frozen=True)
class Compressed:
    """A network as its file has it.

    ``network`` computes with what ``tensors`` decode to, checked tensor by tensor; what it has under several names is
    there under the first, the others in the metadata.  ``simplified`` are the layers of the tables as they
    went into the encoder.  ``passed`` has the state of the whole network, in plain tensors, as it was at the steps
    of ``history`` that simplified or encoded a layer.
    """

    network: nn.Module
    tensors: container.Tensors
    reports: dict[str, EncodeReport]
    simplified: dict[str, NDArray[np.float32]]
    passed: dict[str, dict[str, torch.Tensor]]
    history: list[Measured]
    candidates: list[Candidate]  # in the order in which they were tried
    tables: dict[str, tuple[int, int]]  # t and K of each table


def compress(
    network: nn.Module,
    train_loader: Any,
    validation_loader: Iterable[Any],
    recipe: Recipe,
    *,
    step: Step | None = None,
    checkpoints: Path | None = None,
    loss: learn.Loss | None = None,
    metric: Callable[[Any, Any], int] | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
) -> Compressed:
    """Simplify a trained ``network``, encode the layers of ``recipe.tables``, retrain the rest around them.

    The loaders give (inputs, labels), which follow the network's parameters to their device; that of training has a
    length.  ``network`` is left as it is.  ``loss``, ``metric`` and ``optimizer`` are as in :class:`learn.Task`;
    without the first two the network is a classifier, which is distilled from itself as it was.  ``step`` begins a
    step with a title and shows its progress.  What is reached is kept in the folder ``checkpoints`` after every step;
    the same call goes on from there, with the same result where the training loader is a :class:`learn.Batches`,
    whose place is kept, too.  Raises, before any training, ValueError for a recipe that names what the network does
    not have, for units that can't be left out, and for weights that other libraries compute; EncodeError when a layer
    can't be encoded.
    """
    task = learn.Task(optimizer=optimizer)
    if loss is not None:
        task = learn.Task(loss, metric, optimizer)
    elif metric is not None:
        task = replace(task, metric=metric)
    if task.metric is None and None in recipe.tables.values():
        raise ValueError("t and K of a table are chosen by errors: give a metric, or name them in `tables`")
    return _Run(network, train_loader, validation_loader, recipe, step, checkpoints, task).compress()


class _Run:
    """The state of one compression."""

    def __init__(
        self,
        network: nn.Module,
        train_loader: Any,
        validation: Iterable[Any],
        recipe: Recipe,
        step: Step | None,
        checkpoints: Path | None,
        task: learn.Task,
    ):
        self.task = task
        weights = sparse.find_layers(network)
        _check_names(network, weights, recipe)
        self.first_names = _first_names(network)
        self.teacher = copy.deepcopy(network).eval()
        self.network = copy.deepcopy(network)
        self.readers = _readers(network, weights, validation)
        self.layers = sparse.attach(self.network)
        self.biases = sparse.attach_biases(self.network, self.layers)
        prune.check_compactable(list(self.layers.values()), self.readers, recipe.units, recipe.n_inputs)
        self.train_loader, self.validation, self.recipe = train_loader, validation, recipe
        self.taught = train_loader
        if isinstance(train_loader, learn.Batches) and task.is_classification:
            self.taught = learn.Taught(train_loader, self.teacher)
        self.step = step or (lambda _: nullcontext(lambda done, total, text: None))
        self.history: list[Measured] = []
        self.encoded: dict[str, EncodedTensor] = {}
        self.reports: dict[str, EncodeReport] = {}
        self.simplified: dict[str, NDArray[np.float32]] = {}
        self.passed: dict[str, dict[str, torch.Tensor]] = {}
        self.candidates: list[Candidate] = []
        self.tables: dict[str, tuple[int, int]] = {}
        seed = getattr(train_loader, "seed", None)
        self.checkpoint = Checkpoint(checkpoints, recipe, seed, digest(network.state_dict()))

    def compress(self) -> Compressed:
        """All steps, but for those that a run before this one has done."""
        n_done = self._resume()
        for k, run in enumerate(self._steps()):
            if k >= n_done:
                run()
                self.checkpoint.save(self._state(k + 1))
        tensors = self._store()
        network = copy.deepcopy(self.teacher)  # plain layers, without what training needed
        restore(network, tensors)
        self._check_stored(network)
        self.history.append(Measured("stored", *learn.evaluate(network, self.validation, self.task)))
        self.checkpoint.remove()
        return Compressed(
            network, tensors, self.reports, self.simplified, self.passed, self.history, self.candidates,
            self.tables,
        )  # fmt: skip

    def _steps(self) -> list[Callable[[], None]]:
        """In order; the layers of the tables from the largest on."""
        tables = self.recipe.tables
        steps: list[Callable[[], None]] = [partial(self._measure, "dense"), self._prune]
        for name in sorted(tables, key=lambda name: -self.layers[name].mask.numel()):
            layer, table = self.layers[name], tables[name]
            if table is None:
                steps.append(partial(self._choose, layer))
            else:
                steps += [partial(self._share, layer, table[1]), partial(self._encode, layer, *table)]
            steps.append(partial(self._retrain, name))
        return [*steps, self._share_rest]

    def _train(self, title: str, epochs: int, rate: float, hook: learn.Hook | None = None) -> None:
        with self.step(title) as progress:
            learn.train(
                self.network, self.taught, epochs=epochs, rate=rate, teacher=self.teacher, hook=hook,
                progress=progress, task=self.task,
            )  # fmt: skip

    def _measure(self, step: str) -> None:
        self.history.append(Measured(step, *learn.evaluate(self.network, self.validation, self.task)))

    def _pass(self, step: str) -> None:
        """Measure, and keep what the network is at this step."""
        self._measure(step)
        self.passed[step] = {name: value.clone() for name, value in self._plain().items()}

    def _plain(self) -> dict[str, torch.Tensor]:
        """The network's state as it computes, by the names that it had without our parametrizations."""
        with torch.no_grad():
            return {name: _computed(self.network, name) for name in self.first_names}

    def _check_stored(self, network: nn.Module) -> None:
        """Raise RuntimeError unless ``network``, restored from the file's tensors, is the one that was trained."""
        stored = network.state_dict()
        for name, value in self._plain().items():
            if not torch.equal(value.nan_to_num(), stored[name].nan_to_num()):
                raise RuntimeError(
                    f"{name}: what the file decodes to is not what the network computes with; something changes it "
                    "that is no layer of the recipe (a hook, a module that writes into another)"
                )

    def _prune(self) -> None:
        recipe, layers = self.recipe, list(self.layers.values())
        if recipe.units or recipe.n_inputs:
            deviation = self._deviation(layers[0]) if recipe.n_inputs else None
            prune.compact(layers, self.readers, recipe.units, recipe.n_inputs, deviation)
        hook = prune.gradual(layers, self.readers, recipe.weights)
        self._train("prune", recipe.prune_epochs, recipe.prune_rate, hook)
        self._measure("pruned")

    def _deviation(self, first: sparse.Layer) -> torch.Tensor:
        """Standard deviation of each input of the first layer, over the validation set."""
        seen: list[torch.Tensor] = []
        handle = first.module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1)))
        learn.evaluate(self.network, self.validation, self.task)
        handle.remove()
        return torch.cat(seen).std(0).cpu()

    # One block of the algorithm: cluster, encode and freeze what the bytes decode to, retrain the rest.

    def _share(self, layer: sparse.Layer, n_codes: int) -> None:
        layer.share(n_codes)
        self._train(
            f"share {n_codes} values in {layer.name}", self.recipe.share_epochs, self.recipe.share_rate,
            self._assigning([layer]),
        )  # fmt: skip
        layer.round_centroids()
        self._pass(f"simplified {layer.name}")

    def _assigning(self, layers: list[sparse.Layer]) -> learn.Hook:
        """A hook that lets the weights of ``layers`` keep their values for the last part of the training."""

        def hook(done: float, _: torch.optim.Optimizer) -> None:
            if done >= 1 - self.recipe.assigned_share:
                for layer in layers:
                    layer.assign()

        return hook

    def _encode(self, layer: sparse.Layer, slot_bits: int, n_codes: int) -> None:
        self.tables[layer.name] = slot_bits, n_codes
        weights, recipe = layer.weights, self.recipe
        own: dict[str, Any] = {} if recipe.lanes is None else {"lanes": recipe.lanes}
        with self.step(f"encode {layer.name}") as progress:
            tensor, report = codec.encode(
                weights, layout=recipe.layout, order=recipe.order, slot_bits=slot_bits, name=layer.name,
                progress=progress, **own,
            )  # fmt: skip
        stored = records.from_record(records.to_record(tensor), tensor.arrangement)
        self.encoded[layer.name], self.reports[layer.name] = stored, report
        self.simplified[layer.name] = weights
        layer.hold(codec.decode(stored))
        self._pass(f"encoded {layer.name}")

    def _choose(self, layer: sparse.Layer) -> None:
        """Share and encode with the t and K of the best candidate."""
        limit = self.history[0].error + self.recipe.error_limit
        start, best, taken = self._state(0), None, None
        for n_codes in CANDIDATE_CODES:
            self._take(start)
            self._share(layer, n_codes)
            shared = self._state(0)
            for slot_bits in (n_codes.bit_length() - 1 + more for more in CANDIDATE_BITS):
                self._take(shared)
                self._encode(layer, slot_bits, n_codes)
                encoded = self._state(0)
                title = f"try t = {slot_bits}, K = {n_codes} in {layer.name}"
                self._train(title, self.recipe.choice_epochs, self.recipe.retrain_rate)
                _, n_wrong, n = learn.evaluate(self.network, self.validation, self.task)
                n_bytes = container.stored_bytes(self.encoded[layer.name])
                tried = Candidate(layer.name, slot_bits, n_codes, n_bytes, n_wrong / max(1, n))
                self.candidates.append(tried)
                rank = (tried.error > limit, n_bytes if tried.error <= limit else tried.error)
                if best is None or rank < best:
                    best, taken = rank, encoded
        assert taken is not None
        self._take(taken)

    def _retrain(self, name: str) -> None:
        self._train(f"retrain around {name}", self.recipe.retrain_epochs, self.recipe.retrain_rate)
        self._measure(f"retrained {name}")

    def _share_rest(self) -> None:
        """The last training: the other layers and the biases share values; what is neither is fp16 before it."""
        recipe = self.recipe
        rest = [layer for name, layer in self.layers.items() if name not in recipe.tables]
        prune.silence(list(self.layers.values()), self.biases, self.readers, recipe.units)
        for layer in rest:
            layer.share(recipe.rest_codes)
        for bias in self.biases.values():
            bias.drop_zeros()
            bias.share(recipe.bias_codes)
        rest += self.biases.values()
        trained = {id(layer.original) for layer in rest} | {id(layer.sparse.centroids) for layer in rest}
        with torch.no_grad():
            for parameter in self.network.parameters():
                if id(parameter) not in trained and parameter.requires_grad:
                    half = parameter.half().to(parameter)
                    parameter.copy_(torch.where(half.isfinite(), half, parameter))
                    parameter.requires_grad_(False)
        if rest:
            self._train(
                "share values in the rest", recipe.rest_epochs, recipe.rest_rate, self._assigning(rest)
            )
        for layer in rest:
            layer.round_centroids()
            layer.hold(layer.weights)

    def _store(self) -> container.Tensors:
        """Every tensor of the state by its first name: tables, and of all others the smaller of coded and raw.

        Its other names are metadata: each says the first.
        """
        tables = {self.first_names[f"{name}.weight"]: tensor for name, tensor in self.encoded.items()}
        stored, others = container.Tensors(), {}
        for name, value in self._plain().items():
            if (first := self.first_names[name]) != name:
                others[name] = first
            else:
                stored[name] = tables[name] if name in tables else smaller(value.cpu().numpy(), name)
        stored.metadata = others
        return stored

    def _state(self, n_done: int) -> dict[str, Any]:
        """All that the steps so far have changed, as plain values and tensors."""
        generator = getattr(self.train_loader, "generator", None)
        encoded = {}
        for name, tensor in self.encoded.items():
            a = tensor.arrangement
            live = [None if part is None else part.tolist() for part in (a.live_rows, a.live_columns)]
            encoded[name] = (list(records.to_record(tensor)), list(a.shape), *live, a.by_columns)
        return {
            "n_done": n_done,
            "layers": {name: layer.state() for name, layer in self.layers.items()},
            "biases": {name: layer.state() for name, layer in self.biases.items()},
            "passed": dict(self.passed),
            "others": self._others(),
            "generator": None if generator is None else generator.get_state(),
            "history": [astuple(measured) for measured in self.history],
            "encoded": encoded,
            "tables": dict(self.tables),
            "candidates": [astuple(candidate) for candidate in self.candidates],
            "reports": {name: asdict(report) for name, report in self.reports.items()},
            "simplified": {name: torch.from_numpy(array) for name, array in self.simplified.items()},
        }

    def _others(self) -> dict[str, torch.Tensor]:
        """The network's state without the layers' weights and biases."""
        state = self.network.state_dict()
        return {
            name: value.clone() for name, value in state.items() if ".parametrizations." not in f".{name}"
        }

    def _resume(self) -> int:
        """Take up what a run before this one has kept; the number of steps that it did."""
        state = self.checkpoint.load()
        if state is None:
            return 0
        self.candidates = [Candidate(*fields) for fields in state["candidates"]]
        self._take(state)
        return int(state["n_done"])

    def _take(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`_state`, but for the candidates: what was tried stays known."""
        for kind, layers in (("layers", self.layers), ("biases", self.biases)):
            for name, layer in layers.items():
                layer.take(state[kind][name])
        self.passed = dict(state["passed"])
        self.network.load_state_dict(state["others"], strict=False)
        if state["generator"] is not None:
            self.train_loader.generator.set_state(state["generator"])
        self.history = [Measured(*fields) for fields in state["history"]]
        self.reports = {name: EncodeReport(**fields) for name, fields in state["reports"].items()}
        self.simplified = {name: tensor.numpy() for name, tensor in state["simplified"].items()}
        self.tables = {name: (t, k) for name, (t, k) in state["tables"].items()}
        self.encoded = {}
        for name, (record, shape, rows, columns, by_columns) in state["encoded"].items():
            live_rows, live_columns = (
                None if part is None else np.array(part, np.int64) for part in (rows, columns)
            )
            arrangement = Arrangement(tuple(shape), live_rows, live_columns, by_columns)
            self.encoded[name] = records.from_record(bytes(record), arrangement)


def smaller(array: NDArray[Any], name: str = "tensor") -> container.Tensor:
    """``array`` in a coded record if it is exact and smaller there, else itself."""
    if not array.size or array.dtype != np.float32:
        return array
    try:
        coded = codec.encode_coded(array, name=name)
    except EncodeError:
        return array
    return coded if container.stored_bytes(coded) < array.nbytes else array


def _computed(network: nn.Module, name: str) -> torch.Tensor:
    """What the network has under a name of its state; of a layer or bias of ours, what it computes with."""
    path, _, tensor = name.rpartition(".")
    module = network.get_submodule(path)
    value: torch.Tensor = getattr(module, tensor).detach()
    if parametrize.is_parametrized(module, tensor):
        return value + 0.0  # no -0.0
    return value.clone()


def _first_names(network: nn.Module) -> dict[str, str]:
    """See sparse.first_names; ValueError for a state that a file can't hold."""
    for name, value in network.state_dict().items():
        path, _, tensor = name.rpartition(".")
        if not isinstance(value, torch.Tensor) or not hasattr(network.get_submodule(path), tensor):
            raise ValueError(f"{name}: state that is no tensor of its module; a file can't hold it")
    return sparse.first_names(network)


def _check_names(network: nn.Module, layers: Mapping[str, nn.Parameter], recipe: Recipe) -> None:
    """Raise ValueError for a recipe's layer that is not there, or that goes by another's name."""
    for name in sorted({*recipe.weights, *recipe.tables, *recipe.units} - set(layers)):
        parameter = dict(network.named_parameters(remove_duplicate=False)).get(f"{name}.weight")
        for first, weight in layers.items():
            if weight is parameter:
                raise ValueError(f"{name} has the same weight as {first}; name it {first} in the recipe")
        raise ValueError(f"no layer {name} in the network; it has: {', '.join(layers)}")


def _readers(
    network: nn.Module, layers: Mapping[str, nn.Parameter], validation: Iterable[Any]
) -> readers.Readers:
    """Who reads whom, as the first batch of ``validation`` shows it."""
    for inputs, _ in validation:
        return readers.find(network, layers, learn.to_device(inputs, learn.device_of(network)))
    return readers.Readers(layers)


def restore(network: nn.Module, tensors: Mapping[str, container.Tensor]) -> None:
    """Give ``network`` the weights that ``tensors`` (by the names of its state) decode to.

    What the network has under several names need be there under one.  Raises ValueError when they are not those of
    the network.
    """
    arrays = {
        name: np.array(codec.decode(tensor))  # one that torch may write to
        for name, tensor in tensors.items()
    }
    first_names = sparse.first_names(network)
    there = {first_names[name]: arrays[name] for name in arrays if name in first_names}
    arrays |= {
        name: there[first] for name, first in first_names.items() if first in there and name not in arrays
    }
    try:
        network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:  # names or shapes
        raise ValueError(f"these are not the tensors of this network: {error}") from error
