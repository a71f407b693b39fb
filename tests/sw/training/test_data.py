import hashlib

import numpy as np


def test_digits_are_split_once_and_evenly(torch):
    from weightless_sw.training.data import load_digits

    data, again = load_digits(), load_digits()
    parts = [data.train, data.validation, data.test]
    assert sum(len(part) for part in parts) == 1797
    assert len(data.test) == 360
    assert np.array_equal(data.validation.images, again.validation.images)
    for part in parts:
        assert part.images.shape[1:] == (1, 8, 8)
        assert part.images.dtype == np.float32
        assert 0 <= part.images.min() <= part.images.max() <= 1
        shares = np.bincount(part.labels) / len(part)
        assert np.abs(shares - 0.1).max() < 0.03
    seen = [hashlib.sha256(image.tobytes()).hexdigest() for part in parts for image in part.images]
    assert len(set(seen)) == len(seen)


def test_networks_are_built_alike_for_the_same_seed(torch):
    from weightless_sw.training import networks

    for name, shape in (("lenet300", (1, 28, 28)), ("lenet5", (1, 28, 28)), ("digits", (1, 8, 8))):
        first, second, other = (networks.build(name, seed) for seed in (1, 1, 2))
        inputs = torch.ones(2, *shape)
        with torch.no_grad():
            assert torch.equal(first(inputs), second(inputs))
            assert not torch.equal(first(inputs), other(inputs))
            assert first(inputs).shape == (2, 10)
