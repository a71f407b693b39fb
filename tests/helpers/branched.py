"""Networks that are no chain of different layers, all on (batch, 1, 8, 8) images with two classes.

torch is imported by who asks for them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class Net(nn.Module):
    """A network of named parts and a function that computes with them."""

    def __init__(self, compute: Callable[[Any, torch.Tensor], torch.Tensor], **parts: nn.Module):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.compute = compute

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.compute(self, x)


def residual() -> nn.Module:
    """A block of two convolutions beside a downsampling one, batch normalisation, and a perceptron."""

    def compute(net: Any, x: torch.Tensor) -> torch.Tensor:
        y = net.bn2(net.conv2(F.relu(net.bn1(net.conv1(x)))))
        y += net.down(x)
        return net.fc2(F.relu(net.fc1(F.relu(y).mean((2, 3)))))

    return Net(
        compute, conv1=nn.Conv2d(1, 8, 3, 2, 1), bn1=nn.BatchNorm2d(8), conv2=nn.Conv2d(8, 12, 3, 1, 1),
        bn2=nn.BatchNorm2d(12), down=nn.Conv2d(1, 12, 1, 2), fc1=nn.Linear(12, 30), fc2=nn.Linear(30, 2),
    )  # fmt: skip


def attention() -> nn.Module:
    """Eight rows as tokens; q, k and v read one layer."""

    def compute(net: Any, x: torch.Tensor) -> torch.Tensor:
        tokens = F.gelu(net.fc1(x[:, 0]))
        weights = (net.q(tokens) @ net.k(tokens).transpose(1, 2) / 4).softmax(2)
        return net.fc2(net.out(weights @ net.v(tokens)).flatten(1))

    return Net(
        compute, fc1=nn.Linear(8, 24), q=nn.Linear(24, 16), k=nn.Linear(24, 16), v=nn.Linear(24, 16),
        out=nn.Linear(16, 6), fc2=nn.Linear(48, 2),
    )  # fmt: skip


def tied() -> nn.Module:
    """Two layers of one weight, and a bias that they share, too."""

    def compute(net: Any, x: torch.Tensor) -> torch.Tensor:
        return net.fc3(F.relu(net.fc2(F.relu(net.fc1(x.flatten(1))))))

    net = Net(compute, fc1=nn.Linear(64, 64), fc2=nn.Linear(64, 64), fc3=nn.Linear(64, 2))
    net.fc2.weight, net.fc2.bias = net.fc1.weight, net.fc1.bias
    return net


def tied_embedding() -> nn.Module:
    """Tokens that are looked up in the weight of the layer that scores them."""

    def compute(net: Any, x: torch.Tensor) -> torch.Tensor:
        tokens = net.embedding((x.flatten(1)[:, :12] * 9).long())
        return net.fc2(net.head(F.relu(net.fc1(tokens.mean(1)))))

    net = Net(
        compute,
        embedding=nn.Embedding(10, 16),
        fc1=nn.Linear(16, 16),
        head=nn.Linear(16, 10),
        fc2=nn.Linear(10, 2),
    )
    net.head.weight = net.embedding.weight
    return net


def shared_module() -> nn.Module:
    """One module under two names, called twice."""

    def compute(net: Any, x: torch.Tensor) -> torch.Tensor:
        return net.fc3(F.relu(net.fc2(F.relu(net.fc1(x.flatten(1))))))

    net = Net(compute, fc1=nn.Linear(64, 64), fc3=nn.Linear(64, 2))
    net.fc2 = net.fc1
    return net


def two_heads() -> nn.Module:
    """A body that two layers read, one of which is the output; the other's goes into it."""

    def compute(net: Any, x: torch.Tensor) -> torch.Tensor:
        body = F.relu(net.fc1(x.flatten(1)))
        return net.head(body) + net.mix(F.relu(net.aside(body)))

    return Net(
        compute, fc1=nn.Linear(64, 40), head=nn.Linear(40, 2), aside=nn.Linear(40, 10), mix=nn.Linear(10, 2)
    )


def grouped() -> nn.Module:
    """Grouped, depthwise and transposed convolutions, and a concatenation."""

    def compute(net: Any, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(net.conv1(x))
        y = torch.cat([F.relu(net.groups(y)), F.relu(net.depth(y))], 1)
        y = net.up(F.max_pool2d(F.relu(net.conv2(y)), 2))
        return net.fc1(F.adaptive_avg_pool2d(y, 2).flatten(1))

    return Net(
        compute, conv1=nn.Conv2d(1, 8, 3, padding=1), groups=nn.Conv2d(8, 12, 3, padding=1, groups=2),
        depth=nn.Conv2d(8, 8, 3, padding=1, groups=8), conv2=nn.Conv2d(20, 6, 1),
        up=nn.ConvTranspose2d(6, 5, 2, 2), fc1=nn.Linear(20, 2),
    )  # fmt: skip


def recurrent() -> nn.Module:
    """An LSTM beside layers that tables hold."""

    def compute(net: Any, x: torch.Tensor) -> torch.Tensor:
        y, _ = net.lstm(F.relu(net.fc1(x[:, 0])))
        return net.fc2(F.relu(net.norm(net.fc3(y[:, -1]))))

    return Net(
        compute, fc1=nn.Linear(8, 20), lstm=nn.LSTM(20, 12, batch_first=True), fc3=nn.Linear(12, 16),
        norm=nn.BatchNorm1d(16), fc2=nn.Linear(16, 2),
    )  # fmt: skip


# How each is built; the layer that goes into a table; layers that can be compacted; others that can't.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], str, tuple[str, ...], tuple[str, ...]]] = {
    "residual": (residual, "fc1", ("conv1", "fc1"), ("conv2", "down", "fc2")),
    "attention": (attention, "fc1", ("fc1", "out"), ("q", "k", "v", "fc2")),
    "tied": (tied, "fc1", (), ("fc1", "fc3")),
    "tied_embedding": (tied_embedding, "head", (), ("fc1", "head", "fc2")),
    "shared_module": (shared_module, "fc1", (), ("fc1",)),
    "two_heads": (two_heads, "fc1", ("fc1", "aside"), ("head", "mix")),
    "grouped": (grouped, "groups", ("conv1", "groups", "depth"), ("conv2", "fc1")),
    "recurrent": (recurrent, "fc3", ("fc3",), ("fc1", "fc2")),
}
