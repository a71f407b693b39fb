"""The decoder's registers, and what its status says: one table for RTL, bench and docs/hardware.md.

Standard library only, so that a bench reads it without Amaranth.
"""

from enum import IntEnum, IntFlag
from typing import NamedTuple

IDENTITY = int.from_bytes(b"WLSD", "big")


class Phase(IntEnum):
    """What the loader is doing."""

    DESCRIPTOR = 0
    CHECK = 1
    CODEBOOK = 2
    TABLE = 3
    DECODE = 4
    ERROR = 5


class LoadError(IntFlag):
    """Why a descriptor was refused."""

    LAYOUT = 1
    WIDTHS = 2  # lanes or slot_bits
    VALUE_FORMAT = 4
    FLAGS = 8
    N_WEIGHTS = 16
    BANK_ROWS = 32  # or more payload words than the banks hold
    N_CODES = 64
    NOT_RESIDENT = 128  # FLAG_RESIDENT before any table was loaded
    DIGEST = 256  # another form of the layout


class Register(NamedTuple):
    """A row of REGISTERS; a register's address is its place."""

    name: str
    text: str


PHASES = ", ".join(f"{phase.value} {phase.name.lower()}" for phase in Phase)
REGISTERS = (
    Register("identity", '`0x574c5344` ("WLSD")'),
    Register("digest", "digest of the layout; a record with another in its descriptor is refused"),
    Register("format_version", "format version"),
    Register("widths", "log2 of the lanes, slot bits << 8, value bits << 16"),
    Register("table_size", "classic: largest bank rows"),
    Register("max_codes", "largest number of codes"),
    Register("status", f"phase ({PHASES}); reasons of an error << 8"),
    Register("fill_latency", "fill latency in cycles"),
)  # fmt: skip
ADDRESS = {register.name: address for address, register in enumerate(REGISTERS)}
