"""What the pages say must hold: commands exist, links lead somewhere, the example runs."""

import importlib.util
import re
from pathlib import Path

import pytest

from weightless_hw.classic.config import ClassicConfig
from weightless_sim import cli
from weightless_sw.spec import classic as spec
from weightless_sw.spec.record import FORMAT_VERSION

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


def test_commands_of_the_readme_parse():
    text = (ROOT / "README.md").read_text()
    lines = re.findall(r"^    build/venv/bin/weightless (.+)$", text, re.M)
    assert len(lines) == 6
    for line in lines:
        assert cli._parser().parse_args(line.split()).run


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    exec(compile(program, "README.md", "exec"), {})
    assert (tmp_path / "layer.wls").stat().st_size > 100


def test_python_of_the_compression_page_runs(tmp_path, monkeypatch, need, capsys):
    missing = [name for name in ("torch", "sklearn") if importlib.util.find_spec(name) is None]
    need(f"{', '.join(missing)} not installed: pip install 'weightless[train]'" if missing else "")
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "compress.md").read_text(), re.S)
    names = {}
    for program in programs:
        exec(compile(program, "compress.md", "exec"), names)
    assert len(programs) == 4
    assert "encoded fc1" in capsys.readouterr().out
    losses = {measured.step: measured.loss for measured in names["result"].history}
    assert losses["retrained fc1"] < losses["encoded fc1"]
    assert (tmp_path / "digits.wls").stat().st_size < 4_000


def test_constants_of_the_format_page():
    page = (ROOT / "docs" / "format.md").read_text()
    assert f"version {FORMAT_VERSION}" in page
    assert f"\n{spec.digest_text()}\n" in page
    assert f"0x{spec.DIGEST:08x}" in page
    assert f"0x{spec.DOMAIN:08x}" in page
    assert f"After {spec.ADDRESS_ROUNDS} rounds" in page
    decision = (ROOT / "docs" / "hash.md").read_text()
    assert f"`ADDRESS_ROUNDS` = {spec.ADDRESS_ROUNDS}, `MASK_ROUNDS` = {spec.MASK_ROUNDS}" in decision


def test_latencies_of_the_hardware_page():
    page = (ROOT / "docs" / "hardware.md").read_text()
    eight, one = ClassicConfig(lanes=8).fill_latency, ClassicConfig(lanes=1).fill_latency
    assert f"{eight} cycles at G = 8, {one} at G = 1" in page
