"""Random decoders, layers, stalls and resets through the whole bench, for as long as asked.

    python tests/benchmarks/fuzz_cosim.py [--seconds 300] [--seed 0] [--simulator icarus] [--frames 10000]

Every run checks all beats and all cycles; the first failure ends it and names its seed and log.  Then, on Verilator,
frames that no encoder writes, where the layout streams: none hangs, each is refused for what the golden model says.
At last, in the compiled harness, longer layers of each decoder under random stalls.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from weightless_hw.registers import LoadError
from weightless_sim.cosim import bulk, runner
from weightless_sim.cosim.scenario import Scenario, frame
from weightless_sw import layouts
from weightless_sw.records import geometry_of, resident_record, tile_record
from weightless_sw.spec.record import DESCRIPTOR_BYTES, DESCRIPTOR_WORDS

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))
from frames import random_runs, record
from rooms import ROOMS


def random_scenario(seed: int) -> Scenario:
    """One to three layers, some of them twice, under random stalls, sometimes with a reset."""
    rng = np.random.default_rng(seed)
    room = ROOMS[sorted(ROOMS)[seed % len(ROOMS)]]
    config = room.random_config(rng)
    records = []
    for _ in range(int(rng.integers(1, 4))):
        records.append(room.random_record(config, rng))
        if config.keeps_table() and rng.random() < 0.3:
            records.append(resident_record(records[-1]))
        if config.takes_tiles:
            runs = random_runs(random.Random(seed), geometry_of(records[-1]).n_weights)
            records += [tile_record(records[-1], runs)] * int(rng.integers(1, 4))
    source, sink = (
        np.append(rng.random(int(rng.integers(1, 50))) < rng.uniform(0.1, 1), True) for _ in range(2)
    )
    reset_at = int(rng.integers(41, 300)) if rng.random() < 0.3 else None
    return Scenario(config=config, records=records, source=source, sink=sink, reset_at=reset_at)


def bad_frames(n: int, seed: int) -> Iterator[Scenario]:
    """Frames that no encoder writes, 500 a scenario, with a good one behind each tenth; of the layouts that stream."""
    for room in (room for room in ROOMS.values() if hasattr(room, "random_frames")):
        config = next(iter(room.CONFIGS.values()))
        good = record(config, 123, 10, 2, seed=1)
        for first in range(0, n, 500):
            bad = room.random_frames(config, min(500, n - first), np.random.default_rng([seed, first]))
            frames = [
                part for k, one in enumerate(bad) for part in ([one, frame(good)] if k % 10 == 0 else [one])
            ]
            yield Scenario(config=config, records=[good] * (len(frames) - len(bad)), frames=frames)


def entries_of(config, sent: bytes) -> NDArray[np.uint16 | np.uint8]:
    """What must come of a record, by the golden reader."""
    geometry = geometry_of(sent)
    words = np.frombuffer(sent, "<u4")
    reader = layouts.golden(config.GEOMETRY).reader(sent[:DESCRIPTOR_BYTES])
    begin = DESCRIPTOR_WORDS + geometry.codebook_section.n_words
    codes = np.concatenate([reader.take(int(word)) for word in words[begin:]])
    codebook = np.frombuffer(sent, f"<u{config.value_bits // 8}", geometry.n_codes, DESCRIPTOR_BYTES)
    return np.append(codebook, codebook.dtype.type(0))[np.minimum(codes, geometry.n_codes)]


def bulk_runs(n: int, seed: int) -> Iterator[bulk.BulkResult]:
    """Twenty records in turn, ``n`` times, on each decoder of the tests."""
    for room in ROOMS.values():
        for config in room.CONFIGS.values():
            for k in range(n):
                rng = np.random.default_rng([seed, k])
                sent = [room.random_record(config, rng) for _ in range(20)]
                entries = np.concatenate([entries_of(config, one) for one in sent])
                source, sink = (np.append(rng.random(997) < rng.uniform(0.3, 1), True) for _ in range(2))
                yield bulk.run(config, sent, entries, source=source, sink=sink)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--frames", type=int, default=10_000, help="frames that no encoder writes, per layout"
    )
    parser.add_argument("--bulk", type=int, default=20, help="runs of each decoder in the compiled harness")
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
    n_frames = 0
    for scenario in bad_frames(options.frames, options.seed):
        try:
            errors = LoadError(runner.run(scenario, "bad frames", simulator="verilator").errors)
        except runner.SimulationError as error:
            raise SystemExit(f"bad frames from {n_frames} on: {error}") from error
        n_frames += len(scenario.frames) - len(scenario.records)
        print(
            f"{n_frames:,} bad frames of the {scenario.config.GEOMETRY.NAME}, none hangs: {errors!r}",
            flush=True,
        )
    n_weights = 0
    for result in bulk_runs(options.bulk, options.seed):
        result.check()
        n_weights += result.n_weights
    print(f"{n_weights:,} weights in the compiled harness, no mismatch, every cycle as the model says")


if __name__ == "__main__":
    main()
