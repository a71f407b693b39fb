"""What a network's weights cost in every format, on an array and a memory: cycles, bytes, energy, and who wins.

Nothing is encoded: sizes are those of tables of so many keys at random places, cycles those of the array's model and of
the decoder's, energy that of decoders between those of the grid.  A layer is stored in the order in which the array
takes its tiles, those at the edges filled up with zeros, which a table has to decode, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from math import ceil, log2
from typing import Any, NamedTuple

import msgspec

from weightless_hw import decoders
from weightless_hw.config import DecoderConfig
from weightless_sim.model import cycles, grid, technology
from weightless_sim.model.technology import KnownEntry, Reference, References, reference
from weightless_sim.plan.array import Array, lanes_for
from weightless_sim.plan.network import Layer, Network
from weightless_sim.study.energy import DENSE, EIE, expected_gaps
from weightless_sw import baselines, codec, layouts
from weightless_sw.baselines import Kind
from weightless_sw.spec.record import MAX_SLOT_BITS, Geometry

Pair = tuple[float, float]  # settled and with glitches; equal where there is one figure
GAPS, HUFFMAN, BITMASK, CODER = "gap-coded", "Deep Compression", "bitmask", "entropy, order 0"
METRICS = {"bytes": "smallest", "cycles": "quickest", "energy": "least energy"}
SWEEP = [0.002 * 1.2**k for k in range(35)]  # densities, up to 0.98
TIE, EQUAL = 1.001, 1 + 1e-9  # what is as near to the best is as good


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked for; units are in the names."""

    array: Array
    clock_hz: float
    dram: str = "LPDDR4"
    bandwidth: float | None = None  # bytes a second; None: that of the DRAM's kind
    batch: int = 1
    codes: int = 16
    slot_bits: int = 8
    lanes: int | None = None
    library: str = "NangateOpenCellLibrary"


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """A layer, or all that are alike, in one format; of a whole batch."""

    layer: str
    bytes: int
    n_decoded: int  # weights that its decoder gives, edges filled up
    needs: float  # weights a cycle that keep the array busy
    rate: float  # weights a cycle that come
    own_rate: float  # that its decoder gives, DRAM apart
    bound: str  # array, decoder, stream or DRAM: what a tile waits for
    busy: bool | None  # whether the decoder, DRAM apart, keeps the array busy; None: no decoder is known
    cycles: float | None
    dram_pj: float
    logic_pj: Pair
    memory_pj: float
    on_chip_bits: int = 0  # of its table, those that the decoder holds at once; of one layer
    false_positives: float = 0.0

    @property
    def energy(self) -> Pair:
        """pJ, all of it."""
        rest = self.dram_pj + self.memory_pj
        return rest + self.logic_pj[0], rest + self.logic_pj[1]


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """The hardware of a table's layout."""

    name: str
    lanes: int
    lanes_needed: int
    more: int  # decoders of that kind that would give what is needed
    on_chip_bits: int
    logic: KnownEntry
    area_um2: float  # memories with it
    memory_um2: float
    fpga: dict[str, grid.Estimate]


@dataclass(frozen=True, kw_only=True)
class Format:
    """The network in one format; bytes, cycles and energy of a batch."""

    name: str
    exact: bool
    how: dict[str, str]
    why_not: str = ""  # it can't be
    layers: list[LayerCost] = field(default_factory=list)
    decoder: Decoder | None = None
    complete: bool = True  # False: the decoder's logic and cycles are not known

    @property
    def bytes(self) -> int:
        """Of all layers."""
        return sum(one.bytes for one in self.layers)

    @property
    def cycles(self) -> float | None:
        """Of all layers."""
        return sum(one.cycles or 0.0 for one in self.layers) if self.complete else None

    @property
    def energy(self) -> Pair:
        """pJ of all layers."""
        return sum(one.energy[0] for one in self.layers), sum(one.energy[1] for one in self.layers)

    @property
    def busy(self) -> bool | None:
        """Whether its decoder keeps the array busy in every layer."""
        return all(one.busy for one in self.layers) if self.complete else None

    @property
    def feeds(self) -> str:
        """Whether the array is kept busy, in words: of a table by its decoder, of others by the DRAM."""
        if not self.complete:
            return ""
        if self.decoder:
            return "yes" if self.busy else f"no, {self.decoder.more} of them would"
        return "yes" if all(one.bound == "array" for one in self.layers) else "no, waits for DRAM"


