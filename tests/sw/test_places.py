import numpy as np
import pytest

from weightless_sw.inputs import InputError
from weightless_sw.places import apply_masks, changes, choose, unmasked

SPARSE = np.where(np.random.default_rng(1).random((12, 20)) < 0.1, np.float32(0.5), np.float32(0))
ARRAYS = {
    "a": SPARSE, "b": SPARSE.reshape(2, 2, 3, 20), "c": np.ones(9, np.float32), "none": np.zeros((0, 3), np.float32),
    "tril": np.tril(np.ones((1, 1, 8, 8), np.float32)), "index": np.arange(49).reshape(7, 7),
    "mask": np.ones((3, 3), np.bool_),
    "third": SPARSE * np.float32(2 / 3), "norm": np.random.default_rng(2).random((1, 512), np.float32),
}  # fmt: skip


def kinds(**options):
    return {
        name: place.kind for name, place in choose(ARRAYS, "x.npz", **options).items() if place.kind != "raw"
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"a": "table", "b": "table"}),
        ({"exclude": ["a"]}, {"b": "table"}),
        ({"coded": ["rest"]}, {"a": "table", "b": "table", "c": "coded", "tril": "coded"}),
        ({"coded": ["a", "c"]}, {"a": "coded", "b": "table", "c": "coded"}),
        ({"tensor": ["c"], "coded": ["rest"]}, {"a": "coded", "b": "coded", "c": "table", "tril": "coded"}),
        ({"tensor": ["index"]}, {"index": "table"}),
        ({"tensor": ["tril"]}, {"tril": "table"}),
        ({"coded": ["mask"]}, {"a": "table", "b": "table", "mask": "coded"}),
        ({"exclude": ["a", "b"], "coded": ["rest"]}, {"a": "coded", "b": "coded", "c": "coded", "tril": "coded"}),
        # Rounded: what is clustered, and what is named; never the rest.
        ({"round_values": True, "slot_bits": 10}, {"a": "table", "b": "table", "third": "table"}),
        ({"round_values": True, "slot_bits": 10, "tensor": ["norm"]}, {"norm": "table"}),
        ({"round_values": True, "exclude": ["a", "third"], "coded": ["rest"]},
         {"a": "coded", "b": "table", "c": "coded", "tril": "coded"}),
    ],
)  # fmt: skip
def test_who_goes_where(options, expected):
    assert kinds(**options) == expected


def test_who_stays_raw_says_why():
    reasons = {name: place.reason for name, place in choose(ARRAYS, "x.npz").items() if place.reason}
    assert reasons.keys() == {"index", "mask", "norm", "third", "tril"}
    assert (
        reasons["tril"]
        == "tril: ones and zeros, a mask, taken for no weights; --tensor puts it in a table all the same"
    )
    assert "third: values are not exact in FP16" in reasons["third"]
    assert reasons["index"] == "index: int64, taken for no weights; --tensor puts it in a table all the same"
    assert "norm: 512 distinct non-zero values" in reasons["norm"]


def test_nothing_for_a_table_is_an_error_that_says_why():
    with pytest.raises(
        InputError, match=r"x\.npz: nothing fits a table; norm: 512 distinct .*weightless simplify"
    ):
        choose({"norm": ARRAYS["norm"], "index": ARRAYS["index"]}, "x.npz")
    with pytest.raises(InputError, match="NaN"):
        choose({"w": np.full((2, 2), np.nan)}, "x.npz")
    assert choose({"c": ARRAYS["c"]}, "x.npz")["c"] == ("raw", "")
    assert choose({"index": ARRAYS["index"]}, "x.npz")["index"].kind == "raw"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tensor": ["x"]}, r"no tensor x in m\.npz; it has: a, b, c"),
        ({"coded": ["x", "y"]}, "no tensor x, y in"),
        ({"tensor": ["a"], "exclude": ["a"]}, "a: asked for in a table, and not; name each once"),
    ],
)
def test_names_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        choose(ARRAYS, "m.npz", **options)


def test_other_dtypes_are_said_to_change():
    assert changes("a", SPARSE, "fp16") == []
    assert changes("a", SPARSE.astype(np.float64), "fp16") == ["a: float64 decodes as float32"]


def test_values_that_are_rounded_are_said_with_the_largest_change():
    (line,) = changes("a", SPARSE * np.float32(2 / 3), "fp16")
    assert line == "a: values rounded to FP16, by up to 0.00024 of their size (--exact-values refuses)"


def test_masks_of_a_pruning_library_are_named_and_multiplied():
    mask = (SPARSE != 0).astype(np.float32)
    arrays = {"fc.weight_orig": SPARSE + 1, "x": SPARSE, "fc.weight_mask": mask, "y_mask": mask}
    (line,) = unmasked(arrays)
    assert line.startswith("fc.weight_orig and fc.weight_mask: weights of torch.nn.utils.prune before remove")
    apply_masks(arrays, "x.npz")
    assert list(arrays) == ["fc.weight", "x", "y_mask"]
    assert np.array_equal(arrays["fc.weight"], (SPARSE + 1) * mask)
    assert unmasked(arrays) == []
    for bad in ({"a_orig": SPARSE, "a_mask": mask[1:]}, {"a_orig": SPARSE, "a_mask": mask, "a": mask}):
        with pytest.raises(InputError, match=r"^x\.npz: a_orig and a_mask can't be multiplied to a$"):
            apply_masks(bad, "x.npz")
