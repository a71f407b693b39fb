"""What a study is about: arrays that are encoded now, or a ``.wls`` file as it is."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightless_sim.study.result import Accuracy
from weightless_sw import codec, container, inputs, layouts, places
from weightless_sw.codec import EncodeReport
from weightless_sw.metadata import read_errors
from weightless_sw.progress import Progress
from weightless_sw.spec.record import ValueFormat
from weightless_sw.tensor import CodedTensor, EncodedTensor

NOT_RETRAINED = "unknown: nothing was retrained around the false positives here (weightless compress does it)"
NOT_STATED = "unknown: the file's metadata state none"
NEED_WEIGHTS = (
    "absent: sizes of other formats, false positives and their sweep, which need the arrays that went into the "
    "tables (--weights FILE)"
)


Made = tuple[EncodedTensor, EncodeReport]
Other = CodedTensor | NDArray[Any]


@dataclass(frozen=True)
class Subject:
    """Tables, as read back from the file at ``path``, and, where they are known, the weights that went into them."""

    name: str
    path: Path
    n_bytes: int
    tables: dict[str, EncodedTensor]
    shapes: dict[str, tuple[int, ...]]  # of all tensors of the file
    weights: dict[str, NDArray[Any]]  # by table; empty where they are not known
    reports: dict[str, EncodeReport]  # likewise
    metadata: dict[str, str] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)  # of bundled arrays
    unknown_error: str = NOT_STATED
    notes: list[str] = field(default_factory=list)  # what a user would not expect
    beside: dict[str, EncodedTensor] = field(default_factory=dict)  # the largest layer in another layout
    others: dict[str, Other] = field(default_factory=dict)  # tensors of the file that are no tables
    made: dict[tuple[str, str], Made] = field(
        default_factory=dict
    )  # encodings of a study, by layer and layout

    @property
    def tensors(self) -> dict[str, EncodedTensor | Other]:
        """All of the file, in its order."""
        return {name: self.tables[name] if name in self.tables else self.others[name] for name in self.shapes}

    def encoded(self, name: str, layout: str) -> Made:
        """A layer whose weights are known, in that layout at its slot bits: as the file has it, as it stands beside it,
        or encoded, once for the whole study."""
        beside = {one.geometry.NAME: key for key, one in self.beside.items()} if name == self.layer else {}
        if layout == self.tables[name].geometry.NAME:
            return self.tables[name], self.reports[name]
        if layout in beside:
            return self.beside[beside[layout]], self.reports[beside[layout]]
        if (name, layout) not in self.made:
            width = layouts.slot_bits_of(layout, self.tables[name].geometry)
            self.made[name, layout] = codec.encode(
                self.weights[name], layout=layout, round_values=True, slot_bits=width, name=name
            )
        return self.made[name, layout]

    @property
    def simulated(self) -> dict[str, EncodedTensor]:
        """The tables of the file, and what is decoded beside them."""
        return self.tables | self.beside

    def weights_of(self, name: str) -> NDArray[Any] | None:
        """What went into a table, of the file or beside it; None where it is not known."""
        return self.weights.get(self.layer if name in self.beside else name)

    @property
    def layer(self) -> str:
        """The largest table's."""
        return max(self.tables, key=lambda name: self.tables[name].arrangement.n_weights)

    @property
    def accuracy(self) -> Accuracy:
        """Test errors as the metadata state them, by step, or why there are none."""
        wrong, n = read_errors(self.metadata)
        return Accuracy(test_images=n, wrong=wrong) if n and wrong else Accuracy(unknown=self.unknown_error)


def is_file(model: str) -> bool:
    """Whether ``model`` names a ``.wls`` file, or a bundled one."""
    return inputs.bundled_file(model).suffix == ".wls"


