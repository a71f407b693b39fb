"""What becomes of a network when it is compressed: how much stays of each layer, and how long is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from weightless_sw.codec import AUTO


@dataclass(frozen=True)
class Round:
    """A training in which weights of all layers are pruned to one budget."""

    epochs: int
    budget: int | None = None  # bytes; None: nothing is pruned, what stays is trained
    rate: float = 1.5e-3
    grouped: tuple[str, ...] = ()  # layers whose weights are kept together in rows, and in columns of a unit


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What becomes of a network; layers by name."""

    weights: Mapping[str, int] = field(default_factory=dict)  # how many stay; a layer not named keeps all
    rounds: tuple[Round, ...] = ()  # of pruning by one budget, in place of ``weights``
    bits: Mapping[str, float] = field(default_factory=dict)  # what a weight takes of a round's budget
    later: tuple[Round, ...] = ()  # rounds when all tables are frozen, for the layers of ``later_bits`` alone
    later_bits: Mapping[str, float] = field(default_factory=dict)
    # (slot bits t, number of values K) of the layers that go into tables; None: chosen, see Candidate.
    tables: Mapping[str, tuple[int, int] | None]
    units: Mapping[str, int] = field(default_factory=dict)  # kept in compaction
    n_inputs: int | None = None  # kept in compaction
    # Units are put in the order of their weights, those that are left out last: what is dead lies together.
    permute: bool = False
    # Layers whose units are scaled before they get few values, see units.balance.
    balance: tuple[str, ...] = ()
    rest_codes: int = 12  # number of values of the layers that are coded
    bias_codes: int = 16  # and of the biases of each layer; 0: there are none
    codes: Mapping[str, int] = field(default_factory=dict)  # the same for layers that have their own
    biases: Mapping[str, int] = field(default_factory=dict)
    n_tables: int = 1  # tables of one layer that are made; of the smallest the one of least loss is taken
    # A ribbon's chunks are encoded and frozen in so many runs; after each but the last, the rest is trained.
    runs: int = 1
    run_epochs: int = 4
    chunk_log2: int = 0  # 0: the encoder's own
    layout: str = AUTO  # of the tables, and the order of their weights: the smaller table
    order: str = AUTO
    lanes: int | None = None  # of a classic table, where they are not the encoder's own
    prune_epochs: int = 30
    share_epochs: int = 8
    retrain_epochs: int = 20
    rest_epochs: int = 8
    prune_rate: float = 2e-3
    share_rate: float = 1e-3
    retrain_rate: float = 1e-3
    rest_rate: float = 8e-4
    assigned_share: float = 0.4  # last part of a step that shares values in which each weight keeps its own
    choice_epochs: int = 2  # retraining of a candidate
    error_limit: float = 0.005  # validation error that a chosen table may add to the dense network's


# Bits of a weight: of the table, and of exact records of few weights.
LENET300_BITS = {"fc1": 9.3, "fc2": 7.4, "fc3": 6.2}
LENET5_BITS = {"conv1": 5.5, "conv2": 6.5, "fc1": 8.5, "fc2": 5.5}

RECIPES = {
    "lenet300": Recipe(
        rounds=(Round(20, 12_500, 2e-3), Round(9, 10_500)), bits=LENET300_BITS,
        units={"fc1": 128, "fc2": 80}, n_inputs=500, permute=True, balance=("fc1",), tables={"fc1": (8, 4)},
        n_tables=40, share_epochs=6, share_rate=3e-4, retrain_epochs=15, rest_rate=3e-4,
    ),
    "lenet5": Recipe(
        rounds=(Round(20, 2_250, 2e-3), Round(14), Round(18)), bits=LENET5_BITS,
        units={"conv1": 8, "conv2": 16, "fc1": 40}, permute=True, tables={"fc1": (9, 4)}, n_tables=38,
        codes={"conv1": 12, "conv2": 10, "fc2": 12}, biases={"conv1": 0, "conv2": 0, "fc1": 1, "fc2": 0},
        share_epochs=4, share_rate=3e-4, retrain_epochs=10, retrain_rate=1.5e-3, rest_epochs=6, rest_rate=3e-4,
    ),
    "digits": Recipe(
        weights={"fc1": 800, "fc2": 300, "fc3": 100}, tables={"fc1": (7, 4)},
        prune_epochs=40, share_epochs=15, retrain_epochs=15, rest_epochs=15,
    ),
}  # fmt: skip
