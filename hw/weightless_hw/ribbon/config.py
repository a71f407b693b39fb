"""What an elaborated ribbon decoder is built for, and the registers of its stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from weightless_hw.config import (
    CODE_UNITS,
    LOADER,
    STREAMED,
    DataPath,
    DecoderConfig,
    MemoryBlock,
    Stage,
    Unit,
    option,
)
from weightless_hw.registers import LoadError
from weightless_sw.spec import ribbon as spec
from weightless_sw.spec.record import Geometry, require
from weightless_sw.spec.ribbon import RibbonGeometry


@dataclass(frozen=True, kw_only=True)
class RibbonConfig(DecoderConfig):
    """A decoder of one window; it serves layers of any number of weights and chunks of any size."""

    GEOMETRY: ClassVar[type[Geometry]] = RibbonGeometry
    LOADING: ClassVar[str] = STREAMED

    rounds_per_stage: int = option(1, "hash rounds between two registers, 1 to 4")
    window_registers: int = option(0, "1: the window is registers, for ASICs; 0: it is small memories")

    def __post_init__(self) -> None:
        super().__post_init__()
        require("lanes", self.lanes, 1, spec.UNIT * spec.LANES)
        if self.lanes & self.lanes - 1:
            raise ValueError(f"lanes must be a power of two, not {self.lanes!r}")
        require("window_registers", self.window_registers, 0, 1)
        require("rounds_per_stage", self.rounds_per_stage, 1, spec.ROUNDS)

    @classmethod
    def own_parameters(cls, geometries: Sequence[RibbonGeometry]) -> dict[str, int]:
        """None: a stream has no largest."""
        return {}

    def own_limits(self, geometry: RibbonGeometry) -> list[tuple[str, int, str, int]]:
        """None."""
        return []

    def own_faults(self, fields: Mapping[str, int]) -> dict[LoadError, bool]:
        """Widths without lanes, and the size of a chunk."""
        sizes = range(spec.MIN_CHUNK_LOG2, spec.MAX_CHUNK_LOG2 + 1)
        widths = fields["widths"] == (self.slot_bits - 1) << 4
        return {LoadError.WIDTHS: not widths or fields["chunk_log2"] not in sizes or fields["zeros"] != 0}

    def for_cells(self) -> Self:
        """With its window in registers."""
        return replace(self, window_registers=1)

    @property
    def name(self) -> str:
        """A name for build folders and files."""
        return (
            f"ribbon_g{self.lanes}_t{self.slot_bits}_k{self.max_codes}_v{self.value_bits}"
            f"_h{self.rounds_per_stage}{'_w' if self.window_registers else ''}{'' if self.counters else '_n'}"
        )

    @property
    def memories(self) -> tuple[MemoryBlock, ...]:
        """None: the window is as small as a codebook."""
        return ()

    @property
    def dead_bits(self) -> int:
        """One: whole groups are."""
        return 1

    @property
    def lane_enables(self) -> bool:
        """In the form for cells."""
        return bool(self.window_registers)

    @property
    def on_chip_bits(self) -> int:
        """The ring's."""
        return self.RING_WORDS * spec.WORD_SLOTS * self.slot_bits

    @property
    def table_size(self) -> int:
        """No limit."""
        return 0

    # The stream and the ring of words that the window moves over; the cycle model reads these sizes here.

    WINDOW_WORDS: ClassVar[int] = spec.WINDOW
    BLOCK_WORDS: ClassVar[int] = spec.BLOCK_WORDS
    WORD_SLOTS: ClassVar[int] = spec.WORD_SLOTS
    DEAD: ClassVar[int] = spec.DEAD
    RING_WORDS: ClassVar[int] = 2 * spec.WINDOW  # the window's, and as many ahead

    @staticmethod
    def segment(entry: int) -> tuple[int, int]:
        """(groups, words or DEAD) of an entry."""
        return spec.entry_groups(entry), spec.entry_advance(entry)

    # Registers of each part; the RTL reads them here.

    @property
    def hash_stages(self) -> int:
        """Hash rounds until rotations and masks are known."""
        return -(-spec.ROUNDS // self.rounds_per_stage)

    WINDOW_STAGES: ClassVar[int] = 1  # the XOR of a lane's slots

    @property
    def groups(self) -> int:
        """Groups of a beat."""
        return max(1, self.lanes // spec.LANES)

    @property
    def beats(self) -> int:
        """Beats of a group."""
        return max(1, spec.LANES // self.lanes)

    @property
    def mask_lanes(self) -> int:
        """Those of a group."""
        return min(self.lanes, spec.LANES)

    @property
    def item_bits(self) -> int:
        """Bits that the parser takes in a cycle."""
        return spec.ITEM_SLOTS * self.slot_bits

    @property
    def pair_items(self) -> int:
        """Items of a pair of entries."""
        return spec.pair_bits(self.slot_bits) // self.item_bits

    @property
    def slots_stages(self) -> int:
        """Registers from the beat counter on, up to the slots that are XORed."""
        return 1 + self.hash_stages + self.WINDOW_STAGES

    @property
    def data_path(self) -> DataPath:
        """Index, hash, window, XOR, codebook, output."""
        return DataPath(
            stages=(
                Stage("index", "group number,\nstart word", 1),
                Stage("hash", f"{spec.ROUNDS} SP-box rounds\n96-bit state", self.hash_stages),
                Stage("window", f"{spec.WINDOW} words of\n{spec.WORD_SLOTS} slots, XOR", self.WINDOW_STAGES),
                *self.code_stages("⊕ mask\nper lane"),
            ),
            beside=(("index", "window", "start word"), ("hash", "xor", "masks")),
            loaded=(("index", "descriptor,\nentries"), ("window", "words"), ("codebook", "codebook")),
        )

    @property
    def units(self) -> tuple[Unit, ...]:
        """Index, hash, window; what a stage works on is the group whose ``valid`` is at its input."""
        enable = (("pipeline.en",),)
        issued, read = (("pipeline.issued",),), ((f"pipeline.valid_{self.hash_stages - 1}",),)
        stages = Unit("index", enable, issued), Unit("hash", enable, issued), Unit("window", enable, read)
        return (*stages, *CODE_UNITS, LOADER)

    def window(self, geometry: RibbonGeometry, table: Sequence[int], n_beats: int) -> tuple[int, list[int]]:
        """The window of each beat's group, of its first one."""
        starts, begin = list[int](), 0
        for chunk in geometry.chunks(table):
            starts += [start if start < 0 else begin + start for start in chunk.starts()]
            begin += chunk.n_words
        return spec.WINDOW, [starts[beat * self.lanes // spec.LANES] for beat in range(n_beats)]

    def writes(self, geometry: RibbonGeometry) -> dict[str, int]:
        """Entries of the codebook."""
        return {"codebook": self.codebook_writes(geometry)}
