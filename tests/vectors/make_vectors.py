"""Wrote the frozen vectors; they change only with the format version.

    python tests/vectors/make_vectors.py

Uses the specification's scalar functions only, and for the layers the encoder's table.
"""

import json
from pathlib import Path

import numpy as np

from weightless_sw import codec, records
from weightless_sw.spec import bitmask, ribbon
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.hash import DOMAIN_FILL, hash_words
from weightless_sw.spec.record import MAX_WEIGHTS, ValueFormat
from weightless_sw.spec.ribbon import RibbonGeometry

INDICES = (0, 1, 2, 7, 8, 63, 64, 1000, 235_199, 2**31, 2**32 - 1)


def hashes() -> list[dict[str, object]]:
    """Hash words of a few indices, seeds, domains and rounds."""
    rounds = (0, 1, spec.ADDRESS_ROUNDS, spec.ADDRESS_ROUNDS + spec.MASK_ROUNDS)
    return [
        {"index": i, "seed": s, "domain": d, "rounds": r, "words": hash_words(i, s, d, r)}
        for i in INDICES
        for s in (0, 1, 65_535)
        for d in (spec.DOMAIN, DOMAIN_FILL)
        for r in rounds
    ]


def addresses() -> list[dict[str, object]]:
    """Slots and masks of a few weights in a few geometries."""
    cases = []
    for lanes, slot_bits, bank_rows, seed in (
        (1, 8, 3849, 0),
        (8, 9, 475, 3),
        (64, 16, 12_345_678, 9),
        (4, 1, 1, 65_535),
    ):
        geometry = ClassicGeometry(
            n_weights=MAX_WEIGHTS,
            lanes=lanes,
            slot_bits=slot_bits,
            bank_rows=bank_rows,
            n_codes=1,
            seed=seed,
        )
        for i in INDICES[:-1]:
            fields = {"lanes": lanes, "slot_bits": slot_bits, "bank_rows": bank_rows, "seed": seed}
            cases.append(fields | {"index": i, "slots": geometry.slots(i), "mask": geometry.mask(i)})
    return cases


def layers() -> list[dict[str, object]]:
    """Whole records with the codes that they decode to."""
    cases = []
    plans = [
        (1, 8, 40, 10, 5, ValueFormat.FP16),
        (8, 9, 203, 20, 7, ValueFormat.FP16),
        (8, 5, 64, 30, 15, ValueFormat.FIXED8),
        (4, 3, 1, 1, 1, ValueFormat.FIXED16),
        (64, 8, 500, 60, 6, ValueFormat.FP16),
        (2, 4, 33, 0, 0, ValueFormat.FP16),
    ]
    for lanes, slot_bits, n, n_nonzero, n_codes, value_format in plans:
        rng = np.random.default_rng([lanes, slot_bits, n])
        weights = np.zeros(n, np.float32)
        values = np.arange(1, n_codes + 1) / 8
        weights[rng.choice(n, n_nonzero, replace=False)] = rng.choice(values, n_nonzero) if n_nonzero else 0
        tensor, _ = codec.encode(
            weights,
            layout="classic",
            order="rows",
            lanes=lanes,
            slot_bits=slot_bits,
            value_format=value_format,
            round_values=True,
        )
        table = tensor.table.tolist()
        cases.append(
            {
                "record": records.to_record(tensor).hex(),
                "codes": [tensor.geometry.code(i, table) for i in range(n)],
            }
        )
    return cases


def ribbon_layers() -> list[dict[str, object]]:
    """Chunks of layers of other kinds with the codes that they decode to, by the scalar functions.

    The first five came from elsewhere, and are kept as they are: another encoder wrote them.
    """
    kept = json.loads((Path(__file__).parent / "ribbon.json").read_text())["layers"][:5]
    made = []
    for n_weights, share, slot_bits, n_codes, options in (
        (9000, 0.02, 8, 4, {"chunk_log2": 13}),
        (700, 0.5, 1, 1, {}),
        (400, 0.1, 16, 300, {"dead_groups": 2}),
        (515, 0.9, 11, 60, {}),
    ):
        rng = np.random.default_rng([n_weights, slot_bits])
        weights = np.zeros(n_weights, np.float32)
        keys = rng.choice(n_weights, int(share * n_weights), replace=False)
        weights[keys] = np.resize(np.arange(1, n_codes + 1) / 8, len(keys))
        tensor, _ = codec.encode(
            weights, layout="ribbon", order="rows", slot_bits=slot_bits, live="off", **options
        )
        g, table = tensor.geometry, tensor.table.tolist()
        assert isinstance(g, RibbonGeometry)
        case = {"name": f"t = {slot_bits}", "n_weights": n_weights, "slot_bits": slot_bits, "n_codes": g.n_codes,
                "seed": g.seed, "chunk_log2": g.chunk_log2, "chunks": tensor.table.astype("<u4").tobytes().hex(),
                "codes": [code for chunk in g.chunks(table) for code in chunk.codes()]}  # fmt: skip
        made.append(case)
    return [*kept, *made]


def ribbon_vectors() -> dict[str, object]:
    """What ribbon.json holds."""
    entries = (1, 2, 63, 64, 127, 128, 1023, 5 << 10 | 200, 62 << 10 | 300, 63 << 10 | 1)
    return {
        "digest": ribbon.DIGEST,
        "hashes": [[g, s, *ribbon.group_hash(g, s)] for g in INDICES for s in (0, 1, 65_535)],
        "entries": [[e, ribbon.entry_advance(e), ribbon.entry_groups(e)] for e in entries],
        "layers": ribbon_layers(),
    }


def bitmask_layers() -> list[dict[str, object]]:
    """Words of layers of many shapes by the scalar writer; the code of a zero weight is -1.

    The first 24 came from elsewhere, and are kept as they are: another writer wrote them.
    """
    kept = json.loads((Path(__file__).parent / "bitmask.json").read_text())["layers"][:24]
    made = []
    for slot_bits, n_weights, share, n_codes in (
        (4, 500, 0.1, 9),
        (16, 100, 0.4, 65_535),
        (1, 70, 0.5, 2),
        (7, 1, 1, 1),
    ):
        rng = np.random.default_rng([slot_bits, n_weights])
        codes = np.where(rng.random(n_weights) < share, rng.integers(0, n_codes, n_weights), n_codes)
        words = bitmask.write(codes.tolist(), slot_bits, n_codes)
        signed = np.where(codes == n_codes, -1, codes).tolist()
        made.append(
            {
                "slot_bits": slot_bits,
                "n_weights": n_weights,
                "n_codes": n_codes,
                "codes": signed,
                "words": words,
            }
        )
    return [*kept, *made]


def main() -> None:
    """Write classic.json, ribbon.json and bitmask.json beside this file."""
    text = json.dumps({"digest": bitmask.DIGEST, "layers": bitmask_layers()}).replace("}, {", "},\n{")
    (Path(__file__).parent / "bitmask.json").write_text(text + "\n")
    text = json.dumps(ribbon_vectors()).replace("}, {", "},\n{")
    (Path(__file__).parent / "ribbon.json").write_text(text + "\n")
    vectors = {
        "digest": spec.DIGEST,
        "hash": hashes(),
        "addresses": addresses(),
        "layers": layers(),
    }
    text = json.dumps(vectors).replace("}, {", "},\n{")
    (Path(__file__).parent / "classic.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
