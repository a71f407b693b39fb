import numpy as np
import pytest


@pytest.fixture
def part(torch):
    from weightless_sw.training.data import Part

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 100)
    images = rng.normal(size=(100, 1, 3, 3)).astype(np.float32) + labels[:, None, None, None].astype(
        np.float32
    )
    return Part(images, labels)


def test_batches_are_seeded_and_differ_from_pass_to_pass(part, torch):
    from weightless_sw.training.learn import Batches

    first, second = (Batches(part, batch=30, max_shift=1, seed=5) for _ in range(2))
    assert len(first) == 3
    once, again, other = list(first), list(second), list(first)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(once, again, strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(once, other, strict=True))
    assert len(torch.cat([labels for _, labels in once])) == 90


def test_training_lowers_the_loss_and_tells_how_far_it_is(part, torch):
    from weightless_sw.training import learn

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 2))
    loader = learn.Batches(part, batch=20)
    before, told = learn.evaluate(network, loader), []
    learn.train(network, loader, epochs=4, rate=1e-2, progress=lambda *at: told.append(at))
    after = learn.evaluate(network, loader)
    assert after[0] < before[0]
    assert after[2] == 100
    assert told[-1] == (20, 20, "epoch 4 of 4")


def test_a_teacher_draws_the_outputs_to_its_own(part, torch):
    from weightless_sw.training import learn

    teacher = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 2))
    images = torch.from_numpy(part.images)
    distance = []
    for with_teacher in (False, True):
        torch.manual_seed(1)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 2))
        learn.train(
            network,
            learn.Batches(part, batch=20),
            epochs=20,
            rate=1e-2,
            teacher=teacher if with_teacher else None,
        )
        with torch.no_grad():
            distance.append((network(images).softmax(1) - teacher(images).softmax(1)).abs().mean().item())
    assert distance[1] < distance[0]


def test_outputs_that_are_kept_teach_like_the_teacher(part, torch):
    """The same batches in the same order, each with what the teacher makes of its moved images."""
    from weightless_sw.training import learn

    teacher = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 2))
    settings = {"batch": 30, "max_shift": 1, "cross": True, "seed": 3}
    plain, taught = learn.Batches(part, **settings), learn.Taught(learn.Batches(part, **settings), teacher)
    assert len(plain.moves) == 5
    assert len(taught) == 3
    for _ in range(2):
        for (images, labels), (same, also, outputs) in zip(plain, taught, strict=True):
            assert torch.equal(images, same)
            assert torch.equal(labels, also)
            assert torch.allclose(teacher(images), outputs, atol=1e-6)
    weights = []
    for loader, own in ((plain, teacher), (taught, None)):
        torch.manual_seed(1)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 2))
        learn.train(network, loader, epochs=3, rate=1e-2, teacher=own)
        weights.append(network[1].weight)
    assert torch.allclose(*weights, atol=1e-4)


def test_a_loss_that_is_not_finite_is_said(part, torch):
    from weightless_sw.training import learn

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 2))
    with torch.no_grad():
        network[1].weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="the loss became nan in epoch 1; lower the rate"):
        learn.train(network, learn.Batches(part), epochs=1, rate=1.0)


def test_each_image_is_moved_by_itself(torch):
    from weightless_sw.training.data import Part
    from weightless_sw.training.learn import Batches

    images = np.zeros((50, 2, 7, 7), np.float32)
    images[:, 0, 3, 3], images[:, 1, 3, 4] = 1, 2
    ((moved, _),) = Batches(Part(images, np.zeros(50, np.int64)), batch=50, max_shift=2, seed=1)
    places = [tuple(torch.nonzero(image[0])[0].tolist()) for image in moved]
    assert len(set(places)) > 10
    assert {y for y, _ in places} == {x for _, x in places} == set(range(1, 6))
    for image, (y, x) in zip(moved, places, strict=True):
        assert image[1, y, x + 1] == 2
        assert image.sum() == 3


def test_moves_of_a_cross_are_in_one_direction(torch):
    from weightless_sw.training.data import Part
    from weightless_sw.training.learn import Batches

    images = np.zeros((60, 1, 5, 5), np.float32)
    images[:, 0, 2, 2] = 1
    ((moved, _),) = Batches(Part(images, np.zeros(60, np.int64)), batch=60, max_shift=1, cross=True)
    places = {tuple(torch.nonzero(image[0])[0].tolist()) for image in moved}
    assert places == {(2, 2), (1, 2), (3, 2), (2, 1), (2, 3)}
