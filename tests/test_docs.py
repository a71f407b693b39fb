"""What the pages say must hold: commands exist, links lead somewhere, the example runs."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import weightless_hw
from weightless_hw import registers
from weightless_hw.classic.config import ClassicConfig
from weightless_hw.export import ports
from weightless_sim import cli
from weightless_sim.cosim import runner
from weightless_sim.model.cycles import predict
from weightless_sim.model.patterns import Load
from weightless_sw import codec, inputs, records
from weightless_sw.provenance import install_line
from weightless_sw.spec import bitmask
from weightless_sw.spec import classic as spec
from weightless_sw.spec.record import DESCRIPTOR_WORDS, FORMAT_VERSION

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_make_targets_of_the_pages_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        assert set(re.findall(r"`?make ([a-z][a-z-]*)`", page.read_text())) <= targets


SHELL = re.compile(r"^    (?:echo|mkdir|printf|weightless|make|python|apt-get|pip|git|build/venv)\b", re.M)
# Blocks of shell that a test runs, or why none does: page, how the block begins, test or reason.
BLOCKS = {
    ("README.md", "apt-get install"): "system packages, as root; .ci/run installs what CI lacks",
    ("README.md", "make sim"): "what .ci/run and every stranger type",
    ("README.md", "echo "): "test_your_own_weights",
    ("architects.md", "mkdir"): "test_the_walk_through_of_the_architects_page",
    ("architects.md", "printf"): "test_the_walk_through_of_the_architects_page",
    ("architects.md", "python -c"): "test_the_walk_through_of_the_architects_page",
    ("architects.md", "weightless plan lenet300_simplified"): "test_what_the_architects_page_simulates",
    ("architects.md", "weightless sweep"): "test_the_sweep_of_the_architects_page",
    ("compress.md", "python -m pip install"): "installs; tests/sim/commands/test_train.py runs the demo",
    (
        "compress.md",
        "weightless compress",
    ): "minutes to hours; tests/sw/training/test_compress.py runs digits' recipe",
    ("install.md", "python -m pip install"): "installs; Makefile has the same",
    ("integration.md", "weightless rtl"): "test_the_commands_of_the_integration_page",
    ("integration.md", "weightless frames"): "test_the_commands_of_the_integration_page",
}


def blocks(page):
    """The indented blocks of shell of a page, unindented."""
    found = re.findall(r"(?:^    .*\n)+", page.read_text(), re.M)
    return [re.sub(r"^    ", "", block, flags=re.M) for block in found if SHELL.match(block)]


def shell(block, folder):
    """Run a block line by line as a user does, with this environment in the place of its own."""
    here = Path(sys.executable).parent
    script = "set -e\n" + block.replace("build/venv/bin", str(here))
    path = os.pathsep.join([str(here), os.environ["PATH"]])
    run = subprocess.run(["bash", "-c", script], cwd=folder, env=os.environ | {"PATH": path},
                         capture_output=True, text=True, check=False)  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_every_block_of_shell_runs_or_says_why_not():
    found = {(page.name, block) for page in PAGES for block in blocks(page)}
    for name, block in found:
        assert any(name == page and block.startswith(begin) for page, begin in BLOCKS), (name, block)
    for (page, begin), how in BLOCKS.items():
        assert any(name == page and block.startswith(begin) for name, block in found), (page, begin)
        assert not how.startswith("test_") or how in globals(), how


def test_your_own_weights(tmp_path, need):
    """README's block, as it stands, on the file that it makes."""
    need(runner.missing("verilator"))
    (block,) = (block for block in blocks(ROOT / "README.md") if block.startswith("echo"))
    told = shell(block, tmp_path)
    assert "0 mismatches" in told
    assert len(block.splitlines()) == 9
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {
        "dense.safetensors",
        "model.safetensors",
        "model.wls",
        "decoded.npz",
        "decoder.v",
        "build",
    }
    assert (tmp_path / "build" / "report" / "report.md").exists()


def test_the_commands_of_the_integration_page(tmp_path):
    rtl, frames = blocks(ROOT / "docs" / "integration.md")
    shutil.copy(inputs.bundled_file("lenet300"), tmp_path / "layers.wls")
    assert "module layer_decoder" in shell(rtl, tmp_path)
    assert (tmp_path / "layer_decoder.core").exists()
    assert "fc1.weight" in shell(frames, tmp_path)
    made = {path.name for path in (tmp_path / "frames").iterdir()}
    assert made == {"000-fc1.weight.bin", "frames.json"}


