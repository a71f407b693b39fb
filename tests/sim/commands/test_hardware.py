"""``weightless rtl``: what it writes, and what it refuses."""

import json
import re

import pytest

from weightless_hw import decoders
from weightless_sim import cli
from weightless_sim.fpga import families
from weightless_sim.fpga import implementation as fpga
from weightless_sw import codec, container, inputs


def header(path):
    """The parameters that the Verilog's header names."""
    return {
        name: int(value)
        for name, value in re.findall(r"^//   (\w+) = (\d+)$", path.read_text(), re.MULTILINE)
    }


def test_a_name_for_the_top_and_all_its_parts(tmp_path):
    path = tmp_path / "x.v"
    assert cli.main(["rtl", "--name", "conv1", "--max-bank-rows", "32", "-o", str(path)]) == 0
    modules = re.findall(r"^module (\S+?)\(", path.read_text(), re.MULTILINE)
    assert modules[0] == "conv1"
    assert len(modules) > 10
    assert all(name == "conv1" or name.startswith("conv1_") for name in modules)


def test_the_decoder_of_a_file(tmp_path):
    path = tmp_path / "x.v"
    assert cli.main(["rtl", "--for", "lenet300", "-o", str(path)]) == 0
    tables = inputs.tables_of(container.read(inputs.bundled_file("lenet300")), path)
    assert header(path) == vars(decoders.for_layers([table.geometry for table in tables.values()]))


@pytest.mark.parametrize("layout", decoders.BY_NAME)
def test_every_parameter_is_an_option(tmp_path, layout):
    path = tmp_path / "x.v"
    values = {
        "lanes": 4,
        "slot_bits": 7,
        "max_bank_rows": 33,
        "max_codes": 20,
        "value_bits": 8,
        "rounds_per_stage": 3,
        "window_registers": 1,
        "lane_registers": 1,
        "counters": 0,
        "tiles": 1,
    }
    assert set(values) == set(decoders.options())
    given = {name: values[name] for name in decoders.BY_NAME[layout].config.options()}
    options = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    assert cli.main(["rtl", "--layout", layout, *options, "-o", str(path)]) == 0
    assert header(path) == given


def test_axi_with_its_package(tmp_path, capsys):
    path = tmp_path / "shell.v"
    command = ["rtl", "--axi", "--package", "--max-bank-rows", "32", "--name", "layer", "-o", str(path)]
    assert cli.main(command) == 0
    assert sorted(made.name for made in tmp_path.iterdir()) == ["layer.core", "layer.xml", "shell.v"]
    assert '"shell.v"' in (tmp_path / "layer.core").read_text()
    assert ">shell.v<" in (tmp_path / "layer.xml").read_text()
    assert "module layer, fill latency 15 cycles" in capsys.readouterr().out


@pytest.fixture
def two(tmp_path, sparse_layer):
    """A file of two tables that no one decoder serves."""
    wls = tmp_path / "two.wls"
    parts = []
    for name, lanes in (("a", "4"), ("b", "8")):
        npz, part = tmp_path / f"{name}.npz", tmp_path / f"{name}.wls"
        inputs.save_tensors(npz, {name: sparse_layer((20, 30), 40)})
        assert cli.main(["encode", str(npz), "-o", str(part), "--lanes", lanes]) == 0
        parts.append(container.read(part))
    container.write(wls, {name: tensor for part in parts for name, tensor in part.items()})
    return wls


