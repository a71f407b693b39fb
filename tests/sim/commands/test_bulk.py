"""``weightless bulk``: synthetic layers and files through the compiled harness."""

import json

import pytest

from weightless_sim import cli
from weightless_sim.cosim import bulk, runner
from weightless_sw import codec, container

SHORT = ["bulk", "--shape", "150x401", "--codes", "7", "--layout", "ribbon", "--lanes", "16"]


@pytest.fixture(autouse=True)
def soon_compiled(monkeypatch, need):
    """These runs are short."""
    need(runner.missing("verilator"))
    monkeypatch.setattr(bulk, "COMPILER", "-O0")


def test_a_synthetic_layer(capsys):
    assert cli.main([*SHORT, "--stall", "both", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["tables"] == ["synthetic 150x401, 4.0%"]
    assert (row["weights"], row["mismatches"]) == (150 * 401, 0)
    assert row["cycles"] == row["cycles_by_the_model"]
    assert 16 > row["weights_per_cycle_decoding"] >= row["weights_per_cycle_with_loading"] > 4


def test_the_tables_of_a_file_in_turn(tmp_path, sparse_layer, capsys):
    """Of the lanes that are asked for; for people."""
    path = tmp_path / "x.wls"
    layers = {"a": sparse_layer((150, 401), 2400, n_values=7), "b": sparse_layer((20, 50), 30, n_values=7)}
    container.write(path, {name: codec.encode(array, layout="ribbon")[0] for name, array in layers.items()})
    assert cli.main(["bulk", str(path), "--lanes", "16"]) == 0
    told = capsys.readouterr().out
    assert "a, b" in told and "mismatches" in told and "ribbon_g16_t8_k7_v16_h1" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape", "3xy"], "--shape 3xy: write it as 4096x25088"),
        (["--shape", "0x7"], "must be above 0"),
        (["--density", "1.5"], "--density between 0 and 1"),
        (["--lanes", "64", "--shape", "4x4"], "lanes must be an integer from 1 to 16"),
        (["none.wls"], "none.wls"),
    ],
)
def test_what_can_not_be(options, message, capsys):
    assert cli.main([*SHORT[:1], "--layout", "ribbon", *options]) == cli.EXIT_USAGE
    assert message in capsys.readouterr().err
