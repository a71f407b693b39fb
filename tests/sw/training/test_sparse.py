import numpy as np
import pytest


@pytest.fixture
def layer(torch):
    from weightless_sw.training import sparse

    network = torch.nn.Sequential(torch.nn.Linear(4, 3))
    return network, sparse.attach(network)["0"]


def test_masked_weights_stay_zero(layer, torch):
    network, one = layer
    mask = torch.zeros(3, 4)
    mask[0] = 1
    one.set_mask(mask)
    network(torch.ones(1, 4)).sum().backward()
    assert np.count_nonzero(one.weights) == 4
    assert torch.equal(one.original.grad != 0, mask.bool())


def test_shared_values_are_the_nearest_and_are_trained(layer, torch):
    network, one = layer
    one.share(2)
    values = np.unique(one.weights)
    assert len(values) == 2
    network(torch.ones(1, 4)).sum().backward()
    assert one.sparse.centroids.grad.sum().item() == pytest.approx(12)
    assert one.original.grad.sum().item() == pytest.approx(12)
    one.round_centroids()
    assert np.array_equal(one.weights, one.weights.astype(np.float16).astype(np.float32))


def test_a_part_is_held_and_the_others_are_trained_among_the_values_there_are(layer, torch):
    network, one = layer
    mask = torch.ones(3, 4)
    mask[0, 0] = 0
    one.set_mask(mask)
    one.share(2)
    one.round_centroids()
    values, frozen = np.unique(one.weights[one.weights != 0]), np.zeros((3, 4), bool)
    frozen[0] = True
    held = one.weights
    held[0, 0] = values[1]  # a false positive
    one.hold_part(held, frozen)
    before = one.unheld
    assert before[0, 0] == 0
    assert one.weights[0, 0] == values[1]
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=5)
    for goal in (1, -1):
        (goal * network(torch.ones(1, 4)).sum()).backward()
        optimizer.step()
        assert np.array_equal(one.weights[0], held[0])
        assert np.isin(one.weights[1:], values).all()
    assert (one.weights[1:] != before[1:]).any()
    assert one.is_held_in(one.weights)
    state = one.state()
    one.hold(held)
    assert not one.original.requires_grad
    one.take(state)
    assert one.original.requires_grad
    held[0, 1] += 1
    assert not one.is_held_in(held)


def test_assigned_weights_keep_their_values_however_these_move(layer, torch):
    """Also when the values are rounded, which may pass what lies between two of them."""
    network, one = layer
    one.share(2)
    with torch.no_grad():
        one.sparse.centroids.copy_(torch.tensor([0.1, 0.1002]))
        one.original.copy_(torch.linspace(0.0999, 0.1003, 12).reshape(3, 4))
    larger = one.weights > 0.1001
    assert 0 < larger.sum() < 12
    one.assign()
    network(torch.ones(1, 4)).sum().backward()
    assert one.original.grad is None
    assert one.sparse.centroids.grad.tolist() == [12 - larger.sum(), larger.sum()]
    with torch.no_grad():
        one.sparse.centroids.copy_(torch.tensor([0.5, -0.3]))
    assert np.array_equal(one.weights == np.float32(-0.3), larger)
    state = one.state()
    one.share(3)
    one.take(state)
    one.round_centroids()
    assert np.array_equal(one.weights == np.float32(np.float16(-0.3)), larger)


def test_rounding_assigns(layer, torch):
    """The planted fault of before: the nearest was taken once more after rounding, and weights between moved."""
    _, one = layer
    one.share(2)
    with torch.no_grad():
        one.sparse.centroids.copy_(torch.tensor([0.1, 0.3001]))
        one.original.fill_(0.20004)
    assert np.array_equal(one.weights, np.full((3, 4), 0.1, np.float32))
    one.round_centroids()
    assert np.unique(one.weights).tolist() == [np.float32(np.float16(0.1))]


def test_a_held_layer_computes_with_what_it_was_given_and_is_not_trained(layer, torch):
    network, one = layer
    held = np.arange(12, dtype=np.float32).reshape(3, 4)
    one.hold(held)
    assert np.array_equal(one.weights, held)
    network(torch.ones(1, 4)).sum().backward()
    assert one.original.grad is None


def test_a_network_without_layers_is_refused(torch):
    from weightless_sw.training import sparse

    with pytest.raises(ValueError, match="no Linear and no Conv2d"):
        sparse.attach(torch.nn.ReLU())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_a_layer_computes_with_follows_its_parameters(torch, device):
    """Masks, held weights and batches come to the device; `meta` stands for any that is not the CPU."""
    from weightless_sw.training import learn, sparse

    network = torch.nn.Sequential(torch.nn.Linear(4, 3)).to(device)
    layer = sparse.attach(network)["0"]
    layer.set_mask(torch.ones(3, 4))
    layer.hold(np.ones((3, 4), np.float32))
    assert learn.device_of(network).type == device
    batch = learn.to_device({"inputs": [torch.ones(2, 4)], "name": "x"}, learn.device_of(network))
    assert network(batch["inputs"][0]).device.type == device
    state = layer.state() | {"held": torch.ones(3, 4)}
    layer.take(state)
    assert layer.sparse.held.device.type == device