@dataclass(frozen=True, kw_only=True)
class Context:
    """What all formats need."""

    options: Options
    pj_per_bit: float
    bits_per_cycle: float | None  # of the DRAM; None: no limit
    eie: Reference


def context(options: Options, known: References) -> Context:
    """Raises ValueError for a DRAM that is not known."""
    pj = reference(known, options.dram, "dram").value
    peak = known.get(f"{options.dram} bandwidth")
    rate = options.bandwidth if options.bandwidth is not None else peak.value * 1e9 if peak else None
    return Context(
        options=options, pj_per_bit=pj, bits_per_cycle=None if rate is None else 8 * rate / options.clock_hz,
        eie=reference(known, EIE),
    )  # fmt: skip


def check(options: Options) -> None:
    """Raise ValueError for sizes that no table has."""
    if not 1 <= options.slot_bits <= MAX_SLOT_BITS:
        raise ValueError(f"--slot-bits is 1 to {MAX_SLOT_BITS}, not {options.slot_bits}")
    most = (1 << options.slot_bits) - 1
    if not 1 <= options.codes <= most:
        raise ValueError(f"--codes is 1 to {most} with {options.slot_bits} slot bits, not {options.codes}")
    grid.libraries()
    if options.library not in grid.libraries():
        raise ValueError(
            f"no library is called {options.library!r}; there are: {', '.join(grid.libraries())}"
        )


def formats(network: Network, about: Context) -> list[Format]:
    """The network in every format: the layouts that hardware reads, dense, and exact ones of others."""
    options = about.options
    made = [_table(layout, network, about) for layout in grid.layouts()]
    made += [_dense(name, width, network, about) for name, width in DENSE]
    made.append(_gaps(network, about))
    sizes = [baselines.expected_bits(one.n_weights, one.density, options.codes) for one in network.layers]
    for name, kind in ((HUFFMAN, Kind.DEEP_COMPRESSION), (BITMASK, Kind.BITMASK), (CODER, Kind.ENTROPY)):
        if name not in grid.layouts():
            made.append(_by_size(name, [bits[kind] for bits in sizes], network, about))
    return made


class _Tiles(NamedTuple):
    """How a layer's tiles come: weights a cycle in all and of the decoder alone, and cycles of all its tiles."""

    rate: float
    own_rate: float
    bound: str
    busy: bool
    cycles: float


def _tiles(layer: Layer, about: Context, rates: dict[str, float], overhead: float) -> _Tiles:
    array, vectors = about.options.array, layer.vectors * about.options.batch
    bound = min(rates, key=lambda name: rates[name])
    rate = rates[bound]
    own = min(value for name, value in rates.items() if name != "DRAM")
    busy = array.cycles(vectors, own) <= array.busy(vectors) * TIE
    one = array.cycles(vectors, rate)
    if one <= array.busy(vectors) * TIE:
        bound = "array"
    return _Tiles(rate, own, bound, busy, layer.count * (overhead + array.all_cycles(layer, vectors, rate)))


def _dram_rate(bits: float, n_decoded: int, about: Context) -> dict[str, float]:
    """Weights a cycle that the DRAM gives."""
    if about.bits_per_cycle is None:
        return {}
    return {"DRAM": about.bits_per_cycle * n_decoded / max(1.0, bits)}


def lanes_needed(network: Network, options: Options) -> int:
    """That keep the array busy in every layer."""
    return lanes_for(max(options.array.needs(one.vectors * options.batch) for one in network.layers))


