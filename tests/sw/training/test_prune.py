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
    return network, list(sparse.attach(network).values())


def test_one_shot_keeps_the_largest(convolutional):
    from weightless_sw.training import prune

    layer = convolutional[1][1]
    before = layer.weights
    prune.one_shot(layer, 20)
    kept = layer.weights != 0
    assert np.count_nonzero(kept) == 20
    assert np.abs(before[kept]).min() >= np.abs(before[~kept]).max()


def test_compaction_takes_units_and_what_reads_them(convolutional):
    from weightless_sw.training import prune

    _, layers = convolutional
    prune.compact(layers, {"0": 3, "2": 4})
    masks = [layer.mask.flatten(1).numpy() for layer in layers]
    assert [m.any(1).sum() for m in masks] == [3, 4, 2]
    dead = np.flatnonzero(~masks[0].any(1))
    assert not masks[1][:, [9 * dead[0] + k for k in range(9)]].any()
    assert masks[1].any(0).sum() == 27
    assert masks[2].any(0).sum() == 4


def test_biases_of_units_that_nothing_reads_are_dropped(torch):
    from weightless_sw.training import prune, sparse

    network = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    layers = sparse.attach(network)
    biases = sparse.attach_biases(layers)
    mask = torch.ones(2, 5)
    mask[:, [1, 4]] = 0
    layers["2"].set_mask(mask)
    images = torch.rand(7, 6)
    with torch.no_grad():
        before = network(images)
        prune.silence(list(layers.values()), biases, ["0"])
        assert torch.equal(network(images), before)
    assert np.flatnonzero(biases["0"].weights == 0).tolist() == [1, 4]
    assert biases["2"].weights.all()


def test_inputs_that_never_change_go_first(torch):
    """Their weights are as large as those that were trained."""
    from weightless_sw.training import prune, sparse

    layers = list(sparse.attach(torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 2))).values())
    with torch.no_grad():
        layers[0].original[:, :3] = 5.0
    prune.compact(layers, {}, 3, torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 0.0]))
    assert layers[0].mask.any(0).tolist() == [False, False, True, True, True, False]


def test_gradual_pruning_ends_at_its_targets(convolutional, torch):
    from weightless_sw.training import learn, prune

    network, layers = convolutional
    images = torch.rand(64, 1, 4, 4)
    labels = torch.randint(0, 2, (64,))
    loader = [(images[k : k + 8], labels[k : k + 8]) for k in range(0, 64, 8)]
    learn.train(network, loader, epochs=8, rate=1e-2, hook=prune.gradual(layers, {"2": 30, "4": 5}))
    assert [int(layer.mask.sum()) for layer in layers] == [16, 30, 5]


def test_a_layer_that_reads_something_else_is_not_compacted(torch):
    from weightless_sw.training import prune, sparse

    network = torch.nn.ModuleDict({"a": torch.nn.Linear(4, 5), "b": torch.nn.Linear(7, 2)})
    layers = list(sparse.attach(network).values())
    with pytest.raises(ValueError, match="a: what follows it does not read 5 units"):
        prune.compact(layers, {"a": 2})
