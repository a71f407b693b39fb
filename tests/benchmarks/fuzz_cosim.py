"""Random decoders, layers, stalls and resets through the whole bench, for as long as asked.

    python tests/benchmarks/fuzz_cosim.py [--seconds 300] [--seed 0] [--simulator icarus]

Every run checks all beats and all cycles; the first failure ends it and names its seed and log.
"""

import argparse
import time
from typing import Any

import numpy as np
from rich.progress import Progress

from weightless_hw.classic.config import ClassicConfig
from weightless_sim.cosim import runner
from weightless_sim.cosim.scenario import Scenario, resident_record
from weightless_sw import container
from weightless_sw.codebook import CODEBOOK_DTYPES
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import ValueFormat
from weightless_sw.tensor import Arrangement, EncodedTensor


def random_config(rng: Any) -> ClassicConfig:
    """Any lanes and slot bits; sizes small enough for Icarus."""
    slot_bits = int(rng.integers(1, 17))
    return ClassicConfig(
        lanes=int(2 ** rng.integers(0, 7)),
        slot_bits=slot_bits,
        max_bank_rows=int(rng.integers(1, 40)),
        max_codes=int(rng.integers(1, min(1 << slot_bits, 40))),
        value_bits=int(rng.choice([8, 16])),
        rounds_per_stage=int(rng.integers(1, 7)),
    )


def random_record(config: ClassicConfig, rng: Any) -> bytes:
    """Any layer that fits; every table is a valid one."""
    formats = [f for f in ValueFormat if f.bits == config.value_bits]
    geometry = ClassicGeometry(
        n_weights=int(rng.integers(1, config.lanes * 40)),
        lanes=config.lanes,
        slot_bits=config.slot_bits,
        bank_rows=int(rng.integers(1, config.max_bank_rows + 1)),
        n_codes=int(rng.integers(0, config.max_codes + 1)),
        seed=int(rng.integers(0, 1 << 16)),
        value_format=formats[int(rng.integers(len(formats)))],
    )
    table = rng.integers(0, 1 << config.slot_bits, geometry.n_slots).astype(np.uint16)
    values = rng.permutation([*range(-100, 0), *range(1, 100)])[: geometry.n_codes]  # distinct, none zero
    codebook = values.astype(CODEBOOK_DTYPES[geometry.value_format])
    return container.to_record(EncodedTensor(Arrangement((geometry.n_weights,)), geometry, codebook, table))


def random_scenario(seed: int) -> Scenario:
    """One to three layers, some of them twice, under random stalls, sometimes with a reset."""
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    records = []
    for _ in range(int(rng.integers(1, 4))):
        records.append(random_record(config, rng))
        if rng.random() < 0.3:
            records.append(resident_record(records[-1]))
    source, sink = (
        np.append(rng.random(int(rng.integers(1, 50))) < rng.uniform(0.1, 1), True) for _ in range(2)
    )
    reset_at = int(rng.integers(41, 300)) if rng.random() < 0.3 else None
    return Scenario(config=config, records=records, source=source, sink=sink, reset_at=reset_at)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--simulator", choices=runner.SIMULATORS, default="icarus")
    options = parser.parse_args()
    start, seed, n_weights = time.monotonic(), options.seed, 0
    with Progress() as progress:
        task = progress.add_task("fuzz", total=options.seconds)
        while time.monotonic() - start < options.seconds:
            try:
                n_weights += runner.run(random_scenario(seed), "fuzz", simulator=options.simulator).n_weights
            except runner.SimulationError as error:
                raise SystemExit(f"seed {seed}: {error}") from error
            seed += 1
            progress.update(task, completed=time.monotonic() - start)
    print(f"{seed - options.seed} scenarios from seed {options.seed}, {n_weights:,} weights, no mismatch")


if __name__ == "__main__":
    main()
