import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_sw import arrangement, codec, container, records
from weightless_sw.arrangement import Arrangement
from weightless_sw.codebook import EncodeError
from weightless_sw.coded import record
from weightless_sw.container import FormatError, from_bytes, to_bytes
from weightless_sw.spec.coded import Head, decode_codes
from weightless_sw.spec.record import ValueFormat


@st.composite
def tensors(draw):
    """(weights, value format): up to four dimensions, any density, burstiness and number of values."""
    shape = tuple(draw(st.lists(st.integers(1, 12), max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = int(np.prod(shape))
    density = draw(st.sampled_from([0.0, 0.02, 0.2, 0.7, 1.0]))
    run = draw(st.sampled_from([1, 5]))
    n_values = draw(st.sampled_from([1, 2, 5, 40, 120]))
    support = np.repeat(rng.random(-(-n // run)) < density, run)[:n]
    values = rng.permutation([*range(-120, 0), *range(1, 121)])[:n_values]
    weights = np.where(support, rng.choice(values, n), 0).astype(np.float32).reshape(shape)
    return weights, draw(st.sampled_from(list(ValueFormat)))


@settings(max_examples=80, deadline=None)
@given(tensors())
def test_round_trip_is_exact(case):
    weights, value_format = case
    fixed = value_format is not ValueFormat.FP16
    tensor = codec.encode_coded(weights, value_format=value_format, round_values=fixed)
    assert len(tensor.record) % 4 == 0
    assert tensor.record_bytes == len(tensor.record)
    read = record.from_record(tensor.record, tensor.arrangement)
    assert np.array_equal(read.codes, tensor.codes)
    assert np.array_equal(read.codebook, tensor.codebook)
    decoded = codec.decode(read)
    assert decoded.dtype == np.float32
    assert decoded.shape == weights.shape
    assert np.array_equal(decoded != 0, weights != 0)
    assert np.allclose(decoded, weights, atol=0 if value_format is ValueFormat.FP16 else 120 / 254)
    head, n_bytes = Head.from_bytes(tensor.record)
    stream = tensor.record[n_bytes + tensor.codebook.nbytes :]
    assert decode_codes(head, *tensor.arrangement.block_shape, stream) == tensor.codes.tolist()


def test_vectors(coded_vectors):
    """What the specification decodes, the kernels decode and encode to the very bytes."""
    n_records = 0
    for case in coded_vectors:
        arrangement = Arrangement(tuple(case["shape"]))
        codes = np.array([case["K"] if code < 0 else code for code in case["codes"]], np.uint16)
        data = bytes.fromhex(case.get("record") or case["record_without_codebook_and_padding"])
        head, n_bytes = Head.from_bytes(data)
        if "record" in case:
            padded = data + bytes(-len(data) % 4)
            tensor = record.from_record(padded, arrangement)
            assert np.array_equal(tensor.codes, codes), case["name"]
            n_bytes += tensor.codebook.nbytes
            n_records += 1
        matrix = codes.reshape(arrangement.block_shape)
        turned = np.ascontiguousarray(matrix.T) if head.flipped else matrix
        assert record.encode_stream(head, turned) == data[n_bytes:].rstrip(b"\0"), case["name"]
    assert n_records == 5


def test_size_of_the_bundled_layer():
    """What the guide of the format measured: its record with codebook and padding."""
    from weightless_sw import inputs

    weights = inputs.load_tensors("lenet300_pruned")
    sizes = {name: codec.encode_coded(weights[name]).record_bytes for name in weights if "weight" in name}
    assert sizes == {"fc1.weight": 8756, "fc2.weight": 2904, "fc3.weight": 272}


def test_dead_rows_and_columns_are_left_out_where_that_is_smaller():
    weights = np.zeros((400, 300), np.float32)
    weights[100:140, 50:90] = np.resize([0.5, -0.25, 0], (40, 40))
    whole = codec.encode_coded(weights, live="off")
    tensor = codec.encode_coded(weights)
    assert tensor.arrangement.block_shape[1] == 40
    assert tensor.record_bytes + arrangement.map_bytes(tensor.arrangement) < whole.record_bytes
    for choice in (whole, tensor):
        assert np.array_equal(codec.decode(from_bytes(to_bytes({"w": choice}))["w"]), weights)


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (np.array([0.1]), {}, "w: values are not exact in FP16 .*without --exact-values"),
        (np.array([np.nan]), {}, "w: 1 weights are NaN"),
        (np.zeros(0), {}, "w: a table holds 1 to"),
        (np.array(["a"]), {}, "w: weights must be real numbers"),
        (
            np.arange(1, 70_000) / 1.0,
            {"value_format": ValueFormat.FIXED16, "round_values": True},
            "w: 69999 distinct non-zero values, a coded record names at most 65535; .*weightless simplify",
        ),
    ],
)
def test_bad_weights_are_refused(weights, options, message):
    with pytest.raises(EncodeError, match=f"^{message}"):
        codec.encode_coded(weights, name="w", **options)


def test_too_large_a_tensor_is_refused(monkeypatch):
    monkeypatch.setattr(record, "MAX_WEIGHTS", 10)
    with pytest.raises(EncodeError, match="w: a coded record holds up to 10 weights, not 11"):
        codec.encode_coded(np.ones(11), name="w")
    small = codec.encode_coded(np.ones(10))
    with pytest.raises(ValueError, match="a coded record of 11 weights; at most 10 are read"):
        record.from_record(small.record, Arrangement((11,)))


@pytest.fixture(scope="module")
def small():
    """Records of several kinds, small enough to change at every byte."""
    rng = np.random.default_rng(3)
    result = []
    for shape, density, values, value_format in (
        ((12, 10), 0.3, [0.5, -1.0, 2.0], ValueFormat.FP16),
        ((30,), 0.5, [3, -4], ValueFormat.FIXED8),
        ((4, 3, 5), 1.0, [1, 2, 3, 4, 5], ValueFormat.FIXED16),
        ((6, 9), 0.0, [1], ValueFormat.FP16),
    ):
        weights = np.where(rng.random(shape) < density, rng.choice(values, shape), 0)
        result.append(codec.encode_coded(weights, value_format=value_format, round_values=True, live="off"))
    return result


def check_or_refuse(data, arrangement):
    """Whether a record is accepted; if so it is the one that its own codes give, and the specification agrees."""
    try:
        tensor = records.from_coded_record(data, arrangement)
        assert tensor.codes.size == arrangement.n_weights  # decoded here
    except FormatError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
        return False
    head, n_bytes = Head.from_bytes(data)
    stream = data[n_bytes + tensor.codebook.nbytes :]
    assert decode_codes(head, *arrangement.block_shape, stream) == tensor.codes.tolist()
    matrix = tensor.codes.reshape(arrangement.block_shape)
    turned = np.ascontiguousarray(matrix.T) if head.flipped else matrix
    assert record.encode_stream(head, turned) == stream.rstrip(b"\0")
    assert len(set(tensor.values.tolist())) == len(tensor.values)
    assert tensor.values.all()
    return True


def test_mutated_records_are_refused_or_valid(small, effort):
    """2,500 records with bits, bytes, lengths and shapes changed."""
    rng = np.random.default_rng(1)
    n_accepted = 0
    n = 2500 * effort
    for _ in range(n):
        tensor = small[rng.integers(len(small))]
        data = bytearray(tensor.record)
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(data)))
            change = rng.integers(4)
            if change == 0:
                data[place] ^= 1 << int(rng.integers(8))
            elif change == 1:
                data[place] = int(rng.choice([0, 1, 255, rng.integers(256)]))
            elif change == 2:
                del data[place:]
                data += bytes(-len(data) % 4) or bytes(4)
            else:
                data += rng.integers(0, 256, 4).astype(np.uint8).tobytes()
        shape = tensor.shape if rng.random() < 0.8 else (int(rng.integers(1, 40)), int(rng.integers(1, 9)))
        n_accepted += check_or_refuse(bytes(data), Arrangement(shape))
    assert 0.01 * n < n_accepted < 0.9 * n


def test_a_reader_takes_one_form_only(small):
    tensor = small[0]
    for data, message in (
        (tensor.record + bytes(4), "the record is longer than its stream"),
        (tensor.record[:12] + b"\xff\xff\xff\xff", "begins with four bytes 255"),
        (tensor.record[:8], "a codebook of 3 entries does not fit a record of 8 bytes"),
    ):
        with pytest.raises(FormatError, match=message):
            records.from_coded_record(data, tensor.arrangement)


def test_in_a_file(small, tmp_path):
    path = tmp_path / "x.wls"
    container.write(path, {str(k): tensor for k, tensor in enumerate(small)})
    read = container.read(path)
    assert [np.array_equal(read[str(k)].codes, t.codes) for k, t in enumerate(small)] == [True] * len(small)
    data = path.read_bytes()
    for place in range(len(data)):
        broken = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with contextlib.suppress(FormatError):
            from_bytes(broken)
            pytest.fail(f"byte {place} changed, and nobody noticed")


def test_each_live_map_is_taken_where_it_alone_pays():
    """A block of a few dense rows, and one dead column: the map of rows is worth its bytes."""
    rng = np.random.default_rng(5)
    weights = np.zeros((300, 60), np.float32)
    weights[::10, :] = rng.choice([-1, 1, 2], (30, 60)) * (rng.random((30, 60)) < 0.3)
    weights[:, 7] = 0
    tensor = codec.encode_coded(weights)
    assert tensor.arrangement.live_rows is not None
    assert tensor.arrangement.live_columns is None
    assert np.array_equal(codec.decode(tensor), weights)


def test_densities_around_are_searched(monkeypatch):
    """Weights that thin out from row to row: another share than their mean is the best to begin with."""
    rng = np.random.default_rng(7)
    shares = np.linspace(0.3, 0, 200)[:, None] ** 2
    weights = (rng.random((200, 60)) < shares).astype(np.float32)
    wide = codec.encode_coded(weights)
    monkeypatch.setattr(record, "DENSITY_STEPS", 0)
    assert codec.encode_coded(weights).record_bytes > wide.record_bytes