@cache
def max_lanes(layout: str) -> int:
    """The most that a decoder of the layout has."""
    return max(lanes for lanes in (1 << k for k in range(9)) if layout in decoders.with_lanes(lanes))


OF_TABLES = {
    "bytes": "estimated: keys at random places; of a file's own tables counted",
    "cycles": "cycle model of the sizes, and the array's",
    "energy": "logic estimated, memories of CACTI",
}


def _table(layout: str, network: Network, about: Context) -> Format:
    options = about.options
    needed = lanes_needed(network, options)
    lanes = min(options.lanes or needed, max_lanes(layout))
    own = {"lanes": lanes} if layouts.has_option(layout, "lanes") else {}
    try:
        geometries = [
            codec.expected(
                options.array.tiles(one) * options.array.tile, one.n_nonzero, layout=layout,
                slot_bits=_slot_bits(layout, options), n_codes=options.codes, **own,
            )
            for one in network.layers
        ]  # fmt: skip
        config = decoders.for_layers(geometries, lanes=lanes)
    except ValueError as error:
        return Format(name=layout, exact=_is_exact(layout), how=OF_TABLES, why_not=str(error))
    made = [
        _table_layer(*both, config, network, about) for both in zip(network.layers, geometries, strict=True)
    ]
    cells = config.for_cells()
    logic = grid.entry(cells, options.library)
    more = max(ceil(one.needs / one.own_rate / TIE) for one in made)
    memory = grid.area_um2(cells.memories, grid.node(options.library))
    decoder = Decoder(
        name=config.name, lanes=lanes, lanes_needed=needed, more=more, logic=logic,
        on_chip_bits=config.on_chip_bits, memory_um2=memory, area_um2=logic.area_um2 + memory,
        fpga=grid.on_fpga(config),
    )  # fmt: skip
    return Format(name=layout, exact=_is_exact(layout), how=OF_TABLES, layers=made, decoder=decoder)


def _is_exact(layout: str) -> bool:
    return layouts.by_name(layout).geometry.EXACT


def _slot_bits(layout: str, options: Options) -> int:
    """Those of a table are told; of codes as few as there can be."""
    if not _is_exact(layout):
        return options.slot_bits
    return layouts.encoder(layouts.by_name(layout)).usual_slot_bits(options.codes)


