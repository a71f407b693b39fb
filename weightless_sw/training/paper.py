"""The paper's headline results: which runs there are, and what each is found to be worth.  ``weightless paper``.

Every size is that of a file, every error that of the network which its file decodes to, on the whole test set, which is
looked at once, when the file is written.  Choices are made by the validation set.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from weightless_sw import baselines, codec, container, layouts
from weightless_sw.metadata import WRONG
from weightless_sw.progress import Progress
from weightless_sw.provenance import commit
from weightless_sw.simplify import simplify
from weightless_sw.tensor import CodedTensor, EncodedTensor
from weightless_sw.training import compress, jobs
from weightless_sw.training.recipes import LENET5_BITS, LENET300_BITS, RECIPES, Recipe, Round

DENSITIES = (0.003, 0.006, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
DENSITY_TABLE = 8, 4  # t and K


@dataclass(frozen=True)
class Run:
    """A network and its recipe; ``exact`` is the same with every layer in the exact record, no table."""

    network: str
    recipe: Recipe
    seeds: tuple[int, ...] = (1, 2, 3)

    @property
    def exact(self) -> "Run":
        """The same weights, values and training, but for the errors and what is trained around them."""
        codes = {name: table[1] for name, table in self.recipe.tables.items() if table}
        recipe = replace(self.recipe, tables={}, codes=codes | dict(self.recipe.codes))
        return Run(self.network, recipe)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A tensor of the file."""

    kind: str  # table, coded, raw
    bytes: int  # record and maps
    n_weights: int
    n_nonzero: int  # as it decodes
    n_codes: int


@dataclass(frozen=True, kw_only=True)
class TableFound:
    """A layer in a table, and what else could store the same weights (bytes by name)."""

    layout: str
    slot_bits: int
    n_codes: int
    n_stored: int
    n_keys: int
    n_false_positives: int
    bytes: int  # record and maps
    fp32_bytes: int
    rivals: dict[str, int]
    rivals_unmoved: dict[str, int] = field(default_factory=dict)  # units where the dense network has them


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a run came to; its JSON."""

    run: str
    network: str
    seed: int
    recipe: dict[str, Any]
    commit: str
    torch: str
    seconds: dict[str, float]  # by step; steps that another run had done are not there
    validation: list[dict[str, Any]]
    test_images: int
    wrong: dict[str, int]  # on the test set by step; ``file``: decoded from the file once more
    bytes: int  # of the whole file
    dense_bytes: int
    parts: dict[str, Part]
    tables: dict[str, TableFound]

    @property
    def ratio(self) -> float:
        """The dense network in fp32 against the file."""
        return self.dense_bytes / self.bytes

    def error(self, at: str) -> float:
        """Share of the test images that are wrong at a step."""
        return self.wrong[at] / self.test_images


def read(path: Path) -> Found:
    """The result in a JSON file.  Raises ValueError for another file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Found)
    except msgspec.DecodeError as error:
        raise ValueError(
            f"{path}: no result of a run of the paper ({error}); remove it to have it made again"
        ) from error


def is_of(found: Found, run: Run) -> bool:
    """Whether a result is of this very recipe; what recipes had not then is as they have it where nothing is said."""
    of_run, unsaid = (
        msgspec.json.decode(msgspec.json.encode(asdict(recipe))) for recipe in (run.recipe, Recipe(tables={}))
    )
    return bool(unsaid | found.recipe == of_run)


def one(name: str, run: Run, seed: int, data: Path | None, step: compress.Step, build: Path) -> Found:
    """Train, compress, write the file into the folder ``build``, and evaluate what it decodes to.

    Steps are kept in ``build`` for the other runs.  Raises RuntimeError where the file's network gets other answers
    wrong than the one that was trained.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(title: str) -> Iterator[Progress]:
        begun = time.monotonic()
        with step(f"{name}, seed {seed}: {title}") as progress:
            yield progress
        seconds[title] = round(time.monotonic() - begun, 1)

    job = jobs.run(run.network, seed, data, timed, build, recipe=run.recipe, keep=True)
    path = build / f"{name}-{seed}.wls"
    # The errors are in the JSON; in files of 1,500 bytes they would be two per cent.
    metadata = {key: text for key, text in job.metadata.items() if key != WRONG}
    n_bytes = container.write(path, job.result.tensors, metadata)
    _, n_wrong, n_test, _ = jobs.evaluate(path, None, data)
    if n_wrong != job.wrong["retrained"]:
        raise RuntimeError(
            f"{path} gets {n_wrong} wrong, the network that was trained {job.wrong['retrained']}"
        )
    return Found(
        run=name, network=run.network, seed=seed, recipe=asdict(run.recipe), commit=commit(),
        torch=torch.__version__, seconds=seconds, validation=[asdict(m) for m in job.result.history],
        test_images=n_test, wrong=job.wrong | {"file": n_wrong}, bytes=n_bytes, dense_bytes=job.dense_bytes,
        parts={key: _part(tensor) for key, tensor in job.result.tensors.items()},
        tables={layer: _table(job, layer) for layer in job.result.reports},
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AtDensity:
    """A layer pruned to a share of its weights, of DENSITY_TABLE's values: bytes with maps, by what it is stored as."""

    n_weights: int
    n_nonzero: int
    bytes: dict[str, int]
    n_false_positives: dict[str, int]  # of the tables


