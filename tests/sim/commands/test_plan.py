import csv
import io
import json

import pytest

from weightless_sim import cli
from weightless_sw import inputs


def told(capsys, *arguments):
    assert cli.main(["plan", *arguments]) == 0
    return capsys.readouterr().out


def test_for_people(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    text = told(capsys, "vgg-16", "--array", "16x16", "--clock", "1GHz", "--dram", "HBM2", "--batch", "4")
    assert "VGG-16" in text
    assert "Array 16 x 16, weight-stationary, 1000 MHz, batch 4; HBM2: 3.92 pJ/bit, 256 GB/s" in text
    for name in ("classic", "ribbon", "dense int8", "gap-coded", "Deep Compression *", "bitmask"):
        assert f"│ {name} " in text
    assert "does not fit: RAM" in text  # VGG's tables on an FPGA
    assert "points left out were off by" in text
    assert "assumption: what 10.3 M of 138 M weights" in text
    assert "EIE, ISCA 2016, Table III" in text
    assert "others, published" in text
    assert "A table is not exact: 6.25% of the zeros" in text


def test_json_has_all_of_it(capsys):
    found = json.loads(told(capsys, "lenet300", "--json"))
    assert found["options"]["codes"] == 4  # of the file's table
    assert {one["name"] for one in found["formats"]} >= {"classic", "ribbon", "gap-coded"}
    for one in found["formats"]:
        assert one["how"]
        assert sum(layer["bytes"] for layer in one["layers"]) == one["bytes"]
    assert set(found["crossings"]) == {"bytes", "cycles", "energy"}
    assert found["pj_per_weight"]["ribbon"][0] > 0


def test_csv_has_a_line_per_layer_and_format(capsys):
    rows = list(csv.DictReader(io.StringIO(told(capsys, "lenet-5", "--csv"))))
    assert len(rows) == 4 * 8
    for row in rows:
        parts = sum(float(row[name]) for name in ("dram_pj", "logic_pj", "memory_pj"))
        assert float(row["energy_pj"]) == pytest.approx(parts)


def test_a_file_of_ones_own_is_pruned_on_paper(tmp_path, capsys):
    import numpy as np

    path = tmp_path / "mine.safetensors"
    inputs.save_tensors(path, {"w": np.ones((64, 64), np.float32)})
    before = path.read_bytes()
    assert "--density" in capsys.readouterr().err or cli.main(["plan", str(path)]) == 2
    assert "4.1 k weights in 1 kinds of layers, 10.0% not zero" in told(capsys, str(path), "--density", "0.1")
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--array", "32"], "'32' is no array: write rows x columns, as 32x32"),
        (["--array", "0x4"], "0x4: rows and columns are 1 to 1024"),
        (["--clock", "500"], "'500' is no frequency: write a number and one of Hz, kHz, MHz, GHz"),
        (["--clock", "5THz"], "'5THz' is no frequency"),
        (["--clock", "1e9GHz"], "1e9GHz: a frequency is from 1 MHz to 10 GHz here"),
        (["--clock", "e-.MHz"], "e-.MHz: a frequency is from 1 MHz to 10 GHz here"),
        (["--bandwidth", "3GB"], "'3GB' is no bandwidth: write a number and one of MB/s, GB/s, TB/s"),
        (["--density", "nan"], "--density is above 0 and at most 1, not nan"),
        (["--density", "0"], "--density is above 0 and at most 1, not 0"),
        (["--batch", "0"], "--batch is 1 to 1,048,576, not 0"),
        (["--lanes", "3"], "--lanes is a power of two from 1 to 64, not 3"),
        (["--codes", "300"], "--codes is 1 to 255 with 8 slot bits, not 300"),
        (["--dram", "HBM9"], "no figure of dram is called 'HBM9'; there are: HBM2;"),
        (["--tensor", "x"], "vgg-16: no layer x; there are: conv1_1"),
        (["--csv", "--json"], "--csv and --json: one of them"),
    ],
)
def test_absurd_values_are_refused_by_name(arguments, message, capsys):
    try:
        assert cli.main(["plan", "vgg-16", *arguments]) == 2
    except SystemExit as error:
        assert error.code == 2  # noqa: PT017 -- argparse's
    assert message in capsys.readouterr().err


def test_figures_of_ones_own(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    rows = (("mine", "dram", 2.0, "pJ/bit"), ("mine bandwidth", "bandwidth", 100.0, "GB/s"))
    path.write_text("".join(
        f'[[reference]]\nname = "{name}"\nkind = "{kind}"\nvalue = {value}\nunit = "{unit}"\nsource = "me"\n'
        'accuracy = "all"\n' for name, kind, value, unit in rows
    ))  # fmt: skip
    text = told(capsys, "lenet-5", "--tech", str(path), "--dram", "mine")
    assert "mine: 2 pJ/bit, 100 GB/s" in text
