import contextlib
import dataclasses
import importlib.util
import re
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightless_sw import arrangement, codec, container, records
from weightless_sw.arrangement import Arrangement
from weightless_sw.codebook import ML_DTYPES
from weightless_sw.container import HEADER, FormatError, from_bytes, to_bytes
from weightless_sw.reader import Reader
from weightless_sw.spec.classic import ClassicGeometry
from weightless_sw.spec.record import ValueFormat
from weightless_sw.tensor import EncodedTensor

ROOT = Path(__file__).parent.parent.parent


def load_second_reader():
    module_spec = importlib.util.spec_from_file_location(
        "second_reader", Path(__file__).parent / "second_reader.py"
    )
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


second_reader = load_second_reader()


@pytest.fixture(scope="module")
def tensors(sparse_layer):
    return {
        "fc.weight": codec.encode(sparse_layer((6, 50), 20, n_values=3), lanes=4, slot_bits=5)[0],
        "fc.bias": np.array([1.5, -2.0, 0.25], np.float32),
    }


@pytest.fixture(scope="module")
def data(tensors):
    return to_bytes(tensors)


@pytest.fixture(scope="module")
def rich_data():
    """Small, and with everything that version 2 has: maps of both forms, by columns, metadata, odd raw bytes."""
    weights = np.zeros((40, 6), np.float32)
    weights[[3, 3, 17, 17, 30], [1, 2, 2, 4, 1]] = [0.5, -1.0, 0.5, 0.25, -1.0]
    tables = {
        "gaps": (weights, "rows"),
        "bitmap": (weights.reshape(6, 5, 8), "columns"),
        "all": (weights[:4], "rows"),
    }
    tensors: dict = {}
    for name, (array, order) in tables.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arrangement, "MAP_SHARE", 1.0)
            live = "off" if name == "all" else "auto"
            tensors[name] = codec.encode(array, lanes=4, slot_bits=4, live=live, order=order)[0]
    tensors["zero"] = codec.encode(np.zeros((2, 3)), lanes=1, slot_bits=1, live="auto")[0]
    fixed = np.array([[0, 127, -5], [3, 0, 0]]) * 0.5
    tensors["fixed"] = codec.encode(fixed, lanes=2, slot_bits=3, value_format=ValueFormat.FIXED8)[0]
    tensors["norm"] = np.arange(5, dtype=np.int16)
    tensors["mask"] = np.array([True, False, True])
    tensors["scalar"] = np.float32(7.0).reshape(())
    return to_bytes(tensors, {"network": "none", "command": "é"})


