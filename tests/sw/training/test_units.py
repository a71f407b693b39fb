import copy

import numpy as np
import pytest


@pytest.fixture
def lenet(torch):
    """Two convolutions and two linear layers, pruned at random; who reads whom, and inputs."""
    from weightless_sw.training import readers, sparse

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 5, 3), torch.nn.ReLU(), torch.nn.Conv2d(5, 6, 3), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(24, 9), torch.nn.ReLU(), torch.nn.Linear(9, 3),
    )  # fmt: skip
    inputs = torch.rand(4, 1, 8, 8)
    return network, readers.find(network, sparse.find_layers(network), inputs), inputs


def compacted(network, who, units):
    """The masks of a network without all but so many units."""
    from weightless_sw.training import prune, sparse

    layers = sparse.attach(copy.deepcopy(network))
    prune.compact(list(layers.values()), who, units)
    return {name: layer.mask for name, layer in layers.items()}


@pytest.mark.parametrize("front", [False, True])
def test_a_narrow_network_computes_the_same(lenet, torch, front):
    from weightless_sw.training import units

    network, who, inputs = lenet
    masks = compacted(network, who, {"0": 3, "2": 4, "5": 5})
    masks["0"][:, :, 1, 1] = 0
    found = units.narrow(network, masks, who, inputs, front=front)
    smaller, blocks = found.network, found.blocks
    assert {name: int(mask.sum()) for name, mask in found.masks.items()} == {
        name: int(mask.sum()) for name, mask in masks.items()
    }  # all that was left, wherever it lies
    assert [tuple(smaller.get_submodule(n).weight.shape) for n in blocks] == [
        (3, 1, 3, 3), (4, 3, 3, 3), (5, 16), (3, 5)
    ]  # fmt: skip
    full = copy.deepcopy(network)
    for name, block in blocks.items():
        layer, narrow = full.get_submodule(name), smaller.get_submodule(name)
        with torch.no_grad():
            layer.weight.copy_(block.expand(narrow.weight))
            layer.bias.copy_(block.expand(narrow.bias))
        assert torch.equal(block.cut(layer.weight), narrow.weight)
        live = layer.weight.flatten(1).any(1)
        assert front is False or not live[len(narrow.weight) :].any()
        assert live.sum() == len(narrow.weight)
    assert units.same_outputs(full, smaller, inputs)
    assert not units.same_outputs(full, network, inputs)


def test_a_network_whose_units_are_counted_elsewhere_is_not_made_narrow(torch):
    """A batch normalisation has values by unit, a view the number of units."""
    from weightless_sw.training import readers, sparse, units

    class Viewing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(6, 8), torch.nn.Linear(8, 2)

        def forward(self, x):
            return self.b(self.a(x).relu().view(-1, 8))

    normalised = torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 2)
    )
    inputs = torch.rand(5, 6)
    for network, name in ((Viewing(), "a"), (normalised, "0")):
        who = readers.find(network, sparse.find_layers(network), inputs)
        masks = compacted(network, who, {name: 4})
        assert units.narrow(network, masks, who, inputs, front=False) is None


def test_units_come_in_the_order_of_their_weights(lenet, torch):
    from weightless_sw.training import sparse, units

    network, who, inputs = lenet
    before = copy.deepcopy(network)
    layers = sparse.attach(network)
    biases = sparse.attach_biases(network, layers)
    generator = torch.Generator().manual_seed(1)
    for layer in layers.values():
        layer.set_mask((torch.rand(layer.mask.shape, generator=generator) < 0.3).float())
    layers["5"].mask[4] = 0  # a unit without weights, and one that nothing reads
    layers["7"].mask[:, 2] = 0
    pruned = copy.deepcopy(network)
    n_weights = [int(layer.mask.sum()) for layer in layers.values()]
    units.move(network, list(layers.values()), biases, who, inputs)
    assert [int(layer.mask.sum()) for layer in layers.values()] == n_weights
    assert units.same_outputs(pruned, network, inputs)
    counts = (layers["5"].mask.sum(1) + layers["7"].mask.sum(0)).tolist()
    dead = (layers["5"].mask.sum(1) == 0) | (layers["7"].mask.sum(0) == 0)
    n_live = int((~dead).sum())
    assert not dead[:n_live].any()
    assert counts[:n_live] == sorted(counts[:n_live], reverse=True)
    for name, layer in layers.items():  # moved, not changed
        assert np.array_equal(
            np.sort(layer.weights.ravel()),
            np.sort(pruned.get_submodule(name).weight.detach().numpy().ravel()),
        )
    assert not units.same_outputs(before, network, inputs)


def test_units_with_values_of_their_own_elsewhere_are_not_moved(torch):
    from weightless_sw.training import readers, sparse, units

    network = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
    inputs = torch.rand(5, 6)
    with torch.no_grad():
        network[1].weight.copy_(torch.arange(8))
    who = readers.find(network, sparse.find_layers(network), inputs)
    layers = sparse.attach(network)
    layers["0"].mask[:5, 1] = 0
    with pytest.raises(ValueError, match="something that is no Linear or Conv2d layer has values by unit"):
        units.move(network, list(layers.values()), {}, who, inputs)


def test_a_wrong_move_is_found(lenet, torch, monkeypatch):
    """The planted fault: the readers' columns stay where they were."""
    from weightless_sw.training import sparse, units

    network, who, inputs = lenet
    layers = list(sparse.attach(network).values())
    layers[2].mask[:4, 1:] = 0
    monkeypatch.setattr(
        units, "_moved", lambda readers, name, own, order: torch.arange(readers.reads[name].shape[1])
    )
    with pytest.raises(ValueError, match="can't be moved"):
        units.move(network, layers, {}, who, inputs)


def test_weights_of_a_balanced_layer_are_of_one_size(lenet, torch):
    from weightless_sw.training import sparse, units

    network, who, inputs = lenet
    layers = sparse.attach(network)
    biases = sparse.attach_biases(network, layers)
    with torch.no_grad():
        layers["5"].original.mul_(torch.logspace(-1, 1, 9)[:, None] * torch.logspace(-1, 1, 24))
        layers["5"].original[0] *= layers["5"].mask[0].fill_(0)
    before = copy.deepcopy(network)
    assert units.balance(network, layers, biases, who, "5", inputs)
    assert units.same_outputs(before, network, inputs, 1e-4)
    weights = layers["5"].weights
    rows = np.sqrt((weights[1:] ** 2).mean(1))
    groups = np.sqrt((weights[1:].reshape(8, 6, 4) ** 2).mean((0, 2)))  # four places of each of six maps
    assert rows.max() / rows.min() < 1.02
    assert groups.max() / groups.min() < 1.02


def test_what_does_not_scale_is_left_as_it_is(torch):
    """A sigmoid of twice as much is not twice as much."""
    from weightless_sw.training import readers, sparse, units

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Sigmoid(), torch.nn.Linear(8, 2))
    inputs = torch.rand(5, 6)
    who = readers.find(network, sparse.find_layers(network), inputs)
    layers = sparse.attach(network)
    before = copy.deepcopy(network)
    assert not units.balance(network, layers, {}, who, "0", inputs)
    assert torch.equal(network(inputs), before(inputs))