def _table_layer(
    layer: Layer, geometry: Geometry, config: DecoderConfig, network: Network, about: Context
) -> LayerCost:
    options, nm = about.options, grid.node(about.options.library)
    n_bytes = network.records.get(layer.name, {}).get(geometry.NAME, 4 * geometry.record_words)
    overhead, steady = cycles.steady(config, geometry)
    rates = {"decoder": float(config.lanes), "stream": steady}
    bandwidth = _dram_rate(8 * n_bytes, geometry.n_weights, about)
    if config.keeps_table():  # the DRAM is waited for before the first beat
        if about.bits_per_cycle is not None:
            overhead = max(overhead, 8 * n_bytes / about.bits_per_cycle)
        bandwidth = {}
    tiles = _tiles(layer, about, rates | bandwidth, overhead)
    beats = layer.count * -(-geometry.n_weights // config.lanes)
    settled, glitches, leakage = grid.logic(config.for_cells(), options.library, layer.density)
    leaked = leakage * tiles.cycles * grid.CLOCK_HZ / options.clock_hz
    memory = beats * sum(one.n * grid.read_pj(one, nm) for one in config.memories)
    rows = 4 * geometry.payload_words * 8 / max(1, sum(one.row_bits for one in config.memories[:1]))
    memory += layer.count * rows * sum(grid.write_pj(one, nm) for one in config.memories)
    zeros = layer.count * (layer.n_weights - layer.n_nonzero)
    return LayerCost(
        layer=layer.name, bytes=layer.count * n_bytes, n_decoded=layer.count * geometry.n_weights,
        needs=options.array.needs(layer.vectors * options.batch), **tiles._asdict(),
        dram_pj=about.pj_per_bit * 8 * layer.count * n_bytes,
        logic_pj=(beats * settled + leaked, beats * glitches + leaked), memory_pj=memory,
        on_chip_bits=8 * 4 * geometry.payload_words if config.keeps_table() else config.on_chip_bits,
        false_positives=zeros * geometry.false_positive_rate,
    )  # fmt: skip


def _plain(layer: Layer, bits: float, about: Context, pj: float = 0.0, complete: bool = True) -> LayerCost:
    """A layer whose weights come as fast as the array and the DRAM can; ``pj`` are its decoder's."""
    limited = {"decoder": float(about.options.array.columns)} | _dram_rate(bits, layer.n_weights, about)
    tiles = _tiles(layer, about, limited, 0.0)._asdict() | (
        {} if complete else {"busy": None, "cycles": None}
    )
    return LayerCost(
        layer=layer.name, bytes=layer.count * ceil(bits / 8), n_decoded=layer.count * layer.n_weights,
        needs=about.options.array.needs(layer.vectors * about.options.batch), **tiles,
        dram_pj=about.pj_per_bit * layer.count * bits, logic_pj=(layer.count * pj, layer.count * pj), memory_pj=0.0,
    )  # fmt: skip


def _dense(name: str, width: int, network: Network, about: Context) -> Format:
    """Read from DRAM as they are; values are not kept on chip."""
    layers = [_plain(one, width * one.n_weights, about) for one in network.layers]
    how = {"bytes": "counted", "cycles": "the array's model", "energy": "DRAM reads alone"}
    return Format(name=name, exact=True, how=how, layers=layers)


def _gaps(network: Network, about: Context) -> Format:
    """As EIE: as many of its decoders as keep the array busy, an entry a clock each, no imbalance between them."""
    value_bits = max(1, ceil(log2(about.options.codes + 1)))
    layers = []
    for one in network.layers:
        bits, entries = expected_gaps(one.density, value_bits)
        n = one.n_nonzero
        layers.append(_plain(one, bits * n, about, about.eie.value * entries * n))
    how = {
        "bytes": "estimated: random places, the best gap width, no Huffman",
        "cycles": "an entry a clock and decoder, as many decoders as the array needs, no imbalance",
        "energy": f"published: {about.eie.value} pJ an entry, multiply-accumulate in it",
    }
    return Format(name=GAPS, exact=True, how=how, layers=layers)


def _by_size(name: str, sizes: Sequence[int], network: Network, about: Context) -> Format:
    """Size and reads alone: no decoder of it was measured here."""
    both = zip(network.layers, sizes, strict=True)
    layers = [_plain(one, bits, about, complete=False) for one, bits in both]
    how = {"bytes": "estimated: random places", "cycles": "not known", "energy": "DRAM reads alone"}
    return Format(name=name, exact=True, how=how, layers=layers, complete=False)


def winners(made: Sequence[Format], metric: str, layer: int | None = None, tie: float = TIE) -> list[str]:
    """The names of the best by a metric of METRICS, all that are as good; of one layer, or of the network.

    Energy is that with glitches.  What has no decoder can only be the smallest, and what is no format can't be.
    """
    values = {}
    for one in made:
        if one.name == CODER or one.why_not or (metric != "bytes" and not one.complete):
            continue
        cost = one if layer is None else one.layers[layer]
        values[one.name] = {"bytes": cost.bytes, "cycles": cost.cycles or 0.0, "energy": cost.energy[1]}[
            metric
        ]
    best = min(values.values())
    return [name for name, value in values.items() if value <= best * tie]


def at_density(network: Network, about: Context, density: float) -> list[Format]:
    """The network in every format, were every layer as dense."""
    layers = [replace(one, density=density) for one in network.layers]
    return formats(replace(network, layers=layers, records={}), about)


def crossings(network: Network, about: Context) -> dict[str, list[tuple[float, list[str]]]]:
    """By metric: [(from that density on, the best)], rising, where every layer has the same density."""

    def best(density: float) -> dict[str, list[str]]:
        made = at_density(network, about, density)
        return {metric: winners(made, metric, tie=EQUAL) for metric in METRICS}

    at = [(density, best(density)) for density in SWEEP]
    found: dict[str, list[tuple[float, list[str]]]] = {
        metric: [(at[0][0], at[0][1][metric])] for metric in METRICS
    }
    for (low, before), (high, after) in pairwise(at):
        for metric in METRICS:
            if before[metric] != after[metric]:
                found[metric].append((_between(low, high, before[metric], metric, best), after[metric]))
    return found


def _between(
    low: float, high: float, before: list[str], metric: str, best: Callable[[float], dict[str, list[str]]]
) -> float:
    """The density at which the best by a metric changes, to 1 %."""
    while high / low > 1.01:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if best(middle)[metric] == before else (low, middle)
    return high


@dataclass(frozen=True, kw_only=True)
class Published:
    """What others publish of their hardware."""

    name: str
    reads: str
    node_nm: int
    weights_per_second: str
    area: str
    energy: str
    exact: bool
    source: str


def published() -> list[Published]:
    """Beside which ours stands."""
    text = files("weightless_sim.plan").joinpath("published.toml").read_text()
    return msgspec.toml.decode(text, type=dict[str, list[Published]])["decoder"]


def known_technology(own: Sequence[Any] = ()) -> References:
    """Figures of others, shipped and from files of one's own."""
    return technology.references(own)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The answer; of a batch where nothing else is said."""

    network: Network
    options: Options
    dram: Reference
    bandwidth: float | None  # bytes a second that were counted with
    n_weights: int
    n_nonzero: int
    formats: list[Format]
    winners: dict[str, list[str]]  # by metric
    layer_winners: list[dict[str, list[str]]]
    crossings: dict[str, list[tuple[float, list[str]]]]  # where every layer has the same density
    published: list[Published]
    held: list[Any] = field(default_factory=list)  # held.Row, where layers were simulated

    def named(self, name: str) -> Format:
        """That format."""
        return next(one for one in self.formats if one.name == name)

    @property
    def pj_per_weight(self) -> dict[str, Pair]:
        """By format, an inference's share of a batch; zeros are weights, too."""
        return self._per(self.n_weights)

    @property
    def pj_per_nonzero(self) -> dict[str, Pair]:
        """By format, an inference's share of a batch."""
        return self._per(self.n_nonzero)

    def _per(self, n: int) -> dict[str, Pair]:
        shared = n * self.options.batch
        return {one.name: (one.energy[0] / shared, one.energy[1] / shared) for one in self.formats}

    @property
    def milliseconds(self) -> dict[str, float]:
        """Of an inference, a batch's share, by format."""
        per = self.options.clock_hz * self.options.batch / 1e3
        return {one.name: one.cycles / per for one in self.formats if one.cycles}


def plan(network: Network, options: Options, known: References) -> Plan:
    """All of it.  Raises ValueError for options that nothing has."""
    check(options)
    about = context(options, known)
    made = formats(network, about)
    bandwidth = None if about.bits_per_cycle is None else about.bits_per_cycle * options.clock_hz / 8
    return Plan(
        network=network, options=options, dram=reference(known, options.dram, "dram"), bandwidth=bandwidth,
        n_weights=sum(one.count * one.n_weights for one in network.layers),
        n_nonzero=sum(one.count * one.n_nonzero for one in network.layers),
        formats=made, winners={metric: winners(made, metric) for metric in METRICS},
        layer_winners=[
            {metric: winners(made, metric, k) for metric in METRICS} for k in range(len(network.layers))
        ],
        crossings=crossings(network, about), published=published(),
    )  # fmt: skip