def test_the_walk_through_of_the_architects_page(tmp_path):
    """Each block as it stands, one after the other."""
    shapes, own, weights = (
        block
        for block in blocks(ROOT / "docs" / "architects.md")
        if not re.search("--simulate| sweep ", block)
    )
    told = shell(shapes, tmp_path)
    assert told.count("Who does best") == 5
    assert {path.name for path in (tmp_path / "plan").iterdir()} == {"llm.csv", "resnet.json", "plots"}
    assert len(list((tmp_path / "plan" / "plots").iterdir())) == 3
    assert "density of conv: assumption" in (told := shell(own, tmp_path))
    assert "density of fc: our paper" in told
    told = shell(weights, tmp_path)
    assert "131 k weights in 1 kinds of layers, 10.0% not zero" in told
    assert "lenet300.wls: 266 k weights" in told


def test_the_sweep_of_the_architects_page(tmp_path):
    (block,) = (block for block in blocks(ROOT / "docs" / "architects.md") if " sweep " in block)
    assert "sweep: sweep.csv, pareto.csv, sweep.html, sweep.png" in shell(block, tmp_path)


def test_what_the_architects_page_simulates(tmp_path, need):
    need(runner.missing("icarus"))
    (block,) = (block for block in blocks(ROOT / "docs" / "architects.md") if "--simulate" in block)
    assert "Simulated, the array as sink" in shell(block, tmp_path)


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    exec(compile(program, "README.md", "exec"), {})
    assert (tmp_path / "layer.wls").stat().st_size > 100


def test_python_of_the_compression_page_runs(tmp_path, monkeypatch, need, capsys):
    missing = [name for name in ("torch", "sklearn") if importlib.util.find_spec(name) is None]
    need(f"{', '.join(missing)} not installed: {install_line('train')}" if missing else "")
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "compress.md").read_text(), re.S)
    names = {}
    for program in programs:
        exec(compile(program, "compress.md", "exec"), names)
    assert len(programs) == 5
    assert "encoded fc1" in capsys.readouterr().out
    losses = {measured.step: measured.loss for measured in names["result"].history}
    assert losses["retrained fc1"] < losses["encoded fc1"]
    assert (tmp_path / "digits.wls").stat().st_size < 4_000


def test_the_design_of_the_amaranth_page_runs(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "amaranth.md").read_text(), re.S)
    exec(compile(program, "amaranth.md", "exec"), {})
    assert capsys.readouterr().out == "41 weights in 22 words, 12 sums, equal to numpy's\n"


def test_every_public_name_of_the_hardware_is_on_the_amaranth_page():
    page = (ROOT / "docs" / "amaranth.md").read_text()
    assert [
        name for name in weightless_hw.__all__ if f"wh.{name}" not in page and name != "DecoderConfig"
    ] == []
    assert set(weightless_hw.__all__) == set(weightless_hw._MODULES) <= set(dir(weightless_hw))
    assert all(getattr(weightless_hw, name) is not None for name in weightless_hw.__all__)


TILE_MAIN = """
#include <stdio.h>
void dma_send(const void *data, size_t n_bytes) { (void)data; (void)n_bytes; }
void dma_receive_start(void *data, size_t n_bytes) { (void)data; (void)n_bytes; }
void dma_receive_wait(void) {}
void dma_receive_cancel(void) {}
int main(void)
{
    static const uint32_t descriptor[7] = {DESCRIPTOR};
    const struct matrix matrix = {descriptor, 40, 2};
    uint32_t frame[12];
    tile_frame(frame, &matrix, 3, 5, 8, 21);
    for (int k = 0; k < 12; k++)
        printf("%lu\\n", (unsigned long)frame[k]);
    return 0;
}
"""