def by_density(weights: NDArray[np.float32], progress: Progress) -> list[AtDensity]:
    """A trained layer's sizes in both tables and in exact formats, its largest weights kept, at DENSITIES."""
    (slot_bits, n_codes), found = DENSITY_TABLE, []
    for k, density in enumerate(DENSITIES):
        progress(k, len(DENSITIES), f"{density:.1%} of the weights")
        few, _ = simplify(weights, density=density, n_codes=n_codes)
        reports = {one: codec.encode(few, layout=one, slot_bits=slot_bits)[1] for one in layouts.TABLES}
        found.append(AtDensity(
            n_weights=few.size, n_nonzero=int(np.count_nonzero(few)),
            bytes={one: report.bytes for one, report in reports.items()} | _rivals(few),
            n_false_positives={one: report.n_false_positives for one, report in reports.items()},
        ))  # fmt: skip
    return found


def _part(tensor: container.Tensor) -> Part:
    weights = codec.decode(tensor)
    kind, n_codes = "raw", 0
    if isinstance(tensor, EncodedTensor | CodedTensor):
        kind, n_codes = "table" if isinstance(tensor, EncodedTensor) else "coded", len(tensor.codebook)
    return Part(
        kind=kind, bytes=container.stored_bytes(tensor), n_weights=weights.size,
        n_nonzero=int(np.count_nonzero(weights)), n_codes=n_codes,
    )  # fmt: skip


def _table(job: jobs.Job, layer: str) -> TableFound:
    report, weights = job.result.reports[layer], job.result.simplified[layer]
    return TableFound(
        layout=report.layout, slot_bits=job.result.tables[layer][0], n_codes=report.n_codes,
        n_stored=report.n_stored, n_keys=report.n_nonzero, n_false_positives=report.n_false_positives,
        bytes=report.bytes, fp32_bytes=4 * report.n_weights, rivals=_rivals(weights),
        rivals_unmoved=_rivals(job.result.unmoved[layer]),
    )  # fmt: skip


def _rivals(weights: NDArray[np.float32]) -> dict[str, int]:
    """The same weights exact in other formats, dead rows and columns left in, and left out."""
    return {size.name: size.bytes for size in baselines.exact_sizes(weights)}


def _lenet300(*rounds: Round) -> Run:
    """fc1 in a table of t = 9 and four values."""
    biases = {"fc1": 1, "fc2": 1, "fc3": 0}
    recipe = replace(RECIPES["lenet300"], rounds=rounds, balance=(), tables={"fc1": (9, 4)}, biases=biases)
    return Run("lenet300", recipe)


# fc1 alone: the other layers are compacted, and keep all their weights, of 64 values.
_LENET5_FC1 = replace(
    RECIPES["lenet5"], rounds=(Round(20, 1_900, 2e-3), Round(9, 1_290), Round(9)), bits={"fc1": 9.3},
    units={"conv1": 12, "conv2": 24, "fc1": 64}, codes={}, rest_codes=64, biases={}, bias_codes=8,
)  # fmt: skip
# Two values, what stays of fc1 kept together in rows and maps, and the other layers pruned when it is in its table.
_LENET5_1150X = replace(
    RECIPES["lenet5"], tables={"fc1": (8, 2)}, codes={"conv1": 12, "conv2": 8, "fc2": 12}, share_epochs=12,
    rounds=(
        Round(20, 2_250, 2e-3), Round(15, 2_000), Round(20, 1_900, grouped=("fc1",)),
        Round(20, 1_700, grouped=("fc1",)),
    ),
    bits=LENET5_BITS | {"fc1": 13}, balance=("fc1",), n_tables=150, layout="ribbon", order="rows",
    retrain_epochs=15, rest_epochs=15, later=(Round(15, 1_000), Round(15, 800), Round(20, 575)),
    later_bits={name: bits for name, bits in LENET5_BITS.items() if name != "fc1"},
)  # fmt: skip

