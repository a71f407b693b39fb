"""What an elaborated decoder is built for, and the latencies that follow.

Specification and standard library only, so that the cycle model can use it without Amaranth.
"""

from dataclasses import dataclass

from weightless_sw.spec import classic as spec
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import Section


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Parameters of one elaborated decoder; they are also the names of its build.

    ``lanes``, ``slot_bits`` and ``value_bits`` must equal those of a layer; the others are the largest
    sizes that fit.  Raises ValueError for a parameter outside its range.
    """

    lanes: int = 8  # weights per beat (G)
    slot_bits: int = 8  # t
    max_bank_rows: int = 1024  # depth of each of the three banks
    max_codes: int = 16  # codebook entries
    value_bits: int = 16  # width of a codebook entry and of a decoded weight
    rounds_per_stage: int = 1  # hash rounds between two pipeline registers

    def __post_init__(self) -> None:
        spec.check_widths(self.lanes, self.slot_bits)
        ranges = {
            "max_bank_rows": (1, spec.MAX_BANK_ROWS),
            "max_codes": (1, (1 << self.slot_bits) - 1),
            "rounds_per_stage": (1, spec.ADDRESS_ROUNDS),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)!r}")
        if self.value_bits not in (8, 16):
            raise ValueError(f"value_bits must be 8 or 16, not {self.value_bits!r}")

    @classmethod
    def for_layer(cls, geometry: ClassicGeometry, **overrides: int) -> "DecoderConfig":
        """The smallest decoder for this layer."""
        parameters = {
            "lanes": geometry.lanes,
            "slot_bits": geometry.slot_bits,
            "max_bank_rows": geometry.bank_rows,
            "max_codes": max(1, geometry.n_codes),
            "value_bits": geometry.value_format.bits,
        }
        return cls(**(parameters | overrides))

    def misfits(self, geometry: ClassicGeometry) -> list[str]:
        """Why this decoder would refuse the layer, a line each; empty when it fits."""
        checks = [
            ("lanes", geometry.lanes, "!=", self.lanes, geometry.lanes != self.lanes),
            ("slot_bits", geometry.slot_bits, "!=", self.slot_bits, geometry.slot_bits != self.slot_bits),
            ("value_bits", geometry.value_format.bits, "!=", self.value_bits,
             geometry.value_format.bits != self.value_bits),
            ("bank_rows", geometry.bank_rows, ">", self.max_bank_rows, geometry.bank_rows > self.max_bank_rows),
            ("n_codes", geometry.n_codes, ">", self.max_codes, geometry.n_codes > self.max_codes),
        ]  # fmt: skip
        return [
            f"{name}: the layer has {a}, the decoder {b} ({a} {sign} {b})"
            for name, a, sign, b, bad in checks
            if bad
        ]

    @property
    def name(self) -> str:
        """A name for build folders and files."""
        return (
            f"g{self.lanes}_t{self.slot_bits}_r{self.max_bank_rows}_k{self.max_codes}_v{self.value_bits}"
            f"_h{self.rounds_per_stage}"
        )

    @property
    def row_bits(self) -> int:
        """Width of a bank row."""
        return self.lanes * self.slot_bits

    @property
    def sections(self) -> tuple[Section, ...]:
        """The sections of the largest record that fits."""
        return (
            Section("codebook", self.max_codes, self.value_bits),
            Section("table", spec.N_BANKS * self.max_bank_rows, self.row_bits),
        )

    @property
    def table_bits(self) -> int:
        """Bits of memory in the three banks."""
        return spec.N_BANKS * self.max_bank_rows * self.row_bits

    @property
    def row_addr_bits(self) -> int:
        """Address width of a bank."""
        return max(1, (self.max_bank_rows - 1).bit_length())

    @property
    def code_addr_bits(self) -> int:
        """Address width of the codebook: four entries at least, so that the padding of its last word fits."""
        return max(2, (self.max_codes - 1).bit_length())

    # Registers of each part, in stage order; the RTL and the cycle model read them here.

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

    XOR_STAGES = 1
    CODEBOOK_STAGES = 1
    OUTPUT_STAGES = 1

    @property
    def fill_latency(self) -> int:
        """Cycles from the end of loading to the first valid beat, the index register included."""
        return (
            1
            + self.hash_stages
            + self.RANGE_STAGES
            + self.BANK_STAGES
            + self.permute_stages
            + self.XOR_STAGES
            + self.CODEBOOK_STAGES
            + self.OUTPUT_STAGES
        )
