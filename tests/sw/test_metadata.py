import pytest

from weightless_sw import metadata


def test_errors_come_back():
    wrong = {"dense": 103, "encoded": 173, "retrained": 132}
    stated = metadata.errors_metadata(wrong, 10_000)
    assert stated == {"wrong": "103 - 173 132 of 10000"}
    assert metadata.read_errors(stated | {"network": "x"}) == (wrong, 10_000)


@pytest.mark.parametrize(
    "text",
    ["", "1 2 3 4", "1 2 3 of 9", "1 2 3 -4 of 9", "1 2 3 4 of x", "1 2 3 4 of ", "a b c d of 9"],
)
def test_other_metadata_state_no_errors(text):
    assert metadata.read_errors({"wrong": text}) == ({}, 0)
    assert metadata.read_errors({}) == ({}, 0)


def test_zero_biases_are_said_in_few_bytes():
    names = ["a.weight", "a.bias", "b.weight", "c.weight", "scale"]
    assert metadata.zeros_metadata(names, []) == {}
    stated = metadata.zeros_metadata(names, ["c.bias", "b.bias"])
    assert stated == {"zero": "*.bias"}
    assert metadata.zero_biases(names, stated) == {"b.bias": "b.weight", "c.bias": "c.weight"}
    some = metadata.zeros_metadata(names, ["c.bias"])
    assert some == {"zero": "c.bias"}
    assert metadata.zero_biases(names, some) == {"c.bias": "c.weight"}
    assert metadata.zero_biases(names, {}) == {}
    assert metadata.zero_biases(names, {"zero": "a.bias x.bias"}) == {}
