import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightless_sw import classic, container, spec
from weightless_sw.container import FormatError, from_bytes, pack_bits, to_bytes, unpack_bits
from weightless_sw.tensor import EncodedTensor

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def tensors(sparse_layer):
    return {
        "fc.weight": classic.encode(sparse_layer((6, 50), 20, n_values=3), lanes=4, slot_bits=5)[0],
        "fc.bias": np.array([1.5, -2.0, 0.25], np.float32),
    }


@pytest.fixture(scope="module")
def data(tensors):
    return to_bytes(tensors)


def seal(data: bytes, directory_bytes: int | None = None) -> bytes:
    """The bytes with the header's CRC made right again, so that only the other checks can refuse them."""
    size = container.HEADER.size + (directory_bytes or struct.unpack_from("<I", data, 12)[0])
    return data[:size] + struct.pack("<I", zlib.crc32(data[:size])) + data[size + 4 :]


@given(st.integers(1, 16), st.lists(st.integers(0, 65_535), max_size=60))
def test_bits_round_trip(bits, numbers):
    values = np.array(numbers, np.uint16) & np.uint16((1 << bits) - 1)
    packed = pack_bits(values, bits)
    assert len(packed) == -(-len(values) * bits // 8)
    assert int.from_bytes(packed, "little") == sum(int(v) << k * bits for k, v in enumerate(values))
    assert np.array_equal(unpack_bits(packed, len(values), bits), values)


def test_bits_round_trip_over_chunks(monkeypatch):
    monkeypatch.setattr(container, "BITS_CHUNK", 16)
    values = np.arange(1000, dtype=np.uint16) % 512
    assert np.array_equal(unpack_bits(pack_bits(values, 9), 1000, 9), values)


def test_round_trip(tensors, data):
    read = from_bytes(data)
    assert list(read) == list(tensors)
    assert np.array_equal(read["fc.bias"], tensors["fc.bias"])
    stored = read["fc.weight"]
    assert isinstance(stored, EncodedTensor)
    assert stored.geometry == tensors["fc.weight"].geometry
    assert stored.shape == (6, 50)
    assert np.array_equal(classic.decode(stored), classic.decode(tensors["fc.weight"]))
    assert to_bytes(read) == data


@settings(max_examples=50)
@given(
    st.sampled_from(list(container.RAW_DTYPES.values())).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
    )
)
def test_raw_tensors_round_trip(array):
    read = from_bytes(to_bytes({"x": array}))["x"]
    assert read.dtype == array.dtype
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()


def test_every_truncation_is_refused(data):
    for n in range(len(data)):
        with pytest.raises(FormatError, match=r"truncated at byte|CRC|not a \.wls file"):
            from_bytes(data[:n])


def test_every_changed_byte_is_refused(data):
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1 << place % 8
        with pytest.raises(FormatError):
            from_bytes(bytes(broken))


def test_hostile_headers_with_right_checksums_are_refused(data):
    size = container.HEADER.size + struct.unpack_from("<I", data, 12)[0]
    for place in range(4, size):
        for value in (0, 1, 0x7F, 0xFF):
            broken = bytearray(data)
            if broken[place] == value:
                continue
            broken[place] = value
            try:
                read = from_bytes(seal(bytes(broken), size - container.HEADER.size))
            except FormatError:
                continue
            # What can be changed are the names, and shape and dtype as long as the sizes stay.
            table, raw = read.values()
            assert table.geometry.n_weights == 300
            assert raw.nbytes in (9, 10, 11, 12)  # padded to 12


def test_hostile_records_with_right_checksums_are_refused(data):
    start = container.HEADER.size + struct.unpack_from("<I", data, 12)[0] + 4
    record_bytes = struct.unpack_from("<Q", data, container.HEADER.size + 4)[0]
    good = from_bytes(data)["fc.weight"]
    for place in range(spec.DESCRIPTOR.size):
        for value in (0, 1, 0x7F, 0xFF):
            record = bytearray(data[start : start + record_bytes])
            if record[place] == value:
                continue
            record[place] = value
            crc = struct.pack("<I", zlib.crc32(bytes(record)))
            try:
                read = from_bytes(data[:start] + bytes(record) + crc + data[start + record_bytes + 4 :])[
                    "fc.weight"
                ]
            except FormatError:
                continue
            assert (
                read.geometry.n_slots == good.geometry.n_slots
            )  # a seed, a scale, a value format, a code less


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: b"", "truncated at byte 0: the header needs 16 bytes"),
        (lambda d: b"PK\x03\x04" + d[4:], r"not a \.wls file"),
        (lambda d: d[:4] + b"\x09\x00" + d[6:], "format version 9; this program reads version 1"),
        (lambda d: d[:8] + b"\x00\x00\x00\x00" + d[12:], "written for specification 00000000"),
        (lambda d: d + b"\0", "1 bytes behind the last record"),
    ],
)
def test_messages(data, change, message):
    with pytest.raises(FormatError, match=f"^{message}"):
        from_bytes(change(data))


def test_two_tensors_of_one_name_are_refused(data):
    bias = np.zeros(1, np.float32)
    twice = to_bytes({"a": bias, "b": bias})
    with pytest.raises(FormatError, match="same name"):
        from_bytes(
            seal(twice.replace(b"\x01b", b"\x01a").replace(b"b\x01\x00\x00\x00", b"a\x01\x00\x00\x00"))
        )


def test_codebook_of_nan_is_refused(tensors):
    record = bytearray(container.to_record(tensors["fc.weight"]))
    record[24:26] = b"\x00\x7e"
    with pytest.raises(FormatError, match="NaN"):
        container.from_record(bytes(record), (6, 50))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"": np.zeros(1)}, "a tensor's name must have 1 to 255"),
        ({"x" * 256: np.zeros(1)}, "a tensor's name must have"),
        ({"x": np.zeros(1, np.complex64)}, "x: dtype complex64 can't be stored"),
        ({"x": np.array([None])}, "x: dtype object can't be stored"),
    ],
)
def test_writer_refuses(tensors, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        to_bytes(tensors)


def test_failed_writing_leaves_the_old_file(tmp_path, monkeypatch, tensors):
    path = tmp_path / "model.wls"
    n_bytes = container.write(path, tensors)
    assert path.stat().st_size == n_bytes
    monkeypatch.setattr(container.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        container.write(path, {"fc.bias": tensors["fc.bias"]})
    monkeypatch.undo()
    assert list(container.read(path)) == list(tensors)
    assert list(tmp_path.iterdir()) == [path]


def test_reading_names_the_file(tmp_path):
    path = tmp_path / "bad.wls"
    path.write_bytes(b"nonsense")
    with pytest.raises(FormatError, match=r"bad\.wls: truncated"):
        container.read(path)


def test_worked_example_of_the_format_page():
    """docs/format.md holds a whole file in hexadecimal; it must decode to what the page says."""
    page = (ROOT / "docs" / "format.md").read_text()
    dump = re.search(r"```hex\n(.*?)```", page, re.S)
    assert dump
    data = bytes.fromhex("".join(line.split("|")[0].split(":")[1] for line in dump[1].strip().splitlines()))
    weights = re.search(r"```weights\n(.*?)```", page, re.S)
    assert weights
    expected = np.array(weights[1].split(), np.float32)
    tensors = from_bytes(data)
    assert list(tensors) == ["w", "b"]
    assert classic.decode(tensors["w"]).reshape(-1).tolist() == expected.tolist()
    assert tensors["b"].tolist() == [0.5]
    assert to_bytes(tensors) == data
