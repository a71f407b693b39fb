import dataclasses
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightless_hw.classic.config import ClassicConfig
from weightless_sw import codec, container, inputs, layouts, records
from weightless_sw.classic import kernels as classic_kernels
from weightless_sw.codebook import EncodeError
from weightless_sw.codec import encode
from weightless_sw.ribbon import kernels as ribbon_kernels
from weightless_sw.simplify import simplify
from weightless_sw.spec.record import ValueFormat
from weightless_sw.tensor import EncodedTensor

LANES = [1, 2, 4, 8, 16, 32, 64]


@st.composite
def layers(draw):
    """(weights, lanes, slot_bits): any size, density and burstiness; at most 2^t - 1 values."""
    slot_bits = draw(st.integers(1, 16))
    n = draw(st.integers(1, 2000))
    n_values = draw(st.integers(1, min(40, (1 << slot_bits) - 1)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]))
    run = draw(st.sampled_from([1, 8, 100]))
    support = np.repeat(rng.random(-(-n // run)) < density, run)[:n]
    weights = np.where(support, rng.integers(1, n_values + 1, n) / 8, 0).astype(np.float32)
    return weights, draw(st.sampled_from(LANES)), slot_bits


@settings(max_examples=60, deadline=None)
@given(layers())
def test_nonzero_weights_come_back_and_decoders_agree(layer):
    weights, lanes, slot_bits = layer
    tensor, report = encode(weights, layout="classic", order="rows", lanes=lanes, slot_bits=slot_bits)
    decoded = codec.decode(tensor)
    assert decoded.dtype == np.float32
    assert np.array_equal(decoded[weights != 0], weights[weights != 0])
    assert np.array_equal(decoded, codec.decode_golden(tensor))
    assert set(np.unique(decoded)) <= set(np.unique(weights)) | {0.0}
    assert report.n_false_positives == np.count_nonzero(decoded) - np.count_nonzero(weights)
    assert report.record_bytes == len(records.to_record(tensor))


def test_a_planted_fault_is_seen(sparse_layer):
    weights = sparse_layer(5000, 300)
    tensor, _ = encode(weights, layout="classic")
    index = int(np.flatnonzero(weights)[-1])
    tensor.table[tensor.geometry.slots(index)[1]] ^= 1
    assert codec.decode(tensor)[index] != weights[index]
    assert codec.decode_golden(tensor)[index] != weights[index]


@pytest.mark.parametrize("lanes", [1, 8, 64])
@pytest.mark.parametrize("slot_bits", [6, 8, 11])
def test_false_positives_are_as_theory_says(sparse_layer, lanes, slot_bits):
    weights = sparse_layer((300, 784), 9408)
    _, report = encode(weights, layout="classic", order="rows", lanes=lanes, slot_bits=slot_bits)
    p = 15 / 2**slot_bits
    assert report.expected_false_positive_rate == p
    assert report.false_positive_sigma == pytest.approx(sqrt(p * (1 - p) / (235_200 - 9408)))
    assert abs(report.false_positive_rate - p) < 4 * report.false_positive_sigma


def test_encoding_is_deterministic(sparse_layer):
    weights = sparse_layer((30, 50), 100)
    first, second = (records.to_record(encode(weights)[0]) for _ in range(2))
    assert first == second


def test_progress_tells_every_size(sparse_layer):
    lines = []
    tensor, report = encode(
        sparse_layer(5000, 300), layout="classic", progress=lambda done, total, text: lines.append(text)
    )
    assert any(
        f"{tensor.geometry.bank_rows} rows" in line and f"seed {report.seed} peels" in line for line in lines
    )


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (np.array([1.0, np.nan, np.inf]), {}, "w: 2 weights are NaN or infinite"),
        (np.array([], np.float32), {}, "w: a table holds 1 to 4294967295 weights, not 0"),
        (np.array(["a"]), {}, "w: weights must be real numbers, not dtype <U1"),
        (np.array([1j]), {}, "w: weights must be real numbers"),
        (np.array([None]), {}, "w: weights must be real numbers, not dtype object"),
        (
            np.arange(5.0),
            {"slot_bits": 2},
            "w: 4 distinct non-zero values, but codes of 2 bits name at most 3",
        ),
        (np.array([0.1]), {}, "w: values are not exact in FP16 .*without --exact-values"),
        (np.array([1e6]), {}, "w: values up to 1e\\+06 overflow fp16"),
        (
            np.array([1e-320]),
            {"value_format": ValueFormat.FIXED8},
            "w: magnitudes around .* are out of range",
        ),
    ],
)
def test_bad_weights_are_refused(weights, options, message):
    with pytest.raises(EncodeError, match=f"^{message}"):
        encode(weights, name="w", **options)


@pytest.mark.parametrize(("option", "value"), [("lanes", 3), ("slot_bits", 0), ("slot_bits", 17)])
def test_bad_options_are_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} must be"):
        encode(np.ones(4), **{option: value})


def test_any_shape_and_integer_weights():
    weights = np.zeros((2, 3, 4, 5), np.int8)
    weights[1, 2, 3, 4] = -3
    tensor, _ = encode(weights)
    assert isinstance(tensor, EncodedTensor)
    assert codec.decode(tensor).shape == (2, 3, 4, 5)
    assert codec.decode(tensor)[1, 2, 3, 4] == -3


def test_only_the_options_that_a_layout_has():
    with pytest.raises(ValueError, match="classic has no option banks; it has: lanes"):
        encode(np.ones(4), layout="classic", banks=3)
    with pytest.raises(ValueError, match="no layout is called 'cuckoo'; there are: classic"):
        encode(np.ones(4), layout="cuckoo")


