import pytest

from weightless_sw.spec import coded
from weightless_sw.spec.coded import Head, decode_codes, density_share, last_number
from weightless_sw.spec.record import ValueFormat

HEAD = Head(value_format=ValueFormat.FP16, n_codes=3, density=19, flipped=False, stride=0)


def stream_of(case):
    """(head, stream) of a frozen vector."""
    if "record" not in case:
        data = bytes.fromhex(case["record_without_codebook_and_padding"])
        head, n_bytes = Head.from_bytes(data)
        return head, data[n_bytes:]
    data = bytes.fromhex(case["record"])
    head, n_bytes = Head.from_bytes(data)
    return head, data[n_bytes + head.n_codes * head.value_format.bits // 8 :]


def test_vectors(coded_vectors):
    for case in coded_vectors:
        head, stream = stream_of(case)
        rows = case["shape"][0] if case["shape"] else 1
        codes = [case["K"] if code < 0 else code for code in case["codes"]]
        assert decode_codes(head, rows, len(codes) // rows, stream) == codes, case["name"]


def test_the_planted_fault_is_seen(coded_vectors):
    (case,) = (case for case in coded_vectors if case["name"] == "lenet5.conv1")
    head, stream = stream_of(case)
    broken = bytes([stream[0] ^ 0x10]) + stream[1:]
    assert decode_codes(head, 20, 25, broken) != decode_codes(head, 20, 25, stream)


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("flipped", [False, True])
def test_head_round_trip(scale, flipped):
    value_format = ValueFormat.FP16 if scale == 1.0 else ValueFormat.FIXED16
    head = Head(
        value_format=value_format, n_codes=65535, density=255, flipped=flipped, stride=28, scale=scale
    )
    data = head.to_bytes()
    assert len(data) == (6 if scale == 1.0 else 10)
    assert Head.from_bytes(data + b"more") == (head, len(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "a coded record of 0 bytes has no head"),
        ("01 13 03 00 00", "a coded record of 5 bytes has no head"),
        ("02 13 03 00 00 00 00 00 80", "a coded record of 9 bytes has no scale"),
        ("11 13 03 00 00 00", "unknown form 0x11"),
        ("00 13 03 00 00 00", "0 is not a valid ValueFormat"),
        ("04 13 03 00 00 00", "4 is not a valid ValueFormat"),
        ("01 13 00 00 00 00", "a coded record names 1 to 65535 values, not 0"),
        ("01 13 03 00 01 00", "stride must be 0 or from 2 to 65535, not 1"),
        ("02 13 03 00 00 00 00 00 00 00", "scale must be positive and finite, not 0.0"),
        ("02 13 03 00 00 00 00 00 80 bf", "scale must be positive and finite, not -1.0"),
        ("03 13 03 00 00 00 00 00 c0 7f", "scale must be positive and finite, not nan"),
    ],
)
def test_heads_that_no_writer_writes(data, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Head.from_bytes(bytes.fromhex(data))


def test_density_bytes_are_shares():
    shares = [density_share(density) for density in range(256)]
    assert (min(shares), max(shares)) == (1, 63488)


def test_last_number_has_the_most_zero_bytes():
    assert last_number(1, 0xFFFFFFFE) == 1 << 24
    assert last_number(0, 1 << 24) == 0
    assert last_number(0x12345678, 1 << 24) == 0x13000000
    assert last_number(0xFFFFFF00, 1 << 16) == 1 << 32
    assert all(
        last_number(low, rng) in range(low, low + rng) for low in (0, 1, 0xFFFFFF01) for rng in (256, 1 << 24)
    )


def test_classes_and_bounds():
    assert coded.density_class(0, 1 << 40) == 0
    assert coded.density_class(1000, coded.CLASS_OFFSET) == coded.N_CLASSES - 1
    assert [coded.value_class(code, 5) for code in range(6)] == [1, 1, 1, 2, 2, 0]
    assert [coded.clamp(p) for p in (0, 1, 65280, 65535)] == [1, 1, 65280, 65280]
