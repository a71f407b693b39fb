"""What layers take: in our file, in other layouts and formats, at other slot widths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sim.study.result import LayoutRow, Rival, SizeRow, SweepPoint, TableSize
from weightless_sim.study.subject import Made, Subject
from weightless_sw import baselines, codec, container, layouts
from weightless_sw.baselines import CONSTANT_RATES, Kind, Rate, rate_of
from weightless_sw.codec import EncodeReport
from weightless_sw.progress import Progress, Step
from weightless_sw.spec.record import MAX_SLOT_BITS, Geometry
from weightless_sw.tensor import CodedTensor, EncodedTensor

Rivals = dict[str, Rival]  # by format

# Of names in baselines.
TRIMMED, PAPERS = ", trimmed", f"Deep Compression, {baselines.PAPER_INDEX_BITS} bit"
SWEEP_SEEDS = 4096  # between the first seeds of two widths: more than an encoder tries
SWEEP_POINTS = 8  # slot widths in the plot of false positives


@dataclass(frozen=True)
class Sizes:
    """Sizes of a study, as its report has them; empty where the weights are not known."""

    rows: list[SizeRow]
    layouts: list[LayoutRow]
    false_positives: list[SweepPoint]
    rivals: dict[str, Rivals]  # by tensor


def measure(about: Subject, step: Step) -> Sizes:
    """All of them; what the study has encoded already is not encoded again."""
    if not about.weights:
        with step("sizes of other formats") as progress:
            return Sizes([], [], [], _rivals(about, {}, {}, progress))
    layer, points = about.layer, list[SweepPoint]()
    if not about.tables[layer].geometry.EXACT:
        with step("false positives against slot bits") as progress:
            points = _sweep(about.weights[layer], about.tables[layer], about.reports[layer], progress)
    with step("sizes of other formats") as progress:
        coded = _coded_sizes(about.weights, progress)
        alone = {name: sizes_alone(about.weights[name]) for name in about.tables}
        others = _rivals(about, alone, coded, progress)
    with step("the layouts side by side") as progress:
        layouts_of_all = _layouts(about, coded, progress)
        rows = size_rows(about.weights[layer], [*alone[layer], coded[layer]], in_layouts(about, layer))
        return Sizes(rows, layouts_of_all, points, others)


def in_layouts(about: Subject, layer: str) -> list[Made]:
    """A layer in every layout, that of the file last."""
    own = about.tables[layer].geometry.NAME
    return [about.encoded(layer, layout) for layout in sorted(layouts.BY_NAME, key=lambda name: name == own)]


def table(tensor: EncodedTensor) -> TableSize:
    """What a table takes in its file."""
    n_bytes = container.stored_bytes(tensor)
    n_weights = prod(tensor.shape)
    return TableSize(
        n_weights=n_weights,
        n_stored=tensor.geometry.n_weights,
        bytes=n_bytes,
        bits_per_weight=8 * n_bytes / n_weights,
        ratio_to_dense_fp32=4 * n_weights / n_bytes,
    )


def _matrix(array: NDArray[Any]) -> NDArray[np.float64]:
    return array.reshape(len(array), -1).astype(np.float64)


def _coded_sizes(weights: Mapping[str, NDArray[Any]], progress: Progress) -> dict[str, baselines.Size]:
    """Every layer in an exact coded record."""
    sizes = {}
    for k, (name, array) in enumerate(weights.items()):
        progress(k, len(weights), name)
        sizes[name] = baselines.coded_size(_matrix(array))
    return sizes


def sizes_alone(array: NDArray[Any]) -> list[baselines.Size]:
    """What is counted, and not made: all of a layer, and its live block."""
    matrix = _matrix(array)
    return [*baselines.baseline_sizes(matrix), *baselines.trimmed_sizes(matrix)]


def _rivals(
    about: Subject,
    alone: Mapping[str, list[baselines.Size]],
    coded: Mapping[str, baselines.Size],
    progress: Progress,
) -> dict[str, Rivals]:
    """By tensor: what others take of it, where its weights are known and it is pruned and clustered.

    ``alone`` and ``coded`` are those of the tables' weights, which are there already.
    """
    found = {}
    made = [name for name, one in about.others.items() if isinstance(one, CodedTensor)]
    for k, name in enumerate([*alone, *made]):
        progress(k, len(alone) + len(made), name)
        counted = alone[name] if name in alone else sizes_alone(codec.decode(about.others[name]))
        sizes = {one.name: one for one in counted}
        for one in counted:  # all of it is live
            if one.kind in (Kind.DEEP_COMPRESSION, Kind.BITMASK) and not one.name.startswith(PAPERS):
                sizes.setdefault(f"{one.name.removesuffix(TRIMMED)}{TRIMMED}", one)
        found[name] = {
            key: Rival(bytes=one.bytes, how=one.how, decoder=one.decoder) for key, one in sizes.items()
        }
        how = "record and maps, adaptive arithmetic coder"
        n_bytes = coded[name].bytes if name in coded else container.stored_bytes(about.others[name])
        found[name]["coded record"] = Rival(bytes=n_bytes, how=how, decoder=Rate.SERIAL)
    return found


def size_rows(array: NDArray[Any], exact: Sequence[baselines.Size], made: Sequence[Made]) -> list[SizeRow]:
    """The largest layer in ``exact`` formats and in our layouts, the file's last; the smallest at a constant rate is
    marked."""

    def row(
        name: str,
        kind: Kind,
        n_bytes: int,
        how: str,
        decoder: Rate,
        n_false_positives: int = 0,
        *,
        lossless: bool,
    ) -> SizeRow:
        return SizeRow(
            name=name, kind=kind, bytes=n_bytes, how=how, decoder=decoder, lossless=lossless,
            n_false_positives=n_false_positives, smallest_at_constant_rate=False,
            bits_per_weight=8 * n_bytes / array.size, ratio_to_dense_fp32=4 * array.size / n_bytes if n_bytes else None,
        )  # fmt: skip

    others = [*exact, baselines.zstd_size(_matrix(array))]
    rows = [row(one.name, one.kind, one.bytes, one.how, one.decoder, lossless=True) for one in others]
    counted = "the record (descriptor, codebook, table) and the maps of live rows and columns"
    for one, report in made:
        g, is_ours = one.geometry, one is made[-1][0]
        rows.append(row(
            f"Weightless {g.NAME}, t = {g.slot_bits}", Kind.TABLE if is_ours else Kind.LAYOUT, table(one).bytes,
            f"{'in the .wls file' if is_ours else 'encoded beside it'}: {counted}", rate_of(g),
            report.n_false_positives, lossless=g.EXACT,
        ))  # fmt: skip
    constant = [one for one in rows if one.decoder in CONSTANT_RATES]
    smallest = min(constant, key=lambda one: one.bytes)
    n_entries, bits = g.table_entries if g.EXACT else (g.n_slots, g.slot_bits)
    payload = f"{n_entries:,} {'words' if g.EXACT else 'slots'} of {bits} bits"
    rows.append(
        row(
            "its payload alone",
            Kind.PAYLOAD,
            -(-n_entries * bits // 8),
            payload,
            rate_of(g),
            lossless=g.EXACT,
        )
    )
    return [replace(one, smallest_at_constant_rate=one is smallest) for one in rows]


def _layouts(about: Subject, coded: Mapping[str, baselines.Size], progress: Progress) -> list[LayoutRow]:
    """Every layer in each layout, tables at the same slot bits, and in an exact coded record."""
    rows = []
    for k, (name, array) in enumerate(about.weights.items()):
        geometry, exact = about.tables[name].geometry, coded[name]
        for layout in layouts.BY_NAME:
            progress(k, len(about.weights), f"{name}, {layout}")
            width = layouts.slot_bits_of(layout, geometry)
            rows.append(_layout_row(name, geometry, width, about.encoded(name, layout)[1]))
        rows.append(
            LayoutRow(
                layer=name, layout=exact.name, bytes=exact.bytes, overhead=None, n_false_positives=0,
                false_positives_per_nonzero=0.0, bits_per_weight=8 * exact.bytes / array.size,
            )
        )  # fmt: skip
    return rows


def _layout_row(name: str, geometry: Geometry, width: int, made: EncodeReport) -> LayoutRow:
    """A layer in one layout; the codebook takes in each what it takes in the table's ``geometry``."""
    bits = 8 * (made.record_bytes - 4 * geometry.codebook_section.n_words)
    is_table = made.layout in layouts.TABLES
    return LayoutRow(
        layer=name,
        layout=made.layout,
        bytes=made.bytes,
        overhead=bits / (width * max(1, made.n_nonzero)) if is_table else None,
        n_false_positives=made.n_false_positives,
        false_positives_per_nonzero=made.false_positives_per_nonzero,
        bits_per_weight=made.bits_per_weight,
    )


