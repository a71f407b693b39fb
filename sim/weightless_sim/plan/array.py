"""The array that a decoder feeds: weight-stationary, R x C, a tile of weights after the other.

A tile is used for M vectors (inputs of a batch, output pixels, tokens).  While one is used the next one is loaded, C
weights a cycle at most: a tile takes max(M, R, R C / rate) cycles; the first one is loaded before it is used.  Tiles at
the edges count whole.  Filling and draining the pipelines of the array are left out; other dataflows are not modelled.
"""

from dataclasses import dataclass
from math import ceil

from weightless_sim.plan.network import Layer


@dataclass(frozen=True)
class Array:
    """Rows take inputs, columns give outputs."""

    rows: int
    columns: int

    @property
    def tile(self) -> int:
        """Weights of a tile."""
        return self.rows * self.columns

    def tiles(self, layer: Layer) -> int:
        """Tiles of one layer."""
        inputs, outputs = layer.matrix
        return -(-inputs // self.rows) * -(-outputs // self.columns)

    def busy(self, vectors: int) -> int:
        """Cycles that a tile takes where its weights are always there in time."""
        return max(vectors, self.rows)

    def needs(self, vectors: int) -> float:
        """Weights a cycle that keep it busy: R C / M, and C at most."""
        return min(float(self.columns), self.tile / max(vectors, 1))

    def cycles(self, vectors: int, rate: float) -> float:
        """Cycles of a tile, weights coming at ``rate`` a cycle."""
        return max(float(self.busy(vectors)), self.tile / min(rate, self.columns))

    def all_cycles(self, layer: Layer, vectors: int, rate: float) -> float:
        """Cycles of all tiles of one layer, from its first weight on."""
        first = min(self.tile / min(rate, self.columns), float(self.busy(vectors)))
        return self.tiles(layer) * self.cycles(vectors, rate) + first


def lanes_for(rate: float) -> int:
    """The next power of two."""
    return 1 << max(0, ceil(rate) - 1).bit_length()
