import numpy as np
import pytest


@pytest.fixture
def convolutional(torch):
    """conv (4 units) -> linear that reads 4 x 9 columns -> linear."""
    from weightless_sw.training import sparse

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 2),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 6),
        torch.nn.ReLU(),
        torch.nn.Linear(6, 2),
    )
    who = readers_of(network, torch.ones(3, 1, 4, 4))
    return network, list(sparse.attach(network).values()), who


def readers_of(network, inputs):
    from weightless_sw.training import readers, sparse

    return readers.find(network, sparse.find_layers(network), inputs)


def test_compaction_takes_units_and_what_reads_them(convolutional):
    from weightless_sw.training import prune

    _, layers, who = convolutional
    prune.compact(layers, who, {"0": 3, "2": 4})
    masks = [layer.mask.flatten(1).numpy() for layer in layers]
    assert [m.any(1).sum() for m in masks] == [3, 4, 2]
    dead = np.flatnonzero(~masks[0].any(1))
    assert not masks[1][:, [9 * dead[0] + k for k in range(9)]].any()
    assert masks[1].any(0).sum() == 27
    assert masks[2].any(0).sum() == 4


def test_biases_of_units_that_nothing_reads_are_dropped(torch):
    from weightless_sw.training import prune, sparse

    network = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    who = readers_of(network, torch.rand(2, 6))
    layers = sparse.attach(network)
    biases = sparse.attach_biases(network, layers)
    mask = torch.ones(2, 5)
    mask[:, [1, 4]] = 0
    layers["2"].set_mask(mask)
    images = torch.rand(7, 6)
    with torch.no_grad():
        before = network(images)
        prune.silence(list(layers.values()), biases, who, ["0"])
        assert torch.equal(network(images), before)
    assert np.flatnonzero(biases["0"].weights == 0).tolist() == [1, 4]
    assert biases["2"].weights.all()


def test_inputs_that_never_change_go_first(torch):
    """Their weights are as large as those that were trained."""
    from weightless_sw.training import prune, sparse

    network = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 2))
    who = readers_of(network, torch.rand(2, 6))
    layers = list(sparse.attach(network).values())
    with torch.no_grad():
        layers[0].original[:, :3] = 5.0
    prune.compact(layers, who, {}, 3, torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 0.0]))
    assert layers[0].mask.any(0).tolist() == [False, False, True, True, True, False]


def test_gradual_pruning_ends_at_its_targets(convolutional, torch):
    from weightless_sw.training import learn, prune

    network, layers, who = convolutional
    images = torch.rand(64, 1, 4, 4)
    labels = torch.randint(0, 2, (64,))
    loader = [(images[k : k + 8], labels[k : k + 8]) for k in range(0, 64, 8)]
    learn.train(network, loader, epochs=8, rate=1e-2, hook=prune.gradual(layers, who, {"2": 30, "4": 5}))
    assert [int(layer.mask.sum()) for layer in layers] == [16, 30, 5]


