"""The layouts: a line each.  Only here and in ``weightless_hw.decoders`` are all of them known.

A layout is a geometry (``spec/<name>.py``) and a folder with three modules, imported when they are asked
for: numba is slow to start, and who only reads a file does not need it.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from weightless_sw.progress import Progress
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import DESCRIPTOR_BYTES, Geometry
from weightless_sw.spec.ribbon import RibbonGeometry
from weightless_sw.tensor import EncodedTensor, Table, TableRequest


class Layout(NamedTuple):
    """A row of LAYOUTS."""

    geometry: type[Geometry]
    folder: str  # the package that holds ``encoder``, ``golden`` and ``kernels``


LAYOUTS = (
    Layout(ClassicGeometry, "weightless_sw.classic"),
    Layout(RibbonGeometry, "weightless_sw.ribbon"),
    Layout(BitmaskGeometry, "weightless_sw.bitmask"),
)
BY_NAME = {layout.geometry.NAME: layout for layout in LAYOUTS}
TABLES = [name for name, layout in BY_NAME.items() if not layout.geometry.EXACT]  # with false positives
BY_NUMBER = {layout.geometry.LAYOUT: layout for layout in LAYOUTS}


class Encoder(Protocol):
    """``<folder>/encoder.py``."""

    OPTIONS: Mapping[str, int]  # what a caller of ``encode`` may choose, and the defaults
    NOT_OPTIONS: Mapping[str, str]  # why an option of another layout is none of this one

    def usual_slot_bits(self, n_codes: int) -> int:
        """Those of a table of so many values, where nobody asks for others."""

    def check_options(self, slot_bits: int, options: Mapping[str, int]) -> None:
        """Raise ValueError for options that the layout does not have."""

    def build(
        self,
        keys: NDArray[np.uint32],
        codes: NDArray[np.uint16],
        request: TableRequest,
        options: Mapping[str, int],
        progress: Progress | None = None,
    ) -> Table:
        """The table in which ``keys`` have ``codes``."""

    def expected(self, n_keys: int, request: TableRequest, options: Mapping[str, int]) -> Geometry:
        """About the geometry of a table of ``n_keys`` keys at random places, without making it."""


class Decoder(Protocol):
    """``<folder>/golden.py``, the reference, and, in ``<folder>/kernels.py``, the fast one."""

    def decode_codes(self, tensor: EncodedTensor) -> NDArray[np.uint16]:
        """The code of every weight of the record, (n_weights,) uint16."""


class FastDecoder(Decoder, Protocol):
    """``<folder>/kernels.py``."""

    def decode_at(self, tensor: EncodedTensor, positions: NDArray[np.int64]) -> NDArray[np.uint16]:
        """The codes of the weights at ``positions`` (n,) of the record, as little decoded as the layout can."""


class Reader(Protocol):
    """What turns the payload of a record into codes, a word at a time, as a decoder in hardware is sent it.

    ``wrong`` says what is wrong with the words that came, by the names of a decoder's errors; no code follows then.
    """

    wrong: frozenset[str]

    def take(self, word: int) -> NDArray[np.uint16]:
        """One more word: the codes that it makes known, in record order; those of N weights in all."""


class Golden(Decoder, Protocol):
    """``<folder>/golden.py`` of a layout that hardware reads."""

    def reader(self, descriptor: bytes) -> Reader:
        """One for the payload of a record that begins so, which need not be one that an encoder writes."""


def by_name(name: str) -> Layout:
    """The layout called ``name``.  Raises ValueError when there is none."""
    if name not in BY_NAME:
        raise ValueError(f"no layout is called {name!r}; there are: {', '.join(BY_NAME)}")
    return BY_NAME[name]


def encoder(layout: Layout) -> Encoder:
    """The layout's encoder."""
    return cast(Encoder, import_module(f"{layout.folder}.encoder"))


def has_option(name: str, option: str) -> bool:
    """Whether tables of the layout called ``name`` have an option of that name.  Raises ValueError for no layout."""
    return option in encoder(by_name(name)).OPTIONS


def golden(geometry: Geometry | type[Geometry]) -> Golden:
    """The golden decoder of a geometry's layout."""
    return cast(Golden, import_module(f"{BY_NAME[geometry.NAME].folder}.golden"))


def fast(geometry: Geometry) -> FastDecoder:
    """The fast decoder of a geometry's layout."""
    return cast(FastDecoder, import_module(f"{BY_NAME[geometry.NAME].folder}.kernels"))


def read_descriptor(data: bytes) -> Geometry:
    """The geometry in a descriptor, whatever its layout.  Raises ValueError on anything no geometry writes."""
    if len(data) != DESCRIPTOR_BYTES:
        raise ValueError(f"a descriptor has {DESCRIPTOR_BYTES} bytes, not {len(data)}")
    number = data[0]
    if number not in BY_NUMBER:
        known = ", ".join(f"{row.geometry.LAYOUT} ({row.geometry.NAME})" for row in LAYOUTS)
        raise ValueError(f"layout {number} is unknown to this version, which reads layout {known}")
    return BY_NUMBER[number].geometry.from_descriptor(data)


def slot_bits_of(name: str, geometry: Geometry) -> int:
    """Slot bits of a layer in another layout: tables have the same, what is exact has its least."""
    kind = by_name(name)
    if not (geometry.EXACT or kind.geometry.EXACT):
        return geometry.slot_bits
    return encoder(kind).usual_slot_bits(geometry.n_codes)
