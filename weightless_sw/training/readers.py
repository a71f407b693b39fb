"""Who reads whom: which weights of which layers read a layer's units, found on a forward pass, proved on two more.

Terms.  A *unit* is a row of a layer's weight: an output feature, or channel.  Units are numbered through all layers.
A weight *reads* a unit when it is multiplied with what that unit gives, changed at most element by element (an
activation, a normalisation with constants), pooled, or moved (flattened, concatenated).  A unit is *open* when
something else may use it: a sum of two branches, a product, the network's output, what the pass does not show.
Open units are never taken for unread.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

NOBODY = -1  # in the place of a unit: what is read is no unit, or not known
SAMPLES = 2  # of a batch that are passed through


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions by name.  What maps each element on its own, given one tensor and constants:
ELEMENTWISE = _names(
    "relu relu_ relu6 leaky_relu leaky_relu_ elu elu_ selu celu gelu silu mish hardtanh hardtanh_ hardswish "
    "hardsigmoid sigmoid tanh softplus softsign logsigmoid prelu threshold clamp abs neg dropout dropout_ "
    "dropout2d alpha_dropout feature_dropout batch_norm contiguous clone detach to type_as float double half "
    "add sub mul div true_divide __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __neg__"
)
# What moves elements and changes none; of the last ones several tensors make one:
MOVES = _names(
    "flatten view reshape unflatten transpose permute movedim moveaxis swapaxes squeeze unsqueeze __getitem__ chunk "
    "split unbind select narrow expand pixel_shuffle pixel_unshuffle channel_shuffle"
)
JOINS = _names("cat concat concatenate stack")
# What makes one element of several, for which these must be of one unit:
POOLS = _names(
    "max_pool1d max_pool2d avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d "
    "adaptive_max_pool2d mean amax sum"
)
ASKS = _names("__get__ size dim ndimension numel nelement stride is_contiguous is_floating_point __len__")
LAYER_CALLS = frozenset(("linear", "conv2d"))


class Readers:
    """Who reads the units of ``layers`` (weights by name); at first nobody is known to, and all units are open.

    ``reads`` has for each layer what its weights read, (1 or rows, columns) int64, the weight flattened from its
    second dimension on; ``open`` is (units of all layers,) bool, and ``why`` says of a layer what made its units so.
    """

    def __init__(self, layers: Mapping[str, torch.Tensor]):
        self._units, n_units = {}, 0
        for name, weight in layers.items():
            self._units[name] = slice(n_units, n_units + len(weight))
            n_units += len(weight)
        self.reads = {
            name: torch.full((1, weight[0].numel()), NOBODY, dtype=torch.int64)
            for name, weight in layers.items()
        }
        self.open = torch.ones(n_units, dtype=torch.bool)
        self.why: dict[str, str] = {}

    def units(self, name: str) -> slice:
        """The numbers of a layer's units."""
        return self._units[name]

    def of(self, name: str) -> list[str]:
        """The layers that read units of the layer ``name``."""
        own = self._units[name]
        return [
            reader
            for reader, reads in self.reads.items()
            if ((reads >= own.start) & (reads < own.stop)).any()
        ]

    def total(self, matrices: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The sum for each unit, (units,), over the weights that read it; ``matrices`` are flattened as ``reads``."""
        totals = torch.zeros(len(self.open) + 1)  # the last one is nobody's
        for name, matrix in matrices.items():
            reads = self.reads[name]
            of_reads = matrix.sum(0) if len(reads) == 1 else matrix
            totals.index_add_(0, reads.flatten() % len(totals), of_reads.flatten().to(totals))
        return totals[:-1]

    def inputs(self, name: str, of_units: torch.Tensor) -> torch.Tensor:
        """What each weight of a layer reads, of one value per unit, (1 or rows, columns); one where it reads none."""
        return torch.cat([of_units, of_units.new_ones(1)])[self.reads[name]]


def find(network: nn.Module, layers: Mapping[str, nn.Parameter], inputs: Any) -> Readers:
    """Who reads the units of ``layers`` when ``network`` computes with ``inputs``, a batch.

    ``layers`` are weights by name, parameters of the network, which computes in evaluation mode here and is left as
    it is.  A branch that this batch does not take is not seen.
    """
    few = inputs[:SAMPLES] if isinstance(inputs, torch.Tensor) else inputs
    try:
        return _find(_Copy(network, layers), few)
    except (RuntimeError, ValueError):  # it wants a batch of another size
        return _find(_Copy(network, layers), inputs)


class _Copy:
    """A network that may be changed: its module and the weights of its layers."""

    def __init__(self, network: nn.Module, layers: Mapping[str, nn.Parameter]):
        memo: dict[int, Any] = {}
        self.module = copy.deepcopy(network, memo).eval()
        self.layers: dict[str, nn.Parameter] = {name: memo[id(weight)] for name, weight in layers.items()}

    def biases(self) -> dict[str, torch.Tensor]:
        """Those of the layers, by the layer's name."""
        names = {id(weight): name for name, weight in self.layers.items()}
        return {
            names[id(module.weight)]: module.bias
            for module in self.module.modules()
            if id(getattr(module, "weight", None)) in names and getattr(module, "bias", None) is not None
        }


def _find(network: _Copy, inputs: Any) -> Readers:
    watch = _Watch(network)
    with torch.no_grad():
        with watch:
            outputs = network.module(inputs)
        readers = watch.finish(outputs)
        biases = network.biases()
        for name in network.layers:
            if not _holds(network, readers, name, biases.get(name), inputs):
                readers.open[readers.units(name)] = True
                readers.why[name] = "something that no function shows"
    return readers


def _holds(network: _Copy, readers: Readers, name: str, bias: torch.Tensor | None, inputs: Any) -> bool:
    """Whether the outputs stay, bit by bit, when what reads the units that are not open is zero, and they change."""
    own = readers.units(name)
    rows = torch.nonzero(~readers.open[own]).flatten()
    if not len(rows):
        return True
    changed = torch.ones(len(readers.open))
    changed[own][rows] = 0
    involved = {*readers.of(name), name}
    kept = {one: network.layers[one].clone() for one in involved}
    kept_bias = None if bias is None else bias.clone()

    def outputs() -> list[torch.Tensor]:
        for one in involved:
            weight = network.layers[one]
            unread = readers.inputs(one, changed) == 0
            kept_weights = weight.flatten(1).masked_fill(unread.to(weight.device), 0)
            weight.copy_(kept_weights.reshape(weight.shape))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return list(tensors_in(network.module(inputs)))

    before = outputs()
    generator = torch.Generator().manual_seed(0)
    weight = network.layers[name]
    weight[rows] = torch.randn(weight[rows].shape, generator=generator).to(weight)
    if bias is not None:
        bias[rows] = torch.randn(len(rows), generator=generator).to(bias)
    after = outputs()
    for one, value in kept.items():
        network.layers[one].copy_(value)
    if bias is not None:
        bias.copy_(kept_bias)
    return len(before) == len(after) and all(map(_same, before, after))


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool(((one == other) | ((one != one) & (other != other))).all())


class _Watch(TorchFunctionMode):
    """Follows the units through every function of a forward pass: for each tensor, the unit of each element."""

    def __init__(self, network: _Copy):
        super().__init__()
        self.readers = Readers(network.layers)
        self.readers.open[:] = False
        self.layers = {id(weight): name for name, weight in network.layers.items()}
        self.constants = {id(one) for one in (*network.module.parameters(), *network.module.buffers())}
        self.units: dict[
            int, tuple[torch.Tensor, torch.Tensor]
        ] = {}  # the tensor lives, so that its id is its own
        self.called: set[str] = set()
        self.otherwise: set[str] = set()  # layers whose weights are used in ways that are not known

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        made = list(tensors_in(result))
        if made or name not in ASKS:
            self._follow(func, name, args, kwargs, made)
        return result

    def _follow(self, func: Any, name: str, args: Any, kwargs: Any, made: list[torch.Tensor]) -> None:
        given = list(tensors_in((args, kwargs)))
        units: list[torch.Tensor] | None = None
        layer = self.layers.get(id(args[1])) if name in LAYER_CALLS and len(args) > 1 else None
        if layer:
            units = self._call(layer, args[0], args[1], made[0])
            given = [one for one in given if one is not args[0] and one is not args[1]]
        elif any(id(one) in self.units for one in given):
            units = self._moved(func, name, args, kwargs, given, made)
            if units is not None:
                given = []
        for one in given:  # used in a way that is not known
            self._leave(one, name)
            if used := self.layers.get(id(one)):
                self.otherwise.add(used)
                self.readers.why.setdefault(used, name)
        if units is None and (name == "__setitem__" or any(one is other for one in given for other in made)):
            self._forget(args[0], name)
        for one, its in zip(made, units or [], strict=False):
            self.units[id(one)] = one, its

    def _call(
        self, layer: str, inputs: torch.Tensor, weight: torch.Tensor, outputs: torch.Tensor
    ) -> list[torch.Tensor]:
        """A layer reads ``inputs``; what comes out are its units."""
        is_linear = weight.ndim == 2
        at = self._of(inputs).movedim(-1 if is_linear else -3, 0).flatten(1)
        if bool((at == at[:, :1]).all()):
            reads = _by_weight(at[:, 0].long(), weight)
        else:  # a column would read several
            self._leave(inputs, "reshape")
            reads = torch.full((1, weight[0].numel()), NOBODY)
        if layer in self.called and not torch.equal(self.readers.reads[layer], reads):
            for one in (self.readers.reads[layer], reads):
                self._open(one, f"{layer}, called twice,")
            reads = torch.full((1, weight[0].numel()), NOBODY)
        self.called.add(layer)
        self.readers.reads[layer] = reads
        own = self.readers.units(layer)
        numbers = torch.arange(own.start, own.stop, dtype=torch.int32)
        shape = (len(numbers),) if is_linear else (len(numbers), 1, 1)
        return [numbers.reshape(shape).expand(outputs.shape).contiguous()]

    def _moved(
        self,
        func: Any,
        name: str,
        args: Any,
        kwargs: Any,
        given: list[torch.Tensor],
        made: list[torch.Tensor],
    ) -> list[torch.Tensor] | None:
        """The units of what a function made of units; None where it is none of the known ones."""
        with_units = [one for one in given if id(one) in self.units]
        first, alone = with_units[0], len(given) == 1
        others = [one for one in given if one is not first]
        if name in ELEMENTWISE and len(made) == 1 and made[0].shape == first.shape:
            return [self._of(first)] if all(id(one) in self.constants for one in others) else None
        if name in JOINS or (name in MOVES and alone):
            moved = list(tensors_in(func(*_replaced(args, self._of), **_replaced(kwargs, self._of))))
            return moved if [one.shape for one in moved] == [one.shape for one in made] else None
        if name in POOLS and alone and len(made) == 1:
            return self._pooled(
                lambda units: func(*_replaced(args, lambda _: units), **kwargs), self._of(first)
            )
        return None

    def _pooled(self, pool: Callable[[torch.Tensor], Any], units: torch.Tensor) -> list[torch.Tensor] | None:
        """Units of what is pooled; None where elements of several come together.

        A maximum is of one unit if it is the minimum, too, and a mean if the mean of the squares is its square.
        """
        numbers = units.double() + 1  # no number below zero
        up, down, squares = (pool(one) for one in (numbers, -numbers, numbers.square()))
        if not torch.equal(up, -down) or not torch.equal(up.square(), squares):
            return None
        return [(up - 1).int()]

    def _of(self, one: torch.Tensor) -> torch.Tensor:
        """The unit of each element."""
        known = self.units.get(id(one))
        return torch.full(one.shape, NOBODY, dtype=torch.int32) if known is None else known[1]

    def _leave(self, one: torch.Tensor, reason: str) -> None:
        """What a tensor has of units goes where nobody follows."""
        if id(one) in self.units:
            self._open(self.units[id(one)][1], reason)

    def _forget(self, target: torch.Tensor, reason: str) -> None:
        """``target`` has been written over, and whatever shares its memory."""
        place = target.untyped_storage().data_ptr()
        for key, (one, units) in list(self.units.items()):
            if one.untyped_storage().data_ptr() == place:
                self._open(units, reason)
                del self.units[key]

    def _open(self, units: torch.Tensor, reason: str) -> None:
        seen = units.unique().long()
        self.readers.open[seen[seen != NOBODY]] = True
        for name in self.readers.reads:
            own = self.readers.units(name)
            if ((seen >= own.start) & (seen < own.stop)).any():
                self.readers.why.setdefault(name, reason)

    def finish(self, outputs: Any) -> Readers:
        """What is known at the end: the outputs are used, and what nobody is known to read may be."""
        readers, found = self.readers, list(tensors_in(outputs))
        for one in found:
            self._leave(one, "the network's output")
        for layer in self.otherwise:
            readers.open[readers.units(layer)] = True
            self._open(readers.reads[layer], readers.why[layer])
            readers.reads[layer].fill_(NOBODY)
        read = torch.zeros(len(readers.open) + 1, dtype=torch.bool)
        for reads in readers.reads.values():
            read[reads.flatten()] = bool(found)  # an output of an unknown kind may hold anything
        readers.open |= ~read[:-1]
        return readers


def _by_weight(inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What each weight reads, (1 or rows, columns), of what each input (feature or channel) is."""
    if weight.ndim == 2:
        return inputs[None]
    n_inputs, kernel = weight.shape[1], weight[0, 0].numel()
    n_groups = len(inputs) // n_inputs
    by_row = inputs.reshape(n_groups, n_inputs)
    if n_groups > 1:
        by_row = by_row.repeat_interleave(len(weight) // n_groups, 0)
    return by_row.repeat_interleave(kernel, 1)


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested lists, tuples and mappings."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors_in(one)


def _replaced(value: Any, by: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same nested lists, tuples and mappings, each tensor replaced."""
    if isinstance(value, torch.Tensor):
        return by(value)
    if isinstance(value, dict):
        return {key: _replaced(one, by) for key, one in value.items()}
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(_replaced(one, by) for one in value)
    return value
