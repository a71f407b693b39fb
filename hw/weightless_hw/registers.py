"""The decoder's registers, and what its status says: one table for RTL, bench, C header and docs/hardware.md.

Standard library only, so that a bench reads it without Amaranth.
"""

from enum import IntEnum, IntFlag
from typing import NamedTuple

IDENTITY = int.from_bytes(b"WLSD", "big")
ADDRESS_BITS = 5
SOFT_RESET = 1  # bit of CONTROL


class Phase(IntEnum):
    """What the loader is doing."""

    DESCRIPTOR = 0
    CHECK = 1
    CODEBOOK = 2
    TABLE = 3
    CRC = 4
    VERIFY = 5
    DECODE = 6
    DRAIN = 7


class LoadError(IntFlag):
    """Why a record was refused; the rest of it is drained, and the next one is served."""

    LAYOUT = 1
    WIDTHS = 2
    VALUE_FORMAT = 4
    FLAGS = 8
    N_WEIGHTS = 16
    BANK_ROWS = 32
    N_CODES = 64
    NOT_RESIDENT = 128
    DIGEST = 256
    PAYLOAD_WORDS = 512
    SHORT = 1024
    LONG = 2048
    CRC = 4096
    RESIDENT_MISMATCH = 8192
    HEADER = 16384
    ENTRY = 32768
    COVER = 65536
    WORDS = 131072
    PADDING = 262144
    TILE = 524288


# Those of a record that is decoded while it comes.
STREAM_ERRORS = LoadError.HEADER | LoadError.ENTRY | LoadError.COVER | LoadError.WORDS | LoadError.PADDING
# What each of them says.
WHY = {
    LoadError.LAYOUT: "the record is of a layout that this decoder does not read",
    LoadError.WIDTHS: "its lanes or slot bits are not the decoder's; ribbon: or no chunk has that size; bitmask: or it "
    "has a seed",
    LoadError.VALUE_FORMAT: "its values are not of the decoder's width, or of no known format",
    LoadError.FLAGS: "a flag is set that the decoder does not know",
    LoadError.N_WEIGHTS: "it has no weights; bitmask: or fewer than are not zero",
    LoadError.BANK_ROWS: "classic: it has no rows, or more than a bank holds",
    LoadError.N_CODES: "it has more codes than the codebook holds; bitmask: or codes and no weights, or weights alone",
    LoadError.NOT_RESIDENT: "a resident record, and the table of no whole record is loaded",
    LoadError.DIGEST: "it was written for another form of the layout",
    LoadError.PAYLOAD_WORDS: "its payload has another number of words than its sizes need",
    LoadError.SHORT: "last came before the CRC word",
    LoadError.LONG: "the CRC word was not last",
    LoadError.CRC: "the CRC word is not that of the words before it",
    LoadError.RESIDENT_MISMATCH: "a resident record, and the loaded table is another layer's",
    LoadError.HEADER: "ribbon: a chunk without entries, or of words that are no whole blocks",
    LoadError.ENTRY: "ribbon: an entry of no groups, of more words than groups, or behind the last group; bitmask: a "
    "code of no value",
    LoadError.COVER: "ribbon: the entries of a chunk end before its last group; bitmask: not as many bits of masks are "
    "set as it says",
    LoadError.WORDS: "streamed: words that nobody calls for, or that are missing",
    LoadError.PADDING: "streamed: bits that must be zero are not",
    LoadError.TILE: "classic: a tile of no runs, of empty ones, of some that overlap, or of weights that the layer "
    "does not have",
}
# What is counted, by the register's name.
COUNTS = ("records", "beats", "load_stalls", "weights_stalls")


class Register(NamedTuple):
    """A row of REGISTERS; a register's address is its place."""

    name: str
    text: str
    write: str = ""  # what a write does; empty where it does nothing


PHASES = ", ".join(f"{phase.value} {phase.name.lower()}" for phase in Phase)
REGISTERS = (
    Register("identity", '`0x574c5344` ("WLSD")'),
    Register("digest", "digest of the layout; a record with another in its descriptor is refused"),
    Register("format_version", "format version"),
    Register("widths", "log2 of the lanes, slot bits << 8, value bits << 16; bit 24: it takes tiles"),
    Register("table_size", "classic: largest bank rows"),
    Register("max_codes", "largest number of codes"),
    Register("fill_latency", "fill latency in cycles"),
    Register("phase", f"what the loader is doing: {PHASES}"),
    Register("errors", "why records were refused, a bit each, until they are cleared", "clears the bits that are 1"),
    Register("n_weights", "N of the record under way, or of the last one"),
    Register("n_codes", "its K"),
    Register("scale", "its scale, a 32-bit float"),
    Register("record_crc", "its CRC-32, as sent; 0 before the CRC word came"),
    Register("records", "records that were decoded, modulo 2^32; this and the next three: 0 without counters"),
    Register("beats", "beats that were taken, modulo 2^32"),
    Register("load_stalls", "cycles in which a word waited for the decoder, modulo 2^32"),
    Register("weights_stalls", "cycles in which a beat waited for its taker, modulo 2^32"),
    Register("control", "0", "bit 0: soft reset, of all but the memories, in the cycle after the next"),
)  # fmt: skip
ADDRESS = {register.name: address for address, register in enumerate(REGISTERS)}


def table() -> str:
    """The registers as docs/hardware.md has them, in Markdown."""
    rows = "".join(
        f"| {address} | {register.name} | {register.text} | {register.write} |\n"
        for address, register in enumerate(REGISTERS)
    )
    return "| address | register | content | a write |\n|---|---|---|---|\n" + rows


def error_table() -> str:
    """The bits of ``errors``, in Markdown."""
    rows = "".join(f"| {bit} | {error.name} | {WHY[error]} |\n" for bit, error in enumerate(LoadError))
    return "| bit | error | why |\n|---|---|---|\n" + rows


def c_header() -> str:
    """Addresses, phases and error bits for a driver in C."""
    lines = [f"#define WEIGHTLESS_IS 0x{IDENTITY:08x}u /* what the first register holds */", ""]
    for address, register in enumerate(REGISTERS):
        lines.append(f"/* {register.text}{f'; a write {register.write}' if register.write else ''} */")
        lines.append(f"#define WEIGHTLESS_REG_{register.name.upper()} {address}u")
    lines += ["", f"#define WEIGHTLESS_CONTROL_SOFT_RESET {SOFT_RESET}u", ""]
    lines += [f"#define WEIGHTLESS_PHASE_{phase.name} {phase.value}u" for phase in Phase]
    lines.append("")
    for error in LoadError:
        lines += [f"/* {WHY[error]} */", f"#define WEIGHTLESS_ERROR_{error.name} 0x{error.value:x}u"]
    body = "\n".join(lines)
    return f"""/* Weightless streaming decoder: registers, by number; behind AXI4-Lite number k is at byte 4 k.
   Generated; do not edit. */
#ifndef WEIGHTLESS_REGISTERS_H
#define WEIGHTLESS_REGISTERS_H

{body}

#endif
"""