def test_tables_that_one_decoder_does_not_serve(tmp_path, two, capsys):
    out = tmp_path / "x.v"
    assert cli.main(["rtl", "--for", str(two), "-o", str(out)]) == 2
    assert "takes 2 decoders; choose the tables of one: --tensor a; --tensor b" in capsys.readouterr().err
    assert not out.exists()
    assert cli.main(["rtl", "--for", str(two), "--tensor", "b", "-o", str(out)]) == 0
    assert header(out)["lanes"] == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "2nd"], "'2nd' is no name of a Verilog module"),
        (["--name", "table"], "'table' is a keyword of Verilog or SystemVerilog"),
        (["--name", "logic"], "'logic' is a keyword of Verilog or SystemVerilog"),
        (["--tensor", "fc1.weight"], "--tensor names a table of the file that --for names"),
        (["--for", "lenet300", "--tensor", "nobody"], "no table nobody in "),
        (["--rounds-per-stage", "7"], "rounds_per_stage must be an integer from 1 to 6, not 7"),
    ],
)
def test_what_is_refused_leaves_no_file(tmp_path, capsys, options, message):
    assert cli.main(["rtl", *options, "-o", str(tmp_path / "x.v")]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


FIXED = [
    (["--lanes", "16"], "w: lanes: the layer has 8, the decoder 16 (8 != 16)"),
    (["--slot-bits", "9"], "w: slot_bits: the layer has 8, the decoder 9 (8 != 9)"),
    (["--layout", "ribbon"], "w: layout: the layer is classic, not ribbon"),
]
DECODERS_ALONE = [
    (["--value-bits", "8"], "w: value_bits: the layer has 16, the decoder 8 (16 != 8)"),
    (["--max-bank-rows", "100"], "w: bank_rows: the layer has 114, the decoder 100 (114 > 100)"),
    (["--max-codes", "2"], "w: n_codes: the layer has 15, the decoder 2 (15 > 2)"),
]


@pytest.fixture(scope="module")
def classic_file(tmp_path_factory, sparse_layer):
    """A classic table, which fixes more of its decoder than a ribbon does."""
    path = tmp_path_factory.mktemp("classic") / "w.wls"
    container.write(path, {"w": codec.encode(sparse_layer((200, 300), 2300), layout="classic")[0]})
    return str(path)


@pytest.mark.parametrize("command", ["rtl", "fpga", "asic", "sim"])
def test_what_a_file_fixes_is_not_overridden_in_silence(tmp_path, capsys, command, classic_file):
    calls = {
        "rtl": ["rtl", "--for", classic_file, "-o", str(tmp_path / "x.v")],
        "fpga": ["fpga", "--for", classic_file, "--seeds", "0"],
        "asic": ["asic", "--for", classic_file, "--liberty", "none.lib"],
        "sim": ["sim", classic_file, "--build", str(tmp_path)],
    }
    cases = FIXED + (DECODERS_ALONE if command in ("rtl", "fpga") else [])
    for options, message in cases:
        assert cli.main([*calls[command], *options]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert "Leave the option out; or" in told
    assert not list(tmp_path.glob("*.v"))


def test_what_a_file_leaves_open_is_obeyed(tmp_path, classic_file):
    path = tmp_path / "x.v"
    options = ["--lanes", "8", "--layout", "classic", "--max-bank-rows", "600", "--rounds-per-stage", "3"]
    assert cli.main(["rtl", "--for", classic_file, *options, "-o", str(path)]) == 0
    made = header(path)
    assert (made["lanes"], made["max_bank_rows"], made["rounds_per_stage"]) == (8, 600, 3)
    assert made["max_codes"] == 15


def test_a_table_that_no_device_holds_is_said_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fpga.Implementation, "area", lambda _: pytest.fail("synthesised"))
    command = ["fpga", "--device", "up5k", "--lanes", "8", "--max-bank-rows", "4096", "--seeds", "0"]
    assert cli.main(command) == 2
    told = capsys.readouterr().err
    assert "the decoder's memories have 786,432 bits, 640% of the block RAM of up5k (122,880 bits)" in told
    assert "ecp5-25k holds them" in told
    path = tmp_path / "x.v"
    assert cli.main(["rtl", "--lanes", "64", "--max-bank-rows", "4096", "-o", str(path)]) == 0
    told = capsys.readouterr().err
    assert (
        "6,291,456 bits, 164% of the block RAM of ecp5-85k (3,833,856 bits); no device here holds them"
        in told
    )


def test_a_table_that_fits_is_not_spoken_of():
    for device in families.DEVICES.values():
        assert families.misfit(device.ram_bits, device) == ""
    assert families.misfit(10**9, families.DEVICES["gowin"]) == ""  # a family, whose devices differ


def test_the_axi_shell_is_synthesised_and_not_placed(monkeypatch, capsys):
    monkeypatch.setattr(fpga, "keep", lambda *_: pytest.fail("kept, as if it were the decoder alone"))
    monkeypatch.setattr(fpga.Implementation, "place", lambda *_: pytest.fail("placed"))
    seen = []

    def area(made):
        seen.append("s_axis_tdata" in made.verilog)
        return fpga.Area(luts=1, luts_memory=0, flip_flops=2, block_rams=3, multipliers=4, tool="yosys")

    monkeypatch.setattr(fpga.Implementation, "area", area)
    assert cli.main(["fpga", "--axi", "--max-bank-rows", "32", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert (seen, result["fmax"]) == ([True], {})