def test_units_that_are_used_otherwise_are_not_left_out(torch):
    """Two branches that are added, and a network whose first layer in order is not the first that computes."""
    from weightless_sw.training import prune, sparse

    class Branches(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.a, self.skip = (torch.nn.Linear(16, 16) for _ in range(3))

        def forward(self, x):
            return self.last(torch.relu(self.a(x)) + self.skip(x))

    network = Branches()
    who = readers_of(network, torch.rand(2, 16))
    layers = list(sparse.attach(network).values())
    for name in ("a", "skip"):
        with pytest.raises(ValueError, match=f"^{name}: its units can't be left out, as `?add`? uses them"):
            prune.compact(layers, who, {name: 8})
    with pytest.raises(
        ValueError, match=r"^last: its units can't be left out, as the network's output uses them"
    ):
        prune.compact(layers, who, {"last": 8})
    assert all(layer.mask.all() for layer in layers)


def test_a_branch_loses_nothing_by_dead_units_that_it_does_not_read(torch):
    """The case of every downsampling beside a block: `skip` stands behind `a` and does not read it."""
    from weightless_sw.training import learn, prune, sparse

    class Branches(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.skip, self.out = (
                torch.nn.Linear(16, 16),
                torch.nn.Linear(16, 16),
                torch.nn.Linear(32, 4),
            )

        def forward(self, x):
            return self.out(torch.cat([torch.relu(self.a(x)), self.skip(x)], 1))

    network = Branches()
    who = readers_of(network, torch.rand(2, 16))
    layers = sparse.attach(network)
    mask = torch.ones(16, 16)
    mask[::2] = 0
    layers["a"].set_mask(mask)
    loader = [(torch.rand(8, 16), torch.randint(0, 4, (8,))) for _ in range(20)]
    hook = prune.gradual(list(layers.values()), who, {"skip": 200, "out": 96})
    learn.train(network, loader, epochs=5, rate=1e-2, hook=hook)
    assert int(layers["skip"].mask.sum()) == 200
    assert (layers["skip"].mask.sum(0) > 0).all()
    assert not layers["out"].mask[:, :16:2].any()  # but what reads dead units goes


def test_a_layer_that_is_never_called_is_not_compacted(torch):
    """Nobody is known to use its units, and that is no reason to leave them out: an error, and no KeyError."""
    from weightless_sw.training import prune, sparse

    class Idle(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = torch.nn.Linear(6, 2), torch.nn.Linear(6, 5)

        def forward(self, x):
            return self.used(x)

    network = Idle()
    who = readers_of(network, torch.rand(2, 6))
    layers = list(sparse.attach(network).values())
    with pytest.raises(ValueError, match=r"^idle: its units can't be left out, as nothing that the first"):
        prune.compact(layers, who, {"idle": 3})


def test_one_budget_goes_to_the_layers_whose_weights_are_worth_most_a_bit(torch):
    """Two layers of equal weights, one of which costs twice as much a weight, and matters three times as much."""
    from weightless_sw.training import learn, prune, sparse

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(40, 20), torch.nn.ReLU(), torch.nn.Linear(20, 4))
    who = readers_of(network, torch.rand(2, 40))
    layers = list(sparse.attach(network).values())
    bits = {"0": 8.0, "2": 6.0}
    data = [(torch.rand(8, 40), torch.randint(0, 4, (8,))) for _ in range(25)]
    hook = prune.to_budget(layers, who, bits, 800.0)
    taken = []

    def watched(done, optimizer):
        hook(done, optimizer)
        taken.append(sum(bits[layer.name] * int(layer.mask.sum()) for layer in layers))

    learn.train(network, data, epochs=4, rate=1e-2, hook=watched)
    assert taken[0] == 8 * 800 + 6 * 80
    assert taken == sorted(taken, reverse=True)
    assert 800 - 2 * 8 < taken[-1] <= 800
    assert taken[-1] == taken[round(0.81 * len(taken))]
    with torch.no_grad():
        assert np.count_nonzero(layers[0].weights) == int(layers[0].mask.sum())


def test_what_is_grouped_lies_in_fewer_rows(torch):
    """Saliencies alike: with ``grouped`` those of the strongest rows, and units read, stay."""
    from weightless_sw.training import prune, sparse

    torch.manual_seed(1)
    live = []
    for grouped in ((), ("2",)):
        network = torch.nn.Sequential(torch.nn.Linear(9, 30), torch.nn.ReLU(), torch.nn.Linear(30, 40), torch.nn.ReLU(),
                                      torch.nn.Linear(40, 3))  # fmt: skip
        who = readers_of(network, torch.rand(2, 9))
        layers = list(sparse.attach(network).values())
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            layers[1].original.copy_(
                torch.rand(40, 30, generator=generator) + 0.1 * torch.rand(40, 1, generator=generator)
            )
        hook = prune.to_budget(layers, who, {"2": 8.0}, 8 * 100, grouped)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
        for done in (0.0, 0.4, 0.79):
            hook(done, optimizer)
        mask = layers[1].mask
        assert 98 <= int(mask.sum()) <= 100
        live.append(int(mask.any(1).sum()) + int(mask.any(0).sum()))
    assert live[1] < live[0]
