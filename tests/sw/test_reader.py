import pytest

from weightless_sw.reader import FormatError, Reader, varint


@pytest.mark.parametrize("n", [0, 1, 127, 128, 16_383, 16_384, (1 << 63) - 1])
def test_varints_round_trip(n):
    assert Reader(varint(n)).varint("x") == n


def test_varints_beyond_63_bits_are_refused():
    with pytest.raises(FormatError, match="more than 63 bits"):
        Reader(b"\xff" * 9 + b"\1").varint("x")
