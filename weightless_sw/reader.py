"""Bytes of a file, taken off the front: numbers of a few bytes each, and a CRC behind what it covers."""

import struct
import zlib

CRC = struct.Struct("<I")
MAX_VARINT_BYTES = 9  # below 2^63


class FormatError(ValueError):
    """The bytes are no valid ``.wls`` file; the message says what is wrong and where."""


def varint(number: int) -> bytes:
    """``number`` as an unsigned LEB128 in its shortest form."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


class Reader:
    """Takes bytes off the front, each length checked against what is there."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, n_bytes: int, what: str) -> bytes:
        """The next bytes, which are ``what``."""
        if n_bytes > len(self.data) - self.place:
            left = len(self.data) - self.place
            raise FormatError(
                f"truncated at byte {len(self.data)}: {what} needs {n_bytes} bytes, {left} are left"
            )
        self.place += n_bytes
        return self.data[self.place - n_bytes : self.place]

    def varint(self, what: str) -> int:
        """The inverse of :func:`varint`."""
        number = 0
        for k in range(MAX_VARINT_BYTES):
            byte = self.take(1, what)[0]
            number |= (byte & 0x7F) << 7 * k
            if byte < 0x80:
                if byte == 0 and k:
                    raise FormatError(f"{what}: a number is not in its shortest form")
                return number
        raise FormatError(f"{what}: a number of more than 63 bits")

    def check_crc(self, start: int, what: str) -> None:
        """The CRC-32 of all from ``start`` on comes next."""
        expected = zlib.crc32(self.data[start : self.place])
        (stored,) = CRC.unpack(self.take(CRC.size, f"CRC of {what}"))
        if stored != expected:
            raise FormatError(f"{what} is corrupt: CRC-32 is {expected:08x}, the file says {stored:08x}")