def _sweep(
    array: NDArray[Any], tensor: EncodedTensor, report: EncodeReport, progress: Progress
) -> list[SweepPoint]:
    """The layer at its slot width, which ``report`` is of, and at others: false positives and size."""
    points = []
    geometry = tensor.geometry
    options = layouts.encoder(layouts.by_name(geometry.NAME)).OPTIONS
    own: dict[str, Any] = {name: value for name, value in geometry.as_dict().items() if name in options}
    fewest = (len(np.unique(array[array != 0])) + 1).bit_length()
    widths = [
        slot_bits
        for slot_bits in range(fewest, min(fewest + SWEEP_POINTS, MAX_SLOT_BITS + 1))
        if _has_width(geometry.NAME, slot_bits, own)
    ]
    for k, slot_bits in enumerate(widths, 1):
        progress(k - 1, len(widths), f"t = {slot_bits}")
        # A draw of its own for each width: with one seed the false positives at t + 1 are among those at t.
        own |= {"first_seed": k * SWEEP_SEEDS}
        made = report
        if slot_bits != geometry.slot_bits:
            made = codec.encode(
                array,
                layout=geometry.NAME,
                order=tensor.arrangement.order,
                slot_bits=slot_bits,
                round_values=True,
                **own,
            )[1]
        points.append(SweepPoint(slot_bits=slot_bits, report=made))
    return points


def _has_width(layout: str, slot_bits: int, options: dict[str, Any]) -> bool:
    """Whether the layout has slots of that width."""
    try:
        codec.check_options(layout, slot_bits, options)
    except ValueError:
        return False
    return True