def test_live_maps_count():
    weights = np.zeros((400, 50))
    weights[:90, ::2] = 0.5
    _, report = encode(weights)
    assert report.map_bytes > 0
    assert report.bits_per_weight == 8 * (report.record_bytes + report.map_bytes) / weights.size


def test_report_has_the_fields_of_the_layout():
    tensor, report = encode(np.ones(4), lanes=2)
    fields = report.as_dict()
    assert (fields["lanes"], fields["bank_rows"]) == (2, tensor.geometry.bank_rows)
    assert "own" not in fields


def test_any_tensor_of_a_file_is_decoded():
    weights = np.eye(8, dtype=np.float32)
    tensors = {"table": codec.encode(weights)[0], "coded": codec.encode_coded(weights), "raw": weights}
    for name, tensor in container.from_bytes(container.to_bytes(tensors)).items():
        assert np.array_equal(codec.decode(tensor)[weights != 0], weights[weights != 0]), name


def test_names_must_be_strings(tmp_path):
    for save in (
        lambda: container.to_bytes({1: np.eye(2)}),
        lambda: inputs.save_tensors(tmp_path / "x.npz", {1: np.eye(2)}),
        lambda: inputs.save_tensors(tmp_path / "x.safetensors", {1: np.eye(2)}),
    ):
        with pytest.raises(ValueError, match="a tensor's name must be a string, not 1"):
            save()


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int8])
def test_sizes_may_be_numpys_integers(kind):
    weights = np.eye(40, dtype=np.float32)
    expected = codec.encode(weights, lanes=4, slot_bits=9)[0]
    assert codec.encode(weights, lanes=kind(4), slot_bits=kind(9))[0] == expected
    assert codec.encode(weights, layout="ribbon", chunk_log2=kind(13))[0].geometry.chunk_log2 == 13
    assert type(dataclasses.replace(expected.geometry, bank_rows=kind(9)).bank_rows) is int
    config = ClassicConfig(lanes=kind(8), slot_bits=kind(8), max_bank_rows=kind(100))
    assert config == ClassicConfig(max_bank_rows=100)
    assert type(config.table_bits) is int
    assert simplify(np.eye(9), density=0.5, n_codes=kind(2))[1].n_codes == 1


def test_numpys_warnings_never_come_through():
    """What overflows is said by an error, or is none; warnings are errors in these tests."""
    huge = np.array([[1e300, -1e300, 0.0], [3e38, 1e-300, 1e-45]])
    for value_format in ("fp16", "fixed8", "fixed16"):
        for encoder in (codec.encode, codec.encode_coded):
            for rounded in (False, True):
                with pytest.raises(EncodeError):
                    encoder(huge, value_format=value_format, round_values=rounded)
    with pytest.raises(ValueError, match="out of fp16's range"):
        simplify(huge, density=1.0, n_codes=4)
    with pytest.raises(ValueError, match=r"values up to 1e\+300 overflow fp16"):
        codec.measure(codec.encode(np.ones((2, 3)))[0], np.full((2, 3), 1e300))


SLICES = (
    (slice(3, 9), None), (None, slice(10, 11)), (slice(0, 1000), slice(-7, None)), (slice(5, 5), slice(1, 4)),
    (slice(None, None, 3), slice(40, 2, -5)), (slice(-1, None), slice(None)),
)  # fmt: skip


@pytest.mark.parametrize("layout", [*layouts.BY_NAME, "coded", "raw"])
def test_a_rectangle_is_that_of_the_whole(layout, sparse_layer):
    """Of every layout and order, with dead rows and columns among them, and of what is in no table."""
    weights = sparse_layer((60, 5, 20), 300)
    weights[10:30] = 0
    weights[:, :, 3:9] = 0
    for order in ("rows", "columns"):
        tensor = weights
        if layout == "coded":
            tensor = codec.encode_coded(weights)
        elif layout != "raw":
            tensor, _ = codec.encode(weights, layout=layout, order=order)
            assert tensor.arrangement.live_rows is not None
        whole = codec.decode(tensor).reshape(60, 100)
        for rows, columns in SLICES:
            part = codec.decode(tensor, rows=rows, columns=columns)
            assert part.dtype == np.float32
            assert np.array_equal(part, whole[rows or slice(None), columns or slice(None)])


def test_a_rectangle_touches_no_more_than_it_must(sparse_layer, monkeypatch):
    """A classic table is asked for its weights alone; a ribbon's other chunks may hold anything."""
    weights = sparse_layer((300, 200), 3000)
    classic, _ = codec.encode(weights, layout="classic", live="off", order="rows")
    asked = []
    real = classic_kernels.run
    monkeypatch.setattr(
        classic_kernels,
        "run",
        lambda kernel, keys, *rest: asked.append(len(keys)) or real(kernel, keys, *rest),
    )
    assert codec.decode(classic, rows=slice(7, 9), columns=slice(3, 50)).shape == (2, 47)
    assert asked == [94]
    ribbon, _ = codec.encode(weights, layout="ribbon", live="off", order="rows", chunk_log2=13)
    whole = codec.decode(ribbon)
    second = ribbon_kernels.Header.from_word(int(ribbon.table[0])).chunk_words(8)
    ribbon.table[second + 1 :] ^= 0x5A5A  # behind the second chunk's header
    assert np.array_equal(codec.decode(ribbon, rows=slice(0, 40)), whole[:40])
    with pytest.raises(TypeError, match="rows and columns are slices, not 3 and None"):
        codec.decode(ribbon, rows=3)