# Where less is left, more bits a slot and values of one size.
_LENET300_150X = replace(
    RECIPES["lenet300"], rounds=(Round(20, 9_400, 2e-3), Round(9, 8_000), Round(9, 7_050)), tables={"fc1": (10, 4)},
    bits=LENET300_BITS | {"fc1": 10.3}, biases={"fc1": 8, "fc2": 4, "fc3": 0}, retrain_epochs=25,
    rest_epochs=12,
)  # fmt: skip

# Wider, and with few false positives: what comes to the dense network's error.
_LENET5_DENSE = replace(
    RECIPES["lenet5"], rounds=(Round(20, 4_500, 2e-3), Round(15, 3_400), Round(15)), tables={"fc1": (11, 4)},
    units={"conv1": 12, "conv2": 24, "fc1": 64}, balance=("fc1",), codes={"conv1": 12, "conv2": 12, "fc2": 12},
    retrain_epochs=12, rest_epochs=8,
)  # fmt: skip

TABLES = {
    "lenet300-100x": _lenet300(Round(20, 12_500, 2e-3), Round(9, 10_500)),
    "lenet300-150x": Run("lenet300", _LENET300_150X),
    "lenet5-650x": Run("lenet5", RECIPES["lenet5"]),
    "lenet5-dense": Run("lenet5", _LENET5_DENSE),
    "lenet5-1150x": Run("lenet5", _LENET5_1150X),
    "lenet5-fc1": Run("lenet5", _LENET5_FC1),
}

_OF = TABLES["lenet300-100x"].recipe
# What each of the choices gives alone, from the same dense network; and all of them.
_PLAIN = replace(
    _OF, permute=False, n_tables=1, layout="classic", order="rows", biases={}, share_rate=1e-3, rest_rate=8e-4,
    assigned_share=0.0,
)  # fmt: skip
_CHOICES: dict[str, dict[str, Any]] = {
    "plain": {},
    "weights by layer": {
        "rounds": (),
        "weights": {"fc1": 7_000, "fc2": 1_900, "fc3": 420},
        "prune_epochs": 29,
    },
    "ribbon": {"layout": "ribbon", "order": "auto"},
    "units moved": {"permute": True},
    "tables chosen": {"n_tables": 40},
    "lower rates": {"share_rate": 3e-4, "rest_rate": 3e-4},
    "values kept": {"assigned_share": 0.4},
    "few biases": {"biases": dict(_OF.biases)},
    "weights of one size": {"balance": ("fc1",)},
}
ABLATIONS = {
    f"choice-{name.replace(' ', '-')}": Run("lenet300", replace(_PLAIN, **changes), (1,))
    for name, changes in _CHOICES.items()
}

# The paper's studies, each knob of the same network turned alone.
_ALL_LIVE: dict[str, Any] = {"units": {}, "n_inputs": None, "permute": False}
_FEW_LIVE: dict[str, Any] = {"units": {"fc1": 96, "fc2": 64}, "n_inputs": 350}
_KNOBS: dict[str, dict[int, dict[str, Any]]] = {
    "slot-bits": {t: {"tables": {"fc1": (t, 4)}} for t in (5, 6, 7, 8, 10, 11)},
    "codes": {k: {"tables": {"fc1": (9, k)}} for k in (2, 3, 8, 15)},
    "inputs": {784: _ALL_LIVE, 350: _FEW_LIVE},
    "tables": {n: {"n_tables": n} for n in (1, 10, 160)},
}
STUDIES = {
    f"study-{knob}-{value}": Run("lenet300", replace(_OF, **changes), (1,))
    for knob, values in _KNOBS.items()
    for value, changes in values.items()
}
# A layer frozen chunk by chunk, as long trained in all, at so few slot bits that there is much to take back.
_RUN_EPOCHS, _LAST_EPOCHS = 12, 15
STUDIES |= {
    f"progressive-{n_runs}": Run("lenet300", replace(
        _OF, tables={"fc1": (7, 4)}, layout="ribbon", chunk_log2=13, runs=n_runs,
        run_epochs=_RUN_EPOCHS // max(1, n_runs - 1),
        retrain_epochs=_LAST_EPOCHS + (_RUN_EPOCHS if n_runs == 1 else 0),
    ))
    for n_runs in (1, 2, 4)
}  # fmt: skip

# Each table beside the same network without one.
RUNS = (
    {name: run for table, of in TABLES.items() for name, run in ((table, of), (f"{table}-exact", of.exact))}
    | ABLATIONS
    | STUDIES
)
