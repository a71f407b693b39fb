"""Random structured tensors through the ribbon's encoder and both decoders, for as long as asked.

    python tests/benchmarks/fuzz_ribbon.py [--seconds 300] [--seed 0]

Every key must have its code, both decoders the same codes, and the table must be one that a reader accepts; the first
failure ends it and says its seed.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from structured import random_tensor

from weightless_sw.arrangement import Arrangement
from weightless_sw.ribbon import encoder, golden, kernels
from weightless_sw.spec.record import ValueFormat
from weightless_sw.spec.ribbon import Header
from weightless_sw.tensor import EncodedTensor, TableRequest


def main() -> None:
    """Until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    total: Counter[str] = Counter()
    with Progress() as progress:
        task = progress.add_task("tensors", total=options.seconds)
        begin = time.monotonic()
        while time.monotonic() - begin < options.seconds:
            seed = options.seed + total["tensors"]
            case = random_tensor(np.random.default_rng(seed))
            request = TableRequest(n_weights=case.n_weights, slot_bits=case.slot_bits, n_codes=case.n_codes,
                                   value_format=ValueFormat.FP16, scale=1.0)  # fmt: skip
            table = encoder.build(case.keys.astype(np.uint32), case.codes.astype(np.uint16), request,
                                  encoder.OPTIONS | case.options)  # fmt: skip
            codebook = np.ones(case.n_codes, np.float16)
            tensor = EncodedTensor(Arrangement((case.n_weights,)), table.geometry, codebook, table.entries)
            codes = kernels.decode_codes(tensor)
            assert np.array_equal(codes[case.keys], case.codes), f"--seed {seed}: a key has another code"
            assert np.array_equal(codes, golden.decode_codes(tensor)), f"--seed {seed}: the decoders differ"
            places = [0]
            for chunk in table.geometry.chunks(table.entries.tolist()):
                places.append(chunk.end)
            steps = [Header.from_word(int(table.entries[place])).step for place in places[:-1]]
            smaller = case.options["chunk_log2"] > table.geometry.chunk_log2
            total.update(
                tensors=1, weights=case.n_weights, keys=len(case.keys), chunks=len(steps),
                with_another_seed=sum(step > 0 for step in steps), with_smaller_chunks=int(smaller),
            )  # fmt: skip
            progress.update(task, completed=time.monotonic() - begin)
    print(", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in total.items()))


if __name__ == "__main__":
    main()
