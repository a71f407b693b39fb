"""Who reads whom, in networks whose layers do not simply follow each other."""

import pytest


@pytest.fixture
def find(torch):
    """A function: who reads whom in a network, found with a batch of a shape."""
    from weightless_sw.training import readers, sparse

    def find(network, *shape):
        return readers.find(network, sparse.find_layers(network), torch.rand(*shape))

    return find


@pytest.mark.parametrize(
    "name",
    ["residual", "attention", "tied", "tied_embedding", "shared_module", "two_heads", "grouped", "recurrent"],
)
def test_only_units_that_layers_read_one_by_one_may_be_left_out(torch, find, name):
    import branched

    build, _, told, others = branched.NETWORKS[name]
    network = build()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = find(network, 5, 1, 8, 8)
    for layer in told:
        assert not found.open[found.units(layer)].any(), (layer, found.why)
    for layer in others:
        assert found.open[found.units(layer)].all(), layer
        assert layer in found.why
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert network.training


def test_what_was_found_is_true_of_the_outputs(torch, find):
    """Units that may be left out change nothing once what reads them is zero: grouped convolutions, a concatenation."""
    import branched

    network = branched.grouped().eval()
    found = find(network, 5, 1, 8, 8)
    images = torch.rand(4, 1, 8, 8)
    for name in ("conv1", "groups", "depth"):
        unit = found.units(name).start + 3
        gone = torch.ones(len(found.open))
        gone[unit] = 0
        readers = found.of(name)
        assert readers
        with torch.no_grad():
            for reader in readers:
                weight = getattr(network, reader).weight
                mask = found.inputs(reader, gone).expand(weight.flatten(1).shape)
                assert not mask.all()
                weight.mul_(mask.reshape(weight.shape))
            before = network(images)
            getattr(network, name).weight[3] = 7.0
            getattr(network, name).bias[3] = 9.0
            assert torch.equal(network(images), before)


def test_a_flattened_map_is_read_by_its_channel(torch, find):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 5),
    )
    found = find(network, 3, 1, 8, 8)
    assert found.reads["4"].tolist() == [[k // 9 for k in range(36)]]
    assert found.of("0") == ["4"]
    totals = found.total({"4": torch.ones(5, 36)})
    assert totals[found.units("0")].tolist() == [45.0] * 4


def test_what_a_pass_does_not_show_is_found_by_the_outputs(torch, find):
    """A function of autograd's own is not seen by torch's overrides; the proof finds that it uses the units."""

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x.detach()

    class Hidden(torch.nn.Module):
        def __init__(self, hide):
            super().__init__()
            self.a, self.b, self.hide = torch.nn.Linear(6, 6), torch.nn.Linear(6, 6), hide

        def forward(self, x):
            y = self.a(x)
            return self.b(torch.relu(y)) + (Twice.apply(y) if self.hide else x)

    assert not find(Hidden(False), 4, 6).open[:6].any()
    found = find(Hidden(True), 4, 6)
    assert found.open[:6].all()


@pytest.mark.parametrize(
    "use",
    [
        lambda torch, net, y: net.b(torch.layer_norm(y, (6,))),  # one unit changes all
        lambda torch, net, y: net.b(y.softmax(1)),
        lambda torch, net, y: net.b(y) + y.sum(),
        lambda torch, net, y: net.b(y) * (1 if y.tolist()[0][0] > 0 else 2),
        lambda torch, net, y: net.b(y.mul_(y)),
        lambda torch, net, y: net.b(y) if (y[:, :3].add_(1.0 + y[:, 3:]) is not None) else None,
        lambda torch, net, y: net.b(torch.stack([y, y.flip(1)]).mean(0)),
        lambda torch, net, y: net.b(y[:, torch.argsort(y[0])]),
        lambda torch, net, y: {"out": net.b(y), "hidden": y},
        lambda torch, net, y: net.b(net.b(y)),
    ],
)
def test_units_that_are_mixed_stay(torch, find, use):
    class Mixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(5, 6), torch.nn.Linear(6, 6)

        def forward(self, x):
            return use(torch, self, self.a(x))

    found = find(Mixed(), 4, 5)
    assert found.open[found.units("a")].all()
    assert found.open[found.units("b")].all()


def test_a_layer_that_is_never_called_keeps_its_units(torch, find):
    class Aside(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.idle = torch.nn.Linear(5, 6), torch.nn.Linear(6, 2), torch.nn.Linear(6, 2)

        def forward(self, x):
            return self.b(self.a(x))

    found = find(Aside(), 4, 5)
    assert found.open[found.units("idle")].all()
    assert not found.open[found.units("a")].any()