def test_programs_of_the_integration_page(tmp_path, monkeypatch, need, sparse_layer):
    """The Python runs, its files are what decoders take; the C compiles with the header that is written, and makes the
    frame of a tile that Python makes."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "integration.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(compile(program, "integration.md", "exec"), {})
    (frame,) = (path for path in tmp_path.glob("*.bin") if ".resident." not in path.name)
    record, crc = frame.read_bytes()[:-4], frame.read_bytes()[-4:]
    assert zlib.crc32(record).to_bytes(4, "little") == crc
    need("" if shutil.which("gcc") else "gcc is not installed: apt-get install g++")
    (tmp_path / "weightless.h").write_text(registers.c_header())
    layers, tiles = re.findall(r"```c\n(.*?)```", page, re.S)
    tensor, _ = codec.encode(sparse_layer((30, 40), 90), layout="classic", order="rows", live="off")
    words = np.frombuffer(records.to_record(tensor), "<u4", DESCRIPTOR_WORDS).tolist()
    descriptor = ", ".join(f"{word}u" for word in words)
    (tmp_path / "driver.c").write_text(layers + tiles + TILE_MAIN.replace("DESCRIPTOR", descriptor))
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-o", "driver", "driver.c"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    told = subprocess.run(["./driver"], capture_output=True, text=True, check=True).stdout
    made = records.to_frame(tensor, runs=tensor.arrangement.runs(slice(3, 11), slice(5, 26)))
    assert bytes(np.array([int(word) for word in told.split()], "<u4")) == made


def test_ports_of_the_pages_are_those_that_are_there():
    hardware, integration = (
        (ROOT / "docs" / f"{name}.md").read_text() for name in ("hardware", "integration")
    )
    config = ClassicConfig()
    for port in ports.native(config):
        assert re.search(rf"`{port.name}(\[\d+:0\])?`", hardware), port
        if width := re.search(rf"`{port.name}\[(\d+):0\]`", hardware):
            assert int(width[1]) + 1 == port.width, port
    for port in ports.axi(config):
        bus = port.name.rpartition("_")[0]
        assert f"`{bus}_*`" in integration if bus else f"`{port.name}`" in integration, port
    (command,) = re.findall(r"^    weightless (rtl .+)$", integration, re.M)
    assert cli._parser(command.split()).parse_args(command.split()).axi


def test_constants_of_the_format_page():
    page = (ROOT / "docs" / "format.md").read_text()
    assert f"version {FORMAT_VERSION}" in page
    assert f"\n{spec.digest_text()}\n" in page
    assert f"\n{bitmask.digest_text()}\n" in page
    assert f"0x{bitmask.DIGEST:08x}" in page
    assert f"0x{spec.DIGEST:08x}" in page
    assert f"0x{spec.DOMAIN:08x}" in page
    assert f"After {spec.ADDRESS_ROUNDS} rounds" in page
    decision = (ROOT / "docs" / "hash.md").read_text()
    assert f"`ADDRESS_ROUNDS` = {spec.ADDRESS_ROUNDS}, `MASK_ROUNDS` = {spec.MASK_ROUNDS}" in decision


def test_latencies_of_the_hardware_page():
    page = (ROOT / "docs" / "hardware.md").read_text()
    eight, one = ClassicConfig(lanes=8).fill_latency, ClassicConfig(lanes=1).fill_latency
    assert f"{eight} cycles at G = 8, {one} at G = 1" in page


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 64])
@pytest.mark.parametrize("slot_bits", [3, 8, 9])
@pytest.mark.parametrize("n_codes", [0, 1, 3, 6])
def test_timing_of_loading_on_the_integration_page(lanes, slot_bits, n_codes):
    """The table's rows, added up, are the cycle model's."""
    page = (ROOT / "docs" / "integration.md").read_text()
    assert "| descriptor, check | 7 + 2 |" in page
    assert "| codebook | K entries, rounded up to whole words of 32 bits, and 2 (none: 1) |" in page
    assert "| table | G t >= 32: its words, and 2; else its rows, rounded up to whole words, and 2 |" in page
    assert "| CRC word to the first beat | 2 + fill latency" in page
    geometry = spec.ClassicGeometry(
        n_weights=500, lanes=lanes, slot_bits=slot_bits, bank_rows=37, n_codes=n_codes, seed=1
    )
    config = ClassicConfig.for_layers([geometry])
    codebook, table = (section.n_words for section in geometry.sections)
    width = lanes * slot_bits
    cycles = 7 + 2 + (2 * codebook + 2 if codebook else 1)
    cycles += (table if width >= 32 else 32 * table // width) + 2
    (layer,) = predict(config, [Load(geometry)])
    assert layer.last_word - layer.first_word == cycles
    assert layer.first_valid - layer.last_word == 2 + config.fill_latency
