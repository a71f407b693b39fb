"""Tables of one layer, of which the smallest are of use: another seed has its false positives elsewhere."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sw import codec, layouts
from weightless_sw.codec import EncodeReport
from weightless_sw.progress import Progress
from weightless_sw.tensor import EncodedTensor
from weightless_sw.training.recipes import Recipe

SEEDS_APART = 4  # an encoder tries some seeds itself, where the table is small


def smallest(
    weights: NDArray[np.float32],
    slot_bits: int,
    name: str,
    recipe: Recipe,
    lives: Sequence[str],
    n_tables: int,
    progress: Progress,
) -> list[tuple[EncodedTensor, EncodeReport]]:
    """Of ``n_tables`` tables those of the fewest bytes.

    The first one chooses layout and order, where the recipe leaves them open, and among ``lives`` (as in codec.encode)
    what becomes of dead rows and columns; the others have other seeds.  Raises EncodeError.
    """
    own: dict[str, Any] = {} if recipe.lanes is None else {"lanes": recipe.lanes}
    if recipe.chunk_log2:
        own |= {"chunk_log2": recipe.chunk_log2, "n_seeds": 1}
    choice: dict[str, Any] = {"layout": recipe.layout, "order": recipe.order}
    first = []
    for live in lives:
        made = codec.encode(
            weights, slot_bits=slot_bits, name=name, progress=progress, live=live, **choice, **own
        )
        first.append((*made, live))
    tensor, report, live = min(first, key=lambda made: made[1].bytes)
    if not layouts.has_option(report.layout, "lanes"):
        own.pop("lanes", None)
    all_made = [(tensor, report)]
    for k in range(1, n_tables):
        progress(k, n_tables, f"table {k + 1} of {n_tables}")
        # One that goes through thousands of seeds to its size would come to the same again.
        own["first_seed"] = max(k * SEEDS_APART, all_made[-1][1].seed + 1)
        made = codec.encode(
            weights, layout=report.layout, order=tensor.arrangement.order, live=live, slot_bits=slot_bits,
            name=name, **own,
        )  # fmt: skip
        all_made.append(made)
    least = min(report.bytes for _, report in all_made)
    return [one for one in all_made if one[1].bytes == least]


def once_more(weights: NDArray[np.float32], tensor: EncodedTensor) -> tuple[EncodedTensor, EncodeReport]:
    """The same table for other values of the same keys: a chunk whose weights are the same has the same words."""
    geometry: Any = tensor.geometry  # a ribbon's
    arrangement = tensor.arrangement
    has_maps = arrangement.live_rows is not None or arrangement.live_columns is not None
    return codec.encode(
        weights, layout="ribbon", slot_bits=geometry.slot_bits, order=arrangement.order,
        live="auto" if has_maps else "off", chunk_log2=geometry.chunk_log2, n_seeds=1, first_seed=geometry.seed,
    )  # fmt: skip


def in_first_chunks(tensor: EncodedTensor, share: float) -> NDArray[np.bool_]:
    """Which weights, in the layer's shape, lie in this share of the chunks that are not all zero, rounded up to whole
    chunks, or before them."""
    geometry: Any = tensor.geometry  # a ribbon's
    decoded = tensor.arrangement.gather(codec.decode(tensor))
    chunks = np.unique(np.flatnonzero(decoded) >> geometry.chunk_log2)
    behind = 0 if not len(chunks) else (chunks[ceil(share * len(chunks)) - 1] + 1) << geometry.chunk_log2
    return tensor.arrangement.scatter(np.arange(geometry.n_weights) < behind)
