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
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from weightless_sw import codec, container, records
from weightless_sw.arrangement import LIVE, Arrangement
from weightless_sw.codec import EncodeReport
from weightless_sw.metadata import BIAS, zeros_metadata
from weightless_sw.progress import Progress
from weightless_sw.tensor import EncodedTensor
from weightless_sw.training import learn, prune, readers, sparse, stored, tables, units
from weightless_sw.training.checkpoint import Checkpoint, digest
from weightless_sw.training.recipes import Recipe, Round

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


NOT_COMPUTED = (
    "what the file decodes to is not what the network computes with; something changes it that is no layer of the "
    "recipe (a hook, a module that writes into another)"
)
CHOICE_SAMPLES = 2000  # of the training set, on which tables of one size are compared
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
    went into the encoder, ``unmoved`` the same with their units where they were in the network that was given.
    ``passed`` has the state of the whole network, in plain tensors, as it was at the steps of ``history`` that
    simplified or encoded a layer.
    """

    network: nn.Module
    tensors: container.Tensors
    reports: dict[str, EncodeReport]
    simplified: dict[str, NDArray[np.float32]]
    unmoved: dict[str, NDArray[np.float32]]
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
    keep: bool = False,
    loss: learn.Loss | None = None,
    metric: Callable[[Any, Any], int] | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    hardware: bool = False,
) -> Compressed:
    """Simplify a trained ``network``, encode the layers of ``recipe.tables``, retrain the rest around them.

    The loaders give (inputs, labels), which follow the network's parameters to their device; that of training has a
    length.  ``network`` is left as it is.  ``loss``, ``metric`` and ``optimizer`` are as in :class:`learn.Task`;
    without the first two the network is a classifier, which is distilled from itself as it was.  ``step`` begins a
    step with a title and shows its progress.  What is reached is kept in the folder ``checkpoints`` after every step;
    the same call goes on from there, with the same result where the training loader is a :class:`learn.Batches`,
    whose place is kept, too; with ``keep`` all stays there, and a recipe that begins like this one goes on from where
    they part.  Biases that are zero are not among the tensors.  With ``hardware`` layers that are in no table are
    bitmasks, which a decoder reads as fast, in the place of coded records, which are smaller.

    Raises, before any training, ValueError for a recipe that names what the network does not have, for units that
    can't be left out, and for weights that other libraries compute; EncodeError when a layer can't be encoded.
    """
    task = learn.Task(optimizer=optimizer)
    if loss is not None:
        task = learn.Task(loss, metric, optimizer)
    elif metric is not None:
        task = replace(task, metric=metric)
    if task.metric is None and None in recipe.tables.values():
        raise ValueError("t and K of a table are chosen by errors: give a metric, or name them in `tables`")
    run = _Run(network, train_loader, validation_loader, recipe, step, task)
    made = run.compress(checkpoints, keep)
    return replace(made, tensors=stored.for_hardware(made.tensors)) if hardware else made


class _Step(NamedTuple):
    """A part of a run: all that its result depends on, beside the steps before, and what does it."""

    what: tuple[object, ...]
    run: Callable[[], None]


class _Run:
    """The state of one compression."""

    def __init__(
        self,
        network: nn.Module,
        train_loader: Any,
        validation: Iterable[Any],
        recipe: Recipe,
        step: Step | None,
        task: learn.Task,
    ):
        self.task = task
        weights = sparse.find_layers(network)
        _check_names(network, weights, recipe)
        self.first_names = stored.first_names(network)
        self.teacher = copy.deepcopy(network).eval()
        self.train_loader, self.validation, self.recipe = train_loader, validation, recipe
        self.taught = train_loader
        if isinstance(train_loader, learn.Batches) and task.is_classification:
            self.taught = learn.Taught(train_loader, self.teacher)
        self.step = step or (lambda _: nullcontext(lambda done, total, text: None))
        self.inputs = next((inputs for inputs, _ in validation), None)  # of the first batch, to try things on
        self._compact(network, weights)
        self.history: list[Measured] = []
        self.encoded: dict[str, EncodedTensor] = {}
        self.reports: dict[str, EncodeReport] = {}
        self.simplified: dict[str, NDArray[np.float32]] = {}
        self.unmoved: dict[str, NDArray[np.float32]] = {}
        self.passed: dict[str, dict[str, torch.Tensor]] = {}
        self.candidates: list[Candidate] = []
        self.tables: dict[str, tuple[int, int]] = {}

    def _compact(self, network: nn.Module, weights: dict[str, nn.Parameter]) -> None:
        """Leave out units: in a narrow network where that can be, in masks where not."""
        recipe = self.recipe
        self.blocks: dict[str, units.Block] = {}
        self.readers = _readers(network, weights, self.inputs)
        self._attach(copy.deepcopy(network))
        layers = list(self.layers.values())
        # Where the rows and columns of each layer were in the network that was given.
        self.origins = {layer.name: units.Block.whole(layer.mask.shape) for layer in layers}
        prune.check_compactable(layers, self.readers, recipe.units, recipe.n_inputs)
        if not (recipe.units or recipe.n_inputs):
            return
        deviation = self._deviation(layers[0].name) if recipe.n_inputs else None
        prune.compact(layers, self.readers, recipe.units, recipe.n_inputs, deviation)
        # False positives of two tables might meet in a unit that is left out.
        if not recipe.units or len(recipe.tables) > 1 or self.inputs is None:
            return
        masks = {name: layer.mask for name, layer in self.layers.items()}
        if found := units.narrow(network, masks, self.readers, self.inputs, front=recipe.permute):
            self.blocks, self.origins = found.blocks, found.origins
            smaller = found.network
            self.readers = _readers(smaller, sparse.find_layers(smaller), self.inputs)
            self._attach(smaller)
            for name, mask in found.masks.items():
                self.layers[name].set_mask(mask)

    def _attach(self, network: nn.Module) -> None:
        self.network = network
        self.layers = sparse.attach(network)
        self.biases = sparse.attach_biases(network, self.layers)
        for name, bias in self.biases.items():
            if not self._bias_codes(name):
                bias.hold(np.zeros_like(bias.weights))

    def _bias_codes(self, name: str) -> int:
        return self.recipe.biases.get(name, self.recipe.bias_codes)

    def compress(self, folder: Path | None, keep: bool) -> Compressed:
        """All steps, but for those that a run before this one has done and left in ``folder``."""
        steps = self._steps()
        start = getattr(self.train_loader, "seed", None), digest(self.teacher.state_dict())
        kept = [Checkpoint(folder, *start, *(one.what for one in steps[: k + 1])) for k in range(len(steps))]
        for k in range(self._resume(kept), len(steps)):
            steps[k].run()
            kept[k].save(self._state())
            if k and not keep:
                kept[k - 1].remove()
        tensors = self._store()
        network = copy.deepcopy(self.teacher)  # plain layers, without what training needed
        stored.restore(network, tensors)
        self._check_stored(network)
        self._measure("stored", network)
        if not keep:
            kept[-1].remove()
        return Compressed(
            network, tensors, self.reports, self.simplified, self.unmoved, self.passed, self.history,
            self.candidates, self.tables,
        )  # fmt: skip

    def _steps(self) -> list[_Step]:
        """In order; the layers of the tables from the largest on."""
        r, tables = self.recipe, self.recipe.tables
        no_bias = [name for name in self.biases if not self._bias_codes(name)]
        whole = ("whole",) if r.units and not self.blocks else ()
        begin = ("begin", dict(r.units), r.n_inputs, r.permute, no_bias, *whole)
        steps = [_Step(begin, partial(self._measure, "dense", self.teacher)), *self._prunings()]
        if r.permute:
            steps.append(_Step(("moved",), self._move))
        steps += [_Step(("balance", name), partial(self._balance, name)) for name in r.balance]
        sharing = r.share_epochs, r.share_rate, r.assigned_share
        coding = r.layout, r.order, r.lanes, r.n_tables, *([r.chunk_log2] if r.chunk_log2 else [])
        for name in sorted(tables, key=lambda name: -self.layers[name].mask.numel()):
            layer, table = self.layers[name], tables[name]
            if table is None:
                tried = CANDIDATE_CODES, CANDIDATE_BITS, r.choice_epochs, r.retrain_rate, r.error_limit
                steps.append(_Step(("choose", name, tried, sharing, coding), partial(self._choose, layer)))
            else:
                share, encode = partial(self._share, layer, table[1]), partial(self._encode, layer, *table)
                steps.append(_Step(("share", name, table[1], sharing), share))
                run = name, table, coding, r.run_epochs, r.retrain_rate, r.assigned_share
                steps += [
                    _Step(("run", k, r.runs, *run), partial(self._encode_run, layer, table[0], k / r.runs))
                    for k in range(1, r.runs)
                ]
                steps.append(_Step(("encode", name, table, coding), encode))
            what = "retrain", name, r.retrain_epochs, r.retrain_rate
            steps.append(_Step(what, partial(self._retrain, name)))
        values = r.rest_codes, r.bias_codes, dict(r.codes), dict(r.biases)
        rest = "rest", sorted(tables), values, r.rest_epochs, r.rest_rate, r.assigned_share
        return [*steps, *self._later_prunings(), _Step(rest, self._share_rest)]

    def _prunings(self) -> list[_Step]:
        r = self.recipe
        if not r.rounds:
            what = "prune", dict(r.weights), r.prune_epochs, r.prune_rate
            return [_Step(what, self._prune)]
        last = len(r.rounds) - 1
        return [
            _Step(
                ("round", k, astuple(one), dict(r.bits)),
                partial(self._prune_round, f"round {k + 1}", one, r.bits, "pruned" if k == last else ""),
            )
            for k, one in enumerate(r.rounds)
        ]

    def _later_prunings(self) -> list[_Step]:
        bits = self.recipe.later_bits
        return [
            _Step(
                ("later", k, astuple(one), dict(bits)),
                partial(self._prune_round, f"later round {k}", one, bits),
            )
            for k, one in enumerate(self.recipe.later, 1)
        ]

    def _train(self, title: str, epochs: int, rate: float, hook: learn.Hook | None = None) -> None:
        with self.step(title) as progress:
            learn.train(
                self.network, self.taught, epochs=epochs, rate=rate, teacher=self.teacher, hook=hook,
                progress=progress, task=self.task,
            )  # fmt: skip

    def _measure(self, step: str, network: nn.Module | None = None) -> None:
        """Note what ``network``, or the one that is trained, is worth on the validation set."""
        found = learn.evaluate(network or self.network, self.validation, self.task)
        self.history.append(Measured(step, *found))

    def _pass(self, step: str) -> None:
        """Measure, and keep what the network is at this step."""
        self._measure(step)
        self.passed[step] = {name: value.clone() for name, value in self._plain().items()}

    def _plain(self) -> dict[str, torch.Tensor]:
        """The whole network's state as it computes, by the names that it had without our parametrizations.

        A table has what it decodes to, also where that is of units that the narrow network does not have.
        """
        plain = {}
        with torch.no_grad():
            for name in self.first_names:
                value, path = stored.computed(self.network, name), name.rpartition(".")[0]
                if path in self.encoded and name.endswith(".weight"):
                    decoded = torch.from_numpy(codec.decode(self.encoded[path])).to(value)
                    if not torch.equal(self._cut(path, decoded), value):
                        raise RuntimeError(f"{name}: {NOT_COMPUTED}")
                    value = decoded
                elif path in self.blocks:
                    value = self.blocks[path].expand(value)
                plain[name] = value
        return plain

    def _cut(self, name: str, full: torch.Tensor) -> torch.Tensor:
        return self.blocks[name].cut(full) if name in self.blocks else full

    def _check_stored(self, network: nn.Module) -> None:
        """Raise RuntimeError unless ``network``, restored from the file's tensors, is the one that was trained."""
        state = network.state_dict()
        for name, value in self._plain().items():
            if not torch.equal(value.nan_to_num(), state[name].nan_to_num()):
                raise RuntimeError(f"{name}: {NOT_COMPUTED}")
        if self.blocks and not units.same_outputs(self.network, network, self.inputs):
            raise RuntimeError("what is stored of units that were left out changes what the network computes")

    def _prune(self) -> None:
        recipe, layers = self.recipe, list(self.layers.values())
        hook = prune.gradual(layers, self.readers, recipe.weights)
        self._train("prune", recipe.prune_epochs, recipe.prune_rate, hook)
        self._measure("pruned")

    def _prune_round(self, name: str, one: Round, bits: Mapping[str, float], measured: str = "") -> None:
        hook, title = None, f"train on, {name}"
        if one.budget is not None:
            title = f"prune to {one.budget:,} bytes, {name}"
            layers = list(self.layers.values())
            hook = prune.to_budget(layers, self.readers, bits, 8 * one.budget, one.grouped)
        self._train(title, one.epochs, one.rate, hook)
        self._measure(measured or name)

    def _move(self) -> None:
        if self.inputs is not None:
            layers = list(self.layers.values())
            moved = units.move(self.network, layers, self.biases, self.readers, self.inputs)
            self.origins = {name: block.take(moved[name]) for name, block in self.origins.items()}

    def _balance(self, name: str) -> None:
        if self.inputs is not None:
            units.balance(self.network, self.layers, self.biases, self.readers, name, self.inputs)

    def _deviation(self, first: str) -> torch.Tensor:
        """Standard deviation of each input of the first layer, over the validation set."""
        seen: list[torch.Tensor] = []
        module = self.network.get_submodule(first)
        handle = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1)))
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

    def _encode(self, layer: sparse.Layer, slot_bits: int, n_codes: int, n_tables: int | None = None) -> None:
        self.tables[layer.name] = slot_bits, n_codes
        weights, unmoved = self._whole(layer), self._unmoved(layer)
        tensor, report = self._table(layer, weights, slot_bits, n_tables or self.recipe.n_tables)
        read = records.from_record(records.to_record(tensor), tensor.arrangement)
        self.encoded[layer.name], self.reports[layer.name] = read, report
        self.simplified[layer.name] = weights
        self.unmoved[layer.name] = unmoved
        self._hold(layer, read)
        self._pass(f"encoded {layer.name}")

    def _encode_run(self, layer: sparse.Layer, slot_bits: int, share: float) -> None:
        """Encode a layer and freeze this share of its chunks; train its other weights, among the same values, and
        all other layers."""
        tensor, _ = self._table(layer, self._whole(layer), slot_bits, self.recipe.n_tables)
        self.encoded[layer.name] = tensor
        frozen = torch.from_numpy(tables.in_first_chunks(tensor, share))
        layer.hold_part(self._decoded(tensor, layer), self._cut(layer.name, frozen).numpy())
        title = f"retrain around {share:.0%} of {layer.name}"
        self._train(title, self.recipe.run_epochs, self.recipe.retrain_rate, self._assigning([layer]))
        self._measure(f"{share:.0%} of {layer.name}")

    def _table(
        self, layer: sparse.Layer, weights: NDArray[np.float32], slot_bits: int, n_tables: int
    ) -> tuple[EncodedTensor, EncodeReport]:
        """Of so many tables the smallest, and of these the one of least loss; where chunks are frozen, theirs."""
        if layer.name in self.encoded:
            return self._once_more(layer, weights)
        with self.step(f"encode {layer.name}") as progress:
            lives = self._lives(layer.name)
            made = tables.smallest(weights, slot_bits, layer.name, self.recipe, lives, n_tables, progress)
        losses = []
        if len(made) > 1:
            samples, before = self._samples(), layer.state()
            for tensor, _ in made:
                self._hold(layer, tensor)
                losses.append(learn.evaluate(self.network, samples, self.task)[0])
            layer.take(before)
        return made[int(np.argmin(losses)) if losses else 0]

    def _once_more(
        self, layer: sparse.Layer, weights: NDArray[np.float32]
    ) -> tuple[EncodedTensor, EncodeReport]:
        """A layer's table after its other chunks were trained.  Raises RuntimeError if what was frozen changed."""
        tensor, report = tables.once_more(weights, self.encoded[layer.name])
        if not layer.is_held_in(self._decoded(tensor, layer)):
            raise RuntimeError(f"{layer.name}: chunks that were frozen decode to something else")
        return tensor, report

    def _whole(self, layer: sparse.Layer) -> NDArray[np.float32]:
        """Its weights in the network that was given, without false positives."""
        block = self.blocks.get(layer.name)
        return block.expand(torch.from_numpy(layer.unheld)).numpy() if block else layer.unheld

    def _unmoved(self, layer: sparse.Layer) -> NDArray[np.float32]:
        """Its weights with the units where they were in the network that was given."""
        unmoved: NDArray[np.float32] = self.origins[layer.name].expand(torch.from_numpy(layer.unheld)).numpy()
        return unmoved

    def _hold(self, layer: sparse.Layer, tensor: EncodedTensor) -> None:
        """Compute with what a table decodes to."""
        layer.hold(self._decoded(tensor, layer))

    def _decoded(self, tensor: EncodedTensor, layer: sparse.Layer) -> NDArray[np.float32]:
        """What a table decodes to, in the layer's shape here."""
        decoded: NDArray[np.float32] = self._cut(layer.name, torch.from_numpy(codec.decode(tensor))).numpy()
        return decoded

    def _lives(self, name: str) -> tuple[str, ...]:
        """What may become of dead rows and columns: where units were moved, and a layer reads nothing but units, the
        dead lie together, do no harm, and may take less without a map.
        """
        reads_units = bool((self.readers.reads[name] != readers.NOBODY).all())
        return LIVE if self.recipe.permute and reads_units else ("auto",)

    def _samples(self) -> list[Any]:
        """Batches of at least CHOICE_SAMPLES inputs of the training set."""
        batches, n = [], 0
        for batch in self.train_loader:
            batches.append(batch)
            n += len(batch[1])
            if n >= CHOICE_SAMPLES:
                break
        return batches

    def _choose(self, layer: sparse.Layer) -> None:
        """Share and encode with the t and K of the best candidate."""
        limit = self.history[0].error + self.recipe.error_limit
        start, best, taken = self._state(), None, None
        for n_codes in CANDIDATE_CODES:
            self._take(start)
            self._share(layer, n_codes)
            shared = self._state()
            for slot_bits in (n_codes.bit_length() - 1 + more for more in CANDIDATE_BITS):
                self._take(shared)
                self._encode(layer, slot_bits, n_codes, n_tables=1)
                encoded = self._state()
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
        biases = {name: bias for name, bias in self.biases.items() if self._bias_codes(name)}
        prune.silence(list(self.layers.values()), biases, self.readers, recipe.units)
        for layer in rest:
            layer.share(recipe.codes.get(layer.name, recipe.rest_codes))
        for name, bias in biases.items():
            bias.drop_zeros()
            bias.share(self._bias_codes(name))
        rest += biases.values()
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

        Its other names are metadata: each says the first.  Biases of our layers that are zero are left out.
        """
        tables = {self.first_names[f"{name}.weight"]: tensor for name, tensor in self.encoded.items()}
        kept, others, zeros = container.Tensors(), {}, []
        for name, value in self._plain().items():
            if (first := self.first_names[name]) != name:
                others[name] = first
            elif name in tables:
                kept[name] = tables[name]
            elif name.removesuffix(BIAS) in self.biases and name.endswith(BIAS) and not value.any():
                zeros.append(name)
            else:
                kept[name] = stored.smaller(value.cpu().numpy(), name)
        kept.metadata = others | zeros_metadata(kept, zeros)
        return kept

    def _state(self) -> dict[str, Any]:
        """All that the steps so far have changed, as plain values and tensors."""
        generator = getattr(self.train_loader, "generator", None)
        encoded = {}
        for name, tensor in self.encoded.items():
            a = tensor.arrangement
            live = [None if part is None else part.tolist() for part in (a.live_rows, a.live_columns)]
            encoded[name] = (list(records.to_record(tensor)), list(a.shape), *live, a.by_columns)
        return {
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
            "unmoved": {name: torch.from_numpy(array) for name, array in self.unmoved.items()},
            "origins": {name: (block.rows, block.columns) for name, block in self.origins.items()},
        }

    def _others(self) -> dict[str, torch.Tensor]:
        """The network's state without the layers' weights and biases."""
        state = self.network.state_dict()
        return {
            name: value.clone() for name, value in state.items() if ".parametrizations." not in f".{name}"
        }

    def _resume(self, kept: list[Checkpoint]) -> int:
        """Take up what a run before this one has kept, of its last step; the number of steps that are done."""
        for k in reversed(range(len(kept))):
            if (state := kept[k].load()) is not None:
                self.candidates = [Candidate(*fields) for fields in state["candidates"]]
                self._take(state)
                return k + 1
        return 0

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
        self.unmoved = {name: tensor.numpy() for name, tensor in state.get("unmoved", {}).items()}
        self.origins |= {
            name: replace(self.origins[name], rows=rows, columns=columns)
            for name, (rows, columns) in state.get("origins", {}).items()
        }
        self.tables = {name: (t, k) for name, (t, k) in state["tables"].items()}
        self.encoded = {}
        for name, (record, shape, rows, columns, by_columns) in state["encoded"].items():
            live_rows, live_columns = (
                None if part is None else np.array(part, np.int64) for part in (rows, columns)
            )
            arrangement = Arrangement(tuple(shape), live_rows, live_columns, by_columns)
            self.encoded[name] = records.from_record(bytes(record), arrangement)


def _check_names(network: nn.Module, layers: Mapping[str, nn.Parameter], recipe: Recipe) -> None:
    """Raise ValueError for a recipe's layer that is not there, or that goes by another's name, and for runs of what
    has no chunks."""
    if recipe.runs > 1 and (recipe.layout != "ribbon" or None in recipe.tables.values()):
        raise ValueError(
            "runs are of a ribbon's chunks: a recipe with them names its layout, ribbon, and t and K"
        )
    r = recipe
    named = {*r.weights, *r.tables, *r.units, *r.bits, *r.balance, *r.later_bits}
    for name in sorted(named - set(layers)):
        parameter = dict(network.named_parameters(remove_duplicate=False)).get(f"{name}.weight")
        for first, weight in layers.items():
            if weight is parameter:
                raise ValueError(f"{name} has the same weight as {first}; name it {first} in the recipe")
        raise ValueError(f"no layer {name} in the network; it has: {', '.join(layers)}")


def _readers(network: nn.Module, layers: Mapping[str, nn.Parameter], inputs: Any) -> readers.Readers:
    """Who reads whom, as ``inputs`` show it."""
    if inputs is None:
        return readers.Readers(layers)
    return readers.find(network, layers, learn.to_device(inputs, learn.device_of(network)))