def from_arrays(
    model: str,
    path: Path,
    progress: Progress,
    *,
    tensor: Collection[str] = (),
    exclude: Collection[str] = (),
    round_values: bool = True,
    apply_masks: bool = False,
    **options: Any,
) -> Subject:
    """Encode the arrays of ``model`` into the file ``path``; places.choose says which go into tables.

    ``options`` are those of codec.encode.  Raises InputError when there is nothing for a table.
    """
    arrays = inputs.load_tensors(model)
    if apply_masks:
        places.apply_masks(arrays, model)
    for name, array in arrays.items():
        container.check_storable(name, array.shape, array.dtype)
    chosen = places.choose(
        arrays,
        model,
        tensor=tensor,
        exclude=exclude,
        round_values=round_values,
        **{name: value for name, value in options.items() if name in ("slot_bits", "layout")},
    )
    names = [name for name, place in chosen.items() if place.kind == "table"]
    if not names:
        raise inputs.InputError(f"{model}: no tensor of two or more dimensions to put in a table")
    tensors: dict[str, container.Tensor] = dict(arrays)
    reports, weights = {}, {}
    notes = [*places.unmasked(arrays), *(f"raw: {place.reason}" for place in chosen.values() if place.reason)]
    for k, name in enumerate(names):
        progress(k, len(names), name)
        encoded, reports[name] = codec.encode(arrays[name], name=name, round_values=round_values, **options)
        tensors[name] = encoded
        weights[name] = arrays[name]
        if round_values:
            notes += places.changes(name, arrays[name], ValueFormat.FP16)
            weights[name] = _as_decoded(arrays[name], encoded)
    path.parent.mkdir(parents=True, exist_ok=True)
    n_bytes = container.write(path, tensors, arrays.metadata)
    written = container.read(path)
    return Subject(
        model, path, n_bytes, inputs.tables_of(written, path),
        {name: tensor.shape for name, tensor in written.items()}, weights, reports,
        info=inputs.bundled_info(model) if model in inputs.BUNDLED else {}, unknown_error=NOT_RETRAINED,
        notes=notes, others=_others(written),
    )  # fmt: skip


def _others(tensors: container.Tensors) -> dict[str, Other]:
    """What is in no table."""
    return {name: one for name, one in tensors.items() if not isinstance(one, EncodedTensor)}


def beside(about: Subject, layout: str, progress: Progress, **options: Any) -> Subject:
    """With the largest layer in that layout, too, at its own slot bits; as it is where it is in that layout.

    ``options`` are the layout's.  Raises InputError where the layer's weights are not known.
    """
    layer = about.layer
    if layout == about.tables[layer].geometry.NAME:
        return replace(about, notes=[*about.notes, f"--beside {layout}: {layer} is in that layout as it is"])
    if layer not in about.weights:
        raise inputs.InputError(
            f"--beside {layout} encodes {layer} once more: name its weights with --weights FILE"
        )
    encoded, report = codec.encode(
        about.weights[layer], layout=layout, slot_bits=layouts.slot_bits_of(layout, about.tables[layer].geometry),
        round_values=True, name=layer, progress=progress, **options,
    )  # fmt: skip
    name = f"{layer} as {layout}"
    return replace(about, beside={name: encoded}, reports=about.reports | {name: report})


def _as_decoded(array: NDArray[Any], tensor: EncodedTensor) -> NDArray[np.float32]:
    """The weights without false positives, as rounded: what each that is not zero decodes to."""
    return np.where(array != 0, codec.decode(tensor), np.float32(0))


def from_file(model: str, weights: str | None) -> Subject:
    """The file that ``model`` names; ``weights`` names the arrays that went into its tables.

    The bundled file's are bundled, too.  Raises InputError when it holds no table, or when the arrays are not those.
    """
    path = inputs.bundled_file(model)
    tensors = container.read(path)
    tables = inputs.tables_of(tensors, path)
    if weights is None and model in inputs.BUNDLED_FILES:
        weights = f"{model}_simplified"
    arrays = inputs.load_tensors(weights) if weights else {}
    if weights and (absent := [name for name in tables if name not in arrays]):
        raise inputs.InputError(f"{weights}: no tensor {', '.join(absent)}, which {path} has in a table")
    kept = {name: arrays[name] for name in tables if name in arrays}
    try:
        reports = {name: codec.measure(tables[name], array, name) for name, array in kept.items()}
    except ValueError as error:
        raise inputs.InputError(f"{weights}: {error}; these arrays did not go into {path}") from error
    kept = {name: _as_decoded(array, tables[name]) for name, array in kept.items()}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    return Subject(
        model,
        path,
        path.stat().st_size,
        tables,
        shapes,
        kept,
        reports,
        tensors.metadata,
        others=_others(tensors),
    )
