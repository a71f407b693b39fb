"""What an elaborated classic decoder is built for, and the registers of its stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from weightless_hw.config import (
    CODE_UNITS,
    LOADER,
    STORED,
    DataPath,
    DecoderConfig,
    MemoryBlock,
    Stage,
    Unit,
    option,
)
from weightless_hw.registers import LoadError
from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import TILE_WORDS, Geometry, require, words_for_bits


@dataclass(frozen=True, kw_only=True)
class ClassicConfig(DecoderConfig):
    """A decoder of three banks; ``lanes`` must equal those of a layer."""

    GEOMETRY: ClassVar[type[Geometry]] = ClassicGeometry
    LOADING: ClassVar[str] = STORED

    max_bank_rows: int = option(1024, "rows of each of the three banks")
    rounds_per_stage: int = option(1, "hash rounds between two registers, 1 to 6")
    tiles: int = option(0, "1: frames may ask for runs of weights of the loaded table")

    def __post_init__(self) -> None:
        spec.check_widths(self.lanes, self.slot_bits)
        super().__post_init__()
        require("max_bank_rows", self.max_bank_rows, 1, spec.MAX_BANK_ROWS)
        require("rounds_per_stage", self.rounds_per_stage, 1, spec.ADDRESS_ROUNDS)
        require("tiles", self.tiles, 0, 1)

    @classmethod
    def own_parameters(cls, geometries: Sequence[ClassicGeometry]) -> dict[str, int]:
        """Lanes, and the rows of the largest table."""
        return {"lanes": geometries[0].lanes, "max_bank_rows": max(g.bank_rows for g in geometries)}

    def own_limits(self, geometry: ClassicGeometry) -> list[tuple[str, int, str, int]]:
        """Lanes must be equal, the banks large enough."""
        return [
            ("lanes", geometry.lanes, "!=", self.lanes),
            ("bank_rows", geometry.bank_rows, ">", self.max_bank_rows),
        ]

    def own_faults(self, fields: Mapping[str, int]) -> dict[LoadError, bool]:
        """Widths with the lanes, rows, and the words that they take."""
        rows = fields["bank_rows"]
        lanes_log2, slot_bits = fields["widths"] & 15, (fields["widths"] >> 4) + 1
        return {
            LoadError.WIDTHS: (1 << lanes_log2, slot_bits) != (self.lanes, self.slot_bits),
            LoadError.BANK_ROWS: not 1 <= rows <= self.max_bank_rows,
            LoadError.PAYLOAD_WORDS: fields["payload_words"]
            != words_for_bits(spec.N_BANKS * rows * self.row_bits),
        }

    @property
    def name(self) -> str:
        """A name for build folders and files."""
        return (
            f"g{self.lanes}_t{self.slot_bits}_r{self.max_bank_rows}_k{self.max_codes}_v{self.value_bits}"
            f"_h{self.rounds_per_stage}{'_tiles' if self.tiles else ''}{'' if self.counters else '_n'}"
        )

    @property
    def row_bits(self) -> int:
        """Width of a bank row."""
        return self.lanes * self.slot_bits

    @property
    def payload_bits(self) -> int:
        """As many as the words of the largest banks take, or those of a tile."""
        most = words_for_bits(spec.N_BANKS * self.max_bank_rows * self.row_bits)
        return max(most, TILE_WORDS if self.tiles else 0).bit_length()

    @property
    def takes_tiles(self) -> bool:
        """As it is told."""
        return bool(self.tiles)

    @property
    def layer_bits(self) -> dict[str, int]:
        """Rows as well."""
        return super().layer_bits | {"bank_rows": self.max_bank_rows.bit_length()}

    @property
    def bank_depth(self) -> int:
        """Rows of a bank as it is built: those that are asked for, two at least, so that there is an address bit."""
        return max(2, self.max_bank_rows)

    @property
    def memories(self) -> tuple[MemoryBlock, ...]:
        """The three banks."""
        return (MemoryBlock("banks", spec.N_BANKS, self.bank_depth, self.row_bits),)

    @property
    def table_size(self) -> int:
        """Rows of a bank."""
        return self.max_bank_rows

    @property
    def row_addr_bits(self) -> int:
        """Address width of a bank."""
        return (self.bank_depth - 1).bit_length()

    # Registers of each part; the RTL reads them here.

    @property
    def hash_stages(self) -> int:
        """Hash rounds until rows and lane offsets are known."""
        return -(-spec.ADDRESS_ROUNDS // self.rounds_per_stage)

    RANGE_STAGES = 2  # partial products, sum
    BANK_STAGES = 2  # block RAM, and a register behind it for its slow clock-to-output

    @property
    def permute_stages(self) -> int:
        """Lane permutation: three bits of the offset (one 8:1 multiplexer) per register."""
        return -(-(self.lanes.bit_length() - 1) // 3)

    @property
    def slots_stages(self) -> int:
        """Registers from the group counter on, up to the slots that are XORed."""
        return 1 + self.hash_stages + self.RANGE_STAGES + self.BANK_STAGES + self.permute_stages

    @property
    def data_path(self) -> DataPath:
        """Index, hash, range, banks, permutation, XOR, codebook, output."""
        g, t = self.lanes, self.slot_bits
        return DataPath(
            stages=(
                Stage("index", "group number\none a clock", 1),
                Stage("hash", f"{spec.ADDRESS_ROUNDS} SP-box rounds\n96-bit state", self.hash_stages),
                Stage("range", "row = word × rows\n3 multiply-shifts", self.RANGE_STAGES),
                Stage("banks", f"3 rows of\n{g} × {t} bits", self.BANK_STAGES),
                Stage("permute", "lane l reads\nslot l ⊕ offset", self.permute_stages),
                *self.code_stages("3 slots ⊕ mask\nper lane"),
            ),
            beside=(("hash", "permute", "lane offsets"), ("hash", "xor", "masks")),
            loaded=(("index", "descriptor"), ("banks", "table"), ("codebook", "codebook")),
        )

    @property
    def units(self) -> tuple[Unit, ...]:
        """A stage, a mask hash, a bank each; what a stage works on is the group whose ``valid`` is at its input."""
        depth, units = -1, []  # registers between the index generator and the stage's input
        for stage in self.data_path.stages[: -len(CODE_UNITS)]:
            name, busy = (
                stage.name,
                ((f"pipeline.valid_{depth - 1}" if depth > 0 else "pipeline.index.valid",),),
            )
            if name == "banks":  # reading waits while a memory is written
                for bank in range(spec.N_BANKS):
                    units.append(
                        Unit(name, ((f"pipeline.bank_{bank}.en", f"~pipeline.bank_{bank}.write"),), busy)
                    )
            elif stage.registers:
                units.append(Unit(name, (("pipeline.en",),), busy))
            depth += stage.registers
            if name == "hash":
                units.append(Unit("mask hash", (("pipeline.en",),), ((f"pipeline.valid_{depth - 1}",),)))
        return (*units, *CODE_UNITS, LOADER)

    def writes(self, geometry: ClassicGeometry) -> dict[str, int]:
        """Rows of each bank; entries of the codebook."""
        return {
            "banks": spec.N_BANKS * geometry.bank_rows,
            "codebook": self.codebook_writes(geometry),
        }