def sections(data):
    """(start, end) of each part that a CRC follows."""
    reader = Reader(data)
    n_bytes = HEADER.unpack(reader.take(HEADER.size, ""))[3]
    entries, _ = container._read_directory(Reader(data))
    result, place = [(0, HEADER.size + n_bytes)], HEADER.size + n_bytes + 4
    for entry in entries:
        result.append((place, place + -(-entry.n_bytes // 4) * 4))
        place = result[-1][1] + 4
    return result


def seal(data: bytes, places) -> bytes:
    """The bytes with the CRCs behind ``places`` made right again: only the other checks can refuse them."""
    sealed = bytearray(data)
    for start, end in places:
        sealed[end : end + 4] = struct.pack("<I", zlib.crc32(bytes(sealed[start:end])))
    return bytes(sealed)


def test_round_trip(tensors, data):
    read = from_bytes(data)
    assert list(read) == list(tensors)
    assert np.array_equal(read["fc.bias"], tensors["fc.bias"])
    stored = read["fc.weight"]
    assert isinstance(stored, EncodedTensor)
    assert stored.geometry == tensors["fc.weight"].geometry
    assert stored.shape == (6, 50)
    assert np.array_equal(codec.decode(stored), codec.decode(tensors["fc.weight"]))
    assert to_bytes(read) == data


@settings(max_examples=50)
@given(
    st.sampled_from(list(container.RAW_DTYPES.values())).flatmap(
        lambda dtype: hnp.arrays(
            np.dtype(f"u{dtype.itemsize}") if dtype in ML_DTYPES else dtype,
            hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
        ).map(lambda array: array.view(dtype) if dtype in ML_DTYPES else array)
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


def as_second(tensors):
    """What the second reader must give for the same file."""
    plain = {}
    for name, t in tensors.items():
        is_table = isinstance(t, EncodedTensor)
        plain[name] = (t.shape, codec.decode_golden(t).reshape(-1).tolist() if is_table else t.tobytes())
    return plain, tensors.metadata


def outcome(read, data):
    try:
        return read(data)
    except ValueError:  # FormatError is one
        return None


def test_second_reader_agrees(data, rich_data, ribbon_data, bitmask_data):
    for whole in (data, rich_data, *ribbon_data, *bitmask_data):
        assert second_reader.read(whole) == as_second(from_bytes(whole))
        assert to_bytes(from_bytes(whole)) == whole


@pytest.fixture(scope="module")
def ribbon_data():
    """Small ribbons, a file each: dead segments, several entries, every width of items, no codebook."""
    rng = np.random.default_rng(5)
    files = []
    for n, n_nonzero, slot_bits, dead_groups in (
        (100, 9, 8, 0), (300, 40, 5, 2), (300, 3, 9, 2), (130, 90, 16, 0), (64, 0, 3, 0), (200, 50, 2, 4),
        (250, 60, 1, 2),
    ):  # fmt: skip
        weights = np.zeros((2, n // 2), np.float32)
        for row, share in zip(weights, (n_nonzero // 2, n_nonzero - n_nonzero // 2), strict=True):
            row[rng.choice(n // 2, share, replace=False)] = 0.5
        tensor, _ = codec.encode(
            weights, layout="ribbon", slot_bits=slot_bits, live="off", dead_groups=dead_groups
        )
        files.append(to_bytes({"w": tensor}))
    return files


@pytest.fixture(scope="module")
def bitmask_data():
    """Small bitmasks, a file each: maps, every code in use or not, no weight, many bits."""
    rng = np.random.default_rng(9)
    files = []
    for shape, density, n_values, slot_bits in (
        ((3, 20), 0.3, 4, None), ((5, 33), 0.1, 3, 5), ((2, 32), 0.9, 2, None), ((4, 40), 0.0, 1, None),
        ((2, 50), 0.2, 9, 16),
    ):  # fmt: skip
        weights = np.where(rng.random(shape) < density, rng.integers(1, n_values + 1, shape) / 4, 0)
        weights[1] = 0
        files.append(to_bytes({"w": codec.encode(weights, layout="bitmask", slot_bits=slot_bits)[0]}))
    return files


def mutate(whole, start, end, rng):
    """A few bytes of that part changed, and the checksums made right again."""
    broken = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(start, end))
        broken[place] = int(rng.choice([0, 1, 0x7F, 0xFF, broken[place] ^ 1 << int(rng.integers(8))]))
    return seal(bytes(broken), sections(whole))


def both_readers_agree(data):
    """Whether the file is valid, on which both agree, as they do on what it holds."""
    ours = None
    with contextlib.suppress(FormatError):
        ours = from_bytes(data)
    if ours is None:
        assert outcome(second_reader.read, data) is None, data.hex()
        return False
    assert repr(second_reader.read(data)) == repr(as_second(ours))
    assert to_bytes(ours) == data
    for tensor in ours.values():
        if isinstance(tensor, EncodedTensor):
            assert np.array_equal(codec.decode(tensor), codec.decode_golden(tensor))
    return True


@pytest.mark.parametrize("part", ["directory", "records"])
def test_hostile_files_with_right_checksums(rich_data, part, effort):
    """3,000 mutations in all: refused as FormatError, or a valid file on which both readers agree."""
    rng = np.random.default_rng(len(part))
    header, *records = sections(rich_data)
    n_valid = 0
    n = 1500 * effort
    for k in range(n):
        start, end = header if part == "directory" else records[k % len(records)]
        if k % 2 and part == "records":
            end = min(end, start + 40)  # descriptor and codebook, or else the table is nearly all that is hit
        n_valid += both_readers_agree(mutate(rich_data, start, end, rng))
    assert 0.01 * n < n_valid < 0.9 * n  # both outcomes are tried


def test_hostile_bitmasks_with_right_checksums(bitmask_data, effort):
    """2,000 mutations of masks and codes, every second one of the descriptor, too."""
    rng = np.random.default_rng(8)
    n_valid = 0
    n = 2000 * effort
    for k in range(n):
        whole = bitmask_data[k % len(bitmask_data)]
        _, (start, end) = sections(whole)
        first = start if k // len(bitmask_data) % 2 else min(start + 28, end - 4)
        n_valid += both_readers_agree(mutate(whole, first, end, rng))
    assert 0.02 * n < n_valid < 0.9 * n


def test_hostile_ribbons_with_right_checksums(ribbon_data, effort):
    """4,000 mutations of chunks, every second one of header and first words."""
    rng = np.random.default_rng(7)
    n_valid = 0
    n = 4000 * effort
    for k in range(n):
        whole = ribbon_data[k % len(ribbon_data)]
        _, (start, end) = sections(whole)
        if k // len(ribbon_data) % 2:
            end = min(end, start + 48)
        n_valid += both_readers_agree(mutate(whole, start, end, rng))
    assert 0.1 * n < n_valid < 0.9 * n


def test_a_claim_of_billions_takes_no_memory():
    """A map of one live row of 2^32 - 1 is a few bytes; so is what reading it takes."""
    arrangement = Arrangement(((1 << 32) - 1,), np.array([7]))
    geometry = ClassicGeometry(n_weights=1, lanes=1, slot_bits=1, bank_rows=1, n_codes=1, seed=0)
    tensor = EncodedTensor(arrangement, geometry, np.ones(1, np.float16), np.zeros(3, np.uint16))
    data = to_bytes({"w": tensor})
    tracemalloc.start()
    read = from_bytes(data)["w"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read.shape == ((1 << 32) - 1,)
    assert peak < 100_000


def patched(data, old, new):
    """The file with bytes of its directory replaced by as many others."""
    assert data.count(bytes.fromhex(old)) == 1
    assert len(old) == len(new)
    return seal(data.replace(bytes.fromhex(old), bytes.fromhex(new)), sections(data))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "01 00 03 61 6c 6c",
            "03 00 03 61 6c 6c",
            "'all': (a codebook of|the codebook holds|the record is longer|a stream|stride|unknown form|scale)",
        ),
        ("01 00 03 61 6c 6c", "00 00 03 61 6c 6c", "'all': unknown kind 0"),
        ("01 00 03 61 6c 6c", "81 00 03 61 6c 6c", "'all': unknown kind 1 or flags 0x80"),
        ("01 00 03 61 6c 6c", "01 01 03 61 6c 6c", "'all': unknown dtype 1 of kind 1"),
        ("02 06 04 6e 6f 72 6d", "22 06 04 6e 6f 72 6d", "'norm': unknown kind 2 or flags 0x20"),
        ("02 06 04 6e 6f 72 6d", "02 10 04 6e 6f 72 6d", "'norm': unknown dtype 16 of kind 2"),
        ("02 06 04 6e 6f 72 6d", "02 06 04 6e 6f 72 ff", "a tensor's name is not UTF-8"),
        (
            "02 06 04 6e 6f 72 6d 01 05",
            "02 06 04 6e 6f 72 6d 01 06",
            "'norm': shape .6,. of int16 needs 12 bytes",
        ),
        (
            "04 7a 65 72 6f 02 02 03",
            "04 7a 65 72 6f 02 00 03",
            "'zero': a table or coded record of 32 bytes for shape .0, 3.",
        ),
        (
            "04 7a 65 72 6f 02 02 03",
            "04 7a 65 72 6f 02 02 04",
            "'zero': the live block has 2 x 4 = 8 weights",
        ),
        ("6e 65 74 77 6f 72 6b", "61 65 74 77 6f 72 6b", "the metadata is not in the form"),
        ("22 3a 22 6e 6f 6e 65", "22 3a 20 6e 75 6c 6c", "the metadata is no JSON object|no JSON"),
    ],
)
def test_directories_that_no_writer_writes_are_refused(rich_data, old, new, message):
    with pytest.raises(FormatError, match=message):
        from_bytes(patched(rich_data, old, new))


def test_by_columns_needs_two_rows_and_two_columns():
    tensor = codec.encode(np.array([[0.5, 0, 0]]), lanes=1)[0]
    odd = dataclasses.replace(tensor, arrangement=Arrangement((1, 3), by_columns=True))
    with pytest.raises(FormatError, match="one row or one column"):
        from_bytes(to_bytes({"w": odd}))


@pytest.mark.parametrize("shape", [(), (4,), (3, 5), (2, 3, 4), (1, 7), (7, 1)])
@pytest.mark.parametrize("order", arrangement.ORDERS)
@pytest.mark.parametrize("live", arrangement.LIVE)
def test_arrangements_round_trip(shape, order, live, monkeypatch):
    monkeypatch.setattr(arrangement, "MAP_SHARE", 1.0)
    weights = np.zeros(shape, np.float32)
    weights.reshape(-1)[:1] = 0.5
    tensor, report = codec.encode(weights, lanes=2, live=live, order=order)
    read = from_bytes(to_bytes({"w": tensor}))["w"]
    decoded = codec.decode_golden(read)
    assert decoded.shape == shape
    assert np.array_equal(decoded, codec.decode(tensor))
    assert decoded.reshape(-1)[0] == 0.5
    assert report.n_stored == tensor.geometry.n_weights == report.live_choices[live]["n_stored"]
    block = tensor.arrangement.gather(weights)
    assert np.array_equal(tensor.arrangement.scatter(block), weights)


@pytest.mark.parametrize("rows", [None, [0, 2]])
@pytest.mark.parametrize("columns", [None, [1, 2, 4]])
@pytest.mark.parametrize("by_columns", [False, True])
def test_scatter_puts_back_what_gather_took(rows, columns, by_columns):
    live = [None if numbers is None else np.array(numbers) for numbers in (rows, columns)]
    arrangement = Arrangement((3, 5), *live, by_columns=by_columns)
    array = np.zeros((3, 5))
    for row in rows or range(3):
        for column in columns or range(5):
            array[row, column] = 1 + 5 * row + column
    block = arrangement.gather(array)
    assert block.size == arrangement.n_weights == np.count_nonzero(array)
    assert np.array_equal(arrangement.scatter(block), array)


def test_metadata_round_trips_and_is_checked(tensors):
    data = to_bytes(tensors, {"b": "2", "a": "\u2713"})
    assert from_bytes(data).metadata == {"a": "\u2713", "b": "2"}
    assert b'{"a":"\\u2713","b":"2"}' in data
    assert from_bytes(to_bytes(tensors)).metadata == {}
    with pytest.raises(ValueError, match="metadata must be strings by string"):
        to_bytes(tensors, {"a": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: b"", "truncated at byte 0: the header needs 12 bytes"),
        (lambda d: b"PK\x03\x04" + d[4:], r"not a \.wls file"),
        (lambda d: d[:4] + b"\x09\x00" + d[6:], "format version 9; this program reads version 2$"),
        (
            lambda d: d[:4] + b"\x01\x00" + d[6:],
            "format version 1; this program reads version 2: encode it again",
        ),
        (lambda d: d + b"\0", "1 bytes behind the last record"),
    ],
)
def test_messages(data, change, message):
    with pytest.raises(FormatError, match=f"^{message}"):
        from_bytes(change(data))


def test_two_tensors_of_one_name_are_refused():
    bias = np.zeros(1, np.float32)
    twice = to_bytes({"a": bias, "b": bias})
    broken = twice.replace(b"\x01b\x01\x01", b"\x01a\x01\x01")
    with pytest.raises(FormatError, match="same name"):
        from_bytes(seal(broken, sections(twice)))


@pytest.mark.parametrize(
    ("entries", "message"),
    [("00 7e 00 38", "NaN"), ("00 80 00 38", "holds a zero"), ("00 38 00 38", "a value twice")],
)
def test_codebooks_that_no_writer_writes_are_refused(tensors, entries, message):
    record = bytearray(records.to_record(tensors["fc.weight"]))
    record[28:32] = bytes.fromhex(entries)
    with pytest.raises(FormatError, match=message):
        records.from_record(bytes(record), Arrangement((6, 50)))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"": np.zeros(1)}, "a tensor's name must have 1 to 4096"),
        ({"x" * 4097: np.zeros(1)}, "a tensor's name must have"),
        ({"x": np.zeros(1, np.complex64)}, "x: dtype complex64 can't be stored"),
        ({"x": np.zeros((1,) * 33)}, "x: shape .* does not fit the format"),
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


def worked_examples():
    """The whole files that docs/format.md holds in hexadecimal, and what each decodes to by the page."""
    page = (ROOT / "docs" / "format.md").read_text()
    dumps = re.findall(r"```hex\n(.*?)```", page, re.S)
    weights = re.findall(r"```weights\n(.*?)```", page, re.S)
    return [
        (
            bytes.fromhex("".join(line.split("|")[0].split(":")[1] for line in dump.strip().splitlines())),
            np.array(numbers.split(), np.float32).tolist(),
        )
        for dump, numbers in zip(dumps, weights, strict=True)
    ]


def test_worked_examples_of_the_format_page():
    (classic, of_classic), (ribbon, of_ribbon), (mask, of_mask) = worked_examples()
    tensors = from_bytes(classic)
    assert list(tensors) == ["w", "b"]
    assert tensors.metadata == {"network": "x"}
    assert tensors["w"].shape == (3, 4)
    assert codec.decode(tensors["w"]).reshape(-1).tolist() == of_classic
    assert tensors["b"].tolist() == [0.5]
    other = from_bytes(ribbon)
    assert other["w"].shape == (2, 20)
    assert codec.decode(other["w"]).reshape(-1).tolist() == of_ribbon
    masked = from_bytes(mask)
    assert codec.decode(masked["w"]).reshape(-1).tolist() == of_mask
    for data, read in ((classic, tensors), (ribbon, other), (mask, masked)):
        assert second_reader.read(data) == as_second(read)
        assert to_bytes(read) == data


def test_shapes_that_no_array_can_have_are_refused():
    """A dimension of 0 makes the product 0, and numpy can't make the strides of the others."""
    hostile = bytes.fromhex(
        "574c531a02000100180000000201017704008080808008808080800880808080080000003627ac6200000000"
    )
    with pytest.raises(FormatError, match=r"'w': shape \(0, 2147483648, .* whose product is 2\^32 or more"):
        from_bytes(hostile)
    for shape in ((0,), (0, 2**31), (2**31, 0, 1), (3, 0, 4)):
        array = np.zeros(shape, np.uint8)
        assert from_bytes(to_bytes({"w": array}))["w"].shape == shape


def test_a_bool_is_written_as_0_or_1():
    strange = np.array([0, 1, 2, 255], np.uint8).view(bool)
    read = from_bytes(to_bytes({"w": strange}))["w"]
    assert read.tolist() == [False, True, True, True]
    assert read.tobytes() == b"\0\1\1\1"


def test_coded_records_of_a_file_have_a_bound(monkeypatch):
    tensors = {name: codec.encode_coded(np.eye(8), name=name) for name in "abc"}
    data = to_bytes(tensors)
    monkeypatch.setattr(container, "MAX_CODED_WEIGHTS", 3 * 64)
    assert len(from_bytes(data)) == 3
    monkeypatch.setattr(container, "MAX_CODED_WEIGHTS", 3 * 64 - 1)
    with pytest.raises(FormatError, match=r"^192 weights in coded records; a file has at most 191 there"):
        from_bytes(data)
    with pytest.raises(ValueError, match=r"^192 weights in coded records"):
        to_bytes(tensors)


def test_a_stream_that_no_encoder_writes_is_found_when_it_is_decoded():
    tensor = codec.encode_coded(np.eye(8), name="w")
    record = tensor.record + bytes([1, 2, 3, 4])
    data = to_bytes({"w": dataclasses.replace(tensor, record=record)})
    read = from_bytes(data)["w"]
    with pytest.raises(FormatError, match=r"^the stream of a coded record is not the one"):
        codec.decode(read)
