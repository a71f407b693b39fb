"""What an elaborated bitmask decoder is built for, and the registers of its stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import ClassVar, Self

from weightless_hw.config import (
    CODE_UNITS,
    LOADER,
    MASKED,
    DataPath,
    DecoderConfig,
    MemoryBlock,
    Stage,
    Unit,
    option,
)
from weightless_hw.registers import LoadError
from weightless_sw.spec import bitmask as spec
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.spec.hash import WORD_BITS
from weightless_sw.spec.record import Geometry, require

MAX_LANES = 16


@dataclass(frozen=True, kw_only=True)
class BitmaskConfig(DecoderConfig):
    """A decoder of a few masks and codes; it serves layers of any number of weights."""

    GEOMETRY: ClassVar[type[Geometry]] = BitmaskGeometry
    LOADING: ClassVar[str] = MASKED
    FILLS_FIRST: ClassVar[bool] = True

    lane_registers: int = option(0, "1: a lane's are clocked as it has a weight, for ASICs; 0: all at once")

    def __post_init__(self) -> None:
        super().__post_init__()
        require("lanes", self.lanes, 1, MAX_LANES)
        require("lane_registers", self.lane_registers, 0, 1)
        if self.lanes & self.lanes - 1:
            raise ValueError(f"lanes must be a power of two, not {self.lanes!r}")

    @classmethod
    def own_parameters(cls, geometries: Sequence[BitmaskGeometry]) -> dict[str, int]:
        """None: a stream has no largest."""
        return {}

    def own_limits(self, geometry: BitmaskGeometry) -> list[tuple[str, int, str, int]]:
        """None."""
        return []

    def own_faults(self, fields: Mapping[str, int]) -> dict[LoadError, bool]:
        """Widths without lanes, and no seed; as many weights that are not zero as there can be, of some value."""
        n_nonzero, n_codes = fields["n_nonzero"], fields["n_codes"]
        return {
            LoadError.WIDTHS: fields["widths"] != (self.slot_bits - 1) << 4 or fields["seed"] != 0,
            LoadError.N_WEIGHTS: not fields["n_weights"] or n_nonzero > fields["n_weights"],
            LoadError.N_CODES: n_codes > self.max_codes or (n_codes == 0) != (n_nonzero == 0),
        }

    def for_cells(self) -> Self:
        """With lanes that are clocked apart."""
        return replace(self, lane_registers=1)

    @property
    def lane_enables(self) -> bool:
        """In the form for cells."""
        return bool(self.lane_registers)

    @property
    def name(self) -> str:
        """A name for build folders and files."""
        return (
            f"bitmask_g{self.lanes}_t{self.slot_bits}_k{self.max_codes}_v{self.value_bits}"
            f"{'_l' if self.lane_registers else ''}{'' if self.counters else '_n'}"
        )

    @property
    def memories(self) -> tuple[MemoryBlock, ...]:
        """None: what waits is as small as a codebook."""
        return ()

    @property
    def on_chip_bits(self) -> int:
        """Masks and codes that wait."""
        return self.MASKS * spec.MASK_BITS + self.buffer_bits

    @property
    def table_size(self) -> int:
        """No limit."""
        return 0

    @property
    def dead_bits(self) -> int:
        """One for each lane."""
        return self.lanes

    # What waits between the words and the beats; the cycle model reads these sizes here.

    MASKS: ClassVar[int] = 4  # that wait for their beats
    AHEAD: ClassVar[int] = 2  # words of codes, beyond those of a beat

    @property
    def ring_words(self) -> int:
        """Of codes that wait: a power of two, as their places are numbered."""
        return int(1 << (-(-self.lanes * self.slot_bits // WORD_BITS) + self.AHEAD - 1).bit_length())

    @property
    def buffer_bits(self) -> int:
        """Of the codes that wait."""
        return self.ring_words * WORD_BITS

    @property
    def unit(self) -> int:
        """Bits by which the buffer's filling is counted: words and codes are so many times that."""
        return gcd(self.slot_bits, WORD_BITS)

    @property
    def units_bits(self) -> int:
        """Of such a count."""
        return (self.buffer_bits // self.unit).bit_length()

    @property
    def block_beats(self) -> int:
        """Beats of a mask."""
        return spec.MASK_BITS // self.lanes

    # Registers of each part; the RTL reads them here.

    @property
    def slots_stages(self) -> int:
        """Registers up to the codes of a beat."""
        return 3

    @property
    def data_path(self) -> DataPath:
        """Masks, codes, each lane's, codebook, output."""
        return DataPath(
            stages=(
                Stage("index", "a mask's bits,\nprefix sums", 1),
                Stage("align", "codes from the\nnext one on", 1),
                Stage("codes", f"each lane's\nof {self.slot_bits} bits", 1),
                *self.code_stages("none: codes\nare as they are", "bit set ?"),
            ),
            beside=(("index", "xor", "which lanes are zero"),),
            loaded=(("index", "masks"), ("align", "code words"), ("codebook", "codebook")),
        )

    @property
    def units(self) -> tuple[Unit, ...]:
        """The codes of a beat; what comes before waits for words."""
        enable = (("pipeline.en",),)
        align = Unit("align", enable, (("pipeline.issued",),))
        return (align, Unit("codes", enable, (("pipeline.has_aligned",),)), *CODE_UNITS, LOADER)

    def writes(self, geometry: BitmaskGeometry) -> dict[str, int]:
        """Entries of the codebook."""
        return {"codebook": self.codebook_writes(geometry)}
